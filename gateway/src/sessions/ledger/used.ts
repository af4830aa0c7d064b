import { join } from 'node:path'
import type { AgentDay, AgentRecord, AgentUse } from '@countersign/contract/access'
import Database from 'better-sqlite3'
import { stopped } from './stopped.ts'

/** A use with the kind of the resource, for asking policy about it. */
export type TypedUse = AgentUse & { type: string }

/** What agents used, as it is counted beside the ledger (ledger/use.ts), for reading by any thread or process. */
export interface Used extends Disposable {
  /** Connections of these agents, or of all, with their sessions, the one used last first. @throws LedgerStopped */
  connections(agents?: readonly string[]): Map<string, AgentRecord['connections']>
  /**
   * What an agent used on the days from `since` on (YYYY-MM-DD, UTC), the most used first, at most `limit` of them.
   * @throws LedgerStopped
   */
  of(agent: string, since: string, limit: number): TypedUse[]
  /** What an agent did on each day from `since` on, the first one first. @throws LedgerStopped */
  days(agent: string, since: string): AgentDay[]
}

/** @param folder `data/ledger`, of a log that was opened before */
export function openUsed(folder: string): Used {
  let opened: { database: Database.Database; statements: ReturnType<typeof prepare> } | undefined
  const asked = <T>(ask: (statements: ReturnType<typeof prepare>) => T): T => {
    try {
      if (!opened) {
        const database = new Database(join(folder, 'entries.sqlite'), {
          readonly: true,
          fileMustExist: true,
          timeout: 5000,
        })
        database.pragma('trusted_schema = OFF')
        opened = { database, statements: prepare(database) }
      }
      return ask(opened.statements)
    } catch (error) {
      throw stopped('What agents used can’t be read', error)
    }
  }
  return {
    connections(agents) {
      const rows = asked(({ all, some }) => (agents ? some.all(JSON.stringify(agents)) : all.all())) as Connected[]
      const found = new Map<string, AgentRecord['connections']>()
      for (const { agent, ...one } of rows) found.set(agent, [...(found.get(agent) ?? []), one])
      return found
    },
    of: (agent, since, limit) => asked(({ use }) => use.all(agent, since, limit)) as TypedUse[],
    days: (agent, since) => asked(({ days }) => days.all(agent, since)) as AgentDay[],
    [Symbol.dispose]: () => opened?.database.close(),
  }
}

type Connected = AgentRecord['connections'][number] & { agent: string }

function prepare(database: Database.Database) {
  const connected = 'select agent, connection, last_at as lastUsedAt, sessions from use_connections'
  const order = 'order by agent, last_at desc, connection'
  return {
    all: database.prepare(`${connected} ${order}`),
    some: database.prepare(`${connected} where agent in (select value from json_each(?)) ${order}`),
    days: database.prepare(
      `select day, sum(allowed) as allowed, sum(held) as held, sum(denied) as denied
       from use_days where agent = ? and day >= ? group by day order by day`,
    ),
    use: database.prepare(
      `select connection, action, resource, type, sum(allowed) as allowed, sum(held) as held, sum(denied) as denied,
         min(first_at) as firstAt, max(last_at) as lastAt
       from use_days where agent = ? and day >= ? group by connection, action, resource, type
       order by sum(allowed + held + denied) desc, connection, action, resource limit ?`,
    ),
  }
}
