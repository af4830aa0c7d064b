import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { ConsoleError } from '../../../console-api.ts'

/** Milliseconds that a start waits for a console that is about to end. */
const patience = 500

/**
 * Makes the console's folder (mode 0700) and takes it for one core: two of them would each keep half of what the witness
 * saw, send notes twice and forget each other's recordings. The lock is SQLite's on a file of its own, which the system
 * drops however the process ends.
 * @throws ConsoleError folder-taken, folder-unusable
 */
export function takeConsoleFolder(folder: string): Disposable {
  let lock: Database.Database | undefined
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const file = join(folder, 'console.lock')
    const taken = new Database(file, { timeout: patience })
    lock = taken
    taken.exec('BEGIN EXCLUSIVE')
    if (process.platform !== 'win32') chmodSync(file, 0o600)
    return {
      [Symbol.dispose]() {
        if (taken.open) taken.close()
      },
    }
  } catch (error) {
    lock?.close()
    if (/^SQLITE_(BUSY|LOCKED)/.test((error as { code?: string }).code ?? ''))
      throw new ConsoleError(
        'folder-taken',
        `Another console runs on the folder ${folder}. Go on in that one, or quit it and start this one again; to have both, give this one a folder of its own.`,
      )
    const reason = error instanceof Error ? error.message : String(error)
    throw new ConsoleError(
      'folder-unusable',
      `The folder ${folder} can’t be used: ${reason}. Make it writable for this account, or start the console with another one.`,
    )
  }
}
