import type { Approval, Requirement } from '@countersign/contract/approval'
import type { Me } from '../../app/store.ts'
import { isToday } from '../../parts/time.ts'

/** Where an approval stands in the queue, for one person. */
export type Section = 'mine' | 'others' | 'decided'

export interface Arranged {
  readonly mine: readonly Approval[]
  readonly others: readonly Approval[]
  readonly decided: readonly Approval[]
}

/** A place kept for the card that is being read: it moves only once the person moves on. */
export interface Kept {
  readonly id: string
  readonly section: Section
}

/**
 * The queue in its order: what waits for me and what waits for others by deadline (soonest first), then what was
 * decided today, the latest first. `words` must all occur somewhere in an approval.
 */
export function arrange(
  approvals: Iterable<Approval>,
  me: Me | null,
  now: number,
  words = '',
  kept?: Kept | undefined,
): Arranged {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  const sections: Record<Section, Approval[]> = { mine: [], others: [], decided: [] }
  for (const approval of approvals) {
    const section = kept?.id === approval.id ? kept.section : sectionOf(approval, me)
    if (section === 'decided' && approval.id !== kept?.id && !isToday(decidedAt(approval), now)) continue
    if (wanted.length > 0 && !wanted.every((word) => haystack(approval).includes(word))) continue
    sections[section].push(approval)
  }
  sections.mine.sort(byDeadline)
  sections.others.sort(byDeadline)
  sections.decided.sort((a, b) => compare(decidedAt(b), decidedAt(a)) || compare(a.id, b.id))
  return sections
}

/** Where an approval belongs now. */
export function sectionOf(approval: Approval, me: Me | null): Section {
  if (approval.state !== 'pending') return 'decided'
  return standing(approval, me).may ? 'mine' : 'others'
}

/** How many approvals this person could decide now. */
export function waitingForMe(approvals: ReadonlyMap<string, Approval>, me: Me | null): number {
  let count = 0
  for (const approval of approvals.values()) if (sectionOf(approval, me) === 'mine') count += 1
  return count
}

/** Whether this person may decide, and if not, why not, in words. The gateway has the last word either way. */
export function standing(approval: Approval, me: Me | null): { may: true } | { may: false; because: string } {
  if (approval.state !== 'pending') return { may: false, because: 'It is already decided.' }
  const own = approval.decisions.find((decision) => decision.personId === me?.id && decision.verdict === 'approve')
  if (own) return { may: false, because: 'You have approved it; your approval counts.' }
  if (approval.mayDecide === true) return { may: true }
  if (approval.mayDecide === false)
    return { may: false, because: approval.mayNotDecideBecause ?? 'The gateway says that it is not yours to decide.' }
  if (me?.kind !== 'person' || !me.roles.includes('approver'))
    return { may: false, because: 'Only people with the role approver decide.' }
  const open = approval.requirements.filter((need) => need.approvedBy.length < need.quorum)
  const groups = [...new Set(open.flatMap(askedGroups))]
  if (groups.some((group) => me.groups.includes(group))) return { may: true }
  return { may: false, because: `It waits for ${listed(groups, 'or')}; you are in none of them.` }
}

/** Who is still missing, in words, for example `1 more of oncall-dba`. */
export function missing(approval: Approval): string[] {
  return approval.requirements
    .filter((need) => need.approvedBy.length < need.quorum)
    .map((need) => `${need.quorum - need.approvedBy.length} more of ${listed(askedGroups(need), 'or')}`)
}

/** Groups that may decide by now: those of the policy, and those that are asked since nobody of these answered. */
export function askedGroups({ groups, escalatedTo }: Requirement): string[] {
  return escalatedTo ? [...new Set([...groups, ...escalatedTo])] : groups
}

/** Groups that are asked since others didn't answer; none where it didn't come to that, or it is over. */
export function escalatedTo(approval: Approval): string[] {
  if (approval.state !== 'pending') return []
  return [...new Set(approval.requirements.flatMap((need) => need.escalatedTo ?? []))]
}

/** When it was decided, or else when it was over. */
export function decidedAt(approval: Approval): string {
  return approval.closedAt ?? approval.decisions.at(-1)?.at ?? approval.expiresAt
}

/** a; a and b; a, b and c. */
export function listed(items: readonly string[], last: 'and' | 'or' = 'and'): string {
  if (items.length < 2) return items[0] ?? 'nobody'
  return `${items.slice(0, -1).join(', ')} ${last} ${items.at(-1)}`
}

function byDeadline(a: Approval, b: Approval): number {
  return compare(a.expiresAt, b.expiresAt) || compare(a.id, b.id)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

const haystacks = new WeakMap<Approval, string>()

function haystack(approval: Approval): string {
  const known = haystacks.get(approval)
  if (known !== undefined) return known
  const { command, identity, decisions, requirements } = approval
  const text = [
    approval.id,
    command.text,
    identity.name,
    identity.onBehalfOf,
    approval.connection,
    ...approval.connectionTags,
    approval.purpose,
    approval.state,
    ...requirements.flatMap((need) => [need.policy, ...askedGroups(need)]),
    ...(approval.access ? ['access', approval.access.title ?? '', approval.access.requestedBy.name] : []),
    ...(escalatedTo(approval).length > 0 ? ['escalated'] : []),
    ...decisions.map((decision) => decision.person),
  ]
    .join('\n')
    .toLowerCase()
  haystacks.set(approval, text)
  return text
}
