import type { AgentPrincipal, PersonPrincipal, Principal } from '../principal.ts'
import { type AgentEntry, sameIdentity } from './agent-entry.ts'
import { type PersonEntry, samePerson } from './people.ts'

/** Somebody came, and something about it is to be written down. */
export interface Sighting {
  who: AgentPrincipal | PersonPrincipal
  at: Date
  /** Whether what their token says of them is another than before; else only that they came. */
  changed: boolean
}

/** What bounds those who can have any number of subjects signed, or one in ever other groups. */
export interface SightingBounds {
  /** Agents that were only seen, and people, that are kept: each. */
  most: number
  /** New ones of an issuer: so many at once, and so many an hour from then on. */
  newOnes: { atOnce: number; anHour: number }
  /** Changes of one agent's or person's identity. */
  changes: { atOnce: number; anHour: number }
  /** Sightings that wait to be written. */
  waiting: number
}

export const sightingBounds: SightingBounds = {
  most: 20_000,
  newOnes: { atOnce: 2000, anHour: 1000 },
  changes: { atOnce: 20, anHour: 12 },
  waiting: 10_000,
}

/** When somebody was seen last is written down this often (ms). */
export const TOUCH_MS = 60_000

export interface Sightings {
  /** Notes that somebody came. Quick: mostly a comparison with what is known. */
  note(who: Principal): void
  /** Takes what waits, at most so many. */
  take(most: number): Sighting[]
  /** What was taken could not be written: it waits again, unless newer came. */
  giveBack(sightings: readonly Sighting[]): void
  readonly waiting: number
}

/**
 * Decides of whom that comes something is to be written.
 * @param options over: told, now and then, how many new ones were left out
 */
export function createSightings(options: {
  agent: (id: string) => AgentEntry | undefined
  person: (id: string) => PersonEntry | undefined
  /** How many are kept that were only seen. */
  kept: () => { agents: number; people: number }
  clock: () => number
  bounds?: Partial<SightingBounds>
  over: (what: string, fields: object) => void
}): Sightings {
  const { clock, over } = options
  const bounds = { ...sightingBounds, ...options.bounds }
  const waiting = new Map<string, Sighting>()
  /** When somebody's last sighting was taken up (ms), and what is left of their changes. */
  const taken = new Map<string, number>()
  const newOnes = new Buckets(bounds.newOnes, 1000, clock)
  const changes = new Buckets(bounds.changes, 10_000, clock)
  let saidAt = Number.NEGATIVE_INFINITY
  let leftOut = 0

  const tellOver = (issuer: string) => {
    leftOut++
    if (clock() - saidAt < TOUCH_MS) return
    saidAt = clock()
    over('more identities come than the registry takes: they are let in, but not registered', { issuer, leftOut })
    leftOut = 0
  }

  const noteOne = (who: Principal) => {
    const now = clock()
    const key = keyOf(who)
    const waits = waiting.get(key)
    const before = who.kind === 'agent' ? options.agent(who.id) : options.person(who.id)
    if (!before && !waits) {
      const { agents, people } = options.kept()
      const kept = (who.kind === 'agent' ? agents : people) + waiting.size
      if (kept >= bounds.most || waiting.size >= bounds.waiting || !newOnes.take(who.issuer))
        return tellOver(who.issuer)
    }
    const other = isOther(who, before)
    const put = (changed: boolean) => {
      taken.delete(key)
      taken.set(key, now)
      if (taken.size > 2 * bounds.most) taken.delete(taken.keys().next().value!)
      waiting.set(key, { who, at: new Date(now), changed })
    }
    if (waits) {
      if (other && (waits.changed || changes.take(key))) put(true)
      return
    }
    // One that comes in ever other groups is written down as often as others, and then late.
    const isNew = before === undefined || (who.kind === 'agent' && (before as AgentEntry).identity === undefined)
    const changed = other && (isNew || changes.take(key))
    if (changed || now - (taken.get(key) ?? Number.NEGATIVE_INFINITY) >= TOUCH_MS) put(changed)
  }

  return {
    note: noteOne,
    take(most) {
      const some: Sighting[] = []
      for (const [key, sighting] of waiting) {
        if (some.length >= most) break
        waiting.delete(key)
        some.push(sighting)
      }
      return some
    },
    giveBack(sightings) {
      for (const sighting of sightings) {
        const key = keyOf(sighting.who)
        if (!waiting.has(key)) waiting.set(key, sighting)
      }
    },
    get waiting() {
      return waiting.size
    },
  }
}

/** Whether anything is to be told of somebody besides that they came. */
function isOther(who: Principal, before: AgentEntry | PersonEntry | undefined): boolean {
  if (!before) return true
  if (who.kind === 'person') return !samePerson(before as PersonEntry, who)
  const { identity } = before as AgentEntry
  // What a token of the gateway's own says was so when it was given out.
  if (who.token && identity) return false
  return !identity || !sameIdentity(identity, who)
}

const keyOf = ({ kind, id }: Principal) => `${kind} ${id}`

/** So many at once, then so many an hour, for each key; the keys themselves are bounded. */
class Buckets {
  readonly #rule: { atOnce: number; anHour: number }
  readonly #most: number
  readonly #clock: () => number
  readonly #left = new Map<string, { tokens: number; at: number }>()

  constructor(rule: { atOnce: number; anHour: number }, most: number, clock: () => number) {
    this.#rule = rule
    this.#most = most
    this.#clock = clock
  }

  take(key: string): boolean {
    const { atOnce, anHour } = this.#rule
    const now = this.#clock()
    const known = this.#left.get(key)
    const tokens = known ? Math.min(atOnce, known.tokens + (Math.max(0, now - known.at) / 3_600_000) * anHour) : atOnce
    this.#left.delete(key)
    this.#left.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now })
    if (this.#left.size > this.#most) this.#left.delete(this.#left.keys().next().value!)
    return tokens >= 1
  }
}
