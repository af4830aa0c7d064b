import { open, readFile, rename } from 'node:fs/promises'
import { createSealer, Damaged, type Sealer } from './sealing.ts'

/** A small file that is read and exchanged as a whole: `CSLIB1\n` ‖ salt (32 bytes) ‖ one sealed piece. */
const magic = Buffer.from('CSLIB1\n')
const label = 'index'

/** @returns undefined where there is none  @throws Damaged */
export async function readSealed(
  path: string,
  key: Buffer,
  about: string,
): Promise<{ plain: Buffer; salt: Buffer; sealer: Sealer } | undefined> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const head = magic.length + 32
  if (bytes.length < head || !bytes.subarray(0, magic.length).equals(magic)) throw new Damaged('its index is no index')
  const salt = Buffer.from(bytes.subarray(magic.length, head))
  const sealer = createSealer(key, salt, about)
  return { plain: sealer.open(bytes.subarray(head), label), salt, sealer }
}

/** On disk when it resolves; before that the old one is. */
export async function writeSealed(path: string, salt: Buffer, sealer: Sealer, plain: Uint8Array): Promise<void> {
  const next = `${path}.new`
  const handle = await open(next, 'w', 0o600)
  try {
    await handle.writeFile(Buffer.concat([magic, salt, sealer.seal(plain, label)]))
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(next, path)
}
