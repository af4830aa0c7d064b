import type { Grant } from '@countersign/contract/access'
import { spanOf } from './words.ts'

/** Who had access when, as few lines: what the picture of access draws. */
export interface Lane {
  readonly key: string
  readonly label: string
  /** How many others this line stands for, where it is the last one. */
  readonly others: number
  readonly runs: readonly Run[]
  /** Where one person gave access in an emergency: parts of the window. */
  readonly emergencies: readonly number[]
}

/** Access without a gap, in places of the window; `most` grants at a time. */
export interface Run {
  readonly from: number
  readonly to: number
  readonly most: number
}

/**
 * The lanes of those who had access longest within a window (ms), the others together in the last one. However many
 * grants there are, there are at most `lanes` times `places` runs.
 */
export function lanesOf(
  grants: Iterable<Grant>,
  by: 'agent' | 'connection',
  window: { from: number; to: number },
  { places = 240, lanes = 6 }: { places?: number; lanes?: number } = {},
): Lane[] {
  const length = window.to - window.from
  const place = (t: number) => ((t - window.from) / length) * places
  const drafts = new Map<string, Draft>()
  for (const grant of grants) {
    const span = spanOf(grant)
    if (!span || span.to <= window.from || span.from >= window.to) continue
    const key = by === 'agent' ? grant.agent : grant.connection
    let draft = drafts.get(key)
    if (!draft) {
      draft = {
        key,
        label: by === 'agent' ? grant.identity.name : key,
        rise: new Int32Array(places + 1),
        emergencies: [],
      }
      drafts.set(key, draft)
    }
    const from = Math.max(0, Math.floor(place(span.from)))
    // However short it was, it is there.
    const to = Math.min(places, Math.max(from + 1, Math.ceil(place(span.to))))
    draft.rise[from]! += 1
    draft.rise[to]! -= 1
    if (grant.breakGlass) draft.emergencies.push(Math.min(1, Math.max(0, (span.from - window.from) / length)))
  }
  const all = [...drafts.values()].map((draft) => ({ draft, covered: coveredBy(draft.rise) }))
  all.sort((a, b) => b.covered - a.covered || (a.draft.label < b.draft.label ? -1 : 1))
  const own = all.length > lanes ? all.slice(0, lanes - 1) : all
  const rest = all.slice(own.length)
  const shown = own.map(({ draft }) => laneOf(draft, 0))
  if (rest.length === 0) return shown
  const together: Draft = { key: ' others', label: '', rise: new Int32Array(places + 1), emergencies: [] }
  for (const { draft } of rest) {
    for (let i = 0; i <= places; i += 1) together.rise[i]! += draft.rise[i]!
    together.emergencies.push(...draft.emergencies)
  }
  return [...shown, laneOf(together, rest.length)]
}

interface Draft {
  readonly key: string
  readonly label: string
  /** How many more grants there are from this place on. */
  readonly rise: Int32Array
  readonly emergencies: number[]
}

function coveredBy(rise: Int32Array): number {
  let live = 0
  let covered = 0
  for (const change of rise) {
    live += change
    if (live > 0) covered += 1
  }
  return covered
}

function laneOf({ key, label, rise, emergencies }: Draft, others: number): Lane {
  const runs: { from: number; to: number; most: number }[] = []
  let live = 0
  for (const [i, change] of rise.entries()) {
    const before = live
    live += change
    if (before === 0 && live > 0) runs.push({ from: i, to: i, most: live })
    const last = runs.at(-1)
    if (last && before > 0) last.to = i
    if (last && live > 0) last.most = Math.max(last.most, live)
  }
  // Marks that would lie on each other are one.
  const marks = [...new Set(emergencies.map((at) => Math.round(at * 60) / 60))]
  return { key, label, others, runs, emergencies: marks }
}
