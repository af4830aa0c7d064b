import { namedParameters } from '@countersign/contract/approval'
import type { RecordingLine } from '@countersign/contract/recording'
import { exitOf, markerOf } from '../../../recording-steps.ts'
import { FrameReader, noFrames } from '../terminal/frames.ts'
import { PlainText } from '../terminal/text.ts'
import { writeCast } from './channel.ts'
import type { ExportSource } from './exports.ts'
import { cell, linesIn, plainly, tableOf } from './reading.ts'

/**
 * asciicast v3 (https://docs.asciinema.org/manual/asciicast/v3/): a header, then `[seconds since the event before, code,
 * data]`; codes used here are o (output), m (marker) and x (exit status). A database session becomes the terminal that one would
 * have seen: what was asked, what the gateway said, what came back. Nothing of it is the gateway's own colours but what
 * this file adds: what agents and servers said has its control characters named.
 */
export async function* writeAsciicast(source: ExportSource): AsyncGenerator<string> {
  const { session, file } = source
  const terminals = file.index.channels.flatMap(({ kind, id: channel }, place) =>
    kind === 'sftp' ? [] : [{ channel, place }],
  )
  const [only, another] = terminals
  // One shell, one command: then it is what was seen, byte for byte. Several are told like the commands of a database.
  if (only && !another) return yield* writeCast({ ...source, ...only })
  const said = new Map<string, Said>()
  const header = {
    version: 3,
    term: { cols: 120, rows: 36, type: 'xterm-256color' },
    timestamp: Math.floor(Date.parse(file.header?.startedAt ?? session.openedAt) / 1000),
    idle_time_limit: 2,
    title: plainly(`${session.identity.name} on ${session.connection}, ${session.id}`),
  }
  yield `${JSON.stringify(header)}\n`
  let micros = 0
  const event = (t: number, code: 'o' | 'm' | 'x', data: string) => {
    const now = Math.max(micros, Math.round(t * 1000))
    const passed = now - micros
    micros = now
    return `${JSON.stringify([passed / 1e6, code, data])}\n`
  }
  const masked = new Set<string>()
  for await (const line of linesIn(source)) {
    if (line.type === 'header') continue
    const marker = markerOf(line)
    const masks = line.type === 'rows' && masked.has(line.command)
    if (marker && !masks) yield event(line.t, 'm', plainly(marker.label))
    if (line.type === 'rows') masked.add(line.command)
    if (line.type === 'result') masked.delete(line.command)
    const text = shown(line, session.connection) || saidBy(line, said)
    if (text) yield event(line.t, 'o', text.replace(/\r?\n/g, '\r\n'))
    if (line.type === 'end') yield event(line.t, 'x', line.state === 'closed' ? '0' : '1')
  }
}

/** Characters. */
const longestLine = 64 * 1024

/** What a channel says, line by line. */
class Said {
  readonly reader: FrameReader
  readonly stdout = { text: new PlainText(), begun: '' }
  readonly stderr = { text: new PlainText(), begun: '' }

  constructor(terminal: boolean) {
    this.reader = new FrameReader(noFrames, terminal)
  }

  /** Whole lines, each marked as the host's: none passes for the gateway's words, or for a prompt. */
  lines(stream: 'stdout' | 'stderr', more: string): string {
    const lines = (this[stream].begun + this[stream].text.write(more)).split('\n')
    const begun = lines.pop()!
    // A line without an end is told in parts, each as the host's: kept whole it would be all that there is.
    const parts = begun.length < longestLine ? 0 : begun.length
    this[stream].begun = begun.slice(parts)
    if (parts > 0) lines.push(begun)
    return lines.map((line) => marked(stream, line)).join('')
  }

  rest(): string {
    const { stdout, stderr } = this
    return (stdout.begun && marked('stdout', stdout.begun)) + (stderr.begun && marked('stderr', stderr.begun))
  }
}

const marked = (stream: 'stdout' | 'stderr', line: string) =>
  stream === 'stderr' ? red(`! ${plainly(line)}\n`) : `< ${plainly(line)}\n`

function saidBy(line: RecordingLine, channels: Map<string, Said>): string {
  if (line.type === 'channel') {
    channels.set(line.channel, new Said(line.terminal !== undefined))
    return ''
  }
  if (line.type !== 'output' && line.type !== 'exit') return ''
  const said = channels.get(line.channel)
  if (line.type === 'exit') {
    channels.delete(line.channel)
    return `${said?.rest() ?? ''}${dim(`-- ${onOne(exitOf(line))}\n`)}`
  }
  const frame = said?.reader.read(line)
  if (frame?.type !== 'output' || !said) return ''
  if (frame.notice) return amber(`-- ${onOne(frame.text.trim())}\n`)
  return said.lines(frame.stream, frame.text)
}

const colour = (n: number) => (text: string) => `\u001b[${n}m${text}\u001b[0m`
const red = colour(31)
const green = colour(32)
const amber = colour(33)
const dim = colour(2)

/** What goes on in a further line stands in, so that it begins none. */
const onOne = (text: string) => plainly(text).split('\n').join('\n   ')

/** A command as psql has it at its prompts, one a line: so that no line of it passes for an answer, or another prompt. */
const asked = (text: string, connection: string) =>
  plainly(text)
    .split('\n')
    .map((line, i) => `${green(`${plainly(connection)}${i === 0 ? '=>' : '->'}`)} ${line}`)
    .join('\n')

function shown(line: Exclude<RecordingLine, { type: 'header' }>, connection: string): string {
  switch (line.type) {
    case 'command': {
      const { outcome, policies, reason, observed } = line.verdict
      const by = onOne(policies.length > 0 ? ` by ${policies.join(', ')}` : '')
      const why = onOne(reason ? `: ${reason}` : '')
      const verdict =
        observed && outcome !== 'allow'
          ? amber(`-- only observed; would have been ${outcome === 'deny' ? 'denied' : 'held'}${by}${why}\n`)
          : outcome === 'deny'
            ? red(`-- denied${by}${why}\n`)
            : outcome === 'hold'
              ? amber(`-- held${by}${why}\n`)
              : ''
      if (line.kind === 'connect')
        return `${dim(`-- ${outcome === 'deny' ? 'asked to connect' : 'connected'}`)}\n${verdict}`
      const parameters = namedParameters(line)
        .map(([name, value]) => `${name} = ${cell(value)}`)
        .join(', ')
      return `${asked(line.text, connection)}\n${parameters ? dim(`-- with ${parameters}\n`) : ''}${verdict}`
    }
    case 'hold': {
      const who = line.by?.length ? ` by ${line.by.join(' and ')}` : ''
      if (line.state === 'pending') return amber(`-- ${onOne(`held for approval ${line.approval}`)}\n`)
      if (line.state === 'used') return ''
      const text = `-- ${onOne(`${line.state}${who}${line.reason ? `: “${line.reason}”` : ''}`)}\n`
      return line.state === 'approved' ? green(text) : red(text)
    }
    case 'rows':
      return `${tableOf(line.columns, line.rows).join('\n')}\n${line.truncated ? dim('-- further rows were only counted\n') : ''}`
    case 'result': {
      if (line.status === 'completed') return `${onOne(line.tag ?? 'done')} ${dim(`(${line.ms} ms)`)}\n`
      const text = onOne([line.sqlstate, line.message].filter(Boolean).join(': '))
      return red(`${line.status === 'failed' ? 'ERROR' : 'REFUSED'}: ${text}\n`)
    }
    case 'note':
      return dim(`-- ${onOne(line.text)}\n`)
    case 'end':
      return dim(`-- session ${line.state}: ${onOne(line.reason)}\n`)
    default:
      return ''
  }
}
