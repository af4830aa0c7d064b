import { hash } from 'node:crypto'
import { neighbourhood } from '../../config/address.ts'
import type { Presented } from './form.ts'

export interface ThrottleBounds {
  /** Requests a second of one place, of those that nobody is known by there yet, and how many at once. */
  address: Rate
  /** Tokens a second that one agent is given, and how many at once. */
  agent: Rate
  /** Targets a second that one agent may ask for in vain, and how many at once. */
  denied: Rate
  /** So many refusals are free: of one identity at one place, and of all at one place. */
  free: { claimed: number; address: number }
  /** The longest delay that refusals lead to; the first is a second, each further one twice as long (ms). */
  longest: number
  /** Refusals are forgotten after this long without another one (ms). */
  forget: number
  /** Places, identities, tokens that are kept in mind, of each kind. */
  most: number
}

export const throttleBounds: ThrottleBounds = {
  address: { perSecond: 20, burst: 100 },
  agent: { perSecond: 10, burst: 100 },
  denied: { perSecond: 0.5, burst: 60 },
  free: { claimed: 5, address: 20 },
  longest: 60_000,
  forget: 600_000,
  most: 10_000,
}

/** Who asks, before anything is believed. */
export interface Asker {
  place: string
  /** Who the token says that it is of, unchecked. */
  claimed: string
  /** SHA-256 of the token. */
  digest: string
}

/**
 * Slows down who guesses, floods or probes at the token endpoint. Strangers behind the same address (a proxy, say) don't
 * keep a token out that was good before, nor an agent that was given one there; only who comes for the first time waits
 * with them. Bounded: who makes up places or names makes room by forgetting others of the kind.
 * @param clock milliseconds
 */
export class Throttle {
  readonly #bounds: ThrottleBounds
  readonly #clock: () => number
  readonly #addresses: Bounded<Bucket>
  readonly #agents: Bounded<Bucket>
  readonly #denied: Bounded<Bucket>
  readonly #refusedAddresses: Bounded<Refusals>
  readonly #refusedClaims: Bounded<Refusals>
  readonly #goodClaims: Bounded<true>
  readonly #goodTokens: Bounded<true>

  constructor(bounds: ThrottleBounds, clock: () => number) {
    this.#bounds = bounds
    this.#clock = clock
    this.#addresses = new Bounded(bounds.most)
    this.#agents = new Bounded(bounds.most)
    this.#denied = new Bounded(bounds.most)
    this.#refusedAddresses = new Bounded(bounds.most)
    this.#refusedClaims = new Bounded(bounds.most)
    this.#goodClaims = new Bounded(bounds.most)
    this.#goodTokens = new Bounded(bounds.most)
  }

  /** Entries that are kept, for who wants to know that they are bounded. */
  get size(): number {
    const all = [this.#addresses, this.#agents, this.#denied, this.#refusedAddresses, this.#refusedClaims]
    return [...all, this.#goodClaims, this.#goodTokens].reduce((sum, { size }) => sum + size, 0)
  }

  /** @returns 0: look at the request; else after how many seconds it may come again */
  admit({ place, claimed, digest }: Asker): number {
    if (this.#goodTokens.get(digest)) return 0
    const pair = `${place} ${claimed}`
    const own = this.#locked(this.#refusedClaims.get(pair))
    if (own > 0 || this.#goodClaims.get(pair)) return own
    return (
      this.#locked(this.#refusedAddresses.get(place)) ||
      take(this.#addresses, place, this.#bounds.address, this.#clock())
    )
  }

  /** One that has no token in it yet, or none that is to be checked. */
  admitPlace(place: string): number {
    return take(this.#addresses, place, this.#bounds.address, this.#clock())
  }

  /** What was presented was no good. */
  refused({ place, claimed, digest }: Asker): void {
    this.#goodTokens.delete(digest)
    const known = this.#count(this.#refusedClaims, `${place} ${claimed}`, this.#bounds.free.claimed)
    // One that is broken and tries for ever is slowed down by itself, and not counted against its neighbours.
    if (known.times <= this.#bounds.free.claimed) this.#count(this.#refusedAddresses, place, this.#bounds.free.address)
  }

  /** It was who it said it was. @returns as `admit`, by how much that agent is given, and was refused */
  known({ place, claimed, digest }: Asker, agent: string): number {
    const pair = `${place} ${claimed}`
    this.#refusedClaims.delete(pair)
    this.#goodClaims.set(pair, true)
    this.#goodTokens.set(digest, true)
    const now = this.#clock()
    const { agent: given, denied } = this.#bounds
    return take(this.#agents, agent, given, now) || waitFor(filled(this.#denied.get(agent), denied, now), denied)
  }

  /** An agent asked for what it doesn't get. It may ask again, for a grant that comes, say; not for every name there is. */
  denied(agent: string): void {
    take(this.#denied, agent, this.#bounds.denied, this.#clock())
  }

  #locked(refusals: Refusals | undefined): number {
    return refusals ? Math.max(0, Math.ceil((refusals.until - this.#clock()) / 1000)) : 0
  }

  #count(of: Bounded<Refusals>, key: string, free: number): Refusals {
    const now = this.#clock()
    const { longest, forget } = this.#bounds
    const before = of.get(key)
    const times = before && now - before.at < forget ? before.times + 1 : 1
    const delay = times <= free ? 0 : Math.min(longest, 1000 * 2 ** Math.min(times - free - 1, 20))
    const next = { times, at: now, until: now + delay }
    of.set(key, next)
    return next
  }
}

/**
 * Who asks by what is presented: the agent's own token, that of the actor where there is one. What a JWT says of itself
 * isn't believed, only told apart by.
 */
export function askerOf(address: string, { token, type }: Presented): Asker {
  const digest = hash('sha256', token)
  const claimed = (type === 'saml2' ? undefined : claimedIn(token)) ?? digest
  return { place: neighbourhood(address), claimed, digest }
}

function claimedIn(token: string): string | undefined {
  const payload = token.split('.')[1]
  if (payload === undefined || payload.length > 16 * 1024) return undefined
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
      iss?: unknown
      sub?: unknown
      act?: { sub?: unknown }
    }
    return hash('sha256', JSON.stringify([claims.iss, claims.act?.sub ?? claims.sub]))
  } catch {
    return undefined
  }
}

interface Refusals {
  times: number
  at: number
  until: number
}

interface Bucket {
  left: number
  at: number
}

interface Rate {
  perSecond: number
  burst: number
}

/** @returns 0, or after how many seconds there is something to take */
function take(buckets: Bounded<Bucket>, key: string, rate: Rate, now: number): number {
  const left = filled(buckets.get(key), rate, now)
  buckets.set(key, { left: left >= 1 ? left - 1 : left, at: now })
  return waitFor(left, rate)
}

function filled(known: Bucket | undefined, { perSecond, burst }: Rate, now: number): number {
  if (!known) return burst
  return Math.min(burst, known.left + (Math.max(0, now - known.at) * perSecond) / 1000)
}

function waitFor(left: number, { perSecond }: Rate): number {
  return left >= 1 ? 0 : Math.ceil((1 - left) / perSecond)
}

/** A map that forgets what was set longest ago. */
class Bounded<T> {
  readonly #most: number
  readonly #map = new Map<string, T>()
  constructor(most: number) {
    this.#most = most
  }
  get size(): number {
    return this.#map.size
  }
  get(key: string): T | undefined {
    return this.#map.get(key)
  }
  set(key: string, value: T): void {
    this.#map.delete(key)
    if (this.#map.size >= this.#most) this.#map.delete(this.#map.keys().next().value!)
    this.#map.set(key, value)
  }
  delete(key: string): void {
    this.#map.delete(key)
  }
}
