import { type FileHandle, open } from 'node:fs/promises'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { Damaged, type Sealer } from './sealing.ts'

/** Where a chunk lies in the file and what it holds: kept in the sealed index, which so says how many there are. */
export interface ChunkRef {
  /** Offset in the file, bytes as stored. */
  at: number
  stored: number
  /** Offset and length of what it holds. */
  from: number
  length: number
  /** Nonce and tag (base64): an older chunk of the same place is another one. */
  seal: string
}

/** Level 1 packs recordings to a tenth already, and reading them back is what a person waits for. */
const packing = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

/**
 * A file of chunks, each packed (zstd) and sealed on its own; only appended to. What the chunks are is the caller's to
 * keep, sealed: a chunk that is cut off, moved, exchanged or taken from another file does not open.
 */
export class ChunkFile {
  readonly #file: FileHandle
  readonly #sealer: Sealer
  readonly chunks: ChunkRef[]

  private constructor(file: FileHandle, sealer: Sealer, chunks: ChunkRef[]) {
    this.#file = file
    this.#sealer = sealer
    this.chunks = chunks
  }

  /**
   * Opens `path`, or makes it where `chunks` is empty. What lies behind the last chunk (a write that was never
   * entered into the index) is overwritten by the next one.
   * @throws Damaged where the file is missing or shorter than its chunks
   */
  static async open(path: string, sealer: Sealer, chunks: ChunkRef[]): Promise<ChunkFile> {
    const fresh = chunks.length === 0
    let file: FileHandle
    try {
      file = await open(path, fresh ? 'w+' : 'r+', 0o600)
    } catch (error) {
      if (!fresh && (error as NodeJS.ErrnoException).code === 'ENOENT') throw new Damaged('the file is gone')
      throw error
    }
    const chunked = new ChunkFile(file, sealer, chunks)
    if ((await file.stat()).size < chunked.stored) {
      await file.close()
      throw new Damaged('the file was cut off')
    }
    return chunked
  }

  /** Bytes on disk. */
  get stored(): number {
    const last = this.chunks.at(-1)
    return last ? last.at + last.stored : 0
  }

  /** Bytes that it holds. */
  get length(): number {
    const last = this.chunks.at(-1)
    return last ? last.from + last.length : 0
  }

  async append(plain: Uint8Array): Promise<void> {
    const place = { at: this.stored, from: this.length, length: plain.length }
    const sealed = this.#sealer.seal(zstdCompressSync(plain, packing), labelOf(this.chunks.length, place))
    for (let done = 0; done < sealed.length; )
      done += (await this.#file.write(sealed, done, sealed.length - done, place.at + done)).bytesWritten
    this.chunks.push({ ...place, stored: sealed.length, seal: sealOf(sealed) })
  }

  /** @throws Damaged */
  async read(i: number): Promise<Buffer> {
    const chunk = this.chunks[i]
    if (!chunk) throw new RangeError(`there is no chunk ${i}`)
    const sealed = Buffer.allocUnsafe(chunk.stored)
    for (let done = 0; done < sealed.length; ) {
      const { bytesRead } = await this.#file.read(sealed, done, sealed.length - done, chunk.at + done)
      if (bytesRead === 0) throw new Damaged(`chunk ${i} was cut off`)
      done += bytesRead
    }
    if (sealOf(sealed) !== chunk.seal) throw new Damaged(`chunk ${i} is not the one that was written last`)
    const packed = this.#sealer.open(sealed, labelOf(i, chunk))
    const plain = zstdDecompressSync(packed, { maxOutputLength: Math.max(1, chunk.length) })
    if (plain.length !== chunk.length) throw new Damaged(`chunk ${i} has another length`)
    return plain
  }

  /** Everything that was appended is on disk then. */
  sync(): Promise<void> {
    return this.#file.datasync()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

const labelOf = (i: number, { from, length }: { from: number; length: number }) => `chunk ${i}\n${from}\n${length}`

const sealOf = (sealed: Buffer) => Buffer.concat([sealed.subarray(0, 12), sealed.subarray(-16)]).toString('base64')
