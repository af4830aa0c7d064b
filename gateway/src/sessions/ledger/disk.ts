import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * What the log does to its files: few things, each of them synchronous and with a known outcome on disk, so that a test
 * can play a power cut between any two.
 */
export interface Disk {
  /** Undefined where there is no such file. */
  read(file: string): Uint8Array | undefined
  /** Makes a file that isn't there yet (mode 0600) and syncs it; its name is on disk once the folder is synced. Leaves nothing behind where it fails. @throws EEXIST */
  create(file: string, bytes: Uint8Array): void
  /** Gives one name to what has another; on disk once the folder is synced. */
  rename(from: string, to: string): void
  /** Removes a file or a folder with all that is in it; nothing happens where there is none. */
  remove(path: string): void
  /** Makes a folder (mode 0700) in one that is there. Answers whether it was missing. */
  makeFolder(folder: string): boolean
  /** Has the names in a folder on disk. */
  syncFolder(folder: string): void
  /** The names in a folder, none where there is no such folder. */
  list(folder: string): string[]
}

export const realDisk: Disk = {
  read(file) {
    try {
      return readFileSync(file)
    } catch (error) {
      if (/^(ENOENT|ENOTDIR)$/.test((error as NodeJS.ErrnoException).code ?? '')) return undefined
      throw error
    }
  },
  create(file, bytes) {
    const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants
    const fd = openSync(file, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600)
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
      fsyncSync(fd)
    } catch (error) {
      closeSync(fd)
      unlinkSync(file)
      throw error
    }
    closeSync(fd)
  },
  rename: renameSync,
  remove: (path) => rmSync(path, { recursive: true, force: true }),
  makeFolder(folder) {
    try {
      mkdirSync(folder, { mode: 0o700 })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
  },
  syncFolder(folder) {
    const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  },
  list(folder) {
    try {
      return readdirSync(folder)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  },
}

/** Puts a file in the place of another, or of none: whoever reads it has the old one or the new one whole, whenever the power goes. */
export function replaceFile(disk: Disk, file: string, bytes: Uint8Array): void {
  const folder = dirname(file)
  const fresh = join(folder, `.${basename(file)}.new`)
  disk.remove(fresh)
  disk.create(fresh, bytes)
  disk.rename(fresh, file)
  disk.syncFolder(folder)
}
