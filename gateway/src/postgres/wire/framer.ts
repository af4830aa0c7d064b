/** What becomes of a message, told from its header alone. */
export const RELAY = 0 // its bytes go on as they come, whatever the size
export const DROP = 1 // its bytes are skipped as they come
export const WHOLE = 2 // it is collected and shown to `message`
export type Take = typeof RELAY | typeof DROP | typeof WHOLE

export interface FrameReader {
  /**
   * Asked once a message has begun, before any of its body is kept, so that a bound can be set by throwing.
   * @param length bytes of the whole message, its type byte and length field included
   * @throws ProtocolViolation for a message that must not come
   */
  header(type: number, length: number): Take
  /**
   * A whole message, type byte and length field included. Answers whether it goes on as it is. With a promise nothing
   * behind it is looked at until it settles.
   *
   * Where chunks are lent (`push`), so is the frame, unless `keeps` is set: what is kept of it beyond the call must be
   * copied, and the answer must not be a promise.
   */
  message(type: number, frame: Buffer): boolean | Promise<boolean>
  /** Whether `message` may keep frames and answer with promises: then it is shown copies of what is lent. */
  readonly keeps?: boolean
  /** Bytes that go on: as long a run of neighbours as possible. */
  relay(bytes: Buffer): void
  /** What a promise of `message` rejected with, or what was thrown while the bytes behind it were looked at. */
  failed(error: unknown): void
}

/** The peer doesn't speak the protocol: the connection can't go on. */
export class ProtocolViolation extends Error {
  override name = 'ProtocolViolation'
}

/**
 * Cuts a stream into PostgreSQL messages (type byte, length, body) without copying what lies whole in one chunk.
 * https://www.postgresql.org/docs/18/protocol-overview.html
 */
export class Framer {
  readonly #reader: FrameReader
  /** Chunks that came while a message was waited for. */
  #queue: Buffer[] = []
  #queued = 0
  #waiting = false
  #running = false
  /** The chunk that is read is somebody else's once it is read. */
  #lent = false
  /** Bytes still to come of a message that is relayed or dropped as it comes. */
  #passing = 0
  #dropping = false
  /** Beginning of a message whose rest hasn't come. */
  #parts: Buffer[] = []
  #have = 0
  #need = 0
  /** Where `read` is, while it asks `message`. */
  #buffer: Buffer = Buffer.alloc(0)
  #span = 0
  #at = 0

  constructor(reader: FrameReader) {
    this.#reader = reader
  }

  /** Bytes kept here because a message is waited for. */
  get queued(): number {
    return this.#queued
  }

  /** Whether nothing is waited for and every byte has been looked at. */
  get settled(): boolean {
    return !this.#waiting && this.#queue.length === 0
  }

  /** Whether part of a message has gone on and the rest has not: nothing may be put in between. */
  get midMessage(): boolean {
    return this.#passing > 0 && !this.#dropping
  }

  /**
   * @param lent whether the chunk's memory is used for other things once this returns
   * @throws what `header` and `message` throw
   */
  push(chunk: Buffer, lent = false): void {
    if (lent && !this.#waiting && this.#queue.length === 0) {
      this.#lent = true
      this.#read(chunk)
      this.#lent = false
      return
    }
    if (!this.#waiting && !this.#running && this.#queue.length === 0) {
      this.#read(chunk)
      return
    }
    this.#queue.push(lent ? Buffer.from(chunk) : chunk)
    this.#queued += chunk.length
    this.#run()
  }

  #run(): void {
    if (this.#running) return
    this.#running = true
    try {
      while (!this.#waiting && this.#queue.length > 0) {
        const chunk = this.#queue.shift()!
        this.#queued -= chunk.length
        this.#read(chunk)
      }
    } finally {
      this.#running = false
    }
  }

  #read(chunk: Buffer): void {
    const reader = this.#reader
    let buffer = chunk
    if (this.#have > 0) {
      this.#have += buffer.length
      const whole = this.#have >= this.#need
      this.#parts.push(whole ? buffer : this.#own(buffer))
      if (!whole) return
      buffer = Buffer.concat(this.#parts, this.#have)
      this.#parts = []
      this.#have = 0
    }
    const end = buffer.length
    let span = 0 // bytes from here to `at` go on
    let at = 0
    while (at < end) {
      if (this.#passing > 0) {
        const take = Math.min(this.#passing, end - at)
        this.#passing -= take
        if (this.#dropping) {
          if (at > span) reader.relay(buffer.subarray(span, at))
          span = at + take
        }
        at += take
        continue
      }
      const left = end - at
      if (left < 5) {
        if (at > span) reader.relay(buffer.subarray(span, at))
        this.#keep(buffer.subarray(at), 5)
        return
      }
      const type = buffer[at]!
      const length = buffer.readUInt32BE(at + 1) + 1
      if (length < 5) throw new ProtocolViolation('a message claims a length that no message has')
      const take = reader.header(type, length)
      if (take !== WHOLE) {
        this.#passing = length
        this.#dropping = take === DROP
        continue
      }
      if (left < length) {
        if (at > span) reader.relay(buffer.subarray(span, at))
        this.#keep(buffer.subarray(at), length)
        return
      }
      const frame = length === 5 ? bare(type) : this.#shown(buffer.subarray(at, at + length))
      this.#buffer = buffer
      this.#span = span
      this.#at = at
      const goesOn = reader.message(type, frame)
      span = this.#span
      if (goesOn === true) {
        at += length
        continue
      }
      if (at > span) reader.relay(buffer.subarray(span, at))
      this.#at = this.#span // nothing is left for `flush`
      at += length
      span = at
      if (goesOn !== false) {
        if (this.#lent && !reader.keeps) throw new Error('a lent message was waited for')
        this.#await(goesOn, frame, this.#own(buffer.subarray(at)))
        return
      }
    }
    if (at > span) reader.relay(buffer.subarray(span, at))
    this.#at = 0
    this.#span = 0
  }

  /** To be called by `message` before it writes something of its own: relays what came before that message. */
  flush(): void {
    if (this.#at > this.#span) this.#reader.relay(this.#buffer.subarray(this.#span, this.#at))
    this.#span = this.#at
  }

  #keep(rest: Buffer, need: number): void {
    this.#parts = [this.#own(rest)]
    this.#have = rest.length
    this.#need = need
  }

  /** A frame as `message` is shown it. */
  #shown(frame: Buffer): Buffer {
    return this.#lent && this.#reader.keeps ? Buffer.from(frame) : frame
  }

  /** What may be kept: where it was lent, a copy. */
  #own(bytes: Buffer): Buffer {
    return this.#lent ? Buffer.from(bytes) : bytes
  }

  #await(goesOn: Promise<boolean>, frame: Buffer, rest: Buffer): void {
    this.#waiting = true
    if (rest.length > 0) {
      this.#queue.unshift(rest)
      this.#queued += rest.length
    }
    goesOn
      .then((relay) => {
        this.#waiting = false
        if (relay) this.#reader.relay(frame)
        this.#run()
      })
      .catch((error) => this.#reader.failed(error))
  }
}

/** Messages without a body are all alike. */
const bodiless: (Buffer | undefined)[] = new Array(256).fill(undefined)

function bare(type: number): Buffer {
  let frame = bodiless[type]
  if (!frame) {
    frame = Buffer.from([type, 0, 0, 0, 4])
    bodiless[type] = frame
  }
  return frame
}
