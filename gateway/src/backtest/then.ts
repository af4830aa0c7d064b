import { join } from 'node:path'
import type { ConnectionRef } from '../gate/command.ts'
import { type Backing, type LiveGrant, standing } from '../gate/entrance.ts'
import type { RecordedSession } from '../sessions/ledger/commands.ts'
import { snapshotOf } from '../verify/reading.ts'

/** What stood beside policy when something was recorded: connections as they were configured, and grants. */
export interface Then {
  /** The connection of a session as it was when that was opened; the same object while it was the same. */
  connection(session: RecordedSession): ThenConnection
  /** What stood behind a session at a time (milliseconds); the same object while nothing changed. */
  backing(session: RecordedSession, at: number): Backing
}

export interface ThenConnection extends ConnectionRef {
  /** False: nobody kept how it was configured then, and what is known of it is of another time, or nothing. */
  known: boolean
}

interface GrantRow {
  id: string
  agent: string
  onBehalfOf: string
  connection: string
  actions: string
  resources: string | null
  from: string
  endsAt: string | null
  endedAt: string | null
}
interface VersionRow {
  at: string
  connections: string
}

/** A grant as it stood: live from `from` until `until`, milliseconds. */
interface Stood {
  live: LiveGrant
  from: number
  until: number
}

/** How long what was put together for sessions is kept: so many of them. */
const SESSIONS = 10_000

/**
 * Reads it from the store of a data folder, whether the gateway runs or not.
 * @param window ISO 8601: grants that were live at some time of it
 * @throws SqliteError
 */
export function readThen(data: string, window: { from: string; to: string }): Then {
  using store = snapshotOf(join(data, 'countersign.sqlite'))
  const grants = store.database
    .prepare(
      `select id, agent, on_behalf_of as onBehalfOf, connection, actions, resources, active_from as "from",
         expires_at as endsAt, ended_at as endedAt
       from grants
       where active_from is not null and active_from < ? and coalesce(ended_at, '9') >= ?
       order by active_from, id`,
    )
    .all(window.to, window.from) as GrantRow[]
  const versions = store.database
    .prepare('select at, connections from connection_versions order by id')
    .all() as VersionRow[]
  return createThen(grants, versions)
}

function createThen(grantRows: readonly GrantRow[], versionRows: readonly VersionRow[]): Then {
  const byHolder = Map.groupBy(grantRows, ({ agent, onBehalfOf, connection }) =>
    holderKey(agent, onBehalfOf, connection),
  )
  const stood = new Map<string, Stood[]>()
  for (const [key, rows] of byHolder) stood.set(key, rows.map(stoodOf))
  const versions = versionRows.map(({ at, connections }) => ({
    at,
    byName: new Map((JSON.parse(connections) as ThenConnection[]).map((one) => [one.name, one])),
  }))
  const connections = new Map<string, ThenConnection>()
  const remembered = new Map<string, { session: RecordedSession; grants: Stood[]; last: Backing; key: string }>()
  const without = new Map<boolean, Backing>([
    [false, standing],
    [true, { needed: true, grants: [] }],
  ])

  const connectionAt = ({ connection: name, openedAt, mode, protocol }: RecordedSession): ThenConnection => {
    const version = versions.findLast(({ at }) => at <= openedAt) ?? versions[0]
    const configured = version?.byName.get(name) ?? versions.find(({ byName }) => byName.has(name))?.byName.get(name)
    const { kind = protocol, tags = [], access = 'standing' } = configured ?? {}
    const known = configured !== undefined && version!.at <= openedAt && version!.byName.get(name) === configured
    const key = JSON.stringify([name, kind, tags, access, mode, known])
    const same = connections.get(key) ?? { name, kind, tags, access, mode, known }
    connections.set(key, same)
    return same
  }
  const bySession = new Map<string, ThenConnection>()

  return {
    connection(session) {
      let known = bySession.get(session.id)
      if (!known) {
        if (bySession.size >= SESSIONS) bySession.clear()
        known = connectionAt(session)
        bySession.set(session.id, known)
      }
      return known
    },
    backing(session, at) {
      const needed = this.connection(session).access === 'jit' || session.grant !== undefined
      const { agent, connection } = session
      let known = remembered.get(session.id)
      if (!known) {
        const all = stood.get(holderKey(agent.id, agent.onBehalfOf ?? '', connection)) ?? []
        const grants = session.grant === undefined ? all : all.filter(({ live }) => live.id === session.grant)
        if (grants.length === 0) return without.get(needed)!
        if (remembered.size >= SESSIONS) remembered.clear()
        known = { session, grants, last: without.get(needed)!, key: '' }
        remembered.set(session.id, known)
      }
      const live = known.grants.filter(({ from, until }) => from <= at && at < until).map((one) => one.live)
      const key = live.map(({ id }) => id).join(' ')
      if (key !== known.key) {
        known.key = key
        known.last = live.length > 0 ? { needed, grants: live } : without.get(needed)!
      }
      return known.last
    },
  }
}

function stoodOf({ id, actions, resources, from, endsAt, endedAt }: GrantRow): Stood {
  const ends = endsAt === null ? Number.POSITIVE_INFINITY : Date.parse(endsAt)
  return {
    live: {
      id,
      actions: JSON.parse(actions),
      ...(resources === null ? {} : { resources: JSON.parse(resources) }),
      endsAt: ends,
    },
    from: Date.parse(from),
    until: Math.min(ends, endedAt === null ? Number.POSITIVE_INFINITY : Date.parse(endedAt)),
  }
}

const holderKey = (agent: string, onBehalfOf: string, connection: string) =>
  JSON.stringify([agent, onBehalfOf, connection])
