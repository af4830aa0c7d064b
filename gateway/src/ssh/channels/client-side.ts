import type { Logger } from 'pino'
import type { ChannelRecord } from '../record/record.ts'
import type { PatchedChannel } from '../transport/channel.ts'
import type { ServerChannel } from '../transport/ssh2.ts'
import type { RemoteExit } from '../upstream/host.ts'
import { onStderr, type Words } from '../words.ts'

/** A channel's end towards its client: what the gateway says there, and how it is ended. */
export class ClientSide {
  readonly stream: ServerChannel
  readonly #terminal: boolean
  readonly #log: Logger
  /** Writes into the record; answers whether it is written. */
  readonly #recorded: (write: (record: ChannelRecord) => void) => boolean
  /** What was said before there was a record of this channel; undefined once there is one. */
  #said: string[] | undefined = []
  /** Resolves when the client takes nothing more. */
  readonly #left = Promise.withResolvers<void>()
  #ending: Promise<void> | undefined
  #closed = false

  /** @param terminal whether a terminal in raw mode reads what is said */
  constructor(
    stream: ServerChannel,
    terminal: boolean,
    recorded: (write: (record: ChannelRecord) => void) => boolean,
    log: Logger,
  ) {
    this.stream = stream
    this.#terminal = terminal
    this.#recorded = recorded
    this.#log = log
    stream.on('error', () => {})
    stream.stderr.on('error', () => {})
  }

  /** Set once it ends: whatever else comes to an end then says nothing more. */
  get ending(): Promise<void> | undefined {
    return this.#ending
  }

  /** Whether its end is told to the client already. */
  get closed(): boolean {
    return this.#closed
  }

  /** There is a record from now on. @throws RecordingError */
  begins(record: ChannelRecord): void {
    const said = this.#said ?? []
    this.#said = undefined
    for (const text of said) record.notice(text)
  }

  tell(words: Words): void {
    const text = onStderr(words, this.#terminal)
    if (this.#said) this.#said.push(text)
    else this.#recorded((record) => record.notice(text))
    if (this.stream.stderr.writable) this.stream.stderr.write(text)
  }

  /** Nobody reads its output any more. */
  unread(): void {
    const stream = this.stream as unknown as Pick<PatchedChannel, 'unread'>
    stream.unread()
  }

  /** The client has gone. */
  left(): void {
    this.#left.resolve()
  }

  /** Ends it: what is still to be written, the exit status, EOF, close. Never rejects. */
  finish(exit: RemoteExit): Promise<void> {
    this.#ending ??= this.#close(exit).catch((error: Error) => {
      this.#log.error({ error }, 'a channel could not be ended as it should')
      this.stream.close()
    })
    return this.#ending
  }

  async #close({ code, signal, coreDumped }: RemoteExit): Promise<void> {
    const { stream } = this
    const [said, written] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    stream.stderr.end(said.resolve)
    if (code !== undefined) stream.exit(code)
    else if (signal !== undefined) stream.exit(signal, coreDumped ?? false, '')
    stream.end(written.resolve)
    this.#closed = true
    await Promise.race([Promise.all([said.promise, written.promise]), this.#left.promise])
  }
}
