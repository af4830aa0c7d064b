import { neighbourhood } from '../../config/address.ts'

/** Connections of one place that begin at once, and then so many a second: each costs us some milliseconds of arithmetic. */
export const PACE = { atOnce: 150, perSecond: 50 } as const
/** Places that are remembered; who has more of them is not slowed down. */
const MOST_PLACES = 10_000

/** Lets each place begin connections at its pace, so that one that begins thousands leaves time for others. */
export class Pace {
  readonly #clock: () => number
  /** By place: when the connections that it has begun are paid off (ms). */
  readonly #paid = new Map<string, number>()

  /** @param clock milliseconds */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
  }

  /** @returns for how long (ms) a connection of this address that begins now has to wait */
  turn(address: string): number {
    const now = this.#clock()
    const place = neighbourhood(address)
    const each = 1000 / PACE.perSecond
    const paid = Math.max(this.#paid.get(place) ?? 0, now) + each
    if (!this.#paid.has(place) && this.#paid.size >= MOST_PLACES) this.#forget(now)
    this.#paid.set(place, paid)
    return Math.max(0, Math.ceil(paid - now - PACE.atOnce * each))
  }

  #forget(now: number): void {
    for (const [place, paid] of this.#paid) if (paid <= now) this.#paid.delete(place)
    if (this.#paid.size >= MOST_PLACES) this.#paid.clear()
  }
}
