import type { PatchedChannel } from './channel.ts'
import { guarded } from './handlers.ts'
import type { Connection, Protocol, ProtocolClass, ProtocolConfig } from './inner.ts'
import { LIMITS, type Limits } from './limits.ts'
import { lookAhead, preferring } from './offer.ts'

/** RFC 4253, section 12. */
const EXT_INFO = 7
const KEXINIT = 20
const WINDOW_ADJUST = 93
const DATA = 94
const CHANNEL_REQUEST = 98

/** What a change of keys costs, in packets that bring nothing, where less than so many bytes came between two of them. */
const REKEY = { cost: 100, bytes: 65_536 }

/** What may come before a peer's identification (RFC 4253, section 4.2 lets a server greet), bytes. */
const BEFORE_IDENT = 65_536

/** Where the socket holds more than this, channels wait until it has drained. */
const CONGESTED = 1024 * 1024

/** RFC 8308: signatures that a client may use; without SHA-1. ssh2 1.17 forgets a comma in its own. */
const SIGNATURES = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
].join(',')

export type Fatal = (protocol: Protocol, message: string) => number

/**
 * ssh2's protocol of a connection, in either role, with bounds on what a peer may have us do, with keys renewed, and
 * with its bytes sent to the socket once a turn instead of once a piece.
 */
export const patchedProtocol = (Base: ProtocolClass, fatal: Fatal): ProtocolClass =>
  class PatchedProtocol extends Base {
    override owner?: Connection
    override limits: Limits = LIMITS
    readonly #parked = new Set<{ resumeWriting(): void }>()
    #header: Buffer | undefined
    #corked = false
    #bytes = 0
    #keysSince: number | undefined
    #rekeying: NodeJS.Timeout | undefined
    #tokens = LIMITS.idlePackets.burst
    #refilled: number | undefined
    #packets = 0
    #handshakes = 0

    constructor(config: ProtocolConfig) {
      const onWrite = config.onWrite
      super({
        ...config,
        onWrite: (bytes) => this.#write(bytes, onWrite),
        messageHandlers: guarded(config.messageHandlers, fatal),
      })
      const onPayload = this._onPayload
      this._onPayload = (payload) => this.#admit(payload) ?? onPayload(payload)
      const complete = this._onHandshakeComplete
      this._onHandshakeComplete = (...negotiated) => {
        this.#handshake()
        complete(...negotiated)
        this.#resume()
      }
    }

    /** Whose protocol this is; told as soon as the peer has said which SSH it speaks, at the latest. */
    own(owner: Connection): void {
      this.owner = owner
      owner._sock.on('drain', () => this.#resume())
    }

    override get sendable(): boolean {
      return this._kexinit === undefined && (this.owner?._sock.writableLength ?? 0) < CONGESTED
    }

    override park(channel: PatchedChannel): void {
      this.#parked.add(channel)
    }

    /** A failure to read what the peer sent is the end: nothing of it is read on. */
    override parse(chunk: Buffer, at: number, end: number): void {
      try {
        const whole = this._decipher === undefined ? this.#identification(chunk) : chunk
        if (whole === undefined) return
        super.parse(whole, whole === chunk ? at : 0, whole === chunk ? end : whole.length)
      } catch (error) {
        this.cleanup()
        throw error
      }
      this.#bytes += end - at
      this.#renewKeys()
    }

    /** RFC 4254, section 6.10, with any name: ssh2 1.17 throws at those that it doesn't know, as names of somebody's own. */
    override exitSignal(id: number, name: string, dumped: boolean | undefined, message = ''): void {
      const { write } = this._packetRW
      const fields = [string('exit-signal'), [0], string(name), [dumped ? 1 : 0], string(message), string('')]
      const payload = Buffer.concat([
        Buffer.from([CHANNEL_REQUEST]),
        number(id),
        ...fields.map((one) => Buffer.from(one)),
      ])
      const packet = write.alloc(payload.length)
      payload.copy(packet, write.allocStart)
      const whole = write.finalize(packet)
      // While keys are changed everything waits.
      if (this._kexinit === undefined) this._cipher.encrypt(whole)
      else {
        this._queue ??= []
        this._queue.push(whole)
      }
    }

    override cleanup(): void {
      clearTimeout(this.#rekeying)
      super.cleanup()
    }

    /** ssh2 1.17 loses the middle of an identification that comes in more than two pieces. */
    #identification(chunk: Buffer): Buffer | undefined {
      this.#header = this.#header ? Buffer.concat([this.#header, chunk]) : chunk
      this._buffer = undefined
      const text = this.#header
      if (text.length > BEFORE_IDENT && this._decipher === undefined) throw new Error('the peer says no SSH version')
      const line = text.subarray(0, 4).toString('latin1') === 'SSH-' ? 0 : text.indexOf('\nSSH-')
      if (line === -1 && !this._server) return undefined
      const end = text.indexOf('\n', line + 1)
      if (end === -1 && text.length < 8_192) return undefined
      if (this._server && end !== -1) {
        const ahead = lookAhead(text, end + 1)
        if (ahead === 'wait') return undefined
        if (ahead !== 'any') this._offer = preferring(this._offer, ahead)
      }
      return text
    }

    #write(bytes: Buffer, onWrite: (bytes: Buffer) => void): void {
      const socket = this.owner?._sock
      if (socket && !this.#corked) {
        this.#corked = true
        socket.cork()
        process.nextTick(() => {
          this.#corked = false
          socket.uncork()
        })
      }
      this.#bytes += bytes.length
      onWrite(bytes)
      if (socket && socket.writableLength > this.limits.backlog)
        socket.destroy(new Error('the peer does not read what it is sent'))
    }

    #resume(): void {
      if (!this.sendable) return
      const parked = [...this.#parked]
      this.#parked.clear()
      for (const channel of parked) channel.resumeWriting()
      this.#renewKeys()
    }

    /** @returns what ends the reading, where the packet is one too many */
    #admit(payload: Buffer): number | undefined {
      const type = payload[0]
      this.#packets++
      if (this._server && !this.owner?.authenticated && this.#packets > this.limits.packetsBeforeSignIn)
        return fatal(this, 'too many packets before sign-in')
      if (this._queue && this._queue.length > this.limits.idlePackets.burst)
        return fatal(this, 'too much was asked for while keys were changed')
      if (type === DATA && payload.length > 9) return undefined
      if (type === WINDOW_ADJUST && payload.length >= 9 && payload.readUInt32BE(5) >= 1_024) return undefined
      const now = this.limits.clock()
      const { burst, perSecond } = this.limits.idlePackets
      const refill = ((now - (this.#refilled ?? now)) * perSecond) / 1000
      this.#refilled = now
      this.#tokens =
        Math.min(burst, this.#tokens + refill) - (type === KEXINIT && this.#bytes < REKEY.bytes ? REKEY.cost : 1)
      return this.#tokens < 0 ? fatal(this, 'too many packets that bring nothing') : undefined
    }

    #handshake(): void {
      clearTimeout(this.#rekeying)
      this.#rekeying = undefined
      this.#bytes = 0
      this.#keysSince = this.limits.clock()
      const first = ++this.#handshakes === 1
      const kex = this._kex!
      if (!first || !this._server || !kex.remoteExtInfoEnabled) return
      kex.remoteExtInfoEnabled = false
      this.#sendExtInfo()
    }

    #renewKeys(): void {
      const { bytes, ms, timeout } = this.limits.rekey
      if (this.#keysSince === undefined || this._kexinit !== undefined || !this._destruct) return
      if (this.#bytes < bytes && this.limits.clock() - this.#keysSince < ms) return
      this.#rekeying = setTimeout(() => {
        this.owner?._sock.destroy(new Error('the peer did not change its keys in time'))
      }, timeout).unref()
      this.rekey()
    }

    #sendExtInfo(): void {
      const name = 'server-sig-algs'
      const { write } = this._packetRW
      const start = write.allocStart
      const packet = write.alloc(1 + 4 + 4 + name.length + 4 + SIGNATURES.length)
      packet[start] = EXT_INFO
      packet.writeUInt32BE(1, start + 1)
      packet.writeUInt32BE(name.length, start + 5)
      packet.write(name, start + 9, 'latin1')
      packet.writeUInt32BE(SIGNATURES.length, start + 9 + name.length)
      packet.write(SIGNATURES, start + 13 + name.length, 'latin1')
      this._cipher.encrypt(write.finalize(packet))
    }
  }

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function string(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([number(bytes.length), bytes])
}

export interface PatchedProtocol extends Protocol {
  own(owner: Connection): void
}
