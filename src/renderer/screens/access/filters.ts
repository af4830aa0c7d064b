import type { Grant, GrantState } from '@countersign/contract/access'
import { endOf, spanOf } from './words.ts'

export interface GrantFilter {
  readonly text: string
  readonly state: GrantState | 'ended' | 'break-glass' | ''
  readonly agent: string
  readonly connection: string
  /** A moment (ms): those that were live then. */
  readonly at: number | undefined
}

export const noFilter: GrantFilter = { text: '', state: '', agent: '', connection: '', at: undefined }

/** A filter that leaves nothing out is `noFilter` itself. */
export function settled(filter: GrantFilter): GrantFilter {
  const none = Object.entries(filter).every(([name, value]) => value === noFilter[name as keyof GrantFilter])
  return none ? noFilter : filter
}

export type Sort = 'end' | 'request'

export interface ArrangedGrants {
  readonly requested: readonly Grant[]
  readonly active: readonly Grant[]
  readonly ended: readonly Grant[]
}

/**
 * Grants that fit, in their order: what waits for a decision and what is live by their end, the soonest first, then what
 * is over, the latest first; or each by when it was asked for, the latest first.
 */
export function arrangeGrants(grants: Iterable<Grant>, filter: GrantFilter, sort: Sort): ArrangedGrants {
  const fits = fitting(filter)
  const sections = { requested: [] as Grant[], active: [] as Grant[], ended: [] as Grant[] }
  for (const grant of grants) {
    if (!fits(grant)) continue
    if (grant.state === 'requested') sections.requested.push(grant)
    else if (grant.state === 'active') sections.active.push(grant)
    else sections.ended.push(grant)
  }
  const latest = (a: Grant, b: Grant) => compare(b.requestedAt, a.requestedAt) || compare(a.id, b.id)
  const soonest = (a: Grant, b: Grant) => compare(endOf(a), endOf(b)) || compare(a.id, b.id)
  sections.requested.sort(sort === 'end' ? soonest : latest)
  sections.active.sort(sort === 'end' ? soonest : latest)
  sections.ended.sort(sort === 'end' ? (a, b) => soonest(b, a) : latest)
  return sections
}

/** Whether a grant fits; made once for many. `moment` false leaves the moment out. */
export function fitting(filter: GrantFilter, moment = true): (grant: Grant) => boolean {
  const wanted = filter.text.toLowerCase().split(/\s+/).filter(Boolean)
  const { state, agent, connection } = filter
  const at = moment ? filter.at : undefined
  return (grant) =>
    (state === '' || inState(grant, state)) &&
    (agent === '' || grant.agent === agent) &&
    (connection === '' || grant.connection === connection) &&
    (at === undefined || isLiveAt(grant, at)) &&
    (wanted.length === 0 || wanted.every((word) => haystack(grant).includes(word)))
}

export function isLiveAt(grant: Grant, at: number): boolean {
  const span = spanOf(grant)
  return span !== undefined && span.from <= at && at < span.to
}

function inState(grant: Grant, state: Exclude<GrantFilter['state'], ''>): boolean {
  if (state === 'ended') return grant.state !== 'requested' && grant.state !== 'active'
  if (state === 'break-glass') return grant.breakGlass === true
  return grant.state === state
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

const haystacks = new WeakMap<Grant, string>()

function haystack(grant: Grant): string {
  const known = haystacks.get(grant)
  if (known !== undefined) return known
  const { identity } = grant
  const text = [
    grant.id,
    ...[identity.name, identity.subject, identity.onBehalfOf, identity.owner],
    grant.connection,
    ...grant.connectionTags,
    ...grant.actions,
    ...(grant.resources ?? []),
    ...[grant.purpose, grant.step?.title, grant.plan, grant.state, grant.endedBecause],
    ...grant.policies,
    ...grant.approvedBy.flatMap(({ person, reason }) => [person, reason]),
    grant.requestedBy.name,
    grant.breakGlass ? 'break-glass' : '',
  ]
    .join('\n')
    .toLowerCase()
  haystacks.set(grant, text)
  return text
}
