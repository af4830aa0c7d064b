import { AgentRecord } from '@countersign/contract/access'
import type Database from 'better-sqlite3'

/** The registry of agents as the gateway told of it. */
export interface AgentRows {
  /** By id; `next` goes into `after`. */
  page(query: { limit: number; after?: string | undefined }): { items: AgentRecord[]; next: string | null }
  agent(id: string): AgentRecord | undefined
  ids(): string[]
  count(): number
  save(agents: readonly AgentRecord[]): void
  remove(ids: readonly string[]): void
}

export function agentRows(db: Database.Database): AgentRows {
  const save = db.prepare(
    'INSERT INTO agents (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body',
  )
  const page = db.prepare('SELECT id, body FROM agents WHERE id > ? ORDER BY id LIMIT ?')
  const one = db.prepare('SELECT body FROM agents WHERE id = ?')
  const ids = db.prepare('SELECT id FROM agents').pluck()
  const count = db.prepare('SELECT count(*) FROM agents').pluck()
  const remove = db.prepare('DELETE FROM agents WHERE id = ?')
  return {
    page({ limit, after = '' }) {
      const rows = page.all(after, limit + 1) as { id: string; body: string }[]
      const shown = rows.slice(0, limit)
      return { items: records(shown), next: rows.length > limit ? shown.at(-1)!.id : null }
    },
    agent: (id) => records([one.get(id)])[0],
    ids: () => ids.all() as string[],
    count: () => count.get() as number,
    save: db.transaction((agents: readonly AgentRecord[]) => {
      for (const agent of agents) save.run(agent.id, JSON.stringify(agent))
    }),
    remove: db.transaction((gone: readonly string[]) => {
      for (const id of gone) remove.run(id)
    }),
  }
}

/** A row that no longer fits its schema is left out: the gateway will tell it anew. */
function records(rows: readonly unknown[]): AgentRecord[] {
  return rows.flatMap((row) => {
    if (!row) return []
    const parsed = AgentRecord.safeParse(JSON.parse((row as { body: string }).body))
    return parsed.success ? [parsed.data] : []
  })
}
