import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DataFolderError } from './data-folder.ts'

/** The file of the masking key in the data folder. */
export const MASKING_KEY_FILE = 'masking.key'
const LENGTH = 32

export interface MaskingKey {
  /** 32 bytes: the secret of the style `hash`. */
  key: Buffer
  /** It wasn't there and was made. */
  made: boolean
  /** Set where others than the gateway's user may read it, in words. */
  doubt?: string
}

/**
 * Reads the key by which values are hashed, or makes one (mode 0600, on disk before it is used): the same values get the
 * same hashes for as long as the file is there. Ask it while the folder is taken, so that there is one of us.
 * @param folder the data folder
 * @throws DataFolderError where there is one that can't be read or isn't a key. None is ever made in its place: whoever
 * has joined by the old hashes would never know
 */
export async function maskingKey(folder: string): Promise<MaskingKey> {
  const path = join(folder, MASKING_KEY_FILE)
  const found = await read(path)
  if (found) return found
  const key = randomBytes(LENGTH)
  const beside = `${path}.new`
  try {
    // A start that was cut short may have left one.
    await rm(beside, { force: true })
    {
      await using file = await open(beside, 'wx', 0o600)
      await file.writeFile(key)
      await file.sync()
    }
    await rename(beside, path)
    await syncFolder(folder)
  } catch (error) {
    throw unusable(path, `it could not be made (${reasonOf(error)})`, 'let the gateway write to its data folder', error)
  }
  return { key, made: true }
}

async function read(path: string): Promise<MaskingKey | undefined> {
  try {
    await using file = await open(path, 'r')
    const { size, mode, isFile } = await file.stat().then((s) => ({ size: s.size, mode: s.mode, isFile: s.isFile() }))
    if (!isFile) throw unusable(path, 'it is no file', restore)
    if (size !== LENGTH) throw unusable(path, `it has ${size} bytes, not ${LENGTH}`, restore)
    const key = await file.readFile()
    if (key.length !== LENGTH || key.every((byte) => byte === 0)) throw unusable(path, 'it holds no key', restore)
    const open_ = process.platform !== 'win32' && (mode & 0o077) !== 0
    return {
      key,
      made: false,
      ...(open_ ? { doubt: `others may read the masking key ${path}: chmod it to 0600` } : {}),
    }
  } catch (error) {
    if (error instanceof DataFolderError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unusable(path, `it can't be read (${reasonOf(error)})`, 'let the user that runs the gateway read it', error)
  }
}

const restore = 'put the one of your backup there; without one remove it, and a new key gives every value a new hash'

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  await using handle = await open(folder, 'r')
  await handle.sync()
}

function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}

function unusable(path: string, what: string, mend: string, cause?: unknown): DataFolderError {
  return new DataFolderError('unusable', `the masking key ${path} can't be used, ${what}: ${mend}`, { cause })
}
