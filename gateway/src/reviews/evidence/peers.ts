import type { AgentRecord } from '@countersign/contract/access'
import type { ItemEvidence } from '@countersign/contract/review'
import type { Registry } from '../../identity/registry/registry.ts'
import type { AccessSubject } from '../recommend/subject.ts'
import { accessKey, type Observed } from './observed.ts'

const MOST = 100
/** Agents are asked for once for all items of an observation. */
const known = new WeakMap<Observed, Promise<readonly AgentRecord[]>>()

/**
 * What other agents of the groups by which it has this access used on the connection; of those that were observed, too.
 * Undefined where there are none.
 */
export async function peersOf(
  registry: Pick<Registry, 'agents'>,
  observed: Observed,
  { agent, connection }: AccessSubject,
  groups: readonly string[],
  through: ItemEvidence['through'],
): Promise<ItemEvidence['peers']> {
  const by = new Set(through.flatMap(({ effect, group }) => (effect === 'permit' && group ? group.split(', ') : [])))
  const mine = groups.filter((group) => by.has(group))
  if (mine.length === 0) return undefined
  let all = known.get(observed)
  if (!all) {
    all = everybody(registry)
    known.set(observed, all)
  }
  const peers = (await all).filter((one) => one.id !== agent && one.groups.some((group) => mine.includes(group)))
  if (peers.length === 0) return undefined
  const counted = new Map<string, { action: string; resource: string; peers: number }>()
  for (const { id } of peers) {
    const cells = new Map<string, { action: string; resource: string }>()
    for (const { action, resource, allowed, approved } of observed.access.get(accessKey(id, connection))?.used ?? [])
      if (allowed + (approved ?? 0) > 0) cells.set(`${action} ${resource}`, { action, resource })
    for (const [key, cell] of cells) counted.set(key, { ...cell, peers: (counted.get(key)?.peers ?? 0) + 1 })
  }
  const usedByPeers = [...counted.entries()]
    .sort(([a, one], [b, other]) => other.peers - one.peers || (a < b ? -1 : 1))
    .slice(0, MOST)
    .map(([, cell]) => cell)
  return { of: peers.length, usedByPeers }
}

async function everybody(registry: Pick<Registry, 'agents'>): Promise<readonly AgentRecord[]> {
  const found: AgentRecord[] = []
  let after: string | undefined
  do {
    const page = await registry.agents({ limit: 1000, ...(after !== undefined && { after }) })
    found.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined && found.length < 20_000)
  return found
}
