import { TriangleAlert } from 'lucide-react'
import { useId, useState } from 'react'
import type { Shown, WitnessAlarm } from '../../../witness-api.ts'
import { wordsOf } from '../../app/api.ts'
import { hostOf } from '../../app/header.tsx'
import { core, say } from '../../app/store.ts'
import { Button, CopyButton, Key } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Facts, Page, Section, SignedNote } from './parts.tsx'
import { saveEvidence } from './save.ts'
import { alarmMeaning, alarmWords, entries } from './words.ts'

/** What a gateway did with its log that no honest one does: both sides, and what to do with it. */
export function AlarmPage({ alarm }: { alarm: WitnessAlarm }) {
  const now = useNow()
  const [word, setWord] = useState<{ text: string; bad: boolean } | undefined>(undefined)
  const done = alarm.acknowledged
  const save = () =>
    saveEvidence(alarm.id).then(
      (where) =>
        setWord(where === undefined ? undefined : { text: where ? `Written to ${where}` : 'Written.', bad: false }),
      (error) => setWord({ text: wordsOf(error), bad: true }),
    )
  return (
    <Page label={alarmWords[alarm.kind]}>
      <h2 className={`flex items-center gap-2 text-title font-semibold ${done ? '' : 'text-danger'}`}>
        <TriangleAlert size={18} aria-hidden className="shrink-0" />
        {alarmWords[alarm.kind]}
      </h2>
      <p className="mt-2 text-head">
        <VisibleText>{`${hostOf(alarm.gateway)}: ${alarm.text}.`}</VisibleText>
      </p>
      <p className="mt-1 max-w-prose text-dim">{alarmMeaning[alarm.kind]}</p>
      <div className="mt-5 grid grid-cols-2 gap-3 max-lg:grid-cols-1">
        <Side title="What this desktop relies on" shown={alarm.known} none="Nothing was witnessed before." />
        <Side
          title="What was shown instead"
          shown={alarm.shown}
          none="Nothing: there was no answer that could be kept."
        />
      </div>
      <Facts
        facts={[
          ['Log', <VisibleText key="log">{alarm.origin || 'none'}</VisibleText>],
          ['Found', `${dateAndClock(alarm.foundAt, now)}, last ${dateAndClock(alarm.lastAt, now)}`],
          alarm.back ? ['Since then', 'the gateway has shown a log that continues what was seen'] : undefined,
          alarm.proof.length > 0
            ? [
                'Proof',
                `${alarm.proof.length} hashes that lead to the root of the larger log, and to another root than was signed at the smaller size`,
              ]
            : undefined,
        ]}
      />
      <div className="mt-5 flex flex-wrap items-center gap-2.5">
        <Button tone="accent" onClick={() => void save()}>
          Export the proof <Key>E</Key>
        </Button>
        <span className="text-fine text-dim">
          One file with both notes as they were signed; docs/verify.md says how a third person checks it with openssl.
        </span>
      </div>
      {word ? (
        <p role={word.bad ? 'alert' : 'status'} className={`mt-2 text-fine ${word.bad ? 'text-danger' : 'text-ok'}`}>
          <VisibleText>{word.text}</VisibleText>
        </p>
      ) : null}
      {done ? (
        <Section title="Acknowledged">
          <p>
            {dateAndClock(done.at, now)} by <VisibleText>{done.by}</VisibleText>:{' '}
            <q>
              <VisibleText>{done.reason}</VisibleText>
            </q>
          </p>
        </Section>
      ) : (
        <Acknowledge alarm={alarm} />
      )}
    </Page>
  )
}

function Side({ title, shown, none }: { title: string; shown: Shown | null; none: string }) {
  const now = useNow()
  const id = useId()
  return (
    <section aria-labelledby={id} className="min-w-0 rounded-box border border-line bg-panel px-4 py-3">
      <h3 id={id} className="font-semibold">
        {title}
      </h3>
      {shown ? (
        <>
          <p className="mt-1 text-title font-semibold tabular-nums">
            {shown.origin ? entries(shown.size) : 'no checkpoint'}
          </p>
          <p className="text-fine text-dim">
            <VisibleText>{`${dateAndClock(shown.at, now)}, ${hostOf(shown.from)}`}</VisibleText>
          </p>
          <div className="mt-2.5 mb-1 flex items-center gap-2 text-fine text-dim">
            as it was signed
            <CopyButton text={shown.note} label={`Copy the note: ${title}`} />
          </div>
          <SignedNote label={`${title}: the signed note`} note={shown.note} sunken />
        </>
      ) : (
        <p className="mt-1 text-dim">{none}</p>
      )}
    </section>
  )
}

function Acknowledge({ alarm }: { alarm: WitnessAlarm }) {
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const then = alarm.back
    ? 'The gateway shows the log of before again: nothing that is relied on changes.'
    : !alarm.replaces
      ? 'This desktop goes on wanting the log that it knows, and says so again once it was shown and is gone anew.'
      : alarm.kind === 'forked' || alarm.kind === 'rolled-back'
        ? 'This desktop then follows the log that the gateway shows, from its newest checkpoint on. The evidence stays.'
        : 'This desktop then trusts the key that the gateway shows. Compare it with whoever runs the gateway before. The evidence stays.'
  const acknowledge = async () => {
    setBusy(true)
    try {
      await core().call('acknowledgeAlarm', { id: alarm.id, reason: reason.trim() })
      say('Acknowledged')
    } catch (error) {
      setProblem(wordsOf(error))
    }
    setBusy(false)
  }
  return (
    <Section title="Acknowledge">
      <form
        className="rounded-box border border-line bg-panel px-4 py-3"
        onSubmit={(event) => {
          event.preventDefault()
          if (reason.trim() && !busy) void acknowledge()
        }}
      >
        <p className="text-dim">It stays on every screen until somebody has found out why. {then}</p>
        <div className="mt-2.5 flex gap-2.5">
          <label className="min-w-0 flex-1">
            <span className="sr-only">What it was, kept with the evidence</span>
            <input
              value={reason}
              onChange={(event) => setReason(event.target.value)}
              maxLength={2000}
              placeholder="What it was, kept with the evidence"
              className="h-9 w-full rounded-box border border-line-strong bg-panel px-3"
            />
          </label>
          <Button type="submit" tone="danger" disabled={reason.trim() === '' || busy}>
            {busy ? 'Acknowledging…' : 'Acknowledge'}
          </Button>
        </div>
        {problem ? (
          <p role="alert" className="mt-2 text-fine text-danger">
            {problem}
          </p>
        ) : null}
      </form>
    </Section>
  )
}
