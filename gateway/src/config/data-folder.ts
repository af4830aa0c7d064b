import { chmod, mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'

/** A data folder that can't be had, in words. */
export class DataFolderError extends Error {
  override name = 'DataFolderError'
  readonly code: 'taken' | 'unusable'
  constructor(code: 'taken' | 'unusable', message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export interface DataFolder extends AsyncDisposable {
  path: string
  /** Set where others than the gateway's user may enter it, in words. */
  doubt?: string
}

/**
 * Makes the data folder (mode 0700) and takes it for this process: two gateways on one store would each hold and release
 * by half of the truth. The lock is SQLite's on a file of its own, which the system drops however the process ends.
 * @throws DataFolderError
 */
export async function takeDataFolder(path: string): Promise<DataFolder> {
  const doubt = await makeDataFolder(path)
  const lock = openLock(path)
  return {
    path,
    ...(doubt === undefined ? {} : { doubt }),
    async [Symbol.asyncDispose]() {
      if (lock.open) lock.close()
    },
  }
}

/**
 * Makes the data folder (mode 0700) where it isn't there, without taking it.
 * @returns what is doubtful about it, in words
 * @throws DataFolderError
 */
export async function makeDataFolder(path: string): Promise<string | undefined> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    const { mode } = await stat(path)
    if (process.platform === 'win32' || (mode & 0o077) === 0) return undefined
    // One that was empty is ours to close; with something in it, it may be anybody's (`data: /tmp`).
    if ((await readdir(path)).length > 0) return `others may enter the data folder ${path}: chmod it to 0700`
    await chmod(path, 0o700)
    return undefined
  } catch (error) {
    throw unusable(path, error)
  }
}

function openLock(path: string): Database.Database {
  let lock: Database.Database | undefined
  try {
    lock = new Database(join(path, 'gateway.lock'), { timeout: 0 })
    lock.pragma('journal_mode = DELETE')
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock?.close()
    if (/^SQLITE_(BUSY|LOCKED)/.test((error as { code?: string }).code ?? ''))
      throw new DataFolderError(
        'taken',
        `another gateway uses the data folder ${path}: stop it, or give this one a folder of its own (data:)`,
      )
    throw unusable(path, error)
  }
}

function unusable(path: string, error: unknown): DataFolderError {
  const reason = error instanceof Error ? error.message : String(error)
  return new DataFolderError('unusable', `the data folder ${path} can't be used: ${reason}`, { cause: error })
}
