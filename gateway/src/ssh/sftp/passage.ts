import type { Duplex } from 'node:stream'
import { ClientLeft, type SshSession } from '../session.ts'
import type { HostChannel, RemoteExit } from '../upstream/host.ts'
import { Asking, MOST_ANSWER } from './asking.ts'
import { Serving } from './serving.ts'
import type { SftpWays } from './sftp.ts'
import { Framer, Malformed } from './wire.ts'

/** Bytes of requests that wait behind one; then the client has to wait. */
const MOST_WAITING = 1024 * 1024
/** What keeping a packet costs beside its bytes. */
const OVERHEAD = 128
/** Requests that the host has yet to answer; then the next wait. */
const MOST_UNANSWERED = 1024

/** One channel of sftp between a client and the host's server: requests one after the other, answers as they come. */
export class Passage {
  readonly #session: SshSession
  readonly #client: Duplex
  readonly #host: HostChannel
  readonly #ways: SftpWays
  readonly #asking: Asking
  readonly #serving: Serving
  #waiting: Buffer[] = []
  /** Where in `#waiting` the next one stands: taking them off the front of thousands would move all the others. */
  #next = 0
  #waitingBytes = 0
  #busy = false
  #clientEnded = false
  /** Why it ended before the host ended it. */
  #broken: string | undefined

  constructor(session: SshSession, client: Duplex, host: HostChannel, ways: SftpWays) {
    this.#session = session
    this.#client = client
    this.#host = host
    this.#ways = ways
    this.#asking = new Asking(host.stdio)
    this.#serving = new Serving(session, this.#asking, ways, (answer) => this.#answer(answer))
  }

  /**
   * Lets requests and answers pass until the host has closed its side. Never rejects.
   * @returns how it ended; `ended` where that wasn't by the host: why, or `by the client`
   */
  async run(): Promise<RemoteExit & { ended?: string }> {
    const { stdio } = this.#host
    const { signal } = this.#ways
    const requests = new Framer()
    const answers = new Framer(MOST_ANSWER)
    const asked = (chunk: Buffer) => this.#guarded('the client', () => this.#take(requests, chunk))
    const ended = () => {
      if (requests.midPacket) this.#break('the client', new Malformed('its last packet is not whole'))
      this.#clientEnded = true
      this.#serving.left()
      this.#pump()
    }
    const gone = () => {
      // What has not gone to the host by now doesn't go there any more.
      this.#waiting = []
      this.#next = 0
      this.#host.close()
    }
    stdio.on('data', (chunk: Buffer) =>
      this.#guarded('the host', () => answers.push(chunk, (each) => this.#heard(each))),
    )
    stdio.on('drain', () => this.#pump())
    this.#client.on('drain', () => {
      stdio.resume()
      this.#pump()
    })
    this.#client.on('data', asked).once('end', ended).once('close', ended)
    signal.addEventListener('abort', gone, { once: true })
    if (signal.aborted) gone()
    const exit = await this.#host.closed
    signal.removeEventListener('abort', gone)
    const why = this.#broken ?? (signal.aborted ? (signal.reason as Error).message : undefined)
    const left = this.#broken === undefined && signal.reason instanceof ClientLeft
    this.#broken ??= 'it has ended'
    const lost = why ?? 'the channel ended before it was done'
    this.#asking.end(new Error(lost))
    this.#serving.ended(lost)
    if (why === undefined) return exit
    return left ? { ended: 'by the client' } : { code: 1, ended: why }
  }

  #take(framer: Framer, chunk: Buffer): void {
    if (this.#broken !== undefined || this.#ways.signal.aborted) return
    framer.push(chunk, (packet) => {
      this.#waiting.push(packet)
      this.#waitingBytes += packet.length + OVERHEAD
    })
    this.#pump()
    if (this.#waitingBytes > MOST_WAITING) this.#client.pause()
  }

  /** Goes on with what waits, until one has to be waited for. */
  #pump(): void {
    while (!this.#busy && this.#broken === undefined && this.#next < this.#waiting.length) {
      // Who doesn't read the answers gets no more of them: refusals, too, are answers.
      if (this.#client.writableNeedDrain || !this.#asking.given || this.#asking.unanswered >= MOST_UNANSWERED) return
      const packet = this.#waiting[this.#next++]!
      this.#waitingBytes -= packet.length + OVERHEAD
      if (this.#next === this.#waiting.length || this.#next >= 1024) {
        this.#waiting = this.#waiting.slice(this.#next)
        this.#next = 0
      }
      if (this.#waitingBytes <= MOST_WAITING / 2 && this.#client.isPaused()) this.#client.resume()
      this.#guarded('the client', () => {
        const waits = this.#serving.request(packet)
        if (!waits) return
        this.#busy = true
        void waits
          .catch((error: Error) => this.#break('the host', error))
          .then(() => {
            this.#busy = false
            this.#pump()
          })
      })
    }
    // OpenSSH's server drops what it has yet to answer once nothing more can come.
    const idle = !this.#busy && this.#next === this.#waiting.length && this.#asking.unanswered === 0
    if (this.#clientEnded && idle) this.#host.stdio.end()
  }

  #heard(answer: Buffer): void {
    if (this.#broken !== undefined) return
    this.#serving.heard(answer)
    if (this.#asking.unanswered < MOST_UNANSWERED) this.#pump()
  }

  #answer(answer: Buffer): void {
    if (this.#broken !== undefined || !this.#client.writable) return
    // A client that doesn't read what it asked for waits for itself.
    if (!this.#client.write(answer)) this.#host.stdio.pause()
  }

  #guarded(whose: 'the client' | 'the host', act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#break(whose, error as Error)
    }
  }

  /** Ends the channel: what follows can't be understood, or decided. */
  #break(whose: 'the client' | 'the host', error: Error): void {
    if (this.#broken !== undefined) return
    const malformed = error instanceof Malformed
    this.#broken = malformed ? `${whose} doesn’t speak SFTP as it should: ${error.message}` : 'the gateway failed'
    if (malformed) this.#session.log.warn({ whose, why: error.message }, 'a channel of sftp ended: malformed')
    else this.#session.log.error({ error }, 'a channel of sftp failed')
    this.#ways.tell({
      message: `this channel ends: ${this.#broken}`,
      hint: malformed ? 'Version 3 of SFTP is served, as OpenSSH speaks it.' : 'Its log says more.',
    })
    this.#waiting = []
    this.#next = 0
    this.#host.close()
  }
}
