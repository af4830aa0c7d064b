import type { AgentRecord } from '@countersign/contract/access'
import type { Registry } from '../../identity/registry/registry.ts'
import type { Observed } from './observed.ts'

const known = new WeakMap<Observed, Promise<readonly AgentRecord[]>>()

/** All agents of the registry, asked for once for all items of an observation. */
export function everybody(registry: Pick<Registry, 'agents'>, observed: Observed): Promise<readonly AgentRecord[]> {
  const asked = known.get(observed)
  if (asked) return asked
  const all = read(registry)
  known.set(observed, all)
  all.catch(() => known.delete(observed))
  return all
}

async function read(registry: Pick<Registry, 'agents'>): Promise<readonly AgentRecord[]> {
  const found: AgentRecord[] = []
  let after: string | undefined
  do {
    const page = await registry.agents({ limit: 1000, ...(after !== undefined && { after }) })
    found.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined)
  return found
}
