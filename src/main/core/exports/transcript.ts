import { namedParameters } from '@countersign/contract/approval'
import type { AnnotationView } from '../../../annotations-api.ts'
import { type CommandStep, deniedBy, exitOf, isConnect, type Step } from '../../../recording-steps.ts'
import { FrameReader, noFrames } from '../terminal/frames.ts'
import { PlainText } from '../terminal/text.ts'
import { placeOf } from '../terminal/viewing.ts'
import { framesIn } from './channel.ts'
import type { ExportSource } from './exports.ts'
import { cell, plainly, stepsIn, tableOf } from './reading.ts'

/** A session as text that a person reads: command, verdict, result. */
export async function* writeTranscript(source: ExportSource): AsyncGenerator<string> {
  const { session, file } = source
  const { identity } = session
  const facts: [string, string | undefined][] = [
    ['session', session.id],
    ['agent', `${identity.name} (${session.agent})`],
    ['on behalf of', identity.onBehalfOf],
    ['owner', identity.owner],
    ['purpose', session.purpose && `“${session.purpose}” (its own words)`],
    [
      'connection',
      `${session.connection} (${session.protocol})${session.connectionTags.map((tag) => ` [${tag}]`).join('')}`,
    ],
    ['mode', session.mode === 'observe' ? 'observed only: nothing was refused' : undefined],
    ['from', session.client.address],
    ['opened', session.openedAt],
    ['closed', session.closedAt && `${session.closedAt}, ${session.state}: ${session.closedBecause ?? ''}`],
    ['recording', file.ended ? 'whole' : 'NOT WHOLE: what follows ends before the session did'],
  ]
  for (const [name, value] of facts) if (value) yield `${name.padEnd(14)}${plainly(value).replaceAll('\n', ' ')}\n`
  yield `${'times'.padEnd(14)}seconds since the session was opened\n`
  const notes = [...source.annotations]
  for await (const step of stepsIn(source)) {
    while (notes[0] && notes[0].from < step.t) yield `\n${noteOf(notes.shift()!)}\n`
    yield `\n${textOf(step)}\n`
    if (step.kind === 'command' && step.channel) yield* saidIn(source, step)
  }
  for (const note of notes) yield `\n${noteOf(note)}\n`
}

/** So much of what a channel said stands in a transcript; all of it is in an export of the channel. Characters. */
const mostSaid = 1024 * 1024

/** What a channel said: a line of the host's is marked by `<`, one on stderr by `!`, the gateway's own by `--`. */
async function* saidIn(source: ExportSource, { channel, t }: CommandStep): AsyncGenerator<string> {
  const below = ' '.repeat(timeOf(t).length)
  const { channel: id, terminal } = channel!.event
  if (terminal) yield `${below}-- in a terminal of ${terminal.columns} × ${terminal.rows}, as text:\n`
  const marks = { stdout: '<', stderr: '!' }
  const texts = { stdout: new PlainText(), stderr: new PlainText() }
  const begun = { stdout: '', stderr: '' }
  let said = 0
  let hidden = 0
  const place = placeOf(source.file, id)
  const reader = new FrameReader(noFrames, terminal !== undefined)
  for await (const line of framesIn({ ...source, place })) {
    const frame = reader.read(line)
    if (frame?.type === 'input') hidden += frame.hidden ?? 0
    if (frame?.type === 'signal') yield `${below}-- signal ${plainly(frame.signal)}\n`
    if (frame?.type !== 'output') continue
    if (frame.notice) {
      yield `${below}-- the gateway said: ${plainly(frame.text.trim()).replaceAll('\n', ` ⏎ `)}\n`
      continue
    }
    if (frame.masked) yield `${below}-- masked here: ${cell(frame.masked.join(', '))}\n`
    said += frame.text.length
    if (said > mostSaid) continue
    const { stream } = frame
    const lines = (begun[stream] + texts[stream].write(frame.text)).split('\n')
    begun[stream] = lines.pop()!
    for (const one of lines) yield `${below}${marks[stream]} ${plainly(one)}\n`
  }
  for (const stream of ['stdout', 'stderr'] as const)
    if (begun[stream]) yield `${below}${marks[stream]} ${plainly(begun[stream])}\n`
  if (said > mostSaid)
    yield `${below}-- not all of it: it said ${said} characters; export the terminal or output by itself\n`
  if (hidden > 0) yield `${below}-- ${hidden} bytes were typed without an echo, and not kept\n`
  if (channel!.exit) yield `${below}-- ${plainly(exitOf(channel!.exit))}\n`
}

const timeOf = (t: number) => `[${(t / 1000).toFixed(3).padStart(10)}] `

/** What a person noted, where it belongs; marked so that it can't be taken for the recording's own words. */
function noteOf(note: AnnotationView): string {
  const time = `[${(note.from / 1000).toFixed(3).padStart(10)}] `
  const below = `${' '.repeat(time.length)}| `
  const range = note.to === undefined ? '' : ` to ${(note.to / 1000).toFixed(3)}`
  const tags = note.tags.map((tag) => ` #${tag.replaceAll(' ', '_')}`).join('')
  const lines = [plainly(`| note of ${note.by.name}, ${note.madeAt}${range}${tags}`).replaceAll('\n', ' ')]
  lines.push(...plainly(note.text).split('\n'))
  lines.push(`(${plainly(standingOf(note)).replaceAll('\n', ' ')})`)
  return `${time}${lines.join(`\n${below}`)}`
}

/** Who has a note by now, in words. */
export function standingOf(note: AnnotationView): string {
  if (note.withdrawn)
    return `withdrawn ${note.withdrawn.at}${note.withdrawn.reason ? `: ${note.withdrawn.reason}` : ''}`
  if (note.state === 'logged') return 'in the log'
  if (note.state === 'sent') return 'with the gateway'
  return note.state === 'conflict' ? 'only on this computer: the gateway refused it' : 'only on this computer'
}

function textOf(step: Step): string {
  const time = timeOf(step.t)
  const below = ' '.repeat(time.length)
  // What goes on in a further line is marked, or an agent could write a line as the gateway does: `-- allowed`.
  const indented = (text: string) => plainly(text).split('\n').join(`\n${below}   `)
  const asked = (text: string) =>
    plainly(text)
      .split('\n')
      .map((line) => `> ${line}`)
      .join(`\n${below}`)
  const lines: string[] = []
  if (step.kind === 'note') return `${time}-- note: ${indented(step.text)}`
  if (step.kind === 'end') return `${time}-- session ${step.event.state}: ${indented(step.event.reason)}`
  if (step.kind === 'held')
    return `${time}-- a command that never reached the server\n${below}-- ${indented(holdOf(step.hold))}`
  if (isConnect(step)) lines.push(`-- ${step.event.verdict.outcome === 'deny' ? 'asked to connect' : 'connected'}`)
  else lines.push(asked(step.event.text))
  const parameters = namedParameters(step.event).map(([name, value]) => `${name} = ${cell(value)}`)
  if (parameters.length > 0) lines.push(`-- with ${parameters.join(', ')}`)
  lines.push(`-- ${indented(verdictOf(step))}`)
  if (step.hold) lines.push(`-- ${indented(holdOf(step.hold))}`)
  if (step.rows) {
    lines.push(...tableOf(step.rows.columns, step.rows.rows))
    for (const { name, masked } of step.rows.columns)
      for (const mark of masked ?? [])
        lines.push(
          `-- ${cell(name)}: ${mark.revealed ? 'revealed to the agent, masked here' : 'masked'} (${cell(mark.class)})`,
        )
    if (step.rows.truncated) lines.push(`-- ${step.rows.rows.length} rows were kept; the rest were only counted`)
  }
  lines.push(`-- ${indented(resultOf(step))}`)
  return `${time}${lines.join(`\n${below}`)}`
}

export function verdictOf({ event }: CommandStep): string {
  const { outcome, policies, reason, observed } = event.verdict
  const by = policies.length > 0 ? ` by ${policies.join(', ')}` : ''
  const why = reason ? `: ${reason}` : ''
  if (observed && outcome !== 'allow')
    return plainly(`only observed; would have been ${outcome === 'deny' ? 'denied' : 'held'}${by}${why}`)
  if (outcome === 'deny') return plainly(`${deniedBy(event)}${why}`)
  return plainly(`${outcome === 'hold' ? 'held' : 'allowed'}${by}${why}`)
}

function holdOf(hold: NonNullable<CommandStep['hold']>): string {
  const { last, approval, from } = hold
  if (last.state === 'pending') return `held as ${approval}, not decided`
  const who = last.by?.length ? ` by ${last.by.join(' and ')}` : ''
  const seconds = ((last.t - from) / 1000).toFixed(1)
  const state = last.state === 'used' ? 'approved' : last.state
  return plainly(`held as ${approval} for ${seconds} s → ${state}${who}${last.reason ? `: “${last.reason}”` : ''}`)
}

export function resultOf({ result }: CommandStep): string {
  if (!result) return 'no result recorded'
  const parts = [result.status, result.tag, result.rows === undefined ? undefined : `${result.rows} rows`]
  const { read, written, sha256 } = result.transferred ?? {}
  if (read) parts.push(`${read} bytes read`)
  if (written) parts.push(`${written} bytes written`)
  if (sha256) parts.push(`SHA-256 ${sha256}`)
  parts.push(result.sqlstate, result.message, `${result.ms} ms`)
  return parts.filter((part) => part !== undefined && part !== '').join(' · ')
}
