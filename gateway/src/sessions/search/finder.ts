import { setTimeout as after } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { FoundCommands } from '@countersign/contract/evidence'
import type { BaseLogger } from 'pino'
import type { KeptIndex } from '../scribe/scribe.ts'
import { BadCommandCursor, type CommandSearch, SearchDamaged, type SessionsWith } from './search.ts'

/** How long a question waits for what was recorded before it to be found (ms); then what is there has to do. */
const PATIENCE_MS = 2000
/** The thread that searches goes when nobody has asked for so long (ms). */
const IDLE_MS = 5 * 60_000

/** Finds what was recorded before it is asked. */
export interface Finder extends AsyncDisposable {
  /** @throws BadCommandCursor, SearchDamaged */
  commands(query: CommandSearch): Promise<FoundCommands>
  /** @throws SearchDamaged */
  sessionsWith(text: string): Promise<SessionsWith>
  /** Those of these sessions that have a command with these words. @throws SearchDamaged */
  among(sessions: readonly string[], text: string): Promise<string[]>
}

/** What the thread that searches is asked. */
export interface ToSearch {
  id: number
  ask:
    | { for: 'commands'; query: CommandSearch }
    | { for: 'sessionsWith'; text: string }
    | { for: 'among'; sessions: readonly string[]; text: string }
}

export type FromSearch =
  | { is: 'answer'; id: number; value: unknown }
  | { is: 'refused'; id: number; name: string; message: string }
  | { is: 'damaged' }

/**
 * Searches the index of a data folder, after it has caught up with what was recorded.
 * @param options index: who keeps it
 */
export function createFinder(options: {
  folder: string
  index: KeptIndex
  log: Pick<BaseLogger, 'warn'>
  patienceMs?: number
}): Finder {
  const { folder, index, log, patienceMs = PATIENCE_MS } = options
  const thread = searchThread(folder, () => index.damaged())
  let catching: Promise<void> | undefined
  let next: Promise<void> | undefined

  /** Those who ask while it catches up share the next time. */
  const caughtUp = (): Promise<void> => {
    if (!catching) {
      catching = catchUp().finally(() => {
        catching = undefined
      })
      return catching
    }
    next ??= catching.then(() => {
      next = undefined
      return caughtUp()
    })
    return next
  }
  const catchUp = async () => {
    const soon = new AbortController()
    try {
      const late = after(patienceMs, 'late' as const, { signal: soon.signal, ref: false }).catch(() => undefined)
      if ((await Promise.race([index.caughtUp(), late])) === 'late')
        log.warn({ ms: patienceMs }, 'the search is behind: what was recorded last may not be found yet')
    } catch (error) {
      log.warn({ error: (error as Error).message }, 'the search may lack what was recorded last')
    } finally {
      soon.abort()
    }
  }

  return {
    async commands(query) {
      await caughtUp()
      return (await thread.ask({ for: 'commands', query })) as FoundCommands
    },
    async sessionsWith(text) {
      await caughtUp()
      return (await thread.ask({ for: 'sessionsWith', text })) as SessionsWith
    },
    among: async (sessions, text) => (await thread.ask({ for: 'among', sessions, text })) as string[],
    [Symbol.asyncDispose]: () => thread.stop(),
  }
}

/** A thread that is there while somebody asks. */
function searchThread(folder: string, damaged: () => void) {
  const asked = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let worker: Worker | undefined
  let last = 0
  let idle: NodeJS.Timeout | undefined

  const started = (): Worker => {
    if (worker) return worker
    const mine = new Worker(new URL('./search.worker.ts', import.meta.url), { workerData: { folder } })
    mine.unref()
    mine.on('message', (message: FromSearch) => {
      if (message.is === 'damaged') return damaged()
      const waiting = asked.get(message.id)
      asked.delete(message.id)
      if (message.is === 'answer') waiting?.resolve(message.value)
      else waiting?.reject(errorOf(message))
    })
    mine.on('error', (error) => over(mine, error as Error))
    mine.on('exit', () => over(mine, new Error('The search has ended; ask again.')))
    worker = mine
    return mine
  }
  const over = (which: Worker, error: Error) => {
    if (worker !== which) return
    worker = undefined
    for (const { reject } of asked.values()) reject(error)
    asked.clear()
  }
  const stop = async () => {
    clearTimeout(idle)
    await worker?.terminate()
  }

  return {
    ask(ask: ToSearch['ask']): Promise<unknown> {
      clearTimeout(idle)
      idle = setTimeout(() => void (asked.size === 0 && stop()), IDLE_MS).unref()
      const id = ++last
      return new Promise((resolve, reject) => {
        asked.set(id, { resolve, reject })
        started().postMessage({ id, ask } satisfies ToSearch)
      })
    },
    stop,
  }
}

function errorOf({ name, message }: { name: string; message: string }): Error {
  if (name === 'BadCommandCursor') return new BadCommandCursor(message)
  if (name === 'SearchDamaged') return new SearchDamaged(message)
  return new Error(message)
}
