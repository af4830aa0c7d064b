import type { Requirement } from '../policy/policy.ts'

/** A requirement of an approval, with the groups of its escalation that are asked by now. */
export type Asked = Requirement & { escalatedTo?: string[] | undefined }
/** Whom a requirement asks. */
type Asking = { groups: readonly string[]; escalatedTo?: readonly string[] | undefined }

/** A person who approved, with the groups they were in when they did. */
export interface Vote {
  person: string
  name: string
  groups: string[]
  window: string
  /** People who are away and whose duty was theirs, with the groups that were handed over. */
  inPlaceOf?: readonly { id: string; groups: readonly string[] }[]
  /** They decided alone, in an emergency. */
  breakGlass?: true
}

/** The groups that may decide now. */
export function askedGroups({ groups, escalatedTo }: Asking): readonly string[] {
  return escalatedTo === undefined || escalatedTo.length === 0 ? groups : [...groups, ...escalatedTo]
}

/**
 * Who counts towards a requirement: each person once, whoever else they count for. One who decides in place of another
 * counts as that one: not where they voted themselves, nor where somebody else counts in their place already.
 */
export function countsFor(requirement: Asking, votes: readonly Vote[]): Vote[] {
  const asked = askedGroups(requirement)
  const isAsked = (groups: readonly string[]) => groups.some((group) => asked.includes(group))
  const people = new Map<string, Vote>()
  for (const vote of votes) if (!people.has(vote.person) && isAsked(vote.groups)) people.set(vote.person, vote)
  const standIns = new Map<string, { vote: Vote; places: string[] }>()
  for (const vote of votes) {
    if (!vote.inPlaceOf || people.has(vote.person) || standIns.has(vote.person)) continue
    const places = vote.inPlaceOf.filter(({ id, groups }) => !people.has(id) && isAsked(groups)).map(({ id }) => id)
    standIns.set(vote.person, { vote, places })
  }
  for (const person of placed(standIns)) people.set(person, standIns.get(person)!.vote)
  return [...people.values()]
}

/** As many stand-ins as there are places for, each in one of theirs (augmenting paths, as Kuhn has them). */
function placed(standIns: ReadonlyMap<string, { places: readonly string[] }>): Set<string> {
  const taken = new Map<string, string>()
  const seat = (person: string, tried: Set<string>): boolean => {
    for (const place of standIns.get(person)!.places) {
      if (tried.has(place)) continue
      tried.add(place)
      const before = taken.get(place)
      if (before !== undefined && !seat(before, tried)) continue
      taken.set(place, person)
      return true
    }
    return false
  }
  for (const person of standIns.keys()) seat(person, new Set())
  return new Set(taken.values())
}

/** Requirements that these votes don't meet. Whoever decided alone in an emergency meets all of them. */
export function unmet<R extends Asked>(requirements: readonly R[], votes: readonly Vote[]): R[] {
  if (votes.some((vote) => vote.breakGlass)) return []
  return requirements.filter((requirement) => countsFor(requirement, votes).length < requirement.quorum)
}

/** What Cedar is told about an approval: the groups asked for that the people are in, or stand in for, and their ids. */
export function approvalContext(
  requirements: readonly Asked[],
  votes: readonly Vote[],
): { groups: string[]; people: string[] } {
  const asked = new Set(requirements.flatMap(askedGroups))
  const groups = votes.some((vote) => vote.breakGlass)
    ? asked
    : new Set(votes.flatMap(groupsOf).filter((group) => asked.has(group)))
  return { groups: [...groups].sort(), people: [...new Set(votes.map((vote) => vote.person))].sort() }
}

function groupsOf({ groups, inPlaceOf = [] }: Vote): readonly string[] {
  return [...groups, ...inPlaceOf.flatMap((one) => one.groups)]
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
