import type { PersonRecord } from '@countersign/contract/access'
import type { PersonRef } from '@countersign/contract/identity'
import type { ReviewerRule } from '@countersign/contract/review'
import { ownBecause } from '../../approvals/own.ts'
import type { AgentEntry } from '../../identity/registry/agent-entry.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import { EVERY_REVIEWER, keysOf, nameKey } from './items.ts'
import { refOf } from './rows.ts'

/** Who is asked to decide an item at a stage. */
export interface Asked {
  /** Those who are known now; nobody's name where everybody who is a reviewer is asked and none is known. */
  reviewers: PersonRef[]
  /** Their ids, or {@link EVERY_REVIEWER}: also those who become reviewers later. */
  ids: string[]
}

/** What of an item says who is asked about it. */
export interface AskedAbout {
  sponsor?: string | undefined
  owner?: string | undefined
  /** Absent of a rule. Nobody is asked about themselves: neither the agent nor those it comes on behalf of. */
  agent?: Pick<AgentEntry, 'id' | 'issuer' | 'subject' | 'actsFor'> & { name: string }
}

/** People who can review: they have the role, as they last signed in, and have not left. */
export interface ReviewerPeople {
  all: readonly PersonRecord[]
  /** Whom a name means: an id, or else an e-mail address or subject. */
  named(name: string): readonly PersonRecord[]
}

export function reviewersKnown(registry: Pick<Registry, 'people'>): ReviewerPeople {
  const all = registry
    .people({ limit: Number.MAX_SAFE_INTEGER })
    .items.filter(({ roles, left }) => roles.includes('reviewer') && !left)
  const byId = new Map(all.map((one) => [one.id, one]))
  const byKey = new Map<string, PersonRecord[]>()
  for (const one of all) for (const key of new Set(keysOf(one))) byKey.set(key, [...(byKey.get(key) ?? []), one])
  return {
    all,
    named(name) {
      const one = byId.get(name)
      return one ? [one] : (byKey.get(nameKey(name)) ?? [])
    },
  }
}

/**
 * Whom the rules of a stage ask: the first that means somebody who can act. Where none does, it is everybody who is a
 * reviewer: an item never waits for people who can't decide it.
 */
export function askedBy(rules: readonly ReviewerRule[], about: AskedAbout, people: ReviewerPeople): Asked {
  const can = (person: PersonRecord) => !isOwn(person, about)
  for (const rule of rules) {
    if (rule.kind === 'role') break
    const found = meant(rule, about, people).filter(can)
    if (found.length > 0) return { reviewers: found.map(refOf), ids: found.map(({ id }) => id) }
  }
  return { reviewers: people.all.filter(can).slice(0, MOST_NAMED).map(refOf), ids: [EVERY_REVIEWER] }
}

/** So many are named where everybody is asked. */
const MOST_NAMED = 20

function meant(
  rule: Exclude<ReviewerRule, { kind: 'role' }>,
  about: AskedAbout,
  people: ReviewerPeople,
): readonly PersonRecord[] {
  switch (rule.kind) {
    case 'sponsor':
      return onlyOne(about.sponsor, people)
    case 'owner':
      return onlyOne(about.owner, people)
    case 'person':
      return onlyOne(rule.person, people)
    case 'group':
      return people.all.filter(({ groups }) => groups.includes(rule.group))
  }
}

function isOwn({ email, ...who }: PersonRecord, { agent }: AskedAbout): boolean {
  if (!agent) return false
  const person = { ...who, ...(email !== undefined && { email }) }
  const { id, issuer, subject, name, actsFor } = agent
  return (
    ownBecause(person, { identity: { id, issuer, subject, name, groups: [], chain: [...actsFor] } }, () => []) !==
    undefined
  )
}

/** Of several whom a name may mean nobody can say which. */
function onlyOne(name: string | undefined, people: ReviewerPeople): readonly PersonRecord[] {
  const found = name === undefined ? [] : people.named(name)
  return found.length === 1 ? found : []
}
