import { chmodSync, closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { refused } from '../errors.ts'

/** How long somebody else may hold it (ms): a renewal takes seconds at most. */
const patience = 30_000
const between = 25

/**
 * Runs `work` while no other process runs its own under the same file. SQLite's lock: the system lets go of it when its
 * holder dies, so that there is nothing stale to be judged, and nothing to be cleared.
 * @throws CliError where another one doesn't let go of it
 */
export async function locked<T>(file: string, work: () => Promise<T>): Promise<T> {
  closeSync(openSync(file, 'a', 0o600))
  chmodSync(file, 0o600)
  const database = new DatabaseSync(file)
  try {
    for (const since = Date.now(); !take(database); ) {
      if (Date.now() - since > patience)
        throw refused(`another countersign has been renewing a sign-in for long: end it, or remove ${file}`)
      await pause(between)
    }
    return await work()
  } finally {
    database.close()
  }
}

function take(database: DatabaseSync): boolean {
  try {
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE')
    return true
  } catch (error) {
    // SQLITE_BUSY (5)
    if ((error as { errcode?: number }).errcode === 5) return false
    throw error
  }
}
