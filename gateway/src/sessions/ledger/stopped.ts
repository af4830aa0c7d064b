import { LedgerStopped } from './ledger.ts'

/**
 * In words why the ledger can't be written.
 * @param doing what could not be done, as a sentence's beginning: "The ledger can't be written"
 */
export function stopped(doing: string, error: unknown): LedgerStopped {
  if (error instanceof LedgerStopped) return error
  const { code = '', message } = error as NodeJS.ErrnoException
  const why = full.test(code)
    ? 'the disk of the data folder is full; make room there, and it goes on by itself'
    : /^(EACCES|EPERM|EROFS|SQLITE_READONLY.*|SQLITE_CANTOPEN)$/.test(code)
      ? `it may not be written (${message}); give the gateway's user the folder data/ledger and all that is in it`
      : /^SQLITE_(CORRUPT|NOTADB)|^SQLITE_ERROR$/.test(code)
        ? `entries.sqlite is damaged (${message}); stop the gateway, copy data/ledger away as it is, and put back a copy of entries.sqlite that is no older than the checkpoint`
        : message
  return new LedgerStopped(`${doing}: ${why}`, { cause: error })
}

// SQLite's shared memory file has an error of its own for a full disk.
const full = /^(ENOSPC|EDQUOT|SQLITE_FULL|SQLITE_IOERR_SHMSIZE)$/

/**
 * Whether the same may be tried again. Not after other errors of the disk: what an fsync has failed to write once counts
 * as written for the next one.
 */
export const passes = (error: unknown): boolean => {
  const { code = '' } = error as NodeJS.ErrnoException
  return full.test(code) || /^SQLITE_(BUSY|LOCKED)/.test(code)
}
