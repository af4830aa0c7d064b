/** So many messages of a client, or so many bytes of them, are sent to the server without an answer. */
export const UNANSWERED = { messages: 16_384, bytes: 64 << 20 } as const

/**
 * Counts what a client has sent since all of it was answered last. What waits for an answer is kept in mind message by
 * message, with what a refusal would have to bring back: a pipeline that nobody bounds could fill any memory.
 */
export class Unanswered {
  #messages = 0
  #bytes = 0

  /** @param empty whether all that was sent before is answered */
  add(bytes: number, empty: boolean): void {
    if (empty) this.reset()
    this.#messages++
    this.#bytes += bytes
  }

  reset(): void {
    this.#messages = 0
    this.#bytes = 0
  }

  /** Whether the answers have to be waited for. */
  get full(): boolean {
    return this.#messages > UNANSWERED.messages || this.#bytes > UNANSWERED.bytes
  }

  /** Whether that can't go on even where answers can't be waited for. */
  get overfull(): boolean {
    return this.#messages > 4 * UNANSWERED.messages
  }
}
