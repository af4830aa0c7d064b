/**
 * Packets of SFTP version 3: draft-ietf-secsh-filexfer-02, with what OpenSSH's PROTOCOL, section 4, adds and sets right
 * (the order of SYMLINK's names). Each is a length (4 bytes), a type (1), and, but for INIT and VERSION, a request's id (4).
 */
export const FXP = {
  INIT: 1,
  VERSION: 2,
  OPEN: 3,
  CLOSE: 4,
  READ: 5,
  WRITE: 6,
  LSTAT: 7,
  FSTAT: 8,
  SETSTAT: 9,
  FSETSTAT: 10,
  OPENDIR: 11,
  READDIR: 12,
  REMOVE: 13,
  MKDIR: 14,
  RMDIR: 15,
  REALPATH: 16,
  STAT: 17,
  RENAME: 18,
  READLINK: 19,
  SYMLINK: 20,
  STATUS: 101,
  HANDLE: 102,
  DATA: 103,
  NAME: 104,
  ATTRS: 105,
  EXTENDED: 200,
  EXTENDED_REPLY: 201,
} as const

/** Status codes (draft, section 7). */
export const FX = {
  OK: 0,
  EOF: 1,
  NO_SUCH_FILE: 2,
  PERMISSION_DENIED: 3,
  FAILURE: 4,
  BAD_MESSAGE: 5,
  OP_UNSUPPORTED: 8,
} as const

/** Flags of OPEN (draft, section 6.3). */
export const FXF = { READ: 1, WRITE: 2, APPEND: 4, CREAT: 8, TRUNC: 16, EXCL: 32 } as const

/** Which attributes are there (draft, section 5). */
export const ATTR = { SIZE: 1, UIDGID: 2, PERMISSIONS: 4, ACMODTIME: 8, EXTENDED: 0x80000000 } as const

/** What OpenSSH's server takes at most; a longer packet ends the channel. Bytes behind the length field. */
export const MOST_PACKET = 256 * 1024

/** A peer that doesn't speak SFTP, or not as it should: the channel ends. The message says what was wrong. */
export class Malformed extends Error {
  override name = 'Malformed'
}

/** Cuts a stream into packets. What it hands on is whole, and may be kept. */
export class Framer {
  readonly #most: number
  #parts: Buffer[] = []
  #have = 0
  /** Bytes of the packet that is under way, its length field included; 0: not known yet. */
  #want = 0

  /** @param most bytes of the longest packet, without its length field */
  constructor(most = MOST_PACKET) {
    this.#most = most
  }

  /** Whether a packet has begun and not ended. */
  get midPacket(): boolean {
    return this.#have > 0
  }

  /** @throws Malformed for a length that can't be; nothing may be pushed after that */
  push(chunk: Buffer, packet: (packet: Buffer) => void): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#have === 0) {
        // Most packets lie in one chunk whole: no copy.
        const left = chunk.length - at
        const want = left >= 4 ? this.#length(chunk.readUInt32BE(at)) : 0
        if (want > 0 && left >= want) {
          packet(chunk.subarray(at, at + want))
          at += want
          continue
        }
      }
      const need = (this.#want || 4) - this.#have
      const part = chunk.subarray(at, at + need)
      this.#parts.push(part)
      this.#have += part.length
      at += part.length
      if (part.length < need) return
      if (this.#want === 0) {
        const head = Buffer.concat(this.#parts)
        this.#parts = [head]
        this.#want = this.#length(head.readUInt32BE(0))
        continue
      }
      const whole = Buffer.concat(this.#parts, this.#want)
      this.#parts = []
      this.#have = 0
      this.#want = 0
      packet(whole)
    }
  }

  #length(length: number): number {
    if (length < 1) throw new Malformed('a packet without a type')
    if (length > this.#most) throw new Malformed(`a packet of ${length} bytes, where ${this.#most} are the most`)
    return 4 + length
  }
}

/** Reads the fields of a packet one after the other. @throws Malformed where they are not all there */
export class Fields {
  readonly packet: Buffer
  at: number

  constructor(packet: Buffer, at = 5) {
    this.packet = packet
    this.at = at
  }

  get done(): boolean {
    return this.at === this.packet.length
  }

  u32(): number {
    const at = this.#take(4)
    return this.packet.readUInt32BE(at)
  }

  u64(): bigint {
    const at = this.#take(8)
    return this.packet.readBigUInt64BE(at)
  }

  /** A file's offset or size as a number. @throws Malformed past 2^53 */
  offset(): number {
    const at = this.#take(8)
    const high = this.packet.readUInt32BE(at)
    if (high >= 0x200000) throw new Malformed('an offset past what files can have')
    return high * 0x1_0000_0000 + this.packet.readUInt32BE(at + 4)
  }

  bytes(): Buffer {
    const length = this.u32()
    const at = this.#take(length)
    return this.packet.subarray(at, at + length)
  }

  /** A protocol's word; bytes that are no ASCII make it none that is known. */
  word(): string {
    return this.bytes().toString('latin1')
  }

  attributes(): Attributes {
    const begin = this.at
    const flags = this.u32()
    if ((flags & ~(ATTR.SIZE | ATTR.UIDGID | ATTR.PERMISSIONS | ATTR.ACMODTIME | ATTR.EXTENDED)) !== 0)
      throw new Malformed('attributes that version 3 does not have')
    const size = flags & ATTR.SIZE ? this.u64() : undefined
    const owner = flags & ATTR.UIDGID ? { uid: this.u32(), gid: this.u32() } : undefined
    const mode = flags & ATTR.PERMISSIONS ? this.u32() : undefined
    const times = flags & ATTR.ACMODTIME ? { accessed: this.u32(), modified: this.u32() } : undefined
    const more = (flags & ATTR.EXTENDED) !== 0
    if (more) for (let left = this.u32(); left > 0; left--) this.#pair()
    return {
      ...(size !== undefined && { size }),
      ...(owner && { owner }),
      ...(mode !== undefined && { mode }),
      ...(times && { times }),
      more,
      raw: this.packet.subarray(begin, this.at),
    }
  }

  #pair(): void {
    this.bytes()
    this.bytes()
  }

  /** @throws Malformed where something is left */
  end(): void {
    if (!this.done) throw new Malformed('a packet with bytes behind its end')
  }

  #take(count: number): number {
    const at = this.at
    if (count > this.packet.length - at) throw new Malformed('a packet that ends too early')
    this.at = at + count
    return at
  }
}

export interface Attributes {
  size?: bigint
  owner?: { uid: number; gid: number }
  /** Type and permissions, as stat(2) has them. */
  mode?: number
  /** Seconds since 1970. */
  times?: { accessed: number; modified: number }
  /** Whether there are extended ones, which are not read. */
  more: boolean
  /** As they stand in the packet. */
  raw: Buffer
}

export const idOf = (packet: Buffer): number => {
  if (packet.length < 9) throw new Malformed('a packet without an id')
  return packet.readUInt32BE(5)
}

/** The same packet, under another id; nothing is copied. */
export const underId = (packet: Buffer, id: number): Buffer => {
  packet.writeUInt32BE(id, 5)
  return packet
}

type Field = string | Buffer | number

/** A packet with an id; a number is four bytes, text and bytes have their length before them. */
export function packet(type: number, id: number, ...fields: Field[]): Buffer {
  return framed(type, [u32(id), ...fields.flatMap(encoded)])
}

/** Like `packet`, with bytes behind the fields that stand for themselves (attributes, 64-bit numbers). */
export function packetWith(type: number, id: number, fields: Field[], raw: Buffer): Buffer {
  return framed(type, [u32(id), ...fields.flatMap(encoded), raw])
}

/** INIT and VERSION, with extensions as pairs. */
export function greeting(
  type: number,
  version: number,
  extensions: readonly (readonly [string, string])[] = [],
): Buffer {
  return framed(type, [u32(version), ...extensions.flat().flatMap(encoded)])
}

export const status = (id: number, code: number, message: string): Buffer => packet(FXP.STATUS, id, code, message, '')

function framed(type: number, parts: Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 1)
  const head = Buffer.allocUnsafe(5)
  head.writeUInt32BE(length, 0)
  head[4] = type
  return Buffer.concat([head, ...parts], 4 + length)
}

function encoded(field: Field): Buffer[] {
  if (typeof field === 'number') return [u32(field)]
  const bytes = typeof field === 'string' ? Buffer.from(field) : field
  return [u32(bytes.length), bytes]
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}
