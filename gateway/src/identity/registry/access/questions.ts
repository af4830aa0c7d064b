import type { AccessAnswer, AgentAccess } from '@countersign/contract/access'
import type { ConfiguredConnection } from '../../../access/connections.ts'
import { createPermittedSets } from '../../../policy/permitted/reading.ts'
import type { Policies } from '../../../policy/policy.ts'
import type { Used } from '../../../sessions/ledger/used.ts'
import type { Store } from '../../../store/store.ts'
import type { Registry } from '../registry.ts'
import { accessNow } from './access-now.ts'
import { accessThen, type ThenQuery } from './access-then.ts'

/** What may be asked about access, now and at any time. */
export interface AccessQuestions extends AsyncDisposable {
  /**
   * What an agent may do now, and what it did since that day (YYYY-MM-DD); 90 days where none is given. Undefined where
   * there is no such agent.
   * @throws PoliciesUnreadable, LedgerStopped
   */
  now(agent: string, since?: string): Promise<AgentAccess | undefined>
  /** Who could do what at a time. @throws PoliciesUnreadable, BadThenCursor */
  at(query: ThenQuery): Promise<AccessAnswer>
}

const DAYS = 90

export function createAccessQuestions(parts: {
  store: Store
  registry: Pick<Registry, 'entry' | 'flush'>
  policies: () => Policies
  /** As they are configured now, by name. */
  connections: () => readonly ConfiguredConnection[]
  used: Pick<Used, 'of' | 'days'>
  clock: () => number
}): AccessQuestions {
  const { store, registry, used, clock } = parts
  const sets = createPermittedSets()
  return {
    async now(agent, since) {
      const entry = registry.entry(agent)
      if (!entry) return undefined
      const now = new Date(clock())
      const from = since ?? new Date(now.getTime() - DAYS * 86_400_000).toISOString().slice(0, 10)
      const { version, texts } = parts.policies()
      const permitted = await sets.of(version, async () => texts)
      return accessNow({ store, permitted, connections: parts.connections(), used, now }, entry, from)
    },
    async at(query) {
      // Who came until now is to be counted.
      await registry.flush()
      return accessThen({ store, sets }, query)
    },
    [Symbol.asyncDispose]: () => sets[Symbol.asyncDispose](),
  }
}
