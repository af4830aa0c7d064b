import {
  type Cipheriv,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type Decipheriv,
  type KeyObject,
  randomFillSync,
  timingSafeEqual,
} from 'node:crypto'
import { LARGEST_PACKET } from './limits.ts'

/** What a change of keys has agreed on for one direction, as ssh2 hands it over. */
interface Agreed {
  seqno: number
  cipherInfo: CipherInfo
  cipherKey: Buffer
  cipherIV: Buffer
  macInfo?: MacInfo
  macKey?: Buffer
}

interface CipherInfo {
  sslName: string
  blockLen: number
}

interface MacInfo {
  sslName: string
  actualLen: number
  isETM: boolean
}

export interface OutboundConfig {
  outbound: Agreed & { onWrite: (bytes: Uint8Array) => void }
}

export interface InboundConfig {
  inbound: Omit<Agreed, 'cipherInfo' | 'cipherKey' | 'cipherIV'> & {
    decipherInfo: CipherInfo
    decipherKey: Buffer
    decipherIV: Buffer
    onPayload: (payload: Buffer) => unknown
  }
}

const BLOCK = 16
/** Up to this, a packet is written in one piece: copying it costs less than a further piece does. */
const SMALL = 1_024

/**
 * Ciphers of ssh2's shape that are faster than its own, which make their keys anew for each packet, ask the system for
 * a few random bytes each time, and hand a packet to the socket in as many pieces as it has parts.
 * @returns undefined for what they don't know, which is ssh2's to encrypt
 */
export function cipherFor({ outbound }: OutboundConfig): object | undefined {
  const { sslName } = outbound.cipherInfo
  if (/^aes-(128|256)-gcm$/.test(sslName)) return new GcmCipher(outbound)
  return /-ctr$/.test(sslName) && outbound.macInfo?.isETM ? new EtmCipher(outbound) : undefined
}

export function decipherFor({ inbound }: InboundConfig): object | undefined {
  const { sslName } = inbound.decipherInfo
  if (/^aes-(128|256)-gcm$/.test(sslName)) return new GcmDecipher(inbound)
  return /-ctr$/.test(sslName) && inbound.macInfo?.isETM ? new EtmDecipher(inbound) : undefined
}

abstract class Cipher {
  outSeqno: number
  readonly #write: (bytes: Uint8Array) => void
  #dead = false

  constructor({ seqno, onWrite }: OutboundConfig['outbound']) {
    this.outSeqno = seqno
    this.#write = onWrite
  }

  free(): void {
    this.#dead = true
  }

  /** A packet with its length and padding, and room for so much payload from its sixth byte on. */
  allocPacket(payload: number): Buffer {
    let padding = BLOCK - ((1 + payload) & (BLOCK - 1))
    if (padding < 4) padding += BLOCK
    const packet = Buffer.allocUnsafe(5 + payload + padding)
    packet.writeUInt32BE(1 + payload + padding, 0)
    packet[4] = padding
    packet.set(chance(padding), 5 + payload)
    return packet
  }

  encrypt(packet: Buffer): void {
    if (this.#dead) return
    const [encrypted, tag] = this.seal(packet)
    const head = packet.subarray(0, 4)
    if (encrypted.length <= SMALL) this.#write(Buffer.concat([head, encrypted, tag]))
    else {
      this.#write(head)
      this.#write(encrypted)
      this.#write(tag)
    }
    this.outSeqno = (this.outSeqno + 1) >>> 0
  }

  /** @returns all behind the length, encrypted, and what proves it */
  protected abstract seal(packet: Buffer): [Buffer, Buffer]
}

/** RFC 5647, as aes…-gcm@openssh.com has it. */
class GcmCipher extends Cipher {
  readonly #name: string
  readonly #key: KeyObject
  readonly #iv: Buffer

  constructor(agreed: OutboundConfig['outbound']) {
    super(agreed)
    this.#name = agreed.cipherInfo.sslName
    this.#key = createSecretKey(agreed.cipherKey)
    this.#iv = Buffer.from(agreed.cipherIV)
  }

  protected override seal(packet: Buffer): [Buffer, Buffer] {
    const cipher = createCipheriv(this.#name as 'aes-128-gcm', this.#key, this.#iv, TAG)
    cipher.setAAD(packet.subarray(0, 4))
    const encrypted = cipher.update(packet.subarray(4))
    cipher.final()
    increment(this.#iv)
    return [encrypted, cipher.getAuthTag()]
  }
}

/** OpenSSH PROTOCOL, 1.5: encrypt-then-MAC. */
class EtmCipher extends Cipher {
  readonly #cipher: Cipheriv
  readonly #mac: Mac

  constructor(agreed: OutboundConfig['outbound']) {
    super(agreed)
    this.#cipher = createCipheriv(agreed.cipherInfo.sslName, agreed.cipherKey, agreed.cipherIV)
    this.#mac = new Mac(agreed.macInfo!, agreed.macKey!)
  }

  protected override seal(packet: Buffer): [Buffer, Buffer] {
    const encrypted = this.#cipher.update(packet.subarray(4))
    return [encrypted, this.#mac.of(this.outSeqno, packet.subarray(0, 4), encrypted)]
  }
}

/** Puts packets together, and hands on what is in them once it is proven. */
abstract class Decipher {
  inSeqno: number
  /** ssh2 puts another in its place while keys are changed. */
  _onPayload: (payload: Buffer) => unknown
  readonly #tag: number
  /** A packet that comes in pieces, from its length on. */
  #whole = Buffer.alloc(0)
  readonly #head = Buffer.alloc(4)
  #have = 0

  constructor({ seqno, onPayload }: InboundConfig['inbound'], tag: number) {
    this.inSeqno = seqno
    this._onPayload = onPayload
    this.#tag = tag
  }

  free(): void {}

  /** @returns where to go on in the chunk, where that is not at its end; undefined: it is read */
  decrypt(chunk: Buffer, from: number, end: number): number | undefined {
    let at = from
    while (at < end) {
      let packet: Buffer
      if (this.#have === 0 && end - at >= 4) {
        const size = this.#size(chunk, at)
        if (end - at >= size) {
          packet = chunk.subarray(at, at + size)
          at += size
        } else {
          this.#whole = Buffer.allocUnsafe(size)
          this.#whole.set(chunk.subarray(at, end))
          this.#have = end - at
          return undefined
        }
      } else {
        if (this.#have < 4) {
          while (this.#have < 4 && at < end) this.#head[this.#have++] = chunk[at++]!
          if (this.#have < 4) return undefined
          this.#whole = Buffer.allocUnsafe(this.#size(this.#head, 0))
          this.#whole.set(this.#head)
        }
        const part = Math.min(this.#whole.length - this.#have, end - at)
        this.#whole.set(chunk.subarray(at, at + part), this.#have)
        this.#have += part
        at += part
        if (this.#have < this.#whole.length) return undefined
        packet = this.#whole
        this.#have = 0
      }
      const opened = this.open(packet, packet.length - this.#tag)
      const padding = opened[0]!
      if (padding + 1 > opened.length) throw new Error('Bad packet length')
      this.inSeqno = (this.inSeqno + 1) >>> 0
      const answer = this._onPayload(opened.subarray(1, opened.length - padding))
      if (answer !== undefined) return answer === false ? at : (answer as number)
    }
    return undefined
  }

  /** Of the packet that begins here, with its length and its proof. */
  #size(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at)
    if (length > LARGEST_PACKET || length < BLOCK || (length & (BLOCK - 1)) !== 0) throw new Error('Bad packet length')
    return 4 + length + this.#tag
  }

  /** @throws Error where the packet is not what the peer sent */
  protected abstract open(packet: Buffer, tagAt: number): Buffer
}

class GcmDecipher extends Decipher {
  readonly #name: string
  readonly #key: KeyObject
  readonly #iv: Buffer

  constructor(agreed: InboundConfig['inbound']) {
    super(agreed, TAG.authTagLength)
    this.#name = agreed.decipherInfo.sslName
    this.#key = createSecretKey(agreed.decipherKey)
    this.#iv = Buffer.from(agreed.decipherIV)
  }

  protected override open(packet: Buffer, tagAt: number): Buffer {
    const decipher = createDecipheriv(this.#name as 'aes-128-gcm', this.#key, this.#iv, TAG)
    decipher.setAAD(packet.subarray(0, 4))
    decipher.setAuthTag(packet.subarray(tagAt))
    const opened = decipher.update(packet.subarray(4, tagAt))
    decipher.final()
    increment(this.#iv)
    return opened
  }
}

class EtmDecipher extends Decipher {
  readonly #decipher: Decipheriv
  readonly #mac: Mac

  constructor(agreed: InboundConfig['inbound']) {
    super(agreed, agreed.macInfo!.actualLen)
    this.#decipher = createDecipheriv(agreed.decipherInfo.sslName, agreed.decipherKey, agreed.decipherIV)
    this.#mac = new Mac(agreed.macInfo!, agreed.macKey!)
  }

  protected override open(packet: Buffer, tagAt: number): Buffer {
    const proof = this.#mac.of(this.inSeqno, packet.subarray(0, tagAt))
    if (!timingSafeEqual(proof, packet.subarray(tagAt))) throw new Error('Invalid MAC')
    return this.#decipher.update(packet.subarray(4, tagAt))
  }
}

class Mac {
  readonly #name: string
  readonly #key: KeyObject
  readonly #length: number
  readonly #number = Buffer.alloc(4)

  constructor({ sslName, actualLen }: MacInfo, key: Buffer) {
    this.#name = sslName
    this.#key = createSecretKey(key)
    this.#length = actualLen
  }

  of(seqno: number, ...parts: Buffer[]): Buffer {
    this.#number.writeUInt32BE(seqno)
    const mac = createHmac(this.#name, this.#key).update(this.#number)
    for (const part of parts) mac.update(part)
    return mac.digest().subarray(0, this.#length)
  }
}

const TAG = { authTagLength: 16 }

/** The invocation counter: the last eight bytes (RFC 5647, section 7.1). */
function increment(iv: Buffer): void {
  for (let at = 11; at >= 4; at--) {
    iv[at] = (iv[at]! + 1) & 0xff
    if (iv[at] !== 0) return
  }
}

const pool = Buffer.alloc(16_384)
let used = pool.length

/** Random bytes, each given once. */
function chance(bytes: number): Buffer {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.subarray(used - bytes, used)
}
