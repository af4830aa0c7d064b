import type { AgentRecord, Permission } from '@countersign/contract/access'
import type { ItemEvidence, ObservedUse } from '@countersign/contract/review'
import type { ConfiguredConnection } from '../../access/connections.ts'
import { grantedLines, remembering, standingLines, withoutGrants } from '../../identity/registry/access/lines.ts'
import { actionsIn, actionsOfKind } from '../../policy/permitted/actions.ts'
import type { Subject as Asker, Permitted } from '../../policy/permitted/permitted.ts'
import type { NamedResource } from '../../policy/permitted/resources.ts'
import type { AccessSubject } from '../recommend/subject.ts'
import { grantsIn, type ItemGrant } from './grants.ts'
import { lastCertified } from './last-certified.ts'
import { accessKey, type Observed, type ObservedAccess } from './observed.ts'
import { connectionOf, type EvidenceParts, type Facts, type Head, NoSuchSubject } from './parts.ts'
import { peersOf } from './peers.ts'
import { policyTexts } from './policy-texts.ts'

/** So many resources that were used have lines of their own in what is permitted. */
const MOST_RESOURCES = 500

/** What an agent's access to a connection shows. @throws NoSuchSubject */
export async function accessEvidence(
  parts: EvidenceParts,
  subject: AccessSubject,
  observed: Observed,
  head: Head,
): Promise<{ evidence: ItemEvidence; facts: Facts }> {
  const connection = connectionOf(parts, subject.connection)
  const agent = await parts.registry.agent(subject.agent)
  if (!agent) throw new NoSuchSubject(`There is no agent ${subject.agent}.`)
  const seen = observed.access.get(accessKey(subject.agent, subject.connection))
  const grants = await grantsIn(parts.store, subject, observed)
  const { lines, notes } = permittedOf(parts, agent, connection, grants, seen?.used ?? [], head.at)
  const certified = await lastCertified(parts.store, subject)
  const used = [...(seen?.used ?? []), ...revealed(seen, lines, connection)]
  const through = throughOf(parts, agent.groups, lines)
  const peers = await peersOf(parts.registry, observed, subject, agent.groups, through)
  const evidence: ItemEvidence = {
    format: 'countersign-evidence/1',
    ...head,
    window: { from: observed.from, to: observed.to },
    coverage: { ...observed.coverage, notes: [...observed.coverage.notes, ...notes, ...foldedIn(seen)] },
    identity: {
      ...identityOf(agent),
      ...lastUsed(agent, seen, connection.name),
      ...(certified && { lastCertified: certified }),
    },
    connection: connectionPart(connection),
    permitted: lines,
    used,
    through,
    grants: grants.map(({ policies: _, identity: __, resources: ___, ...grant }) => grant),
    days: [...(seen?.days ?? [])],
    ...(peers && { peers }),
    refused: [...(seen?.refused ?? [])],
    heldCommands: [...(seen?.heldCommands ?? [])],
    masked: maskedOf(seen, lines, connection),
    anomalies: [...(seen?.anomalies ?? [])],
  }
  return { evidence, facts: { observed: seen?.observed ?? 0, folded: (seen?.folded ?? 0) > 0 } }
}

export const connectionPart = ({
  name,
  kind,
  tags,
  access,
  mode,
}: ConfiguredConnection): ItemEvidence['connection'] => ({
  name,
  kind,
  tags: [...tags],
  access,
  mode,
})

function identityOf(agent: AgentRecord): ItemEvidence['identity'] {
  const { id, name, issuer, state, sponsor, sponsorName, owner, orphan, purpose, environment, groups, actsFor } = agent
  const { firstSeenAt, lastSeenAt } = agent
  return {
    agent: id,
    name,
    issuer,
    state,
    ...(sponsor !== undefined && { sponsor }),
    ...(sponsorName !== undefined && { sponsorName }),
    ...(owner !== undefined && { owner }),
    ...(orphan !== undefined && { orphan }),
    ...(purpose !== undefined && { purpose }),
    ...(environment !== undefined && { environment }),
    groups: [...groups],
    actsFor: [...actsFor],
    ...(firstSeenAt !== undefined && { firstSeenAt }),
    ...(lastSeenAt !== undefined && { lastSeenAt }),
  }
}

/** The last command on the connection; before the window, or where it was erased, what is counted beside the ledger. */
function lastUsed({ connections }: AgentRecord, seen: ObservedAccess | undefined, name: string) {
  const counted = connections.find(({ connection }) => connection === name)?.lastUsedAt
  const lastUsedAt = [seen?.lastAt, counted]
    .filter((at) => at !== undefined)
    .sort()
    .at(-1)
  return lastUsedAt === undefined ? {} : { lastUsedAt }
}

const answers = new WeakMap<Permitted, ReturnType<typeof remembering>>()

/**
 * What policy answers the agent on the connection: for all resources, for those that a policy names, and for those it used
 * by what it used them for. What it used otherwise is answered as all are.
 */
function permittedOf(
  { permitted }: Pick<EvidenceParts, 'permitted'>,
  agent: AgentRecord,
  connection: ConfiguredConnection,
  grants: readonly ItemGrant[],
  used: readonly ObservedUse[],
  at: string,
): { lines: Permission[]; notes: string[] } {
  const asked = answers.get(permitted) ?? remembering(permitted)
  answers.set(permitted, asked)
  const actions = actionsOfKind(connection.kind)
  const open = withoutGrants(connection, actions)
  const who: Asker = { id: agent.id, issuer: agent.issuer, groups: agent.groups, owner: agent.owner }
  const { resources, left } = resourcesOf(used)
  const lines: Permission[] = [...standingLines(asked, who, connection, open, resources)]
  const covered = new Set(open)
  for (const grant of grants.filter(({ state, until }) => state === 'active' && (until === undefined || until > at)))
    for (const line of grantedLines(asked, who, connection, actions, { ...grant, id: grant.grant }, resources)) {
      covered.add(line.action)
      lines.push({ ...line, grant: grant.grant })
    }
  for (const action of actions.filter((one) => !covered.has(one)))
    lines.push({ connection: connection.name, action, resource: connection.name, verdict: 'deny', policies: [] })
  const notes = left === 0 ? [] : [`What is permitted is told of ${MOST_RESOURCES} of the resources that it used.`]
  return { lines: telling(lines, connection.name, asked.named, used), notes }
}

function resourcesOf(used: readonly ObservedUse[]): { resources: NamedResource[]; left: number } {
  const found = new Map<string, NamedResource>()
  for (const { resource: id, type } of used)
    if (type !== 'Connection' && !type.endsWith('*')) found.set(JSON.stringify([type, id]), { id, type })
  const all = [...found.values()]
  return { resources: all.slice(0, MOST_RESOURCES), left: Math.max(0, all.length - MOST_RESOURCES) }
}

/** Without what says no more than the line for all others does, and was not used. */
function telling(
  lines: readonly Permission[],
  connection: string,
  named: readonly NamedResource[],
  used: readonly ObservedUse[],
): Permission[] {
  const answer = ({ action, grant, verdict, policies }: Permission) =>
    JSON.stringify([action, grant, verdict, policies])
  const others = new Set(lines.filter(({ resource }) => resource === connection).map(answer))
  const inPolicy = new Set(named.map(({ id }) => id))
  const done = new Set(used.map(({ action, resource }) => `${action} ${resource}`))
  // A path that a policy names is nothing that a program is run on.
  const goes = ({ action, resource }: Permission) =>
    resource === connection || (actionsIn.get(action)?.resourceTypes ?? []).some((type) => type !== 'Connection')
  return lines
    .filter(goes)
    .filter(
      (line) =>
        line.resource === connection ||
        inPolicy.has(line.resource) ||
        done.has(`${line.action} ${line.resource}`) ||
        !others.has(answer(line)),
    )
}

/** The policies behind these lines, with the groups by which they are met. */
function throughOf(
  { policies }: Pick<EvidenceParts, 'policies'>,
  groups: readonly string[],
  lines: readonly Permission[],
): ItemEvidence['through'] {
  const texts = policyTexts(policies)
  const ids = [...new Set(lines.flatMap((line) => line.policies))].sort()
  return ids.flatMap((id) => {
    const found = texts.get(id)
    if (!found) return []
    const { policy, file, effect, text, reason } = found
    const met = groups.filter((group) => found.groups.has(group))
    return [
      {
        policy,
        file,
        effect,
        text,
        ...(met.length > 0 && { group: met.join(', ') }),
        ...(reason !== undefined && { reason }),
      },
    ]
  })
}

const revealing = (lines: readonly Permission[], dataClass: string, connection: string) =>
  lines.filter(
    ({ action, resource }) => action === 'data:reveal' && (resource === dataClass || resource === connection),
  )

/** The line of the class itself goes before that of all others. */
function answerFor(lines: readonly Permission[], dataClass: string, connection: string): Permission['verdict'][] {
  const about = revealing(lines, dataClass, connection)
  const own = about.filter(({ resource }) => resource === dataClass)
  return (own.length > 0 ? own : about).map(({ verdict }) => verdict)
}

/** Classes that it may have seen as they are: touched by what ran, and policy may reveal them (or might have, by a grant). */
function revealed(
  seen: ObservedAccess | undefined,
  lines: readonly Permission[],
  { name, access }: ConfiguredConnection,
): ObservedUse[] {
  if (!seen) return []
  return seen.classes
    .filter(({ class: one }) => access === 'jit' || answerFor(lines, one, name).some((verdict) => verdict !== 'deny'))
    .map(({ class: one, commands }) => ({
      connection: name,
      action: 'data:reveal',
      resource: one,
      type: 'DataClass',
      kind: 'reveal',
      allowed: commands,
      held: 0,
      denied: 0,
      unbounded: 0,
      firstAt: seen.firstAt,
      lastAt: seen.lastAt,
    }))
}

function maskedOf(
  seen: ObservedAccess | undefined,
  lines: readonly Permission[],
  { name }: ConfiguredConnection,
): ItemEvidence['masked'] {
  return (seen?.classes ?? [])
    .filter(({ class: one }) => !answerFor(lines, one, name).includes('allow'))
    .map(({ class: one, commands }) => ({ class: one, commands }))
}

function foldedIn(seen: ObservedAccess | undefined): string[] {
  if (!seen || seen.folded === 0) return []
  return [
    'It used too many resources to tell them all apart: those past the bound are counted by their schema, or together.',
  ]
}
