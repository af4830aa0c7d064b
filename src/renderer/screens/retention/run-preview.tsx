import type { RetentionRun } from '@countersign/contract/evidence'
import { AlertDialog } from 'radix-ui'
import { useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { hashOf } from '../../app/route.ts'
import { core, say } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { size } from '../../parts/size.ts'
import { dateAndClock } from '../../parts/time.ts'
import { takenOf } from './words.ts'

const SHOWN = 100

/** Shows what a run would take now; to who may, with the way to have it taken. */
export function RunPreview(props: { live: boolean; mayRun: boolean; onDone: () => void }) {
  const { live, mayRun, onDone } = props
  const [run, setRun] = useState<RetentionRun | undefined>(undefined)
  const [busy, setBusy] = useState<'' | 'looking' | 'erasing'>('')
  const [problem, setProblem] = useState('')
  const ask = async (dry: boolean) => {
    setBusy(dry ? 'looking' : 'erasing')
    setProblem('')
    try {
      const answer = await core().call('runRetention', { dry })
      setRun(dry ? answer : undefined)
      if (!dry) {
        say(`Erased ${many(answer.recordings, 'recording')}`)
        onDone()
      }
    } catch (error) {
      setProblem(wordsOf(error))
    }
    setBusy('')
  }
  const nothing = run?.items.every(({ heldBy }) => heldBy.length > 0) && run.entries === 0
  return (
    <div className="mt-3">
      <div className="flex flex-wrap items-center gap-2.5">
        <Button disabled={!live || busy !== ''} onClick={() => void ask(true)}>
          {busy === 'looking' ? 'Looking…' : run ? 'Look again' : 'Show what would go now'}
        </Button>
        {run && !nothing && mayRun ? (
          <EraseNow run={run} busy={busy === 'erasing'} live={live} onErase={() => void ask(false)} />
        ) : null}
        {run ? (
          <button type="button" className="ml-auto text-fine text-dim hover:text-ink" onClick={() => setRun(undefined)}>
            Hide
          </button>
        ) : null}
      </div>
      {problem ? (
        <p role="alert" className="mt-2 rounded-box bg-danger-pale px-3 py-2 text-danger">
          {problem}
        </p>
      ) : null}
      {run ? (
        <div role="status" className="mt-2">
          <p>
            {nothing
              ? 'Nothing is due.'
              : `${many(run.recordings, 'recording')} (${size(run.bytes)}) and what ${many(run.entries, 'entry', 'entries')} of the log say would go${run.more ? ', and more in the run after it' : ''}.`}
            {run.kept > 0 ? ` Legal holds keep ${many(run.kept, 'session')} whose time is over.` : ''}
          </p>
          <Items run={run} />
        </div>
      ) : null}
    </div>
  )
}

function Items({ run }: { run: RetentionRun }) {
  const now = useNow()
  if (run.items.length === 0) return null
  return (
    <div className="mt-2 max-h-72 overflow-y-auto rounded-box border border-line">
      <table className="w-full text-fine tabular-nums">
        <thead className="sticky top-0 bg-panel">
          <tr className="text-left text-dim">
            <th className="px-3 py-1 font-normal">Session</th>
            <th className="py-1 pr-3 font-normal">Ended</th>
            <th className="py-1 pr-3 font-normal">Rule</th>
            <th className="py-1 pr-3 font-normal">What goes</th>
          </tr>
        </thead>
        <tbody>
          {run.items.slice(0, SHOWN).map((item) => (
            <tr key={item.session} className="border-t border-line">
              <td className="px-3 py-1">
                <a className="hover:underline" href={hashOf({ screen: 'sessions', id: item.session })}>
                  {item.connection} <span className="font-mono text-dim">{item.session.slice(0, 11)}…</span>
                </a>
              </td>
              <td className="py-1 pr-3 whitespace-nowrap">{dateAndClock(item.closedAt, now)}</td>
              <td className="py-1 pr-3">{item.rule}</td>
              <td className="py-1 pr-3">
                {item.heldBy.length > 0 ? <span className="text-warn">nothing: it is held</span> : takenOf(item)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {run.items.length > SHOWN ? (
        <p className="border-t border-line px-3 py-1.5 text-fine text-dim">
          and {(run.items.length - SHOWN).toLocaleString('en-US')} more
        </p>
      ) : null}
    </div>
  )
}

/** Asked twice: what is erased does not come back. */
function EraseNow(props: { run: RetentionRun; busy: boolean; live: boolean; onErase: () => void }) {
  const { run, busy, live, onErase } = props
  return (
    <AlertDialog.Root>
      <AlertDialog.Trigger asChild>
        <Button tone="danger" disabled={busy || !live}>
          {busy ? 'Erasing…' : 'Erase now…'}
        </Button>
      </AlertDialog.Trigger>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <AlertDialog.Content className="fixed top-[20vh] left-1/2 w-[min(460px,92vw)] -translate-x-1/2 rounded-box border border-line bg-panel p-6 shadow-box">
          <AlertDialog.Title className="text-title font-semibold">
            Erase {many(run.recordings, 'recording')}?
          </AlertDialog.Title>
          <AlertDialog.Description className="mt-1.5 text-dim">
            What is due by then goes, on the gateway and in consoles that hear of it. It can’t be brought back. The log
            tells that you had it done, and every proof stays valid.
          </AlertDialog.Description>
          <div className="mt-5 flex justify-end gap-2.5">
            <AlertDialog.Cancel asChild>
              <Button>Keep it for now</Button>
            </AlertDialog.Cancel>
            <AlertDialog.Action asChild>
              <Button tone="danger" onClick={onErase}>
                Erase
              </Button>
            </AlertDialog.Action>
          </div>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}

function many(n: number, one: string, more = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : more}`
}
