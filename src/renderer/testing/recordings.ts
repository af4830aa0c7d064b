import type { RecordingLine } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import type { CallName, ConsoleEvent } from '../../console-api.ts'
import type { LibraryItem, RecordingSummary } from '../../library-api.ts'
import { LineIndex } from '../../main/core/library/line-index.ts'

interface Kept {
  lines: RecordingLine[]
  index: LineIndex
  /** How many of `moreOf` are in it. */
  more: number
}

/** The library's part of the double: whole recordings in memory, numbered by the core's own index. */
export function recordingAnswers(options: {
  linesOf(session: string): readonly RecordingLine[]
  /** What came after those. */
  moreOf(session: string): readonly RecordingLine[]
  sessionOf(session: string): Session
  local: boolean
  kept: boolean
  emit(event: ConsoleEvent): void
  items: Map<string, LibraryItem>
}): Partial<Record<CallName, (input: never) => unknown>> {
  const { items, emit } = options
  const recordings = new Map<string, Kept>()
  const cancelled = new Set<string>()
  const of = (session: string): Kept => {
    const kept = recordings.get(session) ?? { lines: [], index: new LineIndex(), more: 0 }
    const news = recordings.has(session) ? [] : options.linesOf(session)
    const more = options.moreOf(session)
    for (const line of [...news, ...more.slice(kept.more)]) {
      kept.lines.push(line)
      kept.index.add(line)
    }
    kept.more = more.length
    recordings.set(session, kept)
    return kept
  }
  const usage = () => {
    const sum = (pinned: boolean) =>
      [...items.values()].reduce((n, item) => n + ((item.pinnedAt !== null) === pinned ? item.stored : 0), 0)
    return { pinned: sum(true), cached: sum(false), free: 48 * 2 ** 30 }
  }
  const change = (session: string, what: Partial<LibraryItem>) => {
    const item: LibraryItem = {
      session,
      pinnedAt: null,
      usedAt: new Date().toISOString(),
      state: 'complete',
      bytes: 48_211,
      total: 48_211,
      stored: 6_120,
      bundle: 'none',
      ...items.get(session),
      ...what,
    }
    items.set(session, item)
    emit({ type: 'library', changed: [item], removed: [], usage: usage() })
  }
  return {
    openRecording: (input: { session: string; have?: { seq: number; markers: number; moments: number } }) => {
      const { lines, index } = of(input.session)
      const session = options.sessionOf(input.session)
      const slice = index.slice(input.have)
      let binary = ''
      for (const byte of slice.columns) binary += String.fromCharCode(byte)
      const header = lines[0]?.type === 'header' ? lines[0] : null
      return {
        session,
        header,
        edition: 'one',
        complete: session.state !== 'open',
        loading: false,
        source: options.local ? 'local' : 'gateway',
        bytes: 48_211,
        total: null,
        seq: index.lines - 1,
        length: index.length,
        steps: index.steps,
        index: { from: slice.from, labels: slice.labels, columns: btoa(binary) },
      } satisfies RecordingSummary
    },
    recordingWindow: ({ session, from, to }: { session: string; from: number; to: number }) => {
      const { lines, index } = of(session)
      return { from, to: Math.min(to, index.steps), lines: [...index.linesOf(from, to)].map((line) => lines[line]!) }
    },
    findInRecording: ({ session, words, work }: { session: string; words: string; work: string }) => {
      const { lines, index } = of(session)
      const steps = new Set<number>()
      for (const [i, line] of lines.entries())
        if (JSON.stringify(line).toLowerCase().includes(words.toLowerCase()) && index.stepOf(i) >= 0)
          steps.add(index.stepOf(i))
      emit({ type: 'found', work, steps: [...steps].sort((a, b) => a - b), done: 1, total: 1 })
      return { steps: steps.size }
    },
    findKeptCommands: () => ({ items: [], looked: 0, more: false }),
    cancel: ({ work }: { work: string }) => {
      cancelled.add(work)
      return {}
    },
    exportSession: async ({ work }: { work: string }) => {
      for (let done = 1; done <= 4 && !cancelled.has(work); done += 1) {
        emit({ type: 'export', work, done, total: 10 })
        await new Promise((resolve) => setTimeout(resolve, 400))
      }
      return cancelled.has(work) ? { state: 'cancelled' } : { state: 'written', where: 'countersign-export.txt' }
    },
    library: () => ({ kept: options.kept, items: [...items.values()], ...usage() }),
    pin: ({ sessions }: { sessions: string[] }) => {
      for (const session of sessions)
        change(session, { pinnedAt: new Date().toISOString(), bundle: 'kept', stored: 14_300 })
      return { pinned: sessions.length }
    },
    unpin: ({ sessions }: { sessions: string[] }) => {
      for (const session of sessions) change(session, { pinnedAt: null, bundle: 'none', stored: 6_120 })
      return {}
    },
    download: ({ session }: { session: string }) => {
      change(session, { state: 'downloading' })
      return {}
    },
    cancelDownload: ({ session }: { session: string }) => {
      change(session, { state: 'partial' })
      return {}
    },
    forgetCached: () => {
      const gone = [...items.values()].filter(({ pinnedAt }) => pinnedAt === null).map(({ session }) => session)
      for (const session of gone) items.delete(session)
      emit({ type: 'library', changed: [], removed: gone, usage: usage() })
      return {}
    },
  }
}

/** What a person may have kept: something of every state. */
export function believableLibrary(sessions: readonly Session[], now: number): LibraryItem[] {
  const ended = sessions.filter(({ state }) => state !== 'open')
  const at = (minutes: number) => new Date(now - minutes * 60_000).toISOString()
  const mib = 2 ** 20
  const states: Partial<LibraryItem>[] = [
    { pinnedAt: at(50), bundle: 'kept', bytes: 3.2 * mib, total: 3.2 * mib, stored: 0.7 * mib },
    { pinnedAt: at(49), state: 'downloading', bytes: 41 * mib, total: 104 * mib, stored: 5.1 * mib, bundle: 'waiting' },
    {},
    {
      pinnedAt: at(44),
      state: 'partial',
      bytes: 12 * mib,
      total: 96 * mib,
      bundle: 'waiting',
      problem: 'gw.prod.example did not answer in time.',
    },
    { state: 'damaged', problem: 'The copy on this computer is damaged, or was changed.' },
  ]
  return states.flatMap((state, i) => {
    const session = ended[i]
    if (!session) return []
    const item: LibraryItem = {
      session: session.id,
      pinnedAt: null,
      usedAt: at(i * 31),
      state: 'complete',
      bytes: 48_211,
      total: 48_211,
      stored: 6_120,
      bundle: 'none',
      ...state,
    }
    return [item]
  })
}
