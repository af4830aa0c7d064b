import { setImmediate as turn } from 'node:timers/promises'
import type { ConfiguredConnection } from '../../access/connections.ts'
import { remembering, standingLines } from '../../identity/registry/access/lines.ts'
import { actionsOfKind } from '../../policy/permitted/actions.ts'
import type { Permitted, PermittedAnswer, Subject } from '../../policy/permitted/permitted.ts'

const rank: Record<PermittedAnswer['verdict'], number> = { deny: 0, hold: 1, depends: 2, allow: 3 }

/**
 * Agents that may more by one set of policies than by the one before: something that was denied may be done now, or is
 * asked about no more; of what is given just in time, it may be asked for.
 */
export async function grown(
  before: Permitted,
  after: Permitted,
  agents: readonly Subject[],
  connections: readonly ConfiguredConnection[],
): Promise<string[]> {
  const [was, is] = [remembering(before), remembering(after)]
  const named = [...before.named, ...after.named]
  const found: string[] = []
  for (const [i, subject] of agents.entries()) {
    if (i % 20 === 0) await turn()
    const grew = connections.some((one) => {
      const connection = { ...one, mode: 'enforce' as const }
      if (one.access === 'jit') {
        const question = {
          ...{ subject, connection, action: 'access:request' },
          resource: { id: one.name, type: 'Connection' },
        }
        if (rank[is.answer(question).verdict] > rank[was.answer(question).verdict]) return true
      }
      const actions = actionsOfKind(one.kind)
      const earlier = new Map(
        standingLines(was, subject, connection, actions, named).map((line) => [placeOf(line), rank[line.verdict]]),
      )
      return standingLines(is, subject, connection, actions, named).some(
        (line) => rank[line.verdict] > (earlier.get(placeOf(line)) ?? 0),
      )
    })
    if (grew) found.push(subject.id)
  }
  return found
}

const placeOf = ({ action, resource }: { action: string; resource: string }) => JSON.stringify([action, resource])
