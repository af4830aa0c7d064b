import type Database from 'better-sqlite3'
import type { z } from 'zod'

/** What is kept of policy beside its lists: whole versions, drafts, results of backtests, pages of overlays. */
export type PolicyKind = 'version' | 'draft' | 'backtest' | 'overlay'

export interface PolicyRows {
  get<T>(kind: PolicyKind, id: string, schema: z.ZodType<T>): T | undefined
  /** Keeps one, and of its kind only the newest. */
  save(kind: PolicyKind, id: string, at: string, body: unknown): void
  remove(kind: PolicyKind, id: string): void
  /** What a person wrote and has not saved, sealed; it is theirs at one gateway and outlives a sign-out. */
  works(owner: string): { id: string; sealed: Buffer }[]
  saveWork(owner: string, id: string, sealed: Buffer): void
  removeWork(owner: string, id: string): void
}

/** So many of each kind are kept, those that were looked at last. */
const MOST = 100

export function policyRows(db: Database.Database): PolicyRows {
  const one = db.prepare('SELECT body FROM policy WHERE kind = ? AND id = ?').pluck()
  const save = db.prepare('INSERT OR REPLACE INTO policy (kind, id, at, body) VALUES (?, ?, ?, ?)')
  const remove = db.prepare('DELETE FROM policy WHERE kind = ? AND id = ?')
  const trim = db.prepare(
    `DELETE FROM policy WHERE kind = ? AND id NOT IN (SELECT id FROM policy WHERE kind = ? ORDER BY at DESC LIMIT ${MOST})`,
  )
  const works = db.prepare('SELECT id, sealed FROM policy_work WHERE owner = ? ORDER BY id')
  const saveWork = db.prepare('INSERT OR REPLACE INTO policy_work (owner, id, sealed) VALUES (?, ?, ?)')
  const removeWork = db.prepare('DELETE FROM policy_work WHERE owner = ? AND id = ?')
  return {
    get(kind, id, schema) {
      const body = one.get(kind, id) as string | undefined
      if (body === undefined) return undefined
      // A row that no longer fits its schema is left out: the gateway will tell it anew.
      const parsed = schema.safeParse(JSON.parse(body))
      return parsed.success ? parsed.data : undefined
    },
    save(kind, id, at, body) {
      save.run(kind, id, at, JSON.stringify(body))
      trim.run(kind, kind)
    },
    remove: (kind, id) => void remove.run(kind, id),
    works: (owner) => works.all(owner) as { id: string; sealed: Buffer }[],
    saveWork: (owner, id, sealed) => void saveWork.run(owner, id, sealed),
    removeWork: (owner, id) => void removeWork.run(owner, id),
  }
}
