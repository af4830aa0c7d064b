import { setTimeout as after } from 'node:timers/promises'
import type { FoundCommands } from '@countersign/contract/evidence'
import type { BaseLogger } from 'pino'
import type { KeptIndex } from '../scribe/scribe.ts'
import { type CommandSearch, createSearch, type SessionsWith } from './search.ts'

/** How long a question waits for what was recorded before it to be found (ms); then what is there has to do. */
const PATIENCE_MS = 2000

/** Finds what was recorded before it is asked. */
export interface Finder extends Disposable {
  /** @throws BadCommandCursor, SearchDamaged */
  commands(query: CommandSearch): Promise<FoundCommands>
  /** @throws SearchDamaged */
  sessionsWith(text: string): Promise<SessionsWith>
}

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
  const search = createSearch(folder, { damaged: () => index.damaged() })
  let catching: { waiting: Promise<void>; more: Promise<void> | undefined } | undefined

  /** Those who ask while it catches up share the next time. */
  const caughtUp = (): Promise<void> => {
    if (!catching) {
      const mine = { waiting: catchUp(), more: undefined as Promise<void> | undefined }
      catching = mine
      mine.waiting = mine.waiting.finally(() => {
        if (catching === mine) catching = undefined
      })
      return mine.waiting
    }
    catching.more ??= catching.waiting.then(caughtUp)
    return catching.more
  }
  const catchUp = async () => {
    const late = new AbortController()
    try {
      const patience = after(patienceMs, 'late' as const, { signal: late.signal, ref: false }).catch(() => undefined)
      const came = await Promise.race([index.caughtUp(), patience])
      if (came === 'late')
        log.warn({ ms: patienceMs }, 'the search is behind: what was recorded last may not be found yet')
    } catch (error) {
      log.warn({ error: (error as Error).message }, 'the search may lack what was recorded last')
    } finally {
      late.abort()
    }
  }

  return {
    async commands(query) {
      await caughtUp()
      return search.commands(query)
    },
    async sessionsWith(text) {
      await caughtUp()
      return search.sessionsWith(text)
    },
    [Symbol.dispose]: () => search[Symbol.dispose](),
  }
}
