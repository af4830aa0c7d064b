import { type Stage, waitOf } from '../policy/escalation.ts'
import type { Requirement } from '../policy/policy.ts'
import { type Asked, askedGroups, unmet, type Vote } from './quorum.ts'

/** Who of the escalation is asked by now, by the requirement. */
export type EscalatedTo = Record<string, string[]>

/** A requirement with who is asked later, as its policy says, or else as is configured for all. */
export function escalating<R extends Requirement>(requirement: R, forAll: readonly Stage[] | undefined): R {
  if (requirement.escalation !== undefined || forAll === undefined || forAll.length === 0) return requirement
  return { ...requirement, escalation: [...forAll] }
}

/** When the next stage of what isn't met is due; undefined where nobody is left to ask. */
export function nextStage(requirements: readonly Asked[], votes: readonly Vote[], askedAt: Date): Date | undefined {
  let next = Number.POSITIVE_INFINITY
  for (const requirement of unmet(requirements, votes))
    for (const stage of requirement.escalation ?? [])
      if (stage.groups.some((group) => !askedGroups(requirement).includes(group)))
        next = Math.min(next, askedAt.getTime() + waitOf(stage))
  return Number.isFinite(next) ? new Date(next) : undefined
}

/** The groups that are asked from `at` on and weren't before, by the requirement; empty where there is none. */
export function dueGroups(
  requirements: readonly Asked[],
  votes: readonly Vote[],
  times: { askedAt: Date; at: Date },
): EscalatedTo {
  const due: EscalatedTo = {}
  for (const requirement of unmet(requirements, votes)) {
    const asked = askedGroups(requirement)
    const groups = (requirement.escalation ?? [])
      .filter((stage) => times.askedAt.getTime() + waitOf(stage) <= times.at.getTime())
      .flatMap((stage) => stage.groups)
      .filter((group) => !asked.includes(group))
    if (groups.length > 0) own(due, requirement.policy, [...new Set(groups)])
  }
  return due
}

/** What is asked now, with those to whom the same policies have escalated before and still would. */
export function asAsked(
  now: readonly Requirement[],
  before: readonly Asked[],
  forAll: readonly Stage[] | undefined,
): Asked[] {
  return now.map((requirement) => {
    const asked = escalating(requirement, forAll)
    const may = new Set((asked.escalation ?? []).flatMap((stage) => stage.groups))
    const to = before.find(({ policy }) => policy === requirement.policy)?.escalatedTo?.filter((one) => may.has(one))
    return to && to.length > 0 ? { ...asked, escalatedTo: to } : asked
  })
}

/** Who of the escalation is asked by now; undefined where nobody is. */
export function escalatedTo(requirements: readonly Asked[]): EscalatedTo | undefined {
  const all: EscalatedTo = {}
  for (const { policy, escalatedTo: to } of requirements) if (to && to.length > 0) own(all, policy, to)
  return Object.keys(all).length > 0 ? all : undefined
}

/** A policy may be called __proto__. */
function own(all: EscalatedTo, policy: string, groups: string[]): void {
  Object.defineProperty(all, policy, { value: groups, enumerable: true, configurable: true, writable: true })
}
