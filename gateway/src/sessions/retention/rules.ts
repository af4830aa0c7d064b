import type { RetentionPart, RetentionRule } from '@countersign/contract/evidence'
import { type Keeping, keptWords, type LoadedRetention } from '../../config/retention.ts'

/** What the rules look at in a session that has ended. */
export interface Subject {
  connection: string
  /** Milliseconds since the epoch. */
  closedAt: number
  /** Data classes that its commands or results touched. */
  classes: readonly string[]
}

/** When a part of a session goes, and by which rule, in words; `at` Infinity: never. */
export interface Due {
  at: number
  rule: string
}

export interface Dues extends Record<RetentionPart, Due> {
  /** The recording goes because of a class: then digests go too, by which values that are few could be guessed. */
  byClass: boolean
}

export function keepingOf({ all, connections }: LoadedRetention, connection: string): Keeping {
  return connections.get(connection) ?? all
}

/**
 * When what goes. Of the rules that fit, the shortest counts: a recording stays no longer than its entries, nor than the
 * shortest of its classes; approvals stay as long as the recording unless they have a rule, and never longer than the
 * shortest of its classes, or the entries.
 */
export function duesOf({ connection, closedAt, classes }: Subject, retention: LoadedRetention): Dues {
  const keeping = keepingOf(retention, connection)
  const due = (what: string, kept: number): Due => ({ at: closedAt + kept, rule: `${what} ${keptWords(kept)}` })
  const entries = due('entries', keeping.entries)
  const touched = classes
    .filter((one) => keeping.classes.has(one))
    .map((one) => due(`class ${one}`, keeping.classes.get(one)!))
    .reduce(sooner, never)
  const plain = sooner(due('recordings', keeping.recordings), entries)
  const recording = sooner(plain, touched)
  const own = keeping.approvals === undefined ? plain : sooner(due('approvals', keeping.approvals), entries)
  return {
    recording,
    approvals: sooner(own, touched),
    annotations: due('annotations', keeping.annotations),
    entries,
    byClass: recording === touched,
  }
}

const never: Due = { at: Number.POSITIVE_INFINITY, rule: 'forever' }

function sooner(a: Due, b: Due): Due {
  return b.at < a.at ? b : a
}

/** The shortest time that anything of this part may be kept: what ended later than that long ago need not be looked at. */
export function shortest(part: RetentionPart, retention: LoadedRetention): number {
  const { all, own } = shortestOf(part, retention)
  return Math.min(all, ...own.values())
}

/** The same by connection: of those that have rules of their own, and of all others. */
export function shortestOf(
  part: RetentionPart,
  { all, connections }: LoadedRetention,
): { all: number; own: ReadonlyMap<string, number> } {
  const own = [...connections].map(([name, keeping]) => [name, shortestIn[part](keeping)] as const)
  return { all: shortestIn[part](all), own: new Map(own) }
}

const shortestIn: Record<RetentionPart, (keeping: Keeping) => number> = {
  recording: ({ recordings, entries, classes }) => Math.min(recordings, entries, ...classes.values()),
  approvals: ({ recordings, approvals, entries, classes }) =>
    Math.min(approvals ?? recordings, entries, ...classes.values()),
  annotations: ({ annotations }) => annotations,
  entries: ({ entries }) => entries,
}

/** How long at least nobody need know which classes a session of this connection touched. */
export function withoutClasses(connection: string, retention: LoadedRetention): number {
  return Math.min(...keepingOf(retention, connection).classes.values())
}

/** The rules in force, for people: those for all, then what connections have that is another. */
export function rulesOf({ all, connections }: LoadedRetention): RetentionRule[] {
  const general = rulesIn(all)
  const same = (rule: RetentionRule) =>
    general.some(({ what, class: of, keeps }) => what === rule.what && of === rule.class && keeps === rule.keeps)
  return [
    ...general,
    ...[...connections].flatMap(([connection, keeping]) =>
      rulesIn(keeping)
        .filter((rule) => !same(rule))
        .map((rule) => ({ connection, ...rule })),
    ),
  ]
}

function rulesIn({ recordings, approvals, annotations, entries, classes }: Keeping): RetentionRule[] {
  const keeps = (ms: number) => (ms === Number.POSITIVE_INFINITY ? null : ms)
  return [
    { what: 'recordings', keeps: keeps(recordings) },
    ...(approvals === undefined ? [] : [{ what: 'approvals' as const, keeps: keeps(approvals) }]),
    { what: 'annotations', keeps: keeps(annotations) },
    { what: 'entries', keeps: keeps(entries) },
    ...[...classes].map(([one, ms]) => ({ what: 'class' as const, class: one, keeps: keeps(ms) })),
  ]
}
