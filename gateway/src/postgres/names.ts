import type { Touch } from '../masking/plan.ts'
import type { Meaning } from './commands.ts'
import type { StatementAnalysis } from './effects/effects.ts'
import type { Column } from './wire/messages.ts'

/** What stands behind a statement name, made by wire Parse or by SQL PREPARE. */
export interface Prepared {
  text: string
  /** Type OIDs of the parameters, 0 where unknown. */
  types: number[]
  /** What a Describe said; empty where it returns nothing. */
  columns?: Column[]
  /** A Describe was sent. */
  described?: boolean
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
  /** What the query of a cursor that SQL declared touched when it was declared. */
  declared?: readonly Touch[]
  /** The command that runs it, from its first Execute on: the same portal again is the same command. */
  run?: Run
  /** The statements of that command, and the batch of its last Execute, once there was one. */
  executed?: { statements: StatementAnalysis[]; batch: number }
}

interface Slot<V> {
  value: V
  /** The batch (from Sync to Sync) in which it was set, while the server has not confirmed it. */
  pending: number | undefined
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
    this.#slots.set(name, slot)
    return {
      confirm: () => {
        slot.pending = undefined
      },
      undo: (skipped) => {
        if (this.#slots.get(name) !== slot) return
        // A refused Parse or Bind of the unnamed one has still dropped the one before.
        if (before && (skipped || name !== '')) this.#slots.set(name, before)
        else this.#slots.delete(name)
      },
    }
  }

  remove(name: string, batch: number): Change {
    const before = this.#slots.get(name)
    this.#slots.delete(name)
    this.#removed.set(name, batch)
    return {
      confirm: () => {
        this.#removed.delete(name)
      },
      undo: () => {
        this.#removed.delete(name)
        if (before && !this.#slots.has(name)) this.#slots.set(name, before)
      },
    }
  }

  /** As the server has it now, for changes made by SQL that has completed. */
  settle(name: string, value: V): void {
    this.#slots.set(name, { value, pending: undefined })
  }

  drop(name: string): void {
    this.#slots.delete(name)
  }

  clear(): void {
    this.#slots.clear()
  }

  /** Drops what the server is known to have and `test` picks. */
  dropConfirmed(test: (value: V) => boolean): void {
    for (const [name, slot] of this.#slots) if (slot.pending === undefined && test(slot.value)) this.#slots.delete(name)
  }
}

/** A change of a name that the server has yet to confirm. */
export interface Change {
  confirm(): void
  /** @param skipped whether the server skipped the message, rather than refuse it */
  undo(skipped: boolean): void
}
