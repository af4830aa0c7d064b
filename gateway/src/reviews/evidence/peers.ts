import type { ItemEvidence } from '@countersign/contract/review'
import type { Registry } from '../../identity/registry/registry.ts'
import type { AccessSubject } from '../recommend/subject.ts'
import { everybody } from './everybody.ts'
import { accessKey, type Observed } from './observed.ts'

const MOST = 100
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
  const peers = (await everybody(registry, observed)).filter(
    (one) => one.id !== agent && one.groups.some((group) => mine.includes(group)),
  )
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
