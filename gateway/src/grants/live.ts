import type { Grant } from '@countersign/contract/access'
import type { LiveGrant } from '../gate/entrance.ts'

/** Whose access it is: of use to this agent on behalf of this one only, on this connection. */
export interface Holder {
  agent: string
  onBehalfOf?: string | undefined
  connection: string
}

interface Kept {
  holder: Holder
  key: string
  live: LiveGrant
}

const none: readonly LiveGrant[] = Object.freeze([])

/** The grants that are live, in memory: asked at every admission, and told apart by the array they come in. */
export class LiveGrants {
  readonly #byKey = new Map<string, readonly LiveGrant[]>()
  readonly #byId = new Map<string, Kept>()
  readonly #counts = new Map<string, number>()

  /** The same array while nothing has changed. */
  of(holder: Holder): readonly LiveGrant[] {
    return this.#byKey.get(keyOf(holder)) ?? none
  }

  holderOf(id: string): Holder | undefined {
    return this.#byId.get(id)?.holder
  }

  /** How many of an agent, or on a connection. */
  count(of: { agent: string } | { connection: string }): number {
    return this.#counts.get(countKey(of)) ?? 0
  }

  get ids(): string[] {
    return [...this.#byId.keys()]
  }

  /** False where it was there already. */
  add({ id, agent, identity: { onBehalfOf }, connection, actions, resources, expiresAt }: Grant): boolean {
    if (this.#byId.has(id)) return false
    const holder: Holder = { agent, onBehalfOf, connection }
    const key = keyOf(holder)
    const live: LiveGrant = Object.freeze({
      id,
      actions: Object.freeze([...actions]),
      ...(resources ? { resources: Object.freeze([...resources]) } : {}),
      endsAt: Date.parse(expiresAt!),
    })
    this.#byId.set(id, { holder, key, live })
    this.#byKey.set(key, Object.freeze([...(this.#byKey.get(key) ?? none), live]))
    this.#count(holder, 1)
    return true
  }

  /** @returns whose it was, where it was there */
  remove(id: string): Holder | undefined {
    const kept = this.#byId.get(id)
    if (!kept) return undefined
    this.#byId.delete(id)
    const left = (this.#byKey.get(kept.key) ?? none).filter((one) => one.id !== id)
    if (left.length > 0) this.#byKey.set(kept.key, Object.freeze(left))
    else this.#byKey.delete(kept.key)
    this.#count(kept.holder, -1)
    return kept.holder
  }

  /** Ids of those that end at this time (milliseconds) or before it. */
  due(now: number): string[] {
    return [...this.#byId.values()].filter(({ live }) => live.endsAt <= now).map(({ live }) => live.id)
  }

  /** When the first of them ends; Infinity where there is none. */
  next(): number {
    let first = Number.POSITIVE_INFINITY
    for (const { live } of this.#byId.values()) if (live.endsAt < first) first = live.endsAt
    return first
  }

  #count({ agent, connection }: Holder, by: 1 | -1): void {
    for (const key of [countKey({ agent }), countKey({ connection })]) {
      const left = (this.#counts.get(key) ?? 0) + by
      if (left > 0) this.#counts.set(key, left)
      else this.#counts.delete(key)
    }
  }
}

function keyOf({ agent, onBehalfOf, connection }: Holder): string {
  return JSON.stringify([agent, onBehalfOf ?? '', connection])
}

function countKey(of: { agent: string } | { connection: string }): string {
  return 'agent' in of ? `a ${of.agent}` : `c ${of.connection}`
}
