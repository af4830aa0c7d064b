import { createReadStream, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createZstdDecompress } from 'node:zlib'
import type { Findings } from '@countersign/contract/ledger/findings'
import type { RecordingReader } from '@countersign/contract/ledger/recordings-verify'
import Database from 'better-sqlite3'

/** Sealed recordings that are unpacked at a time; of more, those that were asked for longest ago are unpacked onto disk. */
const OPEN = 32

/** The recordings of a data folder, plain or sealed, for verification: bounded memory, whatever their number and size. */
export class RecordingFiles implements RecordingReader, AsyncDisposable {
  readonly #data: string
  readonly #found: Findings
  readonly #onBytes: (session: string, bytes: Uint8Array) => void
  /** Session → path, on disk: there may be millions. */
  readonly #paths = new Database('')
  readonly #pathOf: Database.Statement<unknown[]>
  readonly #streams = new Map<string, Unpacking>()
  /** Recordings that were unpacked onto disk, since they were asked for in turns with too many others. */
  readonly #onDisk = new Map<string, string>()
  readonly #lengths = new Map<string, number>()
  #folder: string | undefined

  /** @param onBytes is given all bytes that are read of a recording, in their order */
  constructor(data: string, found: Findings, onBytes: (session: string, bytes: Uint8Array) => void) {
    this.#data = data
    this.#found = found
    this.#onBytes = onBytes
    this.#paths.exec('create table paths (session text primary key, path text, day text) without rowid')
    this.#pathOf = this.#paths.prepare('select path from paths where session = ?').pluck()
  }

  /** Finds all recordings. */
  async look(): Promise<void> {
    const insert = this.#paths.prepare('insert or ignore into paths values (?, ?, ?)')
    const root = join(this.#data, 'recordings')
    for await (const path of filesIn(root)) {
      const name = relative(root, path).split(/[\\/]/).join('/')
      const match = /^(\d{4})\/(\d\d)\/(\d\d)\/(se_[a-z2-7]+)\.ndjson(\.zst)?$/.exec(name)
      // What was cut off a torn recording, what was being sealed when the gateway was killed, and what isn't ours.
      if (!match) continue
      const [, year, month, day, session, sealed] = match
      // As long as the plain one is there it is the truth (sessions/recording.ts).
      if (sealed && existsSync(path.slice(0, -'.zst'.length))) continue
      if (insert.run(session, path, `${year}-${month}-${day}`).changes === 0)
        this.#found.wrong(
          'recording-twice',
          { recording: session! },
          `there are two recordings of session ${session}; one is recordings/${name}`,
        )
    }
  }

  async length(session: string): Promise<number | undefined> {
    const path = this.#path(session)
    if (path === undefined) return undefined
    const known = this.#lengths.get(session)
    if (known !== undefined) return known
    if (!path.endsWith('.zst')) {
      const size = await whilePlain(() => sizeOf(path))
      if (size !== undefined) return size
      if (await this.#isSealedNow(session, path)) return this.length(session)
      return undefined
    }
    const stream = this.#streams.get(session)
    const length = stream ? await stream.rest() : ((await this.#unpacked(session, path, true)) ?? 0)
    return length
  }

  async read(session: string, offset: number, length: number): Promise<Uint8Array> {
    const path = this.#path(session)
    const bytes = path === undefined ? new Uint8Array(0) : await this.#read(session, path, offset, length)
    if (bytes.length > 0) this.#onBytes(session, bytes)
    return bytes
  }

  async #read(session: string, path: string, offset: number, length: number): Promise<Uint8Array> {
    if (!path.endsWith('.zst')) {
      const bytes = await whilePlain(() => readAt(path, offset, length))
      if (bytes) return bytes
      return (await this.#isSealedNow(session, path))
        ? this.#read(session, `${path}.zst`, offset, length)
        : new Uint8Array(0)
    }
    const file = this.#onDisk.get(session)
    if (file) return readAt(file, offset, length)
    let stream = this.#streams.get(session)
    if (!stream && offset > 0) {
      // It was given up in favour of others: not from the beginning again and again.
      await this.#unpacked(session, path, false)
      return readAt(this.#onDisk.get(session)!, offset, length)
    }
    stream ??= new Unpacking(path, (problem) => this.#damaged(session, problem))
    this.#streams.delete(session)
    this.#streams.set(session, stream)
    if (this.#streams.size > OPEN) {
      const [oldest, given] = this.#streams.entries().next().value!
      this.#streams.delete(oldest)
      given.end()
    }
    return stream.read(offset, length)
  }

  /** To be called when a session has ended: nothing more is asked of its recording but perhaps its length. */
  done(session: string): void {
    const stream = this.#streams.get(session)
    if (stream?.length !== undefined) this.#lengths.set(session, stream.length)
    stream?.end()
    this.#streams.delete(session)
    const file = this.#onDisk.get(session)
    if (file) rmSync(file, { force: true })
    this.#onDisk.delete(session)
  }

  async *list(): AsyncGenerator<string> {
    for (const { session } of this.#paths.prepare('select session from paths order by session').iterate() as Iterable<{
      session: string
    }>)
      yield session
  }

  /** The day under whose folder a recording lies; undefined where there is none. */
  dayOf(session: string): string | undefined {
    return this.#paths.prepare('select day from paths where session = ?').pluck().get(session) as string | undefined
  }

  #path(session: string): string | undefined {
    return this.#pathOf.get(session) as string | undefined
  }

  /** A gateway at work may have sealed it meanwhile. */
  async #isSealedNow(session: string, plain: string): Promise<boolean> {
    const sealed = existsSync(`${plain}.zst`)
    if (sealed) this.#paths.prepare('update paths set path = ? where session = ?').run(`${plain}.zst`, session)
    return sealed
  }

  /** When its file was made, in milliseconds since 1970. */
  async madeAt(session: string): Promise<number> {
    const path = this.#path(session)
    return path === undefined ? 0 : ((await whilePlain(async () => (await stat(path)).birthtimeMs)) ?? Number.MAX_VALUE)
  }

  #damaged(session: string, problem: Error) {
    this.#found.wrong(
      'recording-damaged',
      { recording: session },
      `the sealed recording of ${session} is not as it was sealed (${problem.message}): the file was changed, or cut`,
    )
  }

  /** Answers its length. @param once it is needed for nothing but that */
  async #unpacked(session: string, path: string, once: boolean): Promise<number> {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'countersign-verify-'))
    const file = join(this.#folder, `${session}.ndjson`)
    const to = once ? undefined : await open(file, 'w', 0o600)
    let length = 0
    try {
      const unpack = createZstdDecompress()
      await pipeline(createReadStream(path), unpack, async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) {
          length += chunk.length
          await to?.writeFile(chunk)
        }
      })
      const more = (await sizeOf(path)) - unpack.bytesWritten
      if (more !== 0) this.#damaged(session, new Error(`${more} bytes follow the end of what was sealed`))
    } catch (error) {
      if (!isZstd(error)) throw error
      this.#damaged(session, error)
    } finally {
      await to?.close()
    }
    if (to) this.#onDisk.set(session, file)
    return length
  }

  async [Symbol.asyncDispose]() {
    for (const stream of this.#streams.values()) stream.end()
    this.#paths.close()
    if (this.#folder) rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** A sealed recording that is read from front to back. */
class Unpacking {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #end: () => void
  readonly #damaged: (problem: Error) => void
  readonly #consumed: () => number
  readonly #path: string
  #held: Buffer = Buffer.alloc(0)
  /** Of the first byte that is held. */
  #at = 0
  length: number | undefined

  constructor(path: string, damaged: (problem: Error) => void) {
    const file = createReadStream(path, { highWaterMark: 256 * 1024 })
    const unpack = createZstdDecompress()
    file.on('error', (error) => unpack.destroy(error))
    // Bytes after the end of the frame may be refused after the last chunk was given out, when nobody listens any more.
    unpack.on('error', () => {})
    this.#consumed = () => unpack.bytesWritten
    this.#path = path
    this.#chunks = file.pipe(unpack)[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    this.#end = () => {
      unpack.destroy()
      file.destroy()
    }
    this.#damaged = damaged
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const parts: Buffer[] = []
    let have = 0
    while (this.#at + this.#held.length <= offset && (await this.#more())) {}
    while (have < length) {
      const from = Math.max(0, offset + have - this.#at)
      const part = this.#held.subarray(from, from + length - have)
      if (part.length > 0) parts.push(part)
      have += part.length
      if (have < length && !(await this.#more())) break
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** Reads it to its end. Answers the length of the whole. */
  async rest(): Promise<number> {
    while (await this.#more()) {}
    return this.length!
  }

  /** What was held may still be in use by who has read it: it is left to them. */
  async #more(): Promise<boolean> {
    if (this.length !== undefined) return false
    try {
      const { done, value } = await this.#chunks.next()
      this.#at += this.#held.length
      this.#held = done ? Buffer.alloc(0) : value
      if (!done) return true
      this.length = this.#at
      const more = (await sizeOf(this.#path)) - this.#consumed()
      if (more !== 0) this.#damaged(new Error(`${more} bytes follow the end of what was sealed`))
      return false
    } catch (error) {
      if (!isZstd(error)) throw error
      this.#at += this.#held.length
      this.#held = Buffer.alloc(0)
      this.length = this.#at
      this.#damaged(error)
      return false
    }
  }

  end(): void {
    this.#end()
  }
}

/** What the decompressor says of bytes; everything else is a trouble of the disk. */
function isZstd(error: unknown): error is Error {
  return (
    /^(ZSTD_|Z_|ERR_|unexpected end)/i.test(`${(error as NodeJS.ErrnoException).code ?? ''}`) ||
    !(error as NodeJS.ErrnoException).syscall
  )
}

/** Undefined where the file is not there any more. */
async function whilePlain<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function sizeOf(path: string): Promise<number> {
  await using handle = await open(path)
  return (await handle.stat()).size
}

async function readAt(path: string, offset: number, length: number): Promise<Uint8Array> {
  await using handle: FileHandle = await open(path)
  const { size } = await handle.stat()
  const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - offset)))
  let have = 0
  while (have < bytes.length) {
    const { bytesRead } = await handle.read(bytes, have, bytes.length - have, offset + have)
    if (bytesRead === 0) break
    have += bytesRead
  }
  return bytes.subarray(0, have)
}

async function* filesIn(folder: string): AsyncGenerator<string> {
  const found = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  found.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of found)
    if (entry.isDirectory()) yield* filesIn(join(folder, entry.name))
    else yield join(folder, entry.name)
}
