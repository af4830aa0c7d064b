import { LoaderCircle, TriangleAlert, X } from 'lucide-react'
import { type Ref, useMemo } from 'react'
import type { SeenCheckpoint, WitnessState } from '../../../witness-api.ts'
import { hostOf } from '../../app/header.tsx'
import { useWorld } from '../../app/store.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { useToday } from '../../parts/clock.ts'
import { Listbox, type ListboxHandle } from '../../parts/listbox.tsx'
import { size } from '../../parts/size.ts'
import { clock, shortWhen } from '../../parts/time.ts'
import { OutcomeWord } from '../../parts/verified.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { type Dropped, dismiss, useDropped } from './drop.ts'
import { alarmWords, entries, figure, howWords, stateWords } from './words.ts'

export type Row = { readonly key: string; readonly height: number } & (
  | { readonly option: false; readonly heading: string; readonly count: string }
  | { readonly option: true; readonly what: 'log' }
  | { readonly option: true; readonly what: 'alarm'; readonly alarm: WitnessState['alarms'][number] }
  | { readonly option: true; readonly what: 'verdict'; readonly verdict: WitnessState['verdicts'][number] }
  | { readonly option: true; readonly what: 'session'; readonly verification: WitnessState['verifications'][number] }
  | { readonly option: true; readonly what: 'checkpoint'; readonly seen: SeenCheckpoint }
)

export const checkpointKey = ({ log, size, root }: SeenCheckpoint) => `checkpoint:${log}:${size}:${root}`

/** What there is to look at: the log, alarms, dropped bundles, recordings, checkpoints. */
export function useRows(checkpoints: readonly SeenCheckpoint[]): readonly Row[] {
  const witness = useWorld((world) => world.witness)
  return useMemo(() => {
    const { alarms, verdicts, verifications, log } = witness
    const heading = (text: string, count: number): Row => ({
      key: `heading:${text}`,
      height: 36,
      option: false,
      heading: text,
      count: count > 0 ? figure(count) : '',
    })
    // What a session's own verification found is listed with the session.
    const ofSessions = new Set(verifications.map(({ verdict }) => verdict))
    const dropped = verdicts.filter(({ id, name }) => !ofSessions.has(id) && !name.startsWith('session '))
    const rows: Row[] = [
      { key: 'log', height: 57, option: true, what: 'log' },
      ...alarms.map((alarm): Row => ({ key: `alarm:${alarm.id}`, height: 57, option: true, what: 'alarm', alarm })),
    ]
    if (dropped.length > 0) rows.push(heading('Bundles', dropped.length))
    for (const verdict of dropped)
      rows.push({ key: `bundle:${verdict.id}`, height: 57, option: true, what: 'verdict', verdict })
    if (verifications.length > 0) rows.push(heading('Recordings', verifications.length))
    for (const verification of verifications)
      rows.push({ key: `session:${verification.session}`, height: 57, option: true, what: 'session', verification })
    if (checkpoints.length > 0) rows.push(heading('Checkpoints seen', log?.seen ?? 0))
    for (const seen of checkpoints)
      rows.push({ key: checkpointKey(seen), height: 57, option: true, what: 'checkpoint', seen })
    return rows
  }, [witness, checkpoints])
}

export function IntegrityList(props: {
  ref: Ref<ListboxHandle>
  rows: readonly Row[]
  selected: string
  onSelect: (key: string) => void
  onEnd: () => void
}) {
  const today = useToday()
  const dropped = useDropped(({ files }) => files)
  return (
    <section aria-label="Integrity" className="flex min-h-0 flex-col border-r border-line bg-panel">
      <div className="px-4 pt-3 pb-1.5">
        <h2 className="text-head font-semibold">Integrity</h2>
      </div>
      {dropped.length > 0 ? (
        <ul aria-label="On their way" className="border-b border-line px-3 pb-2">
          {dropped.map((file) => (
            <Coming key={file.key} file={file} />
          ))}
        </ul>
      ) : null}
      <Listbox
        ref={props.ref}
        label="What was witnessed and verified"
        rows={props.rows}
        selected={props.selected}
        onSelect={props.onSelect}
        onEnd={props.onEnd}
        render={(row, chosen) => <RowView row={row} chosen={chosen} today={today} />}
      />
    </section>
  )
}

/** A file that is being verified, with how far it is. */
function Coming({ file }: { file: Dropped }) {
  const part = file.bytes > 0 ? file.sent / file.bytes : 1
  return (
    <li className="mt-1.5 rounded-box border border-line px-3 py-2">
      <div className="flex items-center gap-2">
        {file.state === 'failed' ? (
          <TriangleAlert size={13} aria-hidden className="shrink-0 text-warn" />
        ) : (
          <LoaderCircle size={13} aria-hidden className="shrink-0 text-dim motion-safe:animate-spin" />
        )}
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{file.name}</VisibleText>
        </span>
        <button
          type="button"
          aria-label={file.state === 'failed' ? `Dismiss ${file.name}` : `Cancel ${file.name}`}
          onClick={() => (file.state === 'failed' ? dismiss(file.key) : file.cancel())}
          className="inline-flex size-6 items-center justify-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
        >
          <X size={13} aria-hidden />
        </button>
      </div>
      {file.state === 'failed' ? (
        <p role="alert" className="text-fine text-warn">
          Not verified: <VisibleText>{file.problem ?? ''}</VisibleText>
        </p>
      ) : (
        <>
          <progress
            aria-label={`Verifying ${file.name}`}
            value={part}
            max={1}
            className="mt-1 block h-1 w-full appearance-none overflow-hidden rounded-full bg-sunken [&::-webkit-progress-bar]:bg-sunken [&::-webkit-progress-value]:bg-accent"
          />
          <p className="mt-0.5 text-fine text-dim">
            {file.state === 'waiting' ? 'waits for the one before' : `${size(file.sent)} of ${size(file.bytes)}`}
          </p>
        </>
      )}
    </li>
  )
}

function RowView({ row, chosen, today }: { row: Row; chosen: boolean; today: number }) {
  if (!row.option)
    return (
      <div className="flex h-full items-end gap-2 px-4 pb-1.5 text-tag font-semibold tracking-wide text-dim uppercase">
        {row.heading} <span className="font-normal">{row.count}</span>
      </div>
    )
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${chosen ? 'border-accent bg-accent-pale' : 'border-transparent'}`}
    >
      <Lines row={row} today={today} />
    </div>
  )
}

function Lines({ row, today }: { row: Extract<Row, { option: true }>; today: number }) {
  switch (row.what) {
    case 'log':
      return <LogLines />
    case 'alarm': {
      const { alarm } = row
      return (
        <Two
          first={
            <span
              className={`flex items-center gap-1.5 font-semibold ${alarm.acknowledged ? 'text-dim' : 'text-danger'}`}
            >
              <TriangleAlert size={13} aria-hidden className="shrink-0" />
              <span className="truncate">
                {alarmWords[alarm.kind].replace('The gateway’s log', 'Log').replace('The gateway', 'It')}
              </span>
            </span>
          }
          right={shortWhen(alarm.foundAt, today)}
          second={`${hostOf(alarm.gateway)} · ${alarm.acknowledged ? 'acknowledged' : 'open'}`}
        />
      )
    }
    case 'verdict':
      return (
        <Two
          first={<VisibleText>{row.verdict.name}</VisibleText>}
          right={shortWhen(row.verdict.at, today)}
          second={<OutcomeWord outcome={row.verdict.outcome} />}
        />
      )
    case 'session':
      return <SessionLines row={row} today={today} />
    case 'checkpoint': {
      const { seen } = row
      return (
        <Two
          first={<span className="font-mono text-fine tabular-nums">{entries(seen.size)}</span>}
          right={sameDay(seen.seenAt, today) ? clock(seen.seenAt, true) : shortWhen(seen.seenAt, today)}
          second={
            <>
              {howWords[seen.how]}
              {seen.state === 'proven' ? '' : ' · '}
              {seen.state === 'proven' ? null : (
                <span className={seen.state === 'conflict' ? 'font-semibold text-danger' : 'text-warn'}>
                  {stateWords[seen.state]}
                </span>
              )}
              {seen.cosignedBy.length > 0 ? ` · ${seen.cosignedBy.length} cosigned` : ''}
            </>
          }
        />
      )
    }
  }
}

function LogLines() {
  const { log, status, gateway } = useWorld((world) => world.witness)
  const live = useWorld((world) => world.link.state === 'live')
  const words = {
    alarm: 'don’t rely on it',
    consistent: 'consistent',
    unproven: 'not proven now',
    forbidden: 'not yours to see',
    'no-ledger': 'keeps no log',
    checking: 'looking…',
    never: live ? 'looking…' : 'not seen yet',
  }[status.state]
  const ink = { alarm: 'text-danger', consistent: 'text-ok', unproven: 'text-warn' }[status.state as 'alarm'] ?? ''
  return (
    <Two
      first={<VisibleText>{log?.origin ?? (gateway ? hostOf(gateway) : 'The log')}</VisibleText>}
      right={log ? figure(log.size) : ''}
      second={
        <span className={ink}>{live || status.state === 'alarm' ? words : log ? 'as it was seen last' : words}</span>
      }
    />
  )
}

function SessionLines({ row, today }: { row: Extract<Row, { what: 'session' }>; today: number }) {
  const session = useWorld((world) => world.sessions.get(row.verification.session))
  return (
    <Two
      first={
        <span className="font-mono text-fine">
          {session ? (
            <AgentOn agent={session.identity.name} connection={session.connection} />
          ) : (
            <VisibleText>{row.verification.session}</VisibleText>
          )}
        </span>
      }
      right={shortWhen(row.verification.at, today)}
      second={<OutcomeWord outcome={row.verification.outcome} />}
    />
  )
}

function Two(props: { first: React.ReactNode; right: React.ReactNode; second: React.ReactNode }) {
  return (
    <>
      <div className="flex items-baseline gap-3">
        <span className="min-w-0 flex-1 truncate">{props.first}</span>
        <span className="text-dim tabular-nums">{props.right}</span>
      </div>
      <div className="truncate text-fine text-dim">{props.second}</div>
    </>
  )
}

const sameDay = (at: string, today: number) => new Date(at).setHours(0, 0, 0, 0) === today
