import type { AgentAccess, AgentUse, Permission } from '@countersign/contract/access'
import type { ConfiguredConnection } from '../../../access/connections.ts'
import { actionsOfKind } from '../../../policy/permitted/actions.ts'
import type { Permitted } from '../../../policy/permitted/permitted.ts'
import type { NamedResource } from '../../../policy/permitted/resources.ts'
import type { TypedUse, Used } from '../../../sessions/ledger/used.ts'
import type { Store } from '../../../store/store.ts'
import type { AgentEntry } from '../agent-entry.ts'
import { grantedLines, remembering, standingLines, withoutGrants } from './lines.ts'
import type { PastGrant } from './past.ts'

/** So many lines of use are told; those used most. */
const MOST_USED = 10_000
/** So many used resources of a connection have a line of their own in what is permitted. */
const MOST_RESOURCES = 500

/**
 * What an agent may do now beside what it did (docs/access.md): by the policies in force and its live grants, whatever
 * it acts for, and whether or not it is disabled or a connection frozen.
 * @param since use is counted from this day on (YYYY-MM-DD, UTC)
 * @throws LedgerStopped where use can't be read
 */
export async function accessNow(
  parts: {
    store: Pick<Store, 'db'>
    permitted: Permitted
    connections: readonly ConfiguredConnection[]
    used: Pick<Used, 'of' | 'days'>
    now: Date
  },
  agent: AgentEntry,
  since: string,
): Promise<AgentAccess> {
  const { id, issuer, identity } = agent
  const subject = { id, issuer, groups: identity?.groups ?? [], owner: identity?.owner }
  const used = parts.used.of(id, since, MOST_USED + 1)
  const grants = await liveGrants(parts.store, id, parts.now.toISOString())
  const asked = remembering(parts.permitted)
  const permitted: Permission[] = []
  const notes: string[] = []
  if (!identity) notes.push('It has not come yet: groups that its tokens will name are not counted.')
  if (used.length > MOST_USED) notes.push(`Of what it used the ${MOST_USED} lines with most commands are told.`)
  for (const connection of parts.connections) {
    const actions = actionsOfKind(connection.kind)
    const resources = resourcesOf(used, connection.name)
    if (resources.length > MOST_RESOURCES) {
      notes.push(`Of ${connection.name} the ${MOST_RESOURCES} resources used most have a line of their own.`)
      resources.length = MOST_RESOURCES
    }
    const open = withoutGrants(connection, actions)
    permitted.push(...standingLines(asked, subject, connection, open, resources))
    const mine = grants.filter((grant) => grant.connection === connection.name)
    const covered = new Set(open)
    for (const grant of mine)
      for (const line of grantedLines(asked, subject, connection, actions, grant, resources)) {
        covered.add(line.action)
        permitted.push({ ...line, grant: grant.id })
      }
    for (const action of actions.filter((one) => !covered.has(one)))
      permitted.push({ connection: connection.name, action, resource: connection.name, verdict: 'deny', policies: [] })
  }
  return {
    agent: id,
    since: `${since}T00:00:00.000Z`,
    permitted,
    used: byId(used.slice(0, MOST_USED)),
    days: parts.used.days(id, since),
    ...(notes.length > 0 && { notes }),
  }
}

async function liveGrants({ db }: Pick<Store, 'db'>, agent: string, now: string): Promise<PastGrant[]> {
  const rows = await db
    .selectFrom('grants')
    .selectAll()
    .where('agent', '=', agent)
    .where('state', '=', 'active')
    .where('expires_at', '>', now)
    .orderBy('id')
    .execute()
  return rows.map((row) => ({
    id: row.id,
    agent: row.agent,
    identity: JSON.parse(row.identity) as PastGrant['identity'],
    connection: row.connection,
    actions: JSON.parse(row.actions) as string[],
    ...(row.resources !== null && { resources: JSON.parse(row.resources) as string[] }),
    from: row.active_from!,
    until: row.expires_at!,
    approvedBy: [],
  }))
}

function resourcesOf(used: readonly TypedUse[], connection: string): NamedResource[] {
  const found = new Map<string, NamedResource>()
  for (const { connection: of, resource: id, type } of used)
    if (of === connection && type !== 'Connection') found.set(JSON.stringify([type, id]), { id, type })
  return [...found.values()]
}

/** The same resource by different types is one to people. */
function byId(used: readonly TypedUse[]): AgentUse[] {
  const found = new Map<string, AgentUse>()
  for (const { type: _, ...one } of used) {
    const key = JSON.stringify([one.connection, one.action, one.resource])
    const before = found.get(key)
    if (!before) found.set(key, one)
    else
      found.set(key, {
        ...before,
        allowed: before.allowed + one.allowed,
        held: before.held + one.held,
        denied: before.denied + one.denied,
        firstAt: [before.firstAt, one.firstAt].sort()[0]!,
        lastAt: [before.lastAt, one.lastAt].sort()[1]!,
      })
  }
  return [...found.values()]
}
