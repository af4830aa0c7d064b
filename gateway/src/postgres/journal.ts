import type { NewRecordingEvent } from '@countersign/contract/recording'
import type { Recorder } from '../sessions/session.ts'

/**
 * A session's recording as its connection writes it. A command is written before it goes on to the server; rows and
 * results are kept until the bytes that brought them have been looked at, and written, in one write, before these go on
 * to the client.
 */
export class Journal {
  readonly #recorder: Recorder
  #kept: NewRecordingEvent[] = []

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  /** How many rows and bytes of one command's result are recorded. */
  get resultBound(): { rows: number; bytes: number } {
    return this.#recorder.resultBound
  }

  /** Writes an event, after all that is kept. @throws RecordingError */
  write(event: NewRecordingEvent): void {
    if (this.#kept.length === 0) {
      this.#recorder.append(event)
      return
    }
    this.#kept.push(event)
    this.flush()
  }

  /** Keeps an event for the next `write` or `flush`, which must come before anybody is told what it says. */
  keep(event: NewRecordingEvent): void {
    this.#kept.push(event)
  }

  /** @throws RecordingError */
  flush(): void {
    if (this.#kept.length === 0) return
    const events = this.#kept
    this.#kept = []
    this.#recorder.append(...events)
  }

  /** Resolves when everything written is on disk. @throws RecordingError */
  async sync(): Promise<void> {
    this.flush()
    await this.#recorder.sync()
  }
}
