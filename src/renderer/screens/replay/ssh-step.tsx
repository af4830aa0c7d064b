import { type ReactNode, useMemo, useState } from 'react'
import type { ChannelOfStep, CommandStep } from '../../../recording-steps.ts'
import type { ChannelRow } from '../../../terminal-api.ts'
import { CommandText } from '../../parts/command-text.tsx'
import { size } from '../../parts/size.ts'
import { duration } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Line, Verdict } from './step-verdict.tsx'
import { Pieces, WholeOutput } from './terminal/output.tsx'
import { type ClippedPiece, clippedTo, piecesOf } from './terminal/pieces.ts'
import { exitWords } from './terminal/words.ts'

interface Props {
  step: CommandStep
  /** Milliseconds up to which it has happened; Infinity while reading. */
  until: number
  session: string
  connection: string
  onOpen(channel: ChannelRow): void
}

/** Whether a command is one of sftp’s operations rather than something that runs in a channel of its own. */
export function isFileOperation({ event, channel }: CommandStep): boolean {
  return !channel && event.kind !== 'sftp' && event.effects.some(({ action }) => action.startsWith('sftp:'))
}

/** Something that was asked of a host: a command with its output, a shell, an operation on a file. */
export function SshCommand(props: Props) {
  const { step, until } = props
  if (isFileOperation(step)) return <FileOperation step={step} until={until} />
  return <Ran {...props} />
}

function Prompt({ connection }: { connection: string }) {
  return (
    <span className="font-semibold text-accent select-none" data-added>
      {connection}
      <span className="font-normal text-dim"> $ </span>
    </span>
  )
}

function Ran({ step, until, session, connection, onOpen }: Props) {
  const { event, channel, result } = step
  const own = event.kind === 'shell' || event.kind === 'sftp'
  return (
    <>
      <pre data-command className="max-h-60 overflow-auto font-mono leading-[1.375rem] break-words whitespace-pre-wrap">
        {own ? null : <Prompt connection={connection} />}
        {own ? (
          <span className="font-sans text-dim">{event.kind === 'shell' ? 'a shell' : 'files, by sftp'}</span>
        ) : null}
        {own && event.text !== '' && event.text !== event.kind ? ' ' : null}
        {own && event.text === event.kind ? null : <CommandText text={event.text} protocol="ssh" />}
      </pre>
      <Verdict step={step} until={until} />
      {channel && channel.event.t <= until ? (
        <Said step={step} channel={channel} until={until} session={session} onOpen={onOpen} />
      ) : null}
      {channel || !result || result.t > until ? null : result.status === 'refused' ? (
        <Line ink="text-dim">refused; the client got 126</Line>
      ) : result.status === 'failed' ? (
        <Line ink="text-warn">
          failed <VisibleText>{[result.tag, result.message].filter(Boolean).join(': ')}</VisibleText>
        </Line>
      ) : null}
      {!channel && !result && event.verdict.outcome === 'allow' ? (
        <Line ink="text-dim">no channel recorded</Line>
      ) : null}
    </>
  )
}

/** What a command said, how it ended, and the ways to all of it. */
function Said(props: {
  step: CommandStep
  channel: ChannelOfStep
  until: number
  session: string
  onOpen(channel: ChannelRow): void
}) {
  const { step, channel, until, session, onOpen } = props
  const { event } = channel
  const [whole, setWhole] = useState(false)
  const exit = channel.exit && channel.exit.t <= until ? channel.exit : undefined
  const told = step.hold !== undefined || step.event.verdict.outcome === 'deny'
  const head = useMemo(() => headOf(channel.head, until, told), [channel.head, until, told])
  const all = channel.exit ? channel.exit.bytes.stdout + channel.exit.bytes.stderr : undefined
  const masked = channel.head.some((each) => each.masked)
  const clipped = head.some((piece) => piece.clipped)
  const rest = clipped || (all === undefined ? channel.head.length > 0 : !masked && all > bytesOf(channel.head))
  const row = (): ChannelRow => ({
    ...{ channel: event.channel, kind: event.kind, terminal: event.terminal !== undefined, command: step.event.text },
    ...{ step: 0, from: event.t, to: channel.exit?.t ?? null, frames: 0 },
  })
  const link = 'font-semibold text-accent hover:underline'
  return (
    <>
      {event.terminal || event.kind === 'sftp' ? null : whole && !Number.isFinite(until) ? (
        <WholeOutput session={session} channel={event.channel} />
      ) : (
        <Pieces pieces={head} />
      )}
      <p className="mt-0.5 flex flex-wrap gap-x-3 text-fine text-dim">
        {exit ? (
          <Ended exit={exit} since={event.t} />
        ) : (
          <span>{channel.exit ? 'running…' : 'goes on, or its end is not here'}</span>
        )}
        {event.kind === 'shell' ? <span className="text-warn">recorded, not policed</span> : null}
        {event.terminal ? (
          <span>
            terminal {event.terminal.columns} × {event.terminal.rows}
          </span>
        ) : null}
        {rest && !event.terminal && event.kind === 'exec' && !whole ? (
          <button type="button" className={link} onClick={() => setWhole(true)}>
            Show all of it{all === undefined ? '' : ` (${size(all)})`}
          </button>
        ) : null}
        {event.kind === 'sftp' ? null : (
          <button type="button" className={link} onClick={() => onOpen(row())}>
            {event.terminal ? 'Show its terminal' : 'As a terminal'}
          </button>
        )}
      </p>
      {exit?.truncated?.length ? (
        <Line ink="text-warn">
          {exit.truncated.join(' and ')} passed the bound of what is kept: the rest was only counted and hashed
        </Line>
      ) : null}
    </>
  )
}

function Ended({ exit, since }: { exit: NonNullable<ChannelOfStep['exit']>; since: number }) {
  const good = exit.code === 0
  const { stdin } = exit.bytes
  return (
    <span>
      <span className={good ? 'text-ok' : 'text-warn'}>
        {good ? '✓ ' : ''}
        {exitWords(exit)}
      </span>
      {` · ${duration(exit.t - since)}`}
      {stdin > 0 ? ` · ${size(stdin)} sent to it` : ''}
    </span>
  )
}

/** So many lines are read at a glance; the rest is a click away. */
const HEAD_LINES = 16

function headOf(head: ChannelOfStep['head'], until: number, withoutNotices: boolean): ClippedPiece[] {
  // What the gateway said of a hold or denial stands above, in the words of the record.
  const shown = head.filter(({ t, notice }) => t <= until && !(notice && withoutNotices))
  return clippedTo(HEAD_LINES, piecesOf(shown.map(({ data, ...each }) => ({ ...each, text: textOf(data) }))))
}

function textOf(data: ChannelOfStep['head'][number]['data']): string {
  if (typeof data === 'string') return data
  if (data === null) return ''
  return new TextDecoder().decode(Uint8Array.from(atob(data.base64), (character) => character.charCodeAt(0)))
}

function bytesOf(head: ChannelOfStep['head']): number {
  return head.reduce((n, { data, notice }) => {
    if (notice || data === null) return n
    if (typeof data === 'string') return n + new TextEncoder().encode(data).length
    return n + Math.floor((data.base64.replace(/=+$/, '').length * 3) / 4)
  }, 0)
}

/** An operation of sftp in a line: what, how much, how it ended. */
function FileOperation({ step, until }: { step: CommandStep; until: number }) {
  const { event, result } = step
  const done = result && result.t <= until ? result : undefined
  return (
    <>
      <div className="flex items-baseline gap-x-3 max-lg:flex-wrap">
        <span data-command className="min-w-0 flex-1 font-mono leading-[1.375rem] break-words whitespace-pre-wrap">
          <VisibleText>{event.text}</VisibleText>
        </span>
        <span className="shrink-0 text-fine text-dim tabular-nums">
          <Done result={done} />
        </span>
      </div>
      <Verdict step={step} until={until} />
      {done?.transferred?.sha256 ? (
        <p className="truncate font-mono text-tag text-dim" title={`SHA-256 ${done.transferred.sha256}`}>
          sha256 {done.transferred.sha256}
        </p>
      ) : null}
    </>
  )
}

function Done({ result }: { result: CommandStep['result'] }): ReactNode {
  if (!result) return null
  if (result.status === 'refused') return <span className="text-danger">refused</span>
  if (result.status === 'failed')
    return (
      <span className="text-warn">
        <VisibleText>{result.message ?? result.tag ?? 'failed'}</VisibleText>
      </span>
    )
  return fileResult(result)
}

/** How an operation on files ended, in few words. */
export function fileResult(result: NonNullable<CommandStep['result']>): string {
  const { read = 0, written = 0 } = result.transferred ?? {}
  const moved = [read > 0 ? `${size(read)} read` : '', written > 0 ? `${size(written)} written` : ''].filter(Boolean)
  return moved.length > 0 ? moved.join(', ') : result.tag || 'done'
}
