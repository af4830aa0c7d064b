import type { Approval } from '@countersign/contract/approval'
import type { Duty, PersonPrincipal } from '../identity/principal.ts'
import { ownBecause, type SponsorsOf } from './own.ts'
import { askedGroups } from './quorum.ts'

export type Decidable = Pick<Approval, 'identity' | 'requirements' | 'access'>

/** What deciding depends on besides the person's own groups. */
export interface Standing {
  sponsorsOf: SponsorsOf
  /** Whose duty is handed over to this person now. */
  duties: readonly Duty[]
}

/**
 * Whether a person may decide an approval, whatever its state: true, or the reason why not in words.
 * Four eyes (contract.md section 7): an approver, of a group that is asked or in place of somebody who is, and neither
 * they nor whom they stand in for the one who asks.
 */
export function mayDecide(person: PersonPrincipal, approval: Decidable, standing: Standing): true | string {
  if (!person.roles.includes('approver')) return 'only approvers decide'
  const groups = [...new Set(approval.requirements.flatMap(askedGroups))]
  const asked = (of: readonly string[]) => groups.some((group) => of.includes(group))
  const handedOver = standing.duties.filter((duty) => asked(duty.groups))
  if (!asked(person.groups) && handedOver.length === 0)
    return `you are in none of the groups that may decide: ${groups.join(', ')}`
  const own = isOwn(person, approval, standing.sponsorsOf)
  if (own !== undefined) return own
  if (asked(person.groups)) return true
  const [first] = handedOver
  if (handedOver.some(({ from }) => ownBecause(from, approval, standing.sponsorsOf) === undefined)) return true
  return `you stand in for ${first!.from.name}, whose own request it is`
}

/** Why a request is the person's own, as they are told; undefined where it isn't. */
export function isOwn(person: PersonPrincipal, approval: Decidable, sponsorsOf: SponsorsOf): string | undefined {
  const because = ownBecause(person, approval, sponsorsOf)
  return because && `nobody decides their own request, nor that of an agent that is theirs: ${because}`
}

/**
 * In whose place a person decides: of those whose duty is handed over to them the ones who are asked where they aren't
 * themselves, and who could decide it.
 */
export function inPlaceOf(
  person: PersonPrincipal,
  approval: Decidable,
  { duties, sponsorsOf }: Standing,
): Pick<Duty, 'from' | 'groups'>[] {
  const asked = approval.requirements
    .filter((requirement) => !askedGroups(requirement).some((group) => person.groups.includes(group)))
    .map((requirement) => [
      ...askedGroups(requirement),
      // Who is asked later counts in the same place then.
      ...(requirement.escalation ?? []).flatMap((stage) => stage.groups),
    ])
  const found = new Map<string, { from: Duty['from']; groups: Set<string> }>()
  for (const { from, groups } of duties) {
    const needed = groups.filter((group) => asked.some((one) => one.includes(group)))
    if (needed.length === 0 || ownBecause(from, approval, sponsorsOf) !== undefined) continue
    const known = found.get(from.id) ?? { from, groups: new Set() }
    for (const group of needed) known.groups.add(group)
    found.set(from.id, known)
  }
  return [...found.values()].map(({ from, groups }) => ({ from, groups: [...groups].sort() }))
}
