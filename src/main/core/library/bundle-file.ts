import { createHash, randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { ChunkFile } from './chunk-file.ts'
import { readSealed, writeSealed } from './sealed-file.ts'
import { createSealer, Damaged } from './sealing.ts'

/** An evidence bundle on this machine, sealed in chunks like a recording: `NAME.bundle` names its NAME.EDITION.tar. */
export interface BundlePlace {
  index: string
  about: string
}

const Kept = z.object({
  file: z.string().regex(/^[0-9a-f]+\.[0-9a-f]{12}\.tar$/),
  sha256: z.string(),
  chunks: z.array(
    z.object({ at: z.number(), stored: z.number(), from: z.number(), length: z.number(), seal: z.string() }),
  ),
})

const pieceBytes = 256 * 1024

/**
 * Keeps what `source` gives, and gives it on; it counts as kept only once it is there whole: then an older one is gone.
 */
export async function* keepBundle(
  place: BundlePlace,
  key: Buffer,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const salt = randomBytes(32)
  const sealer = createSealer(key, salt, `bundle\n${place.about}`)
  const folder = dirname(place.index)
  const name = basename(place.index, '.bundle')
  const file = `${name}.${randomBytes(6).toString('hex')}.tar`
  const chunked = await ChunkFile.open(join(folder, file), sealer, [])
  const hash = createHash('sha256')
  let piece: Uint8Array[] = []
  let length = 0
  let whole = false
  try {
    for await (const bytes of source) {
      hash.update(bytes)
      piece.push(bytes)
      length += bytes.length
      if (length >= pieceBytes) {
        await chunked.append(Buffer.concat(piece))
        piece = []
        length = 0
      }
      yield bytes
    }
    if (length > 0) await chunked.append(Buffer.concat(piece))
    await chunked.sync()
    const kept = { file, sha256: hash.digest('hex'), chunks: chunked.chunks }
    await writeSealed(place.index, salt, sealer, Buffer.from(JSON.stringify(kept)))
    whole = true
  } finally {
    await chunked.close()
    for (const other of await readdir(folder))
      if (other.startsWith(`${name}.`) && other.endsWith('.tar') && (other === file) !== whole)
        await rm(join(folder, other), { force: true })
  }
}

/** What is kept, and how large it is. @returns undefined where there is none  @throws Damaged */
export async function openBundle(
  place: BundlePlace,
  key: Buffer,
): Promise<{ bytes: number; stored: number; read(): AsyncGenerator<Buffer> } | undefined> {
  const sealed = await readSealed(place.index, key, `bundle\n${place.about}`)
  if (!sealed) return undefined
  const parsed = Kept.safeParse(JSON.parse(sealed.plain.toString()))
  if (!parsed.success) throw new Damaged('the kept bundle is not understood')
  const { file, chunks } = parsed.data
  const last = chunks.at(-1)
  return {
    bytes: last ? last.from + last.length : 0,
    stored: last ? last.at + last.stored : 0,
    async *read() {
      const chunked = await ChunkFile.open(join(dirname(place.index), file), sealed.sealer, chunks)
      try {
        for (let i = 0; i < chunks.length; i++) yield await chunked.read(i)
      } finally {
        await chunked.close()
      }
    },
  }
}

export async function removeBundle(place: BundlePlace): Promise<void> {
  const folder = dirname(place.index)
  const name = basename(place.index, '.bundle')
  await rm(place.index, { force: true })
  for (const file of await readdir(folder))
    if (file.startsWith(`${name}.`) && file.endsWith('.tar')) await rm(join(folder, file), { force: true })
}
