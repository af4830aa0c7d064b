import { type Readable, Writable } from 'node:stream'
import { Gathered } from './gathered.ts'
import type { Channel, ChannelClass, ChannelInfo, Connection } from './inner.ts'
import { PACKET } from './limits.ts'

const STDERR = 1

/** As ssh2's own: what a stream takes before `write` answers false. */
const BUFFER = 2 * 1024 * 1024

type Exit = { code: number } | { signal: string; dumped: boolean | undefined; message: string | undefined }

/** One of the two streams that a channel sends; what is written waits here until window and socket take it. */
interface Lane {
  bytes: Buffer | undefined
  sent: number
  done: ((error?: Error | null) => void) | undefined
}

/**
 * ssh2's channel with its writing side made anew. Of ssh2 1.17:
 * - what was left of a write was sent again once stderr had some left, too, and stderr waited for stdout to end;
 * - `end()` closed the channel with stderr still unsent, and its exit status unsaid;
 * - a write to a channel that had closed was never called back;
 * - the bytes of all channels went into the socket whether or not anybody read them.
 *
 * Of a server's channel: `eof()` says that nothing more comes, `exit(…)` how it ended, `end()` both and closes it, all
 * of them in that order, whatever they were called in, and after everything that was written to either stream.
 */
export const patchedChannel = (Base: ChannelClass): ChannelClass =>
  class PatchedChannel extends Base {
    readonly #stdout: Lane = lane()
    readonly #stderr: Lane = lane()
    #turn = false
    #parked = false
    #unread = false
    #wanted = { eof: false, close: false }
    #exit: Exit | undefined
    readonly #received: { stdout: Gathered; stderr: Gathered | undefined }

    constructor(client: Connection, info: ChannelInfo, options?: { server?: boolean; allowHalfOpen?: boolean }) {
      super(client, info, options)
      info.outgoing.packetSize = Math.min(info.outgoing.packetSize, PACKET.most)
      // A stream of Node's destroys itself once both of its sides have ended, which closes the channel too early.
      const states = this as unknown as { _readableState: State; _writableState: State }
      states._readableState.autoDestroy = states._writableState.autoDestroy = false
      // Nobody who listens is no reason to end the gateway: what matters is told by close, exit and the connection.
      this.on('error', () => {})
      if (this.server) this.stderr = new Stderr(this, this.#stderr)
      this.stderr.on('error', () => {})
      this.#received = {
        stdout: new Gathered(this),
        stderr: this.server ? undefined : new Gathered(this.stderr as Readable),
      }
      const { stderr } = this.#received
      const read = this.stderr as Readable
      const before = read._read
      if (stderr)
        read._read = (size) => {
          stderr.flush()
          before.call(read, size)
        }
      this.removeAllListeners('prefinish')
      this.removeAllListeners('finish')
      this.on('finish', () => {
        this.#wanted.eof = true
        if (this.server || !this.allowHalfOpen) this.#wanted.close = true
        this.#settle()
      })
    }

    override _write(bytes: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
      this.send(this.#stdout, bytes, done)
    }

    send(lane: Lane, bytes: Buffer, done: (error?: Error | null) => void): void {
      if (this.#unread && lane === this.#stdout) {
        done()
        return
      }
      lane.bytes = bytes
      lane.sent = 0
      lane.done = done
      this.resumeWriting()
    }

    /** Sends what the window, the socket and a change of keys allow, a packet of each stream in turn. */
    resumeWriting(): void {
      this.#parked = false
      const { outgoing } = this
      const protocol = this._client._protocol
      while (this.#stdout.bytes || this.#stderr.bytes) {
        if (outgoing.state !== 'open') this.#discard()
        else if (!protocol.sendable) this.#park()
        if (outgoing.window <= 0 || outgoing.state !== 'open' || !protocol.sendable) return
        this.#turn = !this.#turn
        const first = this.#turn ? this.#stdout : this.#stderr
        const lane = first.bytes ? first : first === this.#stdout ? this.#stderr : this.#stdout
        const bytes = lane.bytes!
        const size = Math.min(bytes.length - lane.sent, outgoing.window, outgoing.packetSize)
        const part = size === bytes.length ? bytes : bytes.subarray(lane.sent, lane.sent + size)
        outgoing.window -= size
        lane.sent += size
        if (lane === this.#stdout) protocol.channelData(outgoing.id, part)
        else protocol.channelExtData(outgoing.id, part, STDERR)
        if (lane.sent === bytes.length) this.#sent(lane)
      }
      this.#settle()
    }

    override eof(): void {
      this.#wanted.eof = true
      this.#settle()
    }

    exit(statusOrSignal: number | string, dumped?: boolean, message?: string): void {
      if (!this.server) throw new Error('only the channel of a server says how it ended')
      this.#exit =
        typeof statusOrSignal === 'number' ? { code: statusOrSignal } : { signal: statusOrSignal, dumped, message }
      this.#settle()
    }

    /**
     * The peer reads no more of stdout (`eow@openssh.com`): what waits of it is thrown away, as sshd does it. OpenSSH's client
     * would not always give its window back for it, and the channel's end would wait behind it for ever.
     */
    unread(): void {
      this.#unread = true
      if (this.#stdout.done) this.#sent(this.#stdout)
      this.#settle()
    }

    /** At once, whatever is left to send. */
    override close(): void {
      this.#sayExit()
      super.close()
      this.#discard()
    }

    /** The connection has gone. */
    abandon(): void {
      this.outgoing.state = 'closed'
      this.#discard()
    }

    /** Takes what came in. @returns whether there is room for more */
    receive(bytes: Buffer): boolean {
      this.#received.stderr?.flush()
      return this.#received.stdout.take(bytes)
    }

    receiveError(bytes: Buffer): boolean {
      this.#received.stdout.flush()
      return this.#received.stderr?.take(bytes) ?? true
    }

    flushReceived(): void {
      this.#received.stdout.flush()
      this.#received.stderr?.flush()
    }

    override _read(size: number): void {
      this.#received.stdout.flush()
      super._read(size)
    }

    #sent(lane: Lane): void {
      const done = lane.done
      lane.bytes = lane.done = undefined
      done?.()
    }

    /** Nobody takes it any more: whoever writes goes on as if it had been taken, as with a process that has ended. */
    #discard(): void {
      for (const lane of [this.#stdout, this.#stderr]) if (lane.done) this.#sent(lane)
    }

    #park(): void {
      if (this.#parked) return
      this.#parked = true
      this._client._protocol.park(this)
    }

    /** Says what is to be said once everything that was written has gone. */
    #settle(): void {
      const { outgoing, stderr } = this
      if (this.writableLength > 0 || (this.server && (stderr as Writable).writableLength > 0)) return
      if (this.#wanted.eof || this.#wanted.close) super.eof()
      this.#sayExit()
      if (this.#wanted.close && (outgoing.state === 'open' || outgoing.state === 'eof')) super.close()
    }

    #sayExit(): void {
      const exit = this.#exit
      const { id, state } = this.outgoing
      if (exit === undefined || (state !== 'open' && state !== 'eof')) return
      this.#exit = undefined
      const protocol = this._client._protocol
      if ('code' in exit) protocol.exitStatus(id, exit.code)
      else protocol.exitSignal(id, exit.signal, exit.dumped, exit.message)
    }
  }

/** What the patches of the protocol ask of a channel. */
export interface PatchedChannel extends Channel {
  resumeWriting(): void
  abandon(): void
  receive(bytes: Buffer): boolean
  receiveError(bytes: Buffer): boolean
  flushReceived(): void
  unread(): void
  readonly stderr: Writable & Readable
}

interface State {
  autoDestroy: boolean
}

const lane = (): Lane => ({ bytes: undefined, sent: 0, done: undefined })

class Stderr extends Writable {
  readonly #channel: { send(lane: Lane, bytes: Buffer, done: () => void): void }
  readonly #lane: Lane

  constructor(channel: { send(lane: Lane, bytes: Buffer, done: () => void): void }, lane: Lane) {
    super({ highWaterMark: BUFFER, autoDestroy: false })
    this.#channel = channel
    this.#lane = lane
  }

  override _write(bytes: Buffer, _: BufferEncoding, done: () => void): void {
    this.#channel.send(this.#lane, bytes, done)
  }
}
