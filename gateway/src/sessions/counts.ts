import type { NewRecordingEvent, RecordingEvent } from '@countersign/contract/recording'

export interface RecordingCounts {
  commands: number
  held: number
  denied: number
  errors: number
}

/** So many commands are known as held at a time: what is told of one comes before its result. */
export const HELD_KNOWN = 1024

/**
 * Counts the events of a recording, in their order: of a command that is told of several times what it is, once. Notes
 * which data classes they touched.
 */
export class Counting {
  readonly counts: RecordingCounts = { commands: 0, held: 0, denied: 0, errors: 0 }
  /** What commands may have read or written, and what results held, masked or not. */
  readonly classes = new Set<string>()
  /** Held commands without a result so far, the oldest first; whether they are counted as denied, too. */
  readonly #held = new Map<string, boolean>()

  /** How many held commands are kept in mind. */
  get known(): number {
    return this.#held.size
  }

  add(told: NewRecordingEvent | RecordingEvent): void {
    if (told.type === 'command') {
      this.counts.commands++
      if (told.classes) for (const one of told.classes) this.classes.add(one)
      if (told.verdict.outcome === 'hold') this.#addHeld(told.command)
      if (told.verdict.outcome === 'deny') this.#addDenied(told.command)
    } else if (told.type === 'hold') {
      if (told.state === 'pending') this.#addHeld(told.command)
      if (told.state === 'denied') this.#addDenied(told.command)
    } else if (told.type === 'rows') {
      for (const { masked } of told.columns) if (masked) for (const mark of masked) this.classes.add(mark.class)
    } else if (told.type === 'output') {
      if (told.masked) for (const one of told.masked) this.classes.add(one)
    } else if (told.type === 'result') {
      if (told.status === 'failed') this.counts.errors++
      if (this.#held.size > 0) this.#held.delete(told.command)
    }
  }

  #addHeld(command: string): void {
    if (this.#held.has(command)) return
    if (this.#held.size >= HELD_KNOWN) this.#held.delete(this.#held.keys().next().value!)
    this.#held.set(command, false)
    this.counts.held++
  }

  /** A held command that is denied may be told twice: as the hold's end and as the command's verdict. */
  #addDenied(command: string): void {
    const denied = this.#held.get(command)
    if (denied) return
    if (denied === false) this.#held.set(command, true)
    this.counts.denied++
  }
}
