import { utf8 } from './encoding.ts'
import { LedgerError } from './errors.ts'

/**
 * The one form of POSIX tar (IEEE 1003.1, pax, "ustar Interchange Format") that bundles have: regular files only, mode
 * 0644, user, group and time 0, in the given order, then two blocks of zeroes and nothing more. `tar -xf` reads it; the
 * same members make the same bytes; and since a header has no other spelling, the reader refuses everything else (links,
 * devices, sparse files, pax records, long names, another checksum, bytes after the end) by comparing it with its own.
 */

const BLOCK = 512
/** The length is written as 11 octal digits. */
const MAX_LENGTH = 8 ** 11 - 1

export interface TarLimits {
  members: number
  /** Of one member. */
  bytes: number
}

/** Of a bundle with a day's session or a campaign of 10,000 items in it; a caller who knows more may allow more. */
export const defaultLimits: TarLimits = { members: 400_000, bytes: 2 * 1024 ** 3 }

/** A name that means the same file on every system: letters, digits, `._-`, no hidden, empty or relative parts, at most 99 characters. */
export function isMemberName(name: string): boolean {
  return (
    name.length <= 99 &&
    /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/.test(name) &&
    !name.split('/').some((part) => part.endsWith('.') || /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(part))
  )
}

/** The header block of a member. @throws LedgerError `malformed-bundle` for a name or length that we don't write */
export function tarHeader(name: string, length: number): Uint8Array {
  if (!isMemberName(name)) throw new LedgerError('malformed-bundle', `"${name}" is no name for a member of a bundle`)
  if (!Number.isSafeInteger(length) || length < 0 || length > MAX_LENGTH)
    throw new LedgerError('malformed-bundle', `${name} can't have ${length} bytes`)
  const header = new Uint8Array(BLOCK)
  const put = (at: number, text: string) => header.set(utf8(text), at)
  put(0, name)
  put(100, '0000644\0')
  put(108, '0000000\0')
  put(116, '0000000\0')
  put(124, `${length.toString(8).padStart(11, '0')}\0`)
  put(136, '00000000000\0')
  put(148, '        ')
  put(156, '0')
  put(257, 'ustar\0')
  put(263, '00')
  put(329, '0000000\0')
  put(337, '0000000\0')
  const sum = header.reduce((total, byte) => total + byte, 0)
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `)
  return header
}

export interface TarMember {
  name: string
  length: number
  bytes: Uint8Array | AsyncIterable<Uint8Array>
}

/** @throws LedgerError `malformed-bundle` where a member is not as long as it said, or a name comes twice */
export async function* writeTar(members: Iterable<TarMember> | AsyncIterable<TarMember>): AsyncGenerator<Uint8Array> {
  const names = new Set<string>()
  for await (const { name, length, bytes } of members) {
    if (names.has(name.toLowerCase())) throw new LedgerError('malformed-bundle', `there are two members ${name}`)
    names.add(name.toLowerCase())
    yield tarHeader(name, length)
    let written = 0
    for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
      written += chunk.length
      if (written > length) break
      yield chunk
    }
    if (written !== length)
      throw new LedgerError(
        'malformed-bundle',
        `${name} was to have ${length} bytes, it has ${written > length ? 'more' : written}`,
      )
    if (length % BLOCK > 0) yield new Uint8Array(BLOCK - (length % BLOCK))
  }
  yield new Uint8Array(2 * BLOCK)
}

export interface ReadMember {
  name: string
  length: number
  /** Where it begins in the file. */
  offset: number
  /** To be read, or left, before the next member is asked for. */
  body: AsyncIterable<Uint8Array>
}

/**
 * The members of a bundle in their order, streaming.
 * @throws LedgerError `malformed-bundle`, its message naming the byte, for everything that writeTar does not write
 */
export async function* readTar(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  limits: TarLimits = defaultLimits,
): AsyncGenerator<ReadMember> {
  const input = new Input(source)
  const names = new Set<string>()
  for (;;) {
    const offset = input.position
    const header = await input.take(BLOCK)
    if (header.length < BLOCK) throw refuse(offset + header.length, 'the file ends without the end of an archive')
    if (header.every((byte) => byte === 0)) return await end(input)
    const { name, length } = parseHeader(header, offset)
    if (names.has(name.toLowerCase())) throw refuse(offset, `it has a second member ${name}`)
    names.add(name.toLowerCase())
    if (names.size > limits.members) throw refuse(offset, `it has more than ${limits.members} members`)
    if (length > limits.bytes) throw refuse(offset, `${name} has ${length} bytes, more than ${limits.bytes}`)
    const body = new Body(input, name, length)
    yield { name, length, offset, body }
    await body.skip()
    const padding = await input.take((BLOCK - (length % BLOCK)) % BLOCK)
    if (padding.length !== (BLOCK - (length % BLOCK)) % BLOCK) throw refuse(input.position, `the file ends in ${name}`)
    if (padding.some((byte) => byte !== 0)) throw refuse(input.position, `something is hidden after the end of ${name}`)
  }
}

async function end(input: Input): Promise<void> {
  const at = input.position
  const second = await input.take(BLOCK)
  if (second.length < BLOCK || second.some((byte) => byte !== 0))
    throw refuse(at, 'the archive is not ended by two blocks of zeroes')
  if ((await input.take(1)).length > 0) throw refuse(input.position - 1, 'something follows the end of the archive')
}

function parseHeader(header: Uint8Array, offset: number): { name: string; length: number } {
  const text = (at: number, width: number) => String.fromCharCode(...header.subarray(at, at + width)).split('\0')[0]!
  const name = text(0, 100)
  const type = String.fromCharCode(header[156]!)
  if (type !== '0')
    throw refuse(
      offset,
      `a member is no regular file (type "${type}"): links, devices, sparse files and extensions are refused`,
    )
  if (!isMemberName(name))
    throw refuse(offset, `"${name}" is no name for a member: it could be written elsewhere, or mean two files`)
  const size = text(124, 12)
  if (!/^[0-7]{11}$/.test(size)) throw refuse(offset, `the length of ${name} is no number`)
  const length = Number.parseInt(size, 8)
  const expected = tarHeader(name, length)
  const differs = header.findIndex((byte, at) => byte !== expected[at])
  if (differs >= 0) throw refuse(offset + differs, `the header of ${name} is not as a bundle's is written`)
  return { name, length }
}

class Body implements AsyncIterable<Uint8Array> {
  readonly #input: Input
  readonly #name: string
  #left: number

  constructor(input: Input, name: string, length: number) {
    this.#input = input
    this.#name = name
    this.#left = length
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      const chunk = await this.#input.some(this.#left)
      if (chunk.length === 0) throw refuse(this.#input.position, `the file ends in ${this.#name}`)
      this.#left -= chunk.length
      yield chunk
    }
  }

  async skip(): Promise<void> {
    for await (const _ of this);
  }
}

/** Bytes of a stream, by number. */
class Input {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #chunk = new Uint8Array(0)
  position = 0

  constructor(source: Uint8Array | AsyncIterable<Uint8Array>) {
    this.#chunks = source instanceof Uint8Array ? [source][Symbol.iterator]() : source[Symbol.asyncIterator]()
  }

  /** What there is, at least one byte and at most `most`; none at the end. */
  async some(most: number): Promise<Uint8Array> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next()
      if (next.done) return this.#chunk
      this.#chunk = next.value as Uint8Array<ArrayBuffer>
    }
    const taken = this.#chunk.subarray(0, most)
    this.#chunk = this.#chunk.subarray(taken.length)
    this.position += taken.length
    return taken
  }

  /** Exactly `length` bytes, fewer at the end only. */
  async take(length: number): Promise<Uint8Array> {
    const first = await this.some(length)
    if (first.length === length) return first
    const whole = new Uint8Array(length)
    whole.set(first)
    let at = first.length
    while (at < length) {
      const next = await this.some(length - at)
      if (next.length === 0) break
      whole.set(next, at)
      at += next.length
    }
    return whole.subarray(0, at)
  }
}

/** A member in memory. @throws LedgerError where it is longer than `most` */
export async function readBody(member: ReadMember, most: number): Promise<Uint8Array> {
  if (member.length > most) throw refuse(member.offset, `${member.name} has ${member.length} bytes, more than ${most}`)
  const whole = new Uint8Array(member.length)
  let at = 0
  for await (const chunk of member.body) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

const refuse = (at: number, why: string) =>
  new LedgerError('malformed-bundle', `this is no bundle as we write them: at byte ${at}, ${why}`, at)
