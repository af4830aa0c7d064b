import type { Classification } from './classes.ts'
import type { DetectedKind } from './detectors.ts'
import type { StyleOf } from './plan.ts'
import type { ClassProblem } from './resolve.ts'

/**
 * The masking rules of one connection, as the configuration has them. A protocol carries them with what it connects to;
 * where there are none (no class and no detector), nothing is looked at and everything passes as it is.
 */
export interface Masking {
  /** Secret of the gateway for the style `hash`: 32 bytes. */
  readonly key: Buffer
  /** The style of a class; also asked for `derived`. What detectors find is redacted. */
  readonly styleOf: StyleOf
  /** `schema.table.column`, each part as quote_ident() writes it, or a pattern → class. */
  readonly dataClasses: Readonly<Record<string, string>>
  /** What is looked for in texts without a class. Empty: nothing. */
  readonly detect: readonly DetectedKind[]
  /** What the keys stood for when the catalog was read last, kept across restarts: a renamed column stays masked. */
  readonly earlier?: EarlierKeys
  /** Told after each look at the catalog which keys don't fit it. Must not throw. */
  readonly told?: (problems: readonly ClassProblem[]) => void
}

export interface EarlierKeys {
  /** Asked once, before the first classification. */
  load(): Classification['keys'] | undefined
  /** Told after each classification in which they changed. Must not throw. */
  save(keys: Classification['keys']): void
}
