/** Milliseconds between looks. */
export interface Pace {
  /** After one that found news: checkpoints may come each second. */
  gap: number
  /** Before what is suspect is looked at again. */
  again: number
  /** While nothing is told. */
  idle: number
  /** After trouble. */
  retry: number
  /** Trouble on a live link that lasts so long is a gateway that hides its log. */
  hiddenAfter: number
  /** Between two cosignatures. */
  cosign: number
}

/** The pace of a console that nobody waits for. */
export const usualPace: Pace = {
  gap: 5_000,
  again: 2_000,
  idle: 60_000,
  retry: 30_000,
  hiddenAfter: 10 * 60_000,
  cosign: 60_000,
}
