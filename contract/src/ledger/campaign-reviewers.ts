import type { PackDecision, PackItem } from './campaign-item.ts'

/** How one person decided, counted from the entries. */
export interface PackReviewer {
  id: string
  name: string
  /** Items; what somebody has thought better of is one decision, the last one. */
  decided: number
  certified: number
  bulk: number
  /** As recommended. */
  followed: number
  /** Without a look at any evidence, as the console says. */
  withoutEvidence: number
  /** Of decisions one by one: the smaller of what the console says and what lies between two of them, the one in the middle. */
  medianSeconds?: number
  flags: ('fast' | 'always-certifies' | 'no-evidence' | 'mostly-bulk')[]
}

/** From when on something is said of a reviewer: the same as what the campaign's owner is shown. */
const bounds = { fewest: 10, fast: 5, certified: { fewest: 20, share: 0.95, against: 3 }, share: 0.5, pause: 1800 }

type Made = Pick<PackDecision, 'stage' | 'verdict' | 'bulk' | 'seconds'> & {
  item: string
  clock: number
  followed: boolean
  looked: boolean
}

/** Gathers decisions by who made them. */
export class Reviewers {
  readonly #people = new Map<string, { name: string; made: Made[] }>()

  add(item: PackItem): void {
    for (const { by, how, at, madeAt, stage, verdict, bulk, seconds, followed, evidenceOpened } of item.decisions) {
      if (by.kind !== 'person' || how !== 'reviewer') continue
      const of = this.#people.get(by.id) ?? { name: by.name, made: [] }
      of.made.push({
        ...{ item: item.id, stage, verdict, clock: Date.parse(madeAt ?? at) },
        ...(bulk !== undefined && { bulk }),
        ...(seconds !== undefined && { seconds }),
        followed: followed ?? verdict === item.recommendation.verdict,
        looked: (evidenceOpened ?? []).length > 0,
      })
      this.#people.set(by.id, of)
    }
  }

  /** By id. */
  list(): PackReviewer[] {
    return [...this.#people]
      .map(([id, { name, made }]) => reviewerOf(id, name, made))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }
}

function reviewerOf(id: string, name: string, made: readonly Made[]): PackReviewer {
  const inOrder = [...made].sort((a, b) => a.clock - b.clock)
  const last = [...new Map(inOrder.map((one) => [`${one.stage} ${one.item}`, one])).values()]
  const count = (of: (one: Made) => boolean) => last.filter(of).length
  const decided = last.length
  const certified = count(({ verdict }) => verdict === 'certify')
  const bulk = count((one) => one.bulk !== undefined)
  const withoutEvidence = count(({ looked }) => !looked)
  const against = count(({ verdict, followed }) => verdict === 'certify' && !followed)
  const taken = secondsOf(inOrder)
  const medianSeconds = medianOf(taken)
  const { fewest, fast, certified: certifies, share } = bounds
  const flags: PackReviewer['flags'] = []
  if (medianSeconds !== undefined && taken.length >= fewest && medianSeconds < fast) flags.push('fast')
  if (decided >= certifies.fewest && certified >= decided * certifies.share && against >= certifies.against)
    flags.push('always-certifies')
  if (decided >= fewest && withoutEvidence > decided * share) flags.push('no-evidence')
  if (decided >= fewest && bulk > decided * share) flags.push('mostly-bulk')
  return {
    ...{ id, name, decided, certified, bulk, withoutEvidence, flags },
    followed: count((one) => one.followed),
    ...(medianSeconds !== undefined && { medianSeconds }),
  }
}

/** How long each decision took, of those that were made one by one; longer than `pause` somebody was away. */
function secondsOf(inOrder: readonly Made[]): number[] {
  return inOrder.flatMap(({ bulk, seconds, clock }, n) => {
    if (bulk !== undefined) return []
    const before = inOrder[n - 1]
    const gap = before && (clock - before.clock) / 1000
    const known = [seconds, gap !== undefined && gap <= bounds.pause ? gap : undefined].filter(
      (one) => one !== undefined,
    )
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
