import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import type { ChannelRow, TerminalFrame, TerminalFrames, TerminalHit, TerminalSummary } from '../../../terminal-api.ts'
import type { RecordingFile } from '../library/recording-file.ts'
import { FrameReader } from './frames.ts'
import { type Found, PlainText, WordSearch } from './text.ts'
import { placeOf, type Reading, Viewing } from './viewing.ts'

/** What was said in the channels of kept recordings: terminals, and output without one. */
export interface Terminals extends Disposable {
  channels(asked: { session: string; from: number; to: number }): Promise<{ items: ChannelRow[]; count: number }>
  /** @throws ConsoleError not-kept, no-such-channel, damaged-copy */
  summary(of: OfChannel): Promise<TerminalSummary>
  at(of: OfChannel & { t: number; upTo?: number | undefined; work?: string | undefined }): Promise<TerminalAt>
  frames(of: OfChannel & { from: number; bytes: number }): Promise<TerminalFrames>
  /** What is found is told by events; answers how much that was. */
  find(of: OfChannel & { words: string; work: string }, signal: AbortSignal): Promise<{ hits: number; more: boolean }>
  /** There is more of a recording than before. */
  grown(session: string): void
  /** What somebody saw is for nobody else. */
  forget(): void
}

export interface OfChannel {
  session: string
  channel: string
}

type TerminalAt = TerminalFrames & { columns: number; rows: number; screen: string; shown: number; exact: boolean }

/** So many channels stay open after somebody has looked at them. */
const openAtOnce = 12
const channelsAtOnce = 500
const longestRow = 1000
/** Characters that a seek brings of what follows. */
const readAhead = 48 * 1024
const tellEveryMs = 250
const hitsAtMost = 10_000
const linesAtOnce = 256

export function createTerminals(reading: Reading, say: (event: ConsoleEvent) => void): Terminals {
  const open = new Map<string, Promise<Viewing>>()
  const seeking = new Map<string, AbortController>()
  const toldAt = new WeakMap<Viewing, number>()

  const keyOf = ({ session, channel }: OfChannel) => `${session}\n${channel}`

  function told(viewing: Viewing) {
    const now = performance.now()
    if (viewing.part < 1 && now - (toldAt.get(viewing) ?? -Infinity) < tellEveryMs) return
    toldAt.set(viewing, now)
    const { session, channel, part, count } = viewing
    say({ type: 'terminal', session, channel, looked: part, count })
  }

  /** The view of a channel, begun where there is none; of another edition than the kept one it is begun anew. */
  async function viewing(of: OfChannel): Promise<Viewing> {
    const key = keyOf(of)
    const known = open.get(key)
    if (known) {
      const view = await known
      if (view.edition === (await reading(of.session, async (file) => file.edition))) {
        if (open.delete(key)) open.set(key, known)
        return view
      }
      if (open.get(key) === known) open.delete(key)
      view.stop()
      return viewing(of)
    }
    const made = reading(of.session, (file) => Viewing.of(of.session, of.channel, file, reading, told))
    open.set(key, made)
    made.catch(() => open.get(key) === made && open.delete(key))
    const view = await made
    void shrink()
    return view
  }

  async function shrink() {
    for (const [key, one] of [...open]) {
      if (open.size <= openAtOnce) return
      const view = await one.catch(() => undefined)
      if (!view?.idle || open.size <= openAtOnce) continue
      if (open.get(key) !== one) continue
      open.delete(key)
      view.stop()
    }
  }

  const answered = (view: Viewing, at: number, frames: TerminalFrame[]): TerminalFrames => ({
    at,
    frames,
    next: at + frames.length,
    count: view.count,
    ended: view.ended,
  })

  return {
    channels: ({ session, from, to }) =>
      reading(session, async (file) => {
        const { channels } = file.index
        const items: ChannelRow[] = []
        for (const one of channels.slice(from, Math.min(to, from + channelsAtOnce))) {
          const { id: channel, kind, terminal, step, code, signal, frames, to } = one
          const command = (await commandOf(file, one)).slice(0, longestRow)
          const times = { from: one.from, to: to < 0 ? null : to }
          const how = { ...(code !== undefined && { code }), ...(signal !== undefined && { signal }) }
          items.push({ channel, kind, terminal, command, step: Math.max(0, step), frames, ...times, ...how })
        }
        return { items, count: channels.length }
      }),

    async summary(of) {
      const view = await viewing(of)
      view.go()
      return reading(of.session, async (file) => {
        const place = file.index.channels[placeOf(file, of.channel)]!
        const [event] = await file.lines([place.line])
        const [exit] = place.exit < 0 ? [] : await file.lines([place.exit])
        if (event?.type !== 'channel') throw new Error('the index of this recording is not of this recording')
        const { looked } = view
        return {
          session: of.session,
          edition: file.edition,
          event,
          command: await commandOf(file, place),
          step: Math.max(0, place.step),
          exit: exit?.type === 'exit' ? exit : null,
          from: place.from,
          to: place.to < 0 ? (file.ended || looked.count < place.frames ? file.index.length : looked.t) : place.to,
          count: place.frames,
          ended: place.exit >= 0 || file.ended,
          looked: view.part,
          characters: looked.characters,
          largest: looked.largest,
          idle: [...looked.idle],
          markers: [...looked.markers],
        }
      })
    },

    async at({ t, upTo, work, ...of }) {
      const stopping = new AbortController()
      if (work) {
        seeking.get(work)?.abort(new ConsoleError('cancelled', 'Another place was asked for.'))
        seeking.set(work, stopping)
      }
      try {
        const view = await viewing(of)
        const { keyframe, frames, shown } = await view.at(t, upTo, readAhead, stopping.signal)
        const { columns, rows, screen, exact } = keyframe
        return { ...answered(view, keyframe.at, frames), columns, rows, screen, shown, exact }
      } finally {
        if (work && seeking.get(work) === stopping) seeking.delete(work)
      }
    },

    async frames({ from, bytes, ...of }) {
      const view = await viewing(of)
      return answered(view, from, await view.from(from, bytes))
    },

    async find({ words, work, ...of }, signal) {
      const wanted = words.trim()
      let hits = 0
      let pending: TerminalHit[] = []
      let tellAt = -Infinity
      const told = (done: number, total: number) => {
        if (pending.length === 0 && performance.now() - tellAt < tellEveryMs && done < total) return
        tellAt = performance.now()
        say({ type: 'foundInTerminal', work, hits: pending, done, total })
        pending = []
      }
      if (wanted === '') return { hits, more: false }
      const search = await reading(of.session, async (file) => new ChannelSearch(file, of.channel, wanted))
      for (let over = false; !over && hits < hitsAtMost; ) {
        signal.throwIfAborted()
        const { found, done, total } = await reading(of.session, (file) => search.next(file))
        over = done >= total
        pending.push(...found.slice(0, hitsAtMost - hits))
        hits += found.length
        told(done, total)
        await new Promise((resolve) => setImmediate(resolve))
      }
      return { hits: Math.min(hits, hitsAtMost), more: hits >= hitsAtMost }
    },

    grown(session) {
      for (const one of open.values())
        void one.then(
          (view) => view.session === session && view.go(),
          () => {},
        )
    },

    forget() {
      for (const stopping of seeking.values()) stopping.abort(new ConsoleError('cancelled', 'It was cancelled.'))
      for (const one of open.values())
        void one.then(
          (view) => view.stop(),
          () => {},
        )
      open.clear()
    },

    [Symbol.dispose]() {
      this.forget()
    },
  }
}

/** The text of the command that a channel runs. */
async function commandOf(file: RecordingFile, { step }: { step: number }): Promise<string> {
  if (step < 0) return ''
  for (const line of await file.lines(file.index.linesOf(step, step + 1).subarray(0, 8)))
    if (line.type === 'command') return line.text
  return ''
}

/** A frame in which words were found. */
type Place = Pick<TerminalHit, 'at' | 't' | 'seq'>

/** Looks for words in what a channel shows as text, a batch of lines at a time. */
class ChannelSearch {
  readonly #place: number
  readonly #edition: string
  readonly #reader: FrameReader
  readonly #streams: Record<'stdout' | 'stderr' | 'stdin', { text: PlainText; search: WordSearch<Place> }>
  #at = 0

  constructor(file: RecordingFile, channel: string, words: string) {
    this.#place = placeOf(file, channel)
    this.#edition = file.edition
    const { from, terminal } = file.index.channels[this.#place]!
    this.#reader = new FrameReader({ t: from, stdout: '', stderr: '', stdin: '' }, terminal)
    const stream = () => ({ text: new PlainText(), search: new WordSearch<Place>(words) })
    this.#streams = { stdout: stream(), stderr: stream(), stdin: stream() }
  }

  async next(file: RecordingFile): Promise<{ found: TerminalHit[]; done: number; total: number }> {
    if (file.edition !== this.#edition)
      throw new ConsoleError('other-edition', 'This recording was fetched anew meanwhile. Search again.')
    const numbers = file.index.framesOf(this.#place)
    const lines = await file.lines(numbers.subarray(this.#at, this.#at + linesAtOnce))
    const found: TerminalHit[] = []
    for (const line of lines) {
      const frame = this.#reader.read(line)
      const at = this.#at++
      if (frame?.type !== 'output' && frame?.type !== 'input') continue
      const stream = frame.type === 'output' ? frame.stream : 'stdin'
      const { text, search } = this.#streams[stream]
      const place = { at, t: frame.t, seq: frame.seq }
      tell(search.write(text.write(frame.text), place), stream, found)
    }
    const total = numbers.length
    if (this.#at >= total)
      for (const stream of ['stdout', 'stderr', 'stdin'] as const)
        tell(this.#streams[stream].search.end(), stream, found)
    return { found, done: this.#at, total }
  }
}

function tell(found: Found<Place>[], stream: TerminalHit['stream'], into: TerminalHit[]): void {
  for (const { piece, ...words } of found) into.push({ ...piece, stream, ...words })
}
