import type { Effect } from '../gate/command.ts'
import type { Touch } from '../masking/plan.ts'
import type { Meaning } from './commands.ts'
import type { Column } from './wire/messages.ts'

/** What stands behind a statement name, made by wire Parse or by SQL PREPARE. */
export interface Prepared {
  text: string
  /** Type OIDs of the parameters, 0 where unknown. */
  types: number[]
  /** Those of them that the client has declared: by another type the same value may mean something else. */
  declared?: readonly number[]
  /** What a Describe said; empty where it returns nothing. */
  columns?: Column[]
  /** A Describe was sent. */
  described?: boolean
  /**
   * All that it has been found to do since it was made. The server keeps to what its names meant when it was last read,
   * though a table that was made since, and is found first, has such a name by now.
   */
  meant?: readonly Effect[]
}

/** What stands behind a portal name, made by wire Bind or by SQL DECLARE. */
export interface Portal<Run> {
  text: string
  statement?: Prepared
  /** The server may find a statement behind it that was never seen here. */
  unknown?: boolean
  parameters: (Buffer | null)[]
  formats: number[]
  types: number[]
  resultFormats: number[]
  columns?: Column[]
  described?: boolean
  /** In which Bind was sent; absent where SQL made it. */
  batch?: number
  /** What its text meant when it was bound, which is when the server settled what its names mean. */
  bound?: Meaning
  /** What its query touched when the server settled what it reads: at its DECLARE or Bind. */
  declared?: readonly Touch[]
  /** The command that runs it, from its first Execute on: the same portal again is the same command. */
  run?: Run
  /** What that command means, and the batch of its last Execute, once there was one. */
  executed?: { meaning: Meaning; batch: number }
}

interface Slot<V> {
  value: V
  /** The batch (from Sync to Sync) in which it was set, while the server has not confirmed it. */
  pending: number | undefined
}

/** What a session may keep under names: so many, and, before the last of them, so many bytes. */
export const ROOM = { names: 4096, bytes: 64 << 20 } as const

/** What a statement's text keeps. */
export const weightOfStatement = ({ text }: Prepared): number => 2 * text.length

/** What a portal's parameters keep. */
export function weightOfPortal({ parameters }: Portal<unknown>): number {
  let bytes = 0
  for (const value of parameters) bytes += value?.length ?? 0
  return bytes
}

/**
 * Names as the server will know them once it has done everything sent so far. Wire and SQL share one namespace.
 * A change is made when it is sent, and undone when the server refuses it: within its own batch that is exact, since the
 * server then skips the rest of the batch; from another batch a name is only trusted once its change is confirmed.
 */
export class Names<V> {
  readonly #slots = new Map<string, Slot<V>>()
  /** Names whose removal isn't confirmed, with the batch it was sent in. */
  readonly #removed = new Map<string, number>()
  #bytes = 0
  readonly #weigh: (value: V) => number

  /** @param weigh bytes that a value holds, roughly; the same each time it is asked for one */
  constructor(weigh: (value: V) => number) {
    this.#weigh = weigh
  }

  /** Whether one more may be made. The unnamed one, and one that is made anew, takes no more room than it had. */
  hasRoom(name: string): boolean {
    if (name === '' || this.#slots.has(name)) return true
    const named = this.#slots.size - (this.#slots.has('') ? 1 : 0)
    return named < ROOM.names && this.#bytes < ROOM.bytes
  }

  get(name: string): V | undefined {
    return this.#slots.get(name)?.value
  }

  /** Whether what `get` says holds for a message of this batch. */
  certain(name: string, batch: number): boolean {
    const pending = this.#slots.get(name)?.pending ?? this.#removed.get(name)
    return pending === undefined || pending === batch
  }

  /** Sets a name that the server is asked to make. */
  set(name: string, value: V, batch: number): Change {
    const before = this.#slots.get(name)
    const slot: Slot<V> = { value, pending: batch }
    this.#put(name, slot)
    return {
      confirm: () => {
        slot.pending = undefined
      },
      undo: (skipped) => {
        if (this.#slots.get(name) !== slot) return
        // A refused Parse or Bind of the unnamed one has still dropped the one before.
        if (before && (skipped || name !== '')) this.#put(name, before)
        else this.drop(name)
      },
    }
  }

  remove(name: string, batch: number): Change {
    const before = this.#slots.get(name)
    this.drop(name)
    this.#removed.set(name, batch)
    return {
      confirm: () => {
        this.#removed.delete(name)
      },
      undo: () => {
        this.#removed.delete(name)
        if (before && !this.#slots.has(name)) this.#put(name, before)
      },
    }
  }

  /** As the server has it now, for changes made by SQL that has completed. */
  settle(name: string, value: V): void {
    this.#put(name, { value, pending: undefined })
  }

  drop(name: string): void {
    const slot = this.#slots.get(name)
    if (!slot) return
    this.#slots.delete(name)
    this.#bytes -= this.#weigh(slot.value)
  }

  clear(): void {
    this.#slots.clear()
    this.#bytes = 0
  }

  #put(name: string, slot: Slot<V>): void {
    this.drop(name)
    this.#slots.set(name, slot)
    this.#bytes += this.#weigh(slot.value)
  }

  /** Drops what the server is known to have and `test` picks. */
  dropConfirmed(test: (value: V) => boolean): void {
    for (const [name, slot] of this.#slots) if (slot.pending === undefined && test(slot.value)) this.drop(name)
  }
}

/** A change of a name that the server has yet to confirm. */
export interface Change {
  confirm(): void
  /** @param skipped whether the server skipped the message, rather than refuse it */
  undo(skipped: boolean): void
}
