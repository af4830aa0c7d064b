import type { Requirement } from '../policy/policy.ts'

/** A person who approved, with the groups they were in when they did. */
export interface Vote {
  person: string
  name: string
  groups: string[]
  window: string
}

/** Who counts towards a requirement: each person once, whoever else they count for. */
export function countsFor(requirement: Pick<Requirement, 'groups'>, votes: readonly Vote[]): Vote[] {
  const people = new Map<string, Vote>()
  for (const vote of votes)
    if (!people.has(vote.person) && vote.groups.some((group) => requirement.groups.includes(group)))
      people.set(vote.person, vote)
  return [...people.values()]
}

/** Requirements that these votes don't meet. */
export function unmet(requirements: readonly Requirement[], votes: readonly Vote[]): Requirement[] {
  return requirements.filter((requirement) => countsFor(requirement, votes).length < requirement.quorum)
}

/** What Cedar is told about an approval: the groups asked for that the people are in, and the people's ids. */
export function approvalContext(
  requirements: readonly Requirement[],
  votes: readonly Vote[],
): { groups: string[]; people: string[] } {
  const asked = new Set(requirements.flatMap((requirement) => requirement.groups))
  const groups = new Set(votes.flatMap((vote) => vote.groups).filter((group) => asked.has(group)))
  return { groups: [...groups].sort(), people: [...new Set(votes.map((vote) => vote.person))].sort() }
}

/** How long a digest may be repeated: not at all, or until a time and perhaps in one session only. */
export type Window = { repeats: false } | { repeats: true; session: boolean; ms: number }

/**
 * The narrowest of the windows that the approvers chose: `once` beats all, `session` and a duration together are both.
 * @param most `max_window` in milliseconds, which bounds `session` too
 */
export function narrowest(windows: readonly string[], most: number): Window {
  if (windows.length === 0 || windows.includes('once')) return { repeats: false }
  const durations = windows.filter((window) => window !== 'session').map(milliseconds)
  return { repeats: true, session: windows.includes('session'), ms: Math.min(most, ...durations) }
}

/** `30m` in milliseconds; 0 for what is no duration. */
export function milliseconds(duration: string): number {
  const [, number, unit] = /^([1-9]\d*)(s|m|h|d)$/.exec(duration) ?? []
  const units: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  return Number(number ?? 0) * (units[unit ?? ''] ?? 0)
}
