import type { RecordingEvent, RecordingLine } from '@countersign/contract/recording'
import { type CallName, ConsoleError, type ConsoleEvent } from '../../console-api.ts'
import { Sights } from '../../main/core/terminal/sights.ts'
import type { TerminalFrame, TerminalHit, TerminalSummary } from '../../terminal-api.ts'

/** The part of the double that tells what was said in channels: whole, from the first frame on. */

type Event<T extends RecordingEvent['type']> = Extract<RecordingEvent, { type: T }>

interface Channel {
  event: Event<'channel'>
  command: string
  frames: TerminalFrame[]
  exit: Event<'exit'> | null
  step: number
}

const decoder = new TextDecoder()
const textOf = (data: unknown): string =>
  typeof data === 'string'
    ? data
    : data && typeof data === 'object' && 'base64' in data
      ? decoder.decode(Uint8Array.from(atob(String(data.base64)), (c) => c.charCodeAt(0)))
      : ''

function channelsOf(lines: readonly RecordingLine[]): Map<string, Channel> {
  const channels = new Map<string, Channel>()
  const commands = new Map<string, { text: string; step: number }>()
  let steps = 0
  for (const line of lines) {
    if (line.type === 'hold' && !commands.has(line.command)) commands.set(line.command, { text: '', step: steps++ })
    if (line.type === 'command')
      commands.set(line.command, { text: line.text, step: commands.get(line.command)?.step ?? steps++ })
    if (line.type === 'channel') {
      const { text, step } = commands.get(line.command)!
      channels.set(line.channel, { event: line, command: text, frames: [], exit: null, step })
    }
    if (!('channel' in line)) continue
    const channel = channels.get(line.channel)!
    const { t, seq } = line
    if (line.type === 'output') {
      const { stream, notice, masked } = line
      const more = { ...(notice && { notice }), ...(masked && { masked }) }
      channel.frames.push({ type: 'output', t, seq, stream, text: textOf(line.data), ...more })
    } else if (line.type === 'input')
      channel.frames.push({
        ...{ type: 'input', t, seq, text: textOf(line.data) },
        ...(line.hidden ? { hidden: line.hidden } : {}),
      })
    else if (line.type === 'resize')
      channel.frames.push({ type: 'resize', t, seq, columns: line.columns, rows: line.rows })
    else if (line.type === 'signal') channel.frames.push({ type: 'signal', t, seq, signal: line.signal })
    else if (line.type === 'exit') {
      channel.exit = line
      const how = { ...(line.code !== undefined && { code: line.code }), ...(line.signal && { signal: line.signal }) }
      channel.frames.push({ type: 'exit', t, seq, ...how })
    }
  }
  return channels
}

function sightsOf({ event, frames }: Channel): Sights {
  const sights = new Sights(event.t, event.terminal !== undefined)
  for (const [at, frame] of frames.entries()) sights.see(frame, at)
  return sights
}

export function terminalAnswers(options: {
  linesOf(session: string): readonly RecordingLine[]
  endedOf(session: string): boolean
  damaged: boolean
  emit(event: ConsoleEvent): void
}): { answers: Partial<Record<CallName, (input: never) => unknown>>; tell(session: string): void } {
  const of = (session: string, channel: string): Channel => {
    if (options.damaged)
      throw new ConsoleError('damaged-copy', 'The copy on this computer is damaged. It was thrown away: open it again.')
    const found = channelsOf(options.linesOf(session)).get(channel)
    if (!found) throw new ConsoleError('no-such-channel', 'There is no such channel in this recording.')
    return found
  }
  const following = new Map<string, string>()
  const tell = (session: string) => {
    const last = options.linesOf(session).at(-1)
    const length = last && 't' in last ? last.t : 0
    const seq = last && 'seq' in last ? last.seq : 0
    for (const [work, followed] of following)
      if (followed === session)
        options.emit({ type: 'tail', work, session, edition: 'one', seq, length, complete: false })
  }
  const answers: Partial<Record<CallName, (input: never) => unknown>> = {
    recordingChannels: ({ session, from }: { session: string; from: number }) => {
      const items = [...channelsOf(options.linesOf(session)).values()].map(
        ({ event, command, frames, exit, step }) => ({
          channel: event.channel,
          kind: event.kind,
          terminal: event.terminal !== undefined,
          ...{ command, step },
          from: event.t,
          to: exit?.t ?? null,
          frames: frames.length,
          ...(exit?.code === undefined ? {} : { code: exit.code }),
        }),
      )
      return { items: items.slice(from), count: items.length }
    },
    terminal: ({ session, channel }: { session: string; channel: string }): TerminalSummary => {
      const found = of(session, channel)
      const { event, command, frames, exit, step } = found
      const sizes = frames.filter((frame) => frame.type === 'resize')
      return {
        ...{ session, edition: 'one', event, command, exit, step },
        from: event.t,
        to: frames.at(-1)?.t ?? event.t,
        count: frames.length,
        ended: exit !== null || options.endedOf(session),
        looked: 1,
        characters: frames.reduce((n, frame) => n + (frame.type === 'output' ? frame.text.length : 0), 0),
        largest: {
          columns: Math.max(event.terminal?.columns ?? 0, ...sizes.map((frame) => frame.columns)),
          rows: Math.max(event.terminal?.rows ?? 0, ...sizes.map((frame) => frame.rows)),
        },
        idle: sightsOf(found).idle,
        markers: sightsOf(found).markers,
      }
    },
    terminalAt: ({ session, channel, t }: { session: string; channel: string; t: number }) => {
      const { event, frames, exit } = of(session, channel)
      return {
        columns: event.terminal?.columns ?? 80,
        rows: event.terminal?.rows ?? 24,
        screen: '',
        shown: frames.filter((frame) => frame.t <= t).length,
        ...{ at: 0, frames, next: frames.length, count: frames.length },
        ended: exit !== null || options.endedOf(session),
      }
    },
    terminalFrames: ({ session, channel, from }: { session: string; channel: string; from: number }) => {
      const { frames, exit } = of(session, channel)
      const some = frames.slice(from, from + 40)
      return {
        ...{ at: from, frames: some, next: from + some.length, count: frames.length },
        ended: exit !== null || options.endedOf(session),
      }
    },
    findInTerminal: ({
      session,
      channel,
      words,
      work,
    }: {
      session: string
      channel: string
      words: string
      work: string
    }) => {
      const { frames } = of(session, channel)
      const hits = frames.flatMap((frame, at): TerminalHit[] => {
        if (frame.type !== 'output') return []
        const place = frame.text.toLowerCase().indexOf(words.toLowerCase())
        if (place < 0) return []
        const found = frame.text.slice(place, place + words.length)
        return [{ at, t: frame.t, seq: frame.seq, stream: frame.stream, before: '', found, after: '' }]
      })
      options.emit({ type: 'foundInTerminal', work, hits, done: frames.length, total: frames.length })
      return { hits: hits.length, more: false }
    },
    followRecording: ({ session, work }: { session: string; work: string }) =>
      new Promise(() => following.set(work, session)),
    exportTerminal: () => ({ state: 'written', where: 'countersign-terminal.cast' }),
  }
  return { answers, tell }
}
