import type { PersonRef } from '@countersign/contract/identity'
import type { ReviewSignals, Verdict } from '@countersign/contract/review'

/** A decision as far as how it was made goes; in the order in which they came. */
export interface MadeDecision {
  item: string
  stage: number
  verdict: Verdict
  by: PersonRef | undefined
  at: string
  madeAt: string | undefined
  bulk: string | undefined
  seconds: number | undefined
  evidenceOpened: readonly string[]
  followed: boolean
}

/** From when on something is said of a reviewer, so that nobody is talked about for five clicks. */
export const signalBounds = {
  /** Decisions of one's own, one by one. */
  fewest: 10,
  /** Median seconds between looking and deciding. */
  fast: 5,
  /** Decisions before "always certifies" is said, what share of them, and how many against the recommendation. */
  certified: { fewest: 20, share: 0.95, against: 3 },
  /** What share decided without a look at evidence, or in bulk. */
  share: 0.5,
  /** Longer between two decisions somebody was away (seconds). */
  pause: 1800,
}

/**
 * How a campaign was decided: what each reviewer did, and how many items were open at the end of each day (UTC). The speed
 * is the smaller of what the console says and what lies between two decisions here, or by the console's clock where they
 * were made offline: who says that they looked for an hour and decides every second is taken by the second.
 * @param days first and last day that are told
 */
export function signalsOf(
  decisions: readonly MadeDecision[],
  items: readonly { id: string; decidedAt: string | undefined }[],
  days: { from: string; to: string },
): ReviewSignals {
  const people = new Map<string, { person: PersonRef; made: MadeDecision[] }>()
  for (const decision of decisions) {
    if (!decision.by) continue
    const of = people.get(decision.by.id) ?? { person: decision.by, made: [] }
    of.made.push(decision)
    people.set(decision.by.id, of)
  }
  const reviewers = [...people.values()].map(({ person, made }) => reviewerOf(person, made))
  reviewers.sort(
    (a, b) => b.flags.length - a.flags.length || b.decided - a.decided || (a.person.id < b.person.id ? -1 : 1),
  )
  return { reviewers, burnDown: burnDownOf(items, days) }
}

function reviewerOf(person: PersonRef, made: readonly MadeDecision[]): ReviewSignals['reviewers'][number] {
  // What somebody has thought better of is one decision, the last one; how long it took counts each time.
  const last = [...new Map(made.map((one) => [`${one.stage} ${one.item}`, one])).values()]
  const count = (of: (one: MadeDecision) => boolean) => last.filter(of).length
  const decided = last.length
  const certified = count(({ verdict }) => verdict === 'certify')
  const bulk = count((one) => one.bulk !== undefined)
  const withoutEvidence = count(({ evidenceOpened }) => evidenceOpened.length === 0)
  const against = count(({ verdict, followed }) => verdict === 'certify' && !followed)
  const taken = secondsOf(made)
  const median = medianOf(taken)
  const flags: ReviewSignals['reviewers'][number]['flags'] = []
  const { fewest, fast, certified: certifies, share } = signalBounds
  if (median !== undefined && taken.length >= fewest && median < fast)
    flags.push({
      code: 'fast',
      text: `Half of ${taken.length} decisions took less than ${shown(median)} seconds each.`,
    })
  if (decided >= certifies.fewest && certified >= decided * certifies.share && against >= certifies.against)
    flags.push({
      code: 'always-certifies',
      text: `Certified ${certified} of ${decided}, ${against} of them where something else was recommended.`,
    })
  if (decided >= fewest && withoutEvidence > decided * share)
    flags.push({
      code: 'no-evidence',
      text: `Decided ${withoutEvidence} of ${decided} without opening any of the evidence.`,
    })
  if (decided >= fewest && bulk > decided * share)
    flags.push({ code: 'mostly-bulk', text: `Decided ${bulk} of ${decided} together with others, not one by one.` })
  return {
    person,
    ...{ decided, certified, bulk, followed: count((one) => one.followed) },
    ...(median !== undefined && { medianSeconds: median }),
    withoutEvidence,
    flags,
  }
}

/** How long each decision took, of those that were made one by one (seconds). */
function secondsOf(made: readonly MadeDecision[]): number[] {
  const clock = ({ madeAt, at }: MadeDecision) => Date.parse(madeAt ?? at)
  const inOrder = [...made].sort((a, b) => clock(a) - clock(b))
  return inOrder.flatMap((one, n) => {
    if (one.bulk !== undefined) return []
    const before = inOrder[n - 1]
    const gap = before ? (clock(one) - clock(before)) / 1000 : undefined
    const between = gap !== undefined && gap <= signalBounds.pause ? gap : undefined
    const known = [one.seconds, between].filter((each) => each !== undefined)
    return known.length === 0 ? [] : [Math.min(...known)]
  })
}

function medianOf(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return Math.round(median * 10) / 10
}

const shown = (seconds: number) => String(Math.max(0.1, seconds)).replace(/\.0$/, '')

const DAY = 86_400_000
/** A year's campaign, and what is kept open after it. */
const MOST_DAYS = 800

function burnDownOf(
  items: readonly { decidedAt: string | undefined }[],
  { from, to }: { from: string; to: string },
): ReviewSignals['burnDown'] {
  const decided = new Map<string, number>()
  for (const { decidedAt } of items)
    if (decidedAt !== undefined) decided.set(decidedAt.slice(0, 10), (decided.get(decidedAt.slice(0, 10)) ?? 0) + 1)
  const days: ReviewSignals['burnDown'] = []
  let open = items.length
  const last = to.slice(0, 10)
  for (let at = Date.parse(`${from.slice(0, 10)}T00:00:00Z`); days.length < MOST_DAYS; at += DAY) {
    const day = new Date(at).toISOString().slice(0, 10)
    if (day > last) break
    open -= decided.get(day) ?? 0
    days.push({ day, open })
  }
  return days
}
