/**
 * What a verification found. Integrity: something that is there is not what was logged. Completeness: something that was
 * logged, or announced, is not there. They are told apart, since a crash can cost completeness and nothing honest costs
 * integrity.
 */
export interface Finding {
  about: 'integrity' | 'completeness'
  /** For programs: `entry-hash`, `tile-hash`, `root`, `chunk-hash`, … */
  code: string
  /** For people: what is wrong, and where first. */
  text: string
  where: Place
}

/** As much as is known of where it is wrong. Offsets are bytes from 0. */
export interface Place {
  /** Path as C2SP tlog-tiles has it. */
  tile?: string
  entry?: number
  /** Id of a row of the store. */
  row?: string
  /** Session whose recording it is. */
  recording?: string
  /** Member of a bundle. */
  member?: string
  offset?: number
}

export type Outcome = 'whole' | 'incomplete' | 'broken' | 'cant-tell'

/** A log of a million wrong entries is told by its first ones: no more than this is kept, all are counted. */
const KEPT = 100

export class Findings {
  readonly kept: Finding[] = []
  integrity = 0
  completeness = 0

  wrong(code: string, where: Place, text: string): void {
    this.integrity++
    this.#keep({ about: 'integrity', code, text, where })
  }

  missing(code: string, where: Place, text: string): void {
    this.completeness++
    this.#keep({ about: 'completeness', code, text, where })
  }

  /** `trusted`: whether a signature of a key that the caller trusts vouches for what was verified. */
  outcome(trusted: boolean): Outcome {
    if (this.integrity > 0) return 'broken'
    if (!trusted) return 'cant-tell'
    return this.completeness > 0 ? 'incomplete' : 'whole'
  }

  #keep(finding: Finding) {
    if (this.kept.filter(({ about }) => about === finding.about).length < KEPT) this.kept.push(finding)
  }
}
