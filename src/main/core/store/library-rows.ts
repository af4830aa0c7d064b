import type Database from 'better-sqlite3'

/** What the store knows of a kept recording: whose it is stands in the clear, what it says lies sealed beside it. */
export interface LibraryRow {
  session: string
  pinnedAt: string | null
  usedAt: string
  /** Of the recording, as far as it is here; and of the whole, where that is known. */
  bytes: number
  total: number | null
  /** On the disk, the bundle included. */
  stored: number
  complete: boolean
  bundle: 'none' | 'kept' | 'failed'
  problem: string | null
}

export interface LibraryRows {
  all(): LibraryRow[]
  get(session: string): LibraryRow | undefined
  save(row: LibraryRow): void
  remove(session: string): void
}

export function libraryRows(db: Database.Database): LibraryRows {
  const columns = 'session, pinned_at, used_at, bytes, total, stored, complete, bundle, problem'
  const all = db.prepare(`SELECT ${columns} FROM library`)
  const one = db.prepare(`SELECT ${columns} FROM library WHERE session = ?`)
  const save = db.prepare(`INSERT OR REPLACE INTO library (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const remove = db.prepare('DELETE FROM library WHERE session = ?')
  return {
    all: () => (all.all() as Stored[]).map(rowOf),
    get(session) {
      const row = one.get(session) as Stored | undefined
      return row && rowOf(row)
    },
    save: (r) =>
      void save.run(
        ...[r.session, r.pinnedAt, r.usedAt, r.bytes, r.total, r.stored, r.complete ? 1 : 0, r.bundle, r.problem],
      ),
    remove: (session) => void remove.run(session),
  }
}

interface Stored extends Omit<LibraryRow, 'pinnedAt' | 'usedAt' | 'complete'> {
  pinned_at: string | null
  used_at: string
  complete: number
}

const rowOf = ({ pinned_at, used_at, complete, ...row }: Stored): LibraryRow => ({
  ...row,
  pinnedAt: pinned_at,
  usedAt: used_at,
  complete: complete === 1,
})
