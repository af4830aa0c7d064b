import { setImmediate as turn } from 'node:timers/promises'
import type { RecordingHeader } from '@countersign/contract/recording'
import type { BaseLogger } from 'pino'
import { placeOf } from '../recording.ts'
import type { RecordedLine, RecordingReader } from '../scribe/line.ts'
import { type Found, readFor, recordingsIn } from './catch-up.ts'
import { searchFile } from './database.ts'
import { SearchIndex } from './search-index.ts'

/** How long until what failed is tried again (ms). */
const AGAIN_MS = 15_000

/** When what was given is stored at the latest, where nothing follows it (ms). */
const LATER_MS = 1000

/** The search index as the scribe has it. What fails here is said, and made good later; it holds nobody up. */
export interface Indexing extends RecordingReader, AsyncDisposable {
  /** Has found what was given. */
  flush(): void
  /** Takes sessions out of the index; resolves when nothing of them is in its files. */
  forget(sessions: readonly string[]): Promise<void>
  /** Resolves when it lacks nothing of the recordings that there are, or has tried to get it. */
  whole(): Promise<void>
  /** The file was found to be damaged: it is made anew. */
  remake(): void
}

/**
 * Opens the index of a data folder, and begins to give it what it lacks, in the background.
 * @throws where its file can't be opened
 */
export function startIndexing(options: {
  /** The data folder. */
  folder: string
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  againMs?: number
  patienceMs?: number
}): Indexing {
  const { folder, log } = options
  const index = new SearchIndex({
    file: searchFile(folder),
    log,
    ...(options.patienceMs && { patienceMs: options.patienceMs }),
  })
  const stopping = new AbortController()
  const { signal } = stopping
  let working: Promise<void> | undefined
  let again: NodeJS.Timeout | undefined
  let wanted = false
  let later: NodeJS.Timeout | undefined

  /** Reads what the index lacks; asked for meanwhile, it is done once more. */
  const work = () => {
    wanted = true
    working ??= (async () => {
      while (wanted && !signal.aborted) {
        wanted = false
        await catchUp()
      }
    })()
      .catch(failed)
      .finally(() => {
        working = undefined
      })
  }
  const failed = (error: unknown) => {
    if (signal.aborted) return
    log.error(
      { error: (error as Error).message },
      'commands could not be indexed for the search: that is tried again shortly',
    )
    again ??= setTimeout(() => {
      again = undefined
      work()
    }, options.againMs ?? AGAIN_MS).unref()
  }
  const catchUp = async () => {
    const lacking: Found[] = []
    for await (const found of recordingsIn(folder)) {
      if (signal.aborted) return
      if (!index.hasWhole(found.session) && !index.isReading(found.session)) lacking.push(found)
    }
    for (const { session, startedAt } of index.lacking.values())
      lacking.unshift({ session, at: 0, ...placeOf(folder, session, startedAt) })
    if (lacking.length === 0) return
    const { made } = index
    if (made) log.info({ recordings: lacking.length }, `the search index is ${made}: it is filled from the recordings`)
    const began = performance.now()
    for (const [i, found] of lacking.entries()) {
      if (signal.aborted) return
      index.behind(lacking.length - i)
      await readFor(index, found, signal).catch((error: NodeJS.ErrnoException) => {
        if (error.code?.startsWith('SQLITE')) throw error
        const { session } = found
        log.error(
          { session, error: error.message },
          'a recording can’t be read for the search: its commands may not be found',
        )
      })
      index.lacking.delete(found.session)
      index.commit()
      await turn()
    }
    index.flush()
    index.behind(0)
    index.made = undefined
    const seconds = Math.round((performance.now() - began) / 1000)
    if (made) log.info({ recordings: lacking.length, seconds }, 'the search index has all recordings again')
  }
  const guarded = (step: () => void) => {
    try {
      step()
      if (index.lacking.size > 0 && !working && !again) work()
    } catch (error) {
      failed(error)
    }
  }
  work()

  return {
    placeIn(session) {
      try {
        return index.placeIn(session)
      } catch (error) {
        failed(error)
        // What it had already is given again, and does no harm.
        return 0
      }
    },
    line: (header: RecordingHeader, line: RecordedLine) => guarded(() => index.line(header, line)),
    commit() {
      guarded(() => index.commit())
      if (!index.waits) return
      later ??= setTimeout(() => {
        later = undefined
        guarded(() => index.flush())
      }, LATER_MS).unref()
    },
    flush: () => guarded(() => index.flush()),
    async forget(sessions) {
      index.forget(sessions)
      while (!index.tidy(10)) await turn()
    },
    async whole() {
      while (working) await working
    },
    remake() {
      index.remake()
      work()
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      clearTimeout(again)
      clearTimeout(later)
      await working
      index[Symbol.dispose]()
    },
  }
}
