/** Groups that are asked, too, once a requirement has waited so long for its people. */
export interface Stage {
  /** A duration since it was asked for, as people write it: `3m`. */
  after: string
  groups: string[]
}

/** What a stage is given as, and how long it may be at most: an approval waits for a week at most. */
export const DURATION = /^[1-9]\d{0,6}(s|m|h|d)$/
const longest = 7 * 86_400_000

/** How long a stage waits (ms). */
export function waitOf({ after }: Pick<Stage, 'after'>): number {
  const units: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  return DURATION.test(after) ? Number(after.slice(0, -1)) * units[after.at(-1)!]! : Number.POSITIVE_INFINITY
}

export type ReadStages = { ok: true; stages: Stage[] } | { ok: false; message: string; mend: string }

const example = 'write who is asked after how long, for example @escalate("3m: sre-leads, 6m: duty-managers")'

/**
 * Reads the value of `@escalate`: `DURATION: GROUP`, several with commas, each as late as the one before or later. The
 * same duration again is another group of that stage.
 */
export function readStages(text: string): ReadStages {
  const stages: Stage[] = []
  for (const part of text.split(',')) {
    const [, after = '', group = ''] = /^\s*([^:]*?)\s*:(.*)$/s.exec(part) ?? []
    if (!part.includes(':'))
      return { ok: false, message: `@escalate says "${part.trim()}", without after how long`, mend: example }
    const wait = waitOf({ after })
    if (wait > longest)
      return {
        ok: false,
        message: `@escalate waits for "${after}", which is no duration of 7d at most`,
        mend: 'write a number and s, m, h or d, for example 3m',
      }
    if (group.trim() === '') return { ok: false, message: `@escalate asks no group after ${after}`, mend: example }
    const last = stages.at(-1)
    if (last && wait < waitOf(last))
      return {
        ok: false,
        message: `@escalate says ${after} after ${last.after}`,
        mend: 'write the groups in the order in which they are asked',
      }
    if (last && wait === waitOf(last)) last.groups = [...new Set([...last.groups, group.trim()])]
    else stages.push({ after, groups: [group.trim()] })
  }
  return { ok: true, stages }
}
