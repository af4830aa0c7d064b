import type { ItemEvidence } from '@countersign/contract/review'
import type { Subject } from '../recommend/subject.ts'
import { connectionPart } from './access-item.ts'
import { everybody } from './everybody.ts'
import { grantsIn } from './grants.ts'
import { lastCertified } from './last-certified.ts'
import { type Observed, ruleKey, seedIn } from './observed.ts'
import { connectionOf, type EvidenceParts, type Facts, type Head, NoSuchSubject } from './parts.ts'
import { policyTexts } from './policy-texts.ts'
import { asking, rulesGiving } from './rules-used.ts'

type RuleSubject = Extract<Subject, { kind: 'rule' }>
type Asker = NonNullable<ItemEvidence['askers']>[number]

/** So many agents that a rule lets ask are told, those who did first. */
const MOST_ASKERS = 500

/** What a rule shows by which access is given just in time. @throws NoSuchSubject */
export async function ruleEvidence(
  parts: EvidenceParts,
  subject: RuleSubject,
  observed: Observed,
  head: Head,
): Promise<{ evidence: ItemEvidence; facts: Facts }> {
  const connection = connectionOf(parts, subject.connection)
  const rule = policyTexts(parts.policies).get(subject.policy)
  if (!rule) throw new NoSuchSubject(`There is no policy ${subject.policy}.`)
  const grants = await grantsIn(parts.store, { connection: connection.name }, observed, (given) =>
    rulesGiving(parts.permitted, connection, given).includes(subject.policy),
  )
  const given = Map.groupBy(grants, ({ agent }) => agent)
  const askers = await askersOf(parts, observed, subject, connection, (agent) => given.get(agent)?.length ?? 0)
  const sampled = observed.rules.get(ruleKey(subject.policy, subject.connection))
  const lastUsedAt = grants[0]?.at
  const certified = await lastCertified(parts.store, subject)
  const { policy, file, effect, text, reason, groups } = rule
  const notes =
    askers.length > MOST_ASKERS ? [`Of ${askers.length} agents that it lets ask ${MOST_ASKERS} are told.`] : []
  const evidence: ItemEvidence = {
    format: 'countersign-evidence/1',
    ...head,
    window: { from: observed.from, to: observed.to },
    coverage: { ...observed.coverage, notes: [...observed.coverage.notes, ...notes] },
    identity: {
      name: policy,
      state: 'in force',
      groups: [...groups].sort(),
      actsFor: [],
      ...(reason !== undefined && { purpose: reason }),
      ...(lastUsedAt !== undefined && { lastUsedAt }),
      ...(certified && { lastCertified: certified }),
    },
    connection: connectionPart(connection),
    permitted: [],
    used: [],
    through: [{ policy, file, effect, text, ...(reason !== undefined && { reason }) }],
    grants: grants.map(({ policies: _, identity: __, resources: ___, agent: ____, ...grant }) => grant),
    days: daysOf(grants.map(({ at }) => at)),
    askers: askers.slice(0, MOST_ASKERS),
    refused: [],
    heldCommands: [],
    masked: [],
    anomalies: [],
    sampled: {
      of: sampled?.of ?? 0,
      seed: sampled?.seed ?? seedIn(observed, subject.policy, subject.connection),
      commands: [...(sampled?.commands ?? [])],
    },
  }
  return { evidence, facts: { observed: 0, folded: false } }
}

/** Agents of which policy says that the rule decides about their asking; those who were given access first. */
async function askersOf(
  { registry, permitted }: EvidenceParts,
  observed: Observed,
  { policy }: RuleSubject,
  connection: { name: string; kind: string; tags: string[] },
  grantsOf: (agent: string) => number,
): Promise<Asker[]> {
  const found: Asker[] = []
  for (const agent of await everybody(registry, observed)) {
    const question = asking(
      { id: agent.id, issuer: agent.issuer, groups: agent.groups, owner: agent.owner },
      connection,
    )
    const { verdict, policies } = permitted.answer(question)
    const grants = grantsOf(agent.id)
    if (verdict === 'deny') continue
    if (!policies.includes(policy) && !permitted.mayPermit(question).includes(policy)) continue
    found.push({ agent: agent.id, name: agent.name, verdict, grants })
  }
  return found.sort((a, b) => b.grants - a.grants || (a.agent < b.agent ? -1 : 1))
}

/** Grants that began, by day. */
function daysOf(times: readonly string[]): ItemEvidence['days'] {
  const days = Map.groupBy(times, (at) => at.slice(0, 10))
  return [...days]
    .map(([day, some]) => ({ day, allowed: some.length, held: 0, denied: 0 }))
    .sort((a, b) => (a.day < b.day ? -1 : 1))
}
