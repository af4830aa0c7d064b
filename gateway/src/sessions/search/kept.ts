import { existsSync } from 'node:fs'
import type { RecordingReader } from '../scribe/line.ts'
import { remove, searchFile } from './database.ts'
import { type Indexing, startIndexing } from './indexing.ts'

/** The index of a data folder, whatever becomes of its file. */
export interface Kept extends RecordingReader {
  /** Has found what was given. @throws where there is no index */
  flush(): void
  /** Takes sessions out; resolves when nothing of them is in its files. @throws where that can't be had */
  forget(sessions: readonly string[]): Promise<void>
  /** It was found to be damaged. @throws where there is no index */
  remake(): void
}

/**
 * Opens the index. One that can't be opened is made anew, as it is derived from the recordings; where that can't be
 * either, it is tried again when somebody asks for it, and what is recorded meanwhile is read then.
 */
export function keepIndex(options: Parameters<typeof startIndexing>[0]): Kept & AsyncDisposable {
  const { folder, log } = options
  const file = searchFile(folder)
  let indexing: Indexing | undefined

  const open = (): Indexing | undefined => {
    try {
      return startIndexing(options)
    } catch (error) {
      log.error({ error: (error as Error).message }, 'the search index can’t be opened: it is made anew')
    }
    try {
      remove(file)
      return startIndexing(options)
    } catch (error) {
      log.error({ error: (error as Error).message }, 'the search index can’t be made: nothing new is found')
      return undefined
    }
  }
  const opened = (): Indexing => {
    indexing ??= open()
    if (!indexing) throw new Error('The search index can’t be opened')
    return indexing
  }
  indexing = open()

  return {
    // Lines of a recording whose beginning it hasn't had make it read that.
    placeIn: (session) => indexing?.placeIn(session) ?? 0,
    line: (header, line) => indexing?.line(header, line),
    commit: () => indexing?.commit(),
    flush: () => opened().flush(),
    async forget(sessions) {
      indexing ??= open()
      if (indexing) return indexing.forget(sessions)
      // Where no file is, nothing of them is in it.
      if (['', '-wal', '-journal'].some((suffix) => existsSync(file + suffix)))
        throw new Error('The search index can’t be opened, nor removed')
    },
    remake: () => opened().remake(),
    async [Symbol.asyncDispose]() {
      await indexing?.[Symbol.asyncDispose]()
    },
  }
}
