import { createHmac, randomBytes } from 'node:crypto'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { RecordingHeader, RecordingLine } from '@countersign/contract/recording'
import { z } from 'zod'
import { ConsoleError } from '../../../console-api.ts'
import { ChunkFile } from './chunk-file.ts'
import { LineIndex } from './line-index.ts'
import { readSealed, writeSealed } from './sealed-file.ts'
import { createSealer, Damaged, type Sealer } from './sealing.ts'

/**
 * A recording on this machine. Its lines lie as they came in a file of sealed chunks of some 256 KiB, the last ones
 * (less than a chunk) in the index; the index, sealed as one piece and exchanged as a whole, says which chunks there
 * are, where lines begin, and what the timeline shows. What the index doesn't name isn't there.
 *
 * What the index holds, packed: four lengths (uint32, little endian), then meta (JSON), columns, lines, tail.
 */
export interface RecordingPlace {
  /** `NAME.index`; chunks lie beside it in NAME.EDITION.chunks, which the index names. */
  index: string
  /** Which recording of which gateway it is: bound into its key. */
  about: string
  session: string
}

export const chunkBytes = 256 * 1024
/** Past this a line is no line of a gateway's. */
const longestLine = 256 * 1024 * 1024
const cachedBytes = 8 * 1024 * 1024

const Meta = z.object({
  file: z.string().regex(/^[0-9a-f]+\.[0-9a-f]{12}\.chunks$/),
  chunks: z.array(
    z.object({
      at: z.number(),
      stored: z.number(),
      from: z.number(),
      length: z.number(),
      seal: z.string(),
      first: z.number(),
    }),
  ),
  header: RecordingHeader.optional(),
  ended: z.boolean(),
  tail: z.object({ first: z.number() }),
  names: z.object({
    labels: z.array(z.string()),
    open: z.array(z.tuple([z.string(), z.number()])),
    settled: z.array(z.tuple([z.string(), z.number()])),
    length: z.number(),
    channels: z
      .array(
        z.object({
          id: z.string(),
          kind: z.enum(['exec', 'shell', 'sftp']),
          terminal: z.boolean(),
          step: z.number(),
          line: z.number(),
          exit: z.number(),
          from: z.number(),
          to: z.number(),
          frames: z.number(),
          head: z.number(),
          code: z.number().optional(),
          signal: z.string().optional(),
        }),
      )
      .optional(),
  }),
})
type Meta = z.infer<typeof Meta>

/** A run of whole lines, the first one being line number `first`. */
interface Block {
  first: number
  bytes: Buffer
  starts: number[]
}

export class RecordingFile {
  readonly #place: RecordingPlace
  readonly #sealer: Sealer
  readonly #salt: Buffer
  readonly #file: string
  readonly #chunks: ChunkFile
  /** Number of the first line of each chunk. */
  readonly #firsts: number[]
  readonly #index: LineIndex
  readonly #cache = new Map<number, Block>()
  #cached = 0
  #tail: Buffer[]
  #tailBytes: number
  #tailFirst: number
  #tailBlock: Block | undefined
  /** What came of a line that isn't whole yet. */
  #begun: Buffer[] = []
  #begunBytes = 0
  #saved = true
  #savedBytes = 0
  #turn: Promise<unknown> = Promise.resolve()
  header: RecordingHeader | undefined
  /** Whether its last line is there. */
  ended: boolean

  private constructor(
    place: RecordingPlace,
    sealer: Sealer,
    salt: Buffer,
    chunks: ChunkFile,
    meta: Pick<Meta, 'file' | 'header' | 'ended' | 'tail'> & { firsts: number[] },
    index: LineIndex,
    tail: Buffer,
  ) {
    this.#place = place
    this.#sealer = sealer
    this.#salt = salt
    this.#file = meta.file
    this.#chunks = chunks
    this.#firsts = meta.firsts
    this.#index = index
    this.#tail = tail.length > 0 ? [tail] : []
    this.#tailBytes = tail.length
    this.#tailFirst = meta.tail.first
    this.header = meta.header
    this.ended = meta.ended
    this.#savedBytes = this.bytes
  }

  static async create(place: RecordingPlace, key: Buffer): Promise<RecordingFile> {
    const salt = randomBytes(32)
    const sealer = createSealer(key, salt, place.about)
    const folder = dirname(place.index)
    const name = basename(place.index, '.index')
    const file = `${name}.${randomBytes(6).toString('hex')}.chunks`
    await rm(place.index, { force: true })
    for (const old of await readdir(folder))
      if (old.startsWith(`${name}.`) && /\.(chunks|beside)$/.test(old)) await rm(join(folder, old), { force: true })
    const chunks = await ChunkFile.open(join(folder, file), sealer, [])
    const meta = { file, header: undefined, ended: false, tail: { first: 0 }, firsts: [] }
    return new RecordingFile(place, sealer, salt, chunks, meta, new LineIndex(), Buffer.alloc(0))
  }

  /**
   * Opens what is there; reads the index and none of the chunks.
   * @returns undefined where there is none  @throws Damaged
   */
  static async open(place: RecordingPlace, key: Buffer): Promise<RecordingFile | undefined> {
    const sealed = await readSealed(place.index, key, place.about)
    if (!sealed) return undefined
    const { salt, sealer } = sealed
    let meta: Meta
    let index: LineIndex
    let tail: Buffer
    try {
      const [json, columns, lines, last] = parted(zstdDecompressSync(sealed.plain))
      meta = Meta.parse(JSON.parse(json!.toString()))
      index = new LineIndex({ columns: columns!, lines: lines!, rest: meta.names })
      tail = last!
    } catch (error) {
      throw new Damaged(`its index is not understood: ${(error as Error).message}`)
    }
    const chunks = await ChunkFile.open(join(dirname(place.index), meta.file), sealer, meta.chunks)
    const firsts = meta.chunks.map(({ first }) => first)
    return new RecordingFile(place, sealer, salt, chunks, { ...meta, firsts }, index, tail)
  }

  /** Another one under the same name is another edition: what a reader has of the index is of no use then. */
  get edition(): string {
    return this.#file.split('.')[1]!
  }
  get index(): LineIndex {
    return this.#index
  }
  /** Bytes of its whole lines; what follows comes next. */
  get bytes(): number {
    return this.#chunks.length + this.#tailBytes
  }
  /** Bytes on disk, but for the index. */
  get stored(): number {
    return this.#chunks.stored + this.#tailBytes
  }
  /** Bytes that would be gone, and have to be fetched again, where this process ended now. */
  get unsaved(): number {
    return this.bytes - this.#savedBytes
  }
  get lastSeq(): number {
    return Math.max(0, this.#index.lines - 1)
  }

  /**
   * Takes the bytes that follow, in any cut. Each line is checked before it counts: its form, its number, its session.
   * @throws ConsoleError bad-recording; what came before the bad line is kept
   */
  append(bytes: Buffer): Promise<void> {
    return this.#inTurn(() => this.#append(bytes))
  }

  async #append(bytes: Buffer): Promise<void> {
    let from = 0
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, from)) {
      const rest = bytes.subarray(from, at + 1)
      const line = this.#begunBytes > 0 ? Buffer.concat([...this.#begun, rest]) : rest
      this.#begun = []
      this.#begunBytes = 0
      from = at + 1
      this.#take(line)
      if (this.#tailBytes >= chunkBytes) await this.#cut()
    }
    if (from === bytes.length) return
    this.#begun.push(Buffer.from(bytes.subarray(from)))
    this.#begunBytes += bytes.length - from
    if (this.#begunBytes > longestLine) throw this.#bad('is longer than any that a gateway writes')
  }

  #take(bytes: Buffer): void {
    const line = this.#parse(bytes)
    if (this.ended) throw this.#bad('follows its end')
    if (line.type === 'header') {
      if (this.#index.lines > 0) throw this.#bad('is a second header')
      if (line.session !== this.#place.session) throw this.#bad(`is of another session, ${line.session}`)
      this.header = line
    } else if (this.#index.lines === 0) throw this.#bad('is no header')
    else if (line.seq !== this.#index.lines) throw this.#bad(`has the number ${line.seq}`)
    this.#index.add(line)
    this.#tail.push(Buffer.from(bytes))
    this.#tailBytes += bytes.length
    this.#tailBlock = undefined
    this.#saved = false
    if (line.type === 'end') this.ended = true
  }

  #parse(bytes: Buffer): RecordingLine {
    let value: unknown
    try {
      value = JSON.parse(bytes.toString('utf8'))
    } catch {
      throw this.#bad('is damaged')
    }
    const parsed = RecordingLine.safeParse(value)
    if (!parsed.success) throw this.#bad('is not understood')
    return parsed.data
  }

  #bad(what: string): ConsoleError {
    return new ConsoleError('bad-recording', `Line ${this.#index.lines + 1} of this recording ${what}.`)
  }

  /** What was begun of a line is forgotten: the connection broke, and goes on behind the last whole one. */
  forgetBegun(): void {
    this.#begun = []
    this.#begunBytes = 0
  }

  async #cut(): Promise<void> {
    if (this.#tailBytes === 0) return
    await this.#chunks.append(Buffer.concat(this.#tail))
    this.#firsts.push(this.#tailFirst)
    this.#tailFirst = this.#index.lines
    this.#tail = []
    this.#tailBytes = 0
    this.#tailBlock = undefined
  }

  /** Everything so far is on disk then, whatever happens; at the end of the recording its last chunk is cut. */
  save(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#saved) return
      if (this.ended) await this.#cut()
      await this.#chunks.sync()
      const { columns, lines, rest } = this.#index.save()
      const meta: Meta = {
        file: this.#file,
        chunks: this.#chunks.chunks.map((chunk, i) => ({ ...chunk, first: this.#firsts[i]! })),
        header: this.header,
        ended: this.ended,
        tail: { first: this.#tailFirst },
        names: rest,
      }
      const parts = [Buffer.from(JSON.stringify(meta)), columns, lines, Buffer.concat(this.#tail)]
      await writeSealed(this.#place.index, this.#salt, this.#sealer, zstdCompressSync(joined(parts)))
      this.#saved = true
      this.#savedBytes = this.bytes
    })
  }

  /** Lines by their numbers (rising; the header is 0), none but those. @throws Damaged */
  async lines(numbers: ArrayLike<number>): Promise<RecordingLine[]> {
    const found: RecordingLine[] = []
    let block: Block | undefined
    for (let i = 0; i < numbers.length; i++) {
      const number = numbers[i]!
      if (!block || number < block.first || number >= block.first + block.starts.length - 1)
        block = await this.#blockOf(number)
      found.push(JSON.parse(textOf(block, number)) as RecordingLine)
    }
    return found
  }

  /** How long a line is, as far as that can be told without reading more than its chunk. */
  async lengthOf(number: number): Promise<number> {
    const { first, starts } = await this.#blockOf(number)
    return starts[number - first + 1]! - starts[number - first]!
  }

  /** Which chunk a line is in: how many must be opened for a run of lines. */
  placeOf(number: number): number {
    if (number >= this.#tailFirst) return this.#firsts.length
    let low = 0
    for (let high = this.#firsts.length; low < high; ) {
      const middle = (low + high) >> 1
      if (this.#firsts[middle]! <= number) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Runs of whole lines, from the first on: not kept in memory. @throws Damaged */
  async *blocks(): AsyncGenerator<Block> {
    const count = this.#chunks.chunks.length
    for (let i = 0; i < count; i++) yield this.#cache.get(i) ?? blockOf(this.#firsts[i]!, await this.#chunks.read(i))
    if (this.#chunks.chunks.length === count) yield this.#lastBlock()
  }

  async #blockOf(number: number): Promise<Block> {
    if (number < 0 || number >= this.#index.lines) throw new RangeError(`there is no line ${number}`)
    if (number >= this.#tailFirst) return this.#lastBlock()
    const i = this.placeOf(number)
    const known = this.#cache.get(i)
    if (known) {
      this.#cache.delete(i)
      this.#cache.set(i, known)
      return known
    }
    const block = blockOf(this.#firsts[i]!, await this.#chunks.read(i))
    this.#cache.set(i, block)
    this.#cached += block.bytes.length
    for (const [old, { bytes }] of this.#cache) {
      if (this.#cached <= cachedBytes || old === i) break
      this.#cache.delete(old)
      this.#cached -= bytes.length
    }
    return block
  }

  #lastBlock(): Block {
    this.#tailBlock ??= blockOf(this.#tailFirst, Buffer.concat(this.#tail))
    return this.#tailBlock
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => {})
    return mine
  }

  /** Closes it without saving. */
  async close(): Promise<void> {
    await this.#turn
    await this.#chunks.close()
  }

  /** Keeps something that was made of this recording, and can be made of it again. */
  async keepBeside(name: string, plain: Uint8Array): Promise<void> {
    const path = this.#beside(name)
    const sealed = this.#sealer.seal(zstdCompressSync(plain), `beside\n${this.edition}\n${name}`)
    await writeFile(`${path}.new`, sealed, { mode: 0o600 })
    await rename(`${path}.new`, path)
  }

  /** What was kept under that name; undefined where nothing was, or where it doesn't open any more. */
  async besides(name: string): Promise<Buffer | undefined> {
    try {
      const sealed = await readFile(this.#beside(name))
      return zstdDecompressSync(this.#sealer.open(sealed, `beside\n${this.edition}\n${name}`))
    } catch {
      return undefined
    }
  }

  #beside(name: string): string {
    const hidden = createHmac('sha256', this.#salt).update(name).digest('hex').slice(0, 16)
    return join(dirname(this.#place.index), `${this.#file.slice(0, -'chunks'.length)}${hidden}.beside`)
  }

  /** Takes it from the disk; it is closed then. */
  async remove(): Promise<void> {
    await this.close()
    const folder = dirname(this.#place.index)
    await rm(this.#place.index, { force: true })
    const own = this.#file.slice(0, -'chunks'.length)
    for (const file of await readdir(folder).catch(() => []))
      if (file.startsWith(own)) await rm(join(folder, file), { force: true })
  }
}

function joined(parts: Uint8Array[]): Buffer {
  const lengths = Buffer.alloc(4 * parts.length)
  for (const [i, part] of parts.entries()) lengths.writeUInt32LE(part.length, 4 * i)
  return Buffer.concat([lengths, ...parts])
}

function parted(bytes: Buffer): Buffer[] {
  let at = 16
  return [0, 4, 8, 12].map((place) => {
    const length = bytes.readUInt32LE(place)
    at += length
    return bytes.subarray(at - length, at)
  })
}

function blockOf(first: number, bytes: Buffer): Block {
  const starts = [0]
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) starts.push(at + 1)
  return { first, bytes, starts }
}

/** The text of a line of a block. */
export function textOf({ first, bytes, starts }: Block, number: number): string {
  return bytes.toString('utf8', starts[number - first], starts[number - first + 1])
}
