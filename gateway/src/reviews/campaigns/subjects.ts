import { setImmediate as turn } from 'node:timers/promises'
import type { AgentRecord } from '@countersign/contract/access'
import type { CampaignScope } from '@countersign/contract/review'
import type { Kysely } from 'kysely'
import type { ConfiguredConnection } from '../../access/connections.ts'
import { remembering, standingLines } from '../../identity/registry/access/lines.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import { actionsOfKind } from '../../policy/permitted/actions.ts'
import type { Permitted, Subject } from '../../policy/permitted/permitted.ts'
import type { Tables } from '../../store/tables.ts'

/** What an item is about. */
export type ReviewSubject =
  | { kind: 'access'; agent: string; connection: string }
  | { kind: 'rule'; policy: string; connection: string }

export interface Holding {
  subject: ReviewSubject
  connection: ConfiguredConnection
  /** Of access. */
  agent?: AgentRecord
  lastUsedAt?: string | undefined
}

/**
 * Who holds what of a scope at a time: agents that policy lets do anything on a standing connection or that have a live
 * grant for it, and, where it asks for rules, permits by which a known agent may be given access just in time. What is
 * only observed is held where policy permits it, too, or where it was used in the window. Nothing that nobody holds.
 * What needs evidence (`privileged`) is for who has it.
 */
export async function holdings(
  parts: {
    db: Kysely<Tables>
    registry: Pick<Registry, 'agents' | 'entry' | 'flush'>
    permitted: Permitted
    connections: readonly ConfiguredConnection[]
    used: { connections(): Map<string, AgentRecord['connections']> }
  },
  scope: CampaignScope,
  window: { from: string; to: string },
  signal: AbortSignal,
): Promise<Holding[]> {
  const { db, registry, permitted } = parts
  await registry.flush()
  const connections = parts.connections.filter((one) => inScope(one, scope))
  const agents = (await registry.agents({ limit: Number.MAX_SAFE_INTEGER })).items.filter(
    (one) => one.state === 'active' && isAsked(one, scope),
  )
  const used = parts.used.connections()
  const granted = await liveGrants(db, window.to)
  const asked = remembering(permitted)
  const found: Holding[] = []
  const rules = new Map<string, Holding>()
  for (const [i, agent] of agents.entries()) {
    if (i % 20 === 0) await turn()
    signal.throwIfAborted()
    const entry = registry.entry(agent.id)
    const { id, issuer } = agent
    const subject: Subject = { id, issuer, groups: entry?.identity?.groups ?? [], owner: entry?.identity?.owner }
    for (const connection of connections) {
      const lastUsedAt = used.get(id)?.find((one) => one.connection === connection.name)?.lastUsedAt
      if (scope.rules && connection.access === 'jit')
        for (const policy of rulesFor(permitted, subject, connection))
          rules.set(`${connection.name}\n${policy}`, {
            subject: { kind: 'rule', policy, connection: connection.name },
            connection,
          })
      if (!isIdle(lastUsedAt, scope, window.to)) continue
      if (!sees(permitted, subject, connection, scope)) continue
      const holds =
        (connection.access === 'standing' && mayAnything(asked, subject, connection)) ||
        granted.has(`${connection.name}\n${id}`) ||
        (connection.mode === 'observe' && lastUsedAt !== undefined && lastUsedAt >= window.from)
      if (holds)
        found.push({
          subject: { kind: 'access', agent: id, connection: connection.name },
          connection,
          agent,
          lastUsedAt,
        })
    }
  }
  return [...found, ...rules.values()]
}

function inScope({ name, tags, access }: ConfiguredConnection, scope: CampaignScope): boolean {
  if (scope.connections && !scope.connections.includes(name)) return false
  if (scope.tags && !scope.tags.some((tag) => tags.includes(tag))) return false
  return scope.access === undefined || scope.access === access
}

function isAsked({ id, groups, orphan }: AgentRecord, scope: CampaignScope): boolean {
  if (scope.agents && !scope.agents.includes(id)) return false
  if (scope.groups && !scope.groups.some((group) => groups.includes(group))) return false
  return !scope.orphans || orphan !== undefined
}

function isIdle(lastUsedAt: string | undefined, { idleDays }: CampaignScope, to: string): boolean {
  if (idleDays === undefined || lastUsedAt === undefined) return true
  return Date.parse(lastUsedAt) <= Date.parse(to) - idleDays * 86_400_000
}

function sees(permitted: Permitted, subject: Subject, connection: ConfiguredConnection, { classes }: CampaignScope) {
  if (!classes) return true
  return classes.some((id) => {
    const resource = { id, type: 'DataClass' }
    return permitted.answer({ subject, connection, action: 'data:reveal', resource }).verdict !== 'deny'
  })
}

/** By policy alone, whatever the mode. */
function mayAnything(asked: ReturnType<typeof remembering>, subject: Subject, connection: ConfiguredConnection) {
  const enforced = { ...connection, mode: 'enforce' as const }
  // To see what is masked is nothing without something to look at.
  const actions = actionsOfKind(connection.kind).filter((action) => action !== 'data:reveal')
  return actions.some((action) =>
    standingLines(asked, subject, enforced, [action]).some(({ verdict }) => verdict !== 'deny'),
  )
}

/** Permits by which an agent may be given access to a connection, where it may be given any. */
function rulesFor(permitted: Permitted, subject: Subject, connection: ConfiguredConnection): string[] {
  const resource = { id: connection.name, type: 'Connection' }
  const question = { subject, connection, action: 'access:request', resource }
  return permitted.answer(question).verdict === 'deny' ? [] : permitted.mayPermit(question)
}

async function liveGrants(db: Kysely<Tables>, at: string): Promise<Set<string>> {
  const rows = await db
    .selectFrom('grants')
    .select(['agent', 'connection'])
    .where('state', '=', 'active')
    .where('expires_at', '>', at)
    .execute()
  return new Set(rows.map(({ agent, connection }) => `${connection}\n${agent}`))
}
