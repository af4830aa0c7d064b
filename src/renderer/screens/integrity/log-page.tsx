import { Check, FileUp, RefreshCw, TriangleAlert } from 'lucide-react'
import { Switch } from 'radix-ui'
import { type ReactNode, useState } from 'react'
import type { WitnessState } from '../../../witness-api.ts'
import { wordsOf } from '../../app/api.ts'
import { hostOf } from '../../app/header.tsx'
import { hashOf } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, CopyButton, Key } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { clock, dateAndClock, isToday } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Growth } from './growth.tsx'
import { Page, Section } from './parts.tsx'
import { alarmWords, entries, figure, keyWords } from './words.ts'

/** How things stand with the gateway's log: the sentence first, then what it rests on. */
export function LogPage({ onOpen, checking, onCheck }: { onOpen: () => void; checking: boolean; onCheck: () => void }) {
  const witness = useWorld((world) => world.witness)
  const live = useWorld((world) => world.link.state === 'live')
  const { log } = witness
  return (
    <Page label="The log">
      <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
        <h2 className="text-title font-semibold">
          {log ? <VisibleText>{log.origin}</VisibleText> : witness.gateway ? hostOf(witness.gateway) : 'The log'}
        </h2>
        {log ? <span className="text-dim">{entries(log.size)}</span> : null}
        <span className="ml-auto">
          <Button quiet className="h-7 px-2.5" disabled={!live || checking} onClick={onCheck}>
            <RefreshCw size={13} aria-hidden className={checking ? 'motion-safe:animate-spin' : ''} />
            {checking ? 'Looking…' : 'Look again'} <Key>V</Key>
          </Button>
        </span>
      </div>
      <Standing witness={witness} live={live} />
      {log ? (
        <>
          <Section title="How it grew" aside={`${figure(log.seen)} checkpoints kept`}>
            <Growth growth={log.growth} />
          </Section>
          <Keys log={log} />
        </>
      ) : null}
      <Section title="Evidence from elsewhere">
        <div className="flex items-center gap-4 rounded-box border border-dashed border-line-strong bg-panel px-4 py-3">
          <FileUp size={18} aria-hidden className="shrink-0 text-dim" />
          <p className="min-w-0 flex-1 text-dim">
            Drop an evidence bundle anywhere on this screen. It is verified on this computer, against the keys and
            checkpoints that are known here; nothing is sent anywhere.
          </p>
          <Button onClick={onOpen}>
            Choose a file <Key>O</Key>
          </Button>
        </div>
      </Section>
      {log ? <Cosigning witness={witness} /> : witness.status.state === 'no-ledger' ? null : <PinBefore />}
    </Page>
  )
}

/** The one sentence, for every state there is. */
function Standing({ witness, live }: { witness: WitnessState; live: boolean }) {
  const now = useNow()
  const { status, log } = witness
  const when = (at: string) => (isToday(at, now) ? clock(at) : dateAndClock(at, now))
  const open = witness.alarms.filter((alarm) => !alarm.acknowledged)
  if (open.length > 0)
    return (
      <Sentence tone="danger" title="Don’t rely on this log.">
        <ul className="mt-1 flex flex-col gap-1">
          {open.map((alarm) => (
            <li key={alarm.id}>
              <a
                href={hashOf({ screen: 'integrity', id: `alarm:${alarm.id}` })}
                className="font-semibold text-danger underline underline-offset-2"
              >
                {alarmWords[alarm.kind]}
              </a>{' '}
              · {hostOf(alarm.gateway)} · found {when(alarm.foundAt)}
              {alarm.back ? ' · it shows the log of before again' : ''}
            </li>
          ))}
        </ul>
      </Sentence>
    )
  if (log && !live)
    return (
      <Sentence tone="plain" title={`As it was seen last: ${entries(log.size)}.`}>
        Every checkpoint seen since {when(log.since)} was an ancestor of that one. The log is looked at again with the
        link.
      </Sentence>
    )
  switch (status.state) {
    case 'consistent':
      return (
        <Sentence
          tone="ok"
          title={`Every checkpoint seen since ${log ? when(log.since) : 'the first'} is an ancestor of the newest.`}
        >
          {log ? `${figure(log.seen)} kept` : ''}, the newest of {entries(log?.size ?? 0)}; proven by hashes from the
          gateway’s own tiles, last at {when(status.checkedAt)}.
          {log && log.pending > 0
            ? ` ${figure(log.pending)} ${log.pending === 1 ? 'waits' : 'wait'} to be proven.`
            : ''}
        </Sentence>
      )
    case 'unproven':
      return (
        <Sentence tone="warn" title={`Not proven since ${when(status.since)}.`}>
          <VisibleText>{status.problem}</VisibleText> What was seen before stays; the console goes on trying.
        </Sentence>
      )
    case 'no-ledger':
      return (
        <Sentence tone="plain" title="This gateway keeps no log.">
          It is of a version that has none. Evidence from it can’t be held against anything; ask whoever runs it for an
          update.
        </Sentence>
      )
    case 'forbidden':
      return (
        <Sentence tone="warn" title="You may not see this log.">
          <VisibleText>{status.problem}</VisibleText> Every role may read it: ask an administrator for one.
        </Sentence>
      )
    case 'checking':
      return <Sentence tone="plain" title="Looking at the log for the first time…" />
    default:
      return (
        <Sentence tone="plain" title="Nothing was witnessed yet.">
          {live ? 'The log is being asked for.' : 'It will be once there is a link to the gateway.'} A bundle can be
          verified here all the same.
        </Sentence>
      )
  }
}

const tones = {
  ok: 'border-ok text-ok',
  warn: 'border-warn text-warn',
  danger: 'border-danger text-danger',
  plain: 'border-line-strong text-ink',
}

function Sentence({ tone, title, children }: { tone: keyof typeof tones; title: string; children?: ReactNode }) {
  const Icon = tone === 'ok' ? Check : TriangleAlert
  const [edge, ink] = tones[tone].split(' ')
  return (
    <div role="status" className={`mt-4 rounded-box border border-l-4 bg-panel px-4 py-3 ${edge}`}>
      <p className={`flex items-center gap-2 text-head font-semibold ${ink}`}>
        {tone === 'plain' ? null : <Icon size={16} aria-hidden className="shrink-0" />}
        {title}
      </p>
      {children ? <div className="mt-0.5 text-dim">{children}</div> : null}
    </div>
  )
}

function Keys({ log }: { log: NonNullable<WitnessState['log']> }) {
  const now = useNow()
  const [pinned] = log.keys
  const unsure = pinned?.how === 'first-contact'
  return (
    <Section title="Keys that may sign it">
      <ul className="divide-y divide-line rounded-box border border-line bg-panel">
        {log.keys.map((key) => (
          <li key={key.vkey} className="px-4 py-2.5">
            <div className="flex items-start gap-2">
              <code className="min-w-0 flex-1 text-fine break-all">{key.vkey}</code>
              <CopyButton text={key.vkey} label="Copy this key" />
            </div>
            <p className="text-fine text-dim">
              {keyWords[key.how]}, {dateAndClock(key.since, now)}
              {key.handedOverAt === null ? '' : ` · replaced when the log had ${entries(key.handedOverAt)}`}
            </p>
          </li>
        ))}
        <li className="px-4 py-3">
          {unsure ? (
            <p className="mb-2 text-dim">
              <b className="font-semibold text-warn">Nobody has compared this key yet.</b> Get it from whoever runs the
              gateway by another way than the gateway, and pin it: from then on it is known, not merely the first.
            </p>
          ) : null}
          <Pin label={unsure ? 'The key as you were given it' : 'Pin another key'} />
        </li>
      </ul>
    </Section>
  )
}

function PinBefore() {
  const gateway = useWorld((world) => world.witness.gateway)
  if (!gateway) return null
  return (
    <Section title="Key of the log">
      <div className="rounded-box border border-line bg-panel px-4 py-3">
        <p className="mb-2 text-dim">
          The first key that the gateway shows will be trusted, and said to be no more than that. If you were given the
          key, pin it before.
        </p>
        <Pin label="The key as you were given it" />
      </div>
    </Section>
  )
}

/** Takes a key that a person has from elsewhere. */
function Pin({ label }: { label: string }) {
  const [typed, setTyped] = useState('')
  const [word, setWord] = useState<{ text: string; bad: boolean } | undefined>(undefined)
  const [busy, setBusy] = useState(false)
  const pin = async () => {
    setBusy(true)
    try {
      await core().call('pinKey', { vkey: typed })
      setTyped('')
      setWord({ text: 'Pinned.', bad: false })
      say('Key pinned')
    } catch (error) {
      setWord({ text: wordsOf(error), bad: true })
    }
    setBusy(false)
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        if (typed.trim() && !busy) void pin()
      }}
    >
      <div className="flex gap-2.5">
        <label className="min-w-0 flex-1">
          <span className="sr-only">{label}</span>
          <input
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            placeholder={`${label}: gw.example.com/ledger+9f2c41aa+AWd…`}
            spellCheck={false}
            maxLength={1000}
            className="h-9 w-full rounded-box border border-line-strong bg-panel px-3 font-mono text-fine"
          />
        </label>
        <Button type="submit" disabled={typed.trim() === '' || busy}>
          {busy ? 'Pinning…' : 'Pin'}
        </Button>
      </div>
      {word ? (
        <p role={word.bad ? 'alert' : 'status'} className={`mt-2 text-fine ${word.bad ? 'text-danger' : 'text-ok'}`}>
          <VisibleText>{word.text}</VisibleText>
        </p>
      ) : null}
    </form>
  )
}

function Cosigning({ witness }: { witness: WitnessState }) {
  const now = useNow()
  const [problem, setProblem] = useState('')
  const { cosigning, witnesses } = witness
  const set = (on: boolean) =>
    core()
      .call('setCosigning', { on })
      .then(
        () => setProblem(''),
        (error) => setProblem(wordsOf(error)),
      )
  return (
    <Section title="Witnesses">
      <div className="divide-y divide-line rounded-box border border-line bg-panel">
        <div className="flex items-center gap-4 px-4 py-3">
          <div className="min-w-0 flex-1">
            <div id="cosign">Cosign what this desktop has proven</div>
            <p className="text-fine text-dim">
              {cosigning.possible
                ? 'Signs the newest checkpoint with a key of this desktop, once it is proven to continue all that was seen. Others who trust this desktop then need not trust the gateway alone. The gateway learns that key, and that it is yours.'
                : 'This computer has no safe place for a key, so it can’t cosign.'}
            </p>
            {cosigning.last ? (
              <p className="text-fine text-dim">
                Last: {entries(cosigning.last.size)}, {dateAndClock(cosigning.last.at, now)}
              </p>
            ) : null}
            {problem || (cosigning.on && cosigning.problem) ? (
              <p role="alert" className="text-fine text-warn">
                <VisibleText>
                  {problem || `The gateway did not take the last cosignature: ${cosigning.problem}`}
                </VisibleText>
              </p>
            ) : null}
          </div>
          <Switch.Root
            aria-labelledby="cosign"
            checked={cosigning.on}
            disabled={!cosigning.possible}
            onCheckedChange={(on) => void set(on)}
            className="relative h-5 w-9 shrink-0 rounded-full border border-line-strong bg-sunken data-[state=checked]:border-accent data-[state=checked]:bg-accent"
          >
            <Switch.Thumb className="block size-3.5 translate-x-0.5 rounded-full bg-line-strong motion-safe:transition-transform data-[state=checked]:translate-x-[18px] data-[state=checked]:bg-panel" />
          </Switch.Root>
        </div>
        {cosigning.key ? (
          <div className="flex items-start gap-2 px-4 py-2.5">
            <div className="min-w-0 flex-1">
              <code className="block text-fine break-all">{cosigning.key}</code>
              <p className="text-fine text-dim">this desktop’s own key, for those who want to rely on it</p>
            </div>
            <CopyButton text={cosigning.key} label="Copy this desktop’s key" />
          </div>
        ) : null}
        {witnesses.map((one) => (
          <div key={one.key} className="flex items-baseline gap-4 px-4 py-2">
            <span className="min-w-0 flex-1 truncate">
              <VisibleText>{one.person}</VisibleText>
              {one.own ? <span className="text-dim"> · this desktop</span> : null}
            </span>
            <span className="text-fine text-dim">
              {one.size === null ? 'has not cosigned yet' : `cosigned ${entries(one.size)}`}
            </span>
          </div>
        ))}
      </div>
    </Section>
  )
}
