import type { Session } from '@countersign/contract/session'
import type { z } from 'zod'
import type { AnnotationView } from '../../../annotations-api.ts'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import type { libraryCalls } from '../../../library-api.ts'
import type { terminalCalls } from '../../../terminal-api.ts'
import { exportSession, exportTerminal } from '../exports/exports.ts'
import type { Printing } from '../exports/printable.ts'
import type { Downloads } from '../ports/downloads.ts'
import type { Asking } from './downloads.ts'
import type { Library } from './library.ts'

type Calls = typeof libraryCalls & typeof terminalCalls
export type LibraryAnswers = { [N in keyof Calls]: (input: z.output<Calls[N]['input']>) => unknown }

/** The library's part of ConsoleApi. What takes long has a name (`work`) by which it can be cancelled. */
export function libraryAnswers(options: {
  library: Library
  downloads: Downloads
  /** What people noted, for exports. */
  annotations(session: string): readonly AnnotationView[]
  printing: Printing
  asking: Asking
  say(event: ConsoleEvent): void
}): LibraryAnswers & {
  /** Sessions of kept recordings whose commands have all these words. A newer question ends the one before. */
  sessionsWith(text: string): Promise<Session[]>
} & Disposable {
  const { library, say } = options
  const underWay = new Map<string, AbortController>()
  let searching = new AbortController()

  async function cancellable<T>(work: string, what: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (underWay.has(work)) throw new ConsoleError('busy', 'This is under way already.')
    const stopping = new AbortController()
    underWay.set(work, stopping)
    try {
      return await what(stopping.signal)
    } catch (error) {
      if (stopping.signal.aborted) throw new ConsoleError('cancelled', 'It was cancelled.')
      throw error
    } finally {
      underWay.delete(work)
    }
  }

  return {
    openRecording: ({ session, have }) => library.open(session, have),
    recordingWindow: (asked) => library.window(asked),
    findInRecording: ({ session, words, work }) =>
      cancellable(work, async (signal) => ({ steps: await library.find(session, words, work, signal) })),
    findKeptCommands: ({ work, ...query }) =>
      cancellable(work ?? `kept ${crypto.randomUUID()}`, (signal) => library.findCommands(query, signal)),
    exportSession: ({ session, format, work }) =>
      cancellable(work, async (signal) => {
        const fetchBundle = async (of: string, until: AbortSignal) => {
          const now = await options.asking()
          return now?.api.bundle(now.token, of, until)
        }
        const { downloads, annotations, printing } = options
        const written = await exportSession({
          session,
          format,
          work,
          library,
          annotations,
          printing,
          downloads,
          fetchBundle,
          say,
          signal,
        })
        if (!written) return { state: 'cancelled' }
        return { state: 'written', ...(written.where ? { where: written.where } : {}) }
      }),
    recordingChannels: (asked) => library.terminals.channels(asked),
    terminal: (of) => library.terminals.summary(of),
    terminalAt: (asked) => library.terminals.at(asked),
    terminalFrames: (asked) => library.terminals.frames(asked),
    findInTerminal: ({ work, ...asked }) =>
      cancellable(work, (signal) => library.terminals.find({ ...asked, work }, signal)),
    followRecording: ({ session, work }) =>
      cancellable(work, async (signal) => {
        await library.follow(session, work, signal)
        return { ended: true }
      }),
    exportTerminal: (asked) =>
      cancellable(asked.work, async (signal) => {
        const written = await exportTerminal({ ...asked, library, downloads: options.downloads, say, signal })
        if (!written) return { state: 'cancelled' }
        return { state: 'written', ...(written.where ? { where: written.where } : {}) }
      }),
    cancel({ work }) {
      underWay.get(work)?.abort()
      return {}
    },
    library: () => library.state(),
    pin: ({ sessions }) => ({ pinned: library.pin(sessions) }),
    async unpin({ sessions }) {
      await library.unpin(sessions)
      return {}
    },
    download({ session }) {
      library.download(session)
      return {}
    },
    cancelDownload({ session }) {
      library.cancelDownload(session)
      return {}
    },
    async forgetCached() {
      await library.forgetCached()
      return {}
    },
    async sessionsWith(text) {
      searching.abort()
      searching = new AbortController()
      const { signal } = searching
      try {
        return await library.sessionsWith(text, signal)
      } catch (error) {
        if (signal.aborted) return []
        throw error
      }
    },
    [Symbol.dispose]() {
      searching.abort()
      for (const stopping of underWay.values()) stopping.abort()
    },
  }
}
