import type Database from 'better-sqlite3'

/**
 * What agents used, counted by day from the `command` entries of the ledger (docs/formats.md, "Use"): beside the entries,
 * in the transaction that has them, so that each command counts once whatever the gateway is ended by. What retention
 * erases of the entries is taken off again.
 */

/** So many resources of an agent's day on a connection are told apart; the rest counts as the connection. */
export const MOST_RESOURCES = 500
const LONGEST = { action: 100, resource: 2000 }

/** An entry as it is counted. `said`: its payload. */
export interface CountedEntry {
  n: number
  at: string
  type: string
  session: string | null
  said: unknown
}

interface Commanded {
  effects?: { action?: unknown; resource?: { type?: unknown; id?: unknown } }[]
  verdict?: { outcome?: unknown }
}
interface Opened {
  connection?: unknown
  agent?: { id?: unknown }
}

type Outcome = 'allowed' | 'held' | 'denied'
const outcomes: Record<string, Outcome> = { allow: 'allowed', hold: 'held', deny: 'denied' }

/** Types of entries that say something of use, or of where it belongs. */
export const usingTypes: ReadonlySet<string> = new Set([
  'session.opened',
  'command',
  'session.closed',
  'session.interrupted',
])

interface Whose {
  agent: string
  connection: string
}

/** The tables of use. Whoever calls it has a transaction open. */
export class UseRows {
  readonly #session: Database.Statement<unknown[]>
  readonly #begin: Database.Statement<unknown[]>
  readonly #end: Database.Statement<unknown[]>
  readonly #connected: Database.Statement<unknown[]>
  readonly #names: Database.Statement<unknown[]>
  readonly #putNames: Database.Statement<unknown[]>
  readonly #row: Database.Statement<unknown[]>
  readonly #add: Database.Statement<unknown[]>
  readonly #take: Database.Statement<unknown[]>
  readonly #drop: Database.Statement<unknown[]>
  readonly #rest: Database.Statement<unknown[]>
  readonly #dropNames: Database.Statement<unknown[]>

  constructor(database: Database.Database) {
    database.exec(schema)
    this.#session = database.prepare('select agent, connection from use_sessions where session = ?')
    this.#begin = database.prepare('insert or ignore into use_sessions values (?, ?, ?)')
    this.#end = database.prepare('delete from use_sessions where session = ?')
    this.#connected = database.prepare(
      `insert into use_connections values (:agent, :connection, :sessions, :at) on conflict do update set
         sessions = sessions + :sessions, last_at = max(last_at, :at)`,
    )
    this.#names = database.prepare('select names from use_names where agent = ? and day = ? and connection = ?').pluck()
    this.#putNames = database.prepare('insert or replace into use_names values (?, ?, ?, ?)')
    const key = 'agent = :agent and day = :day and connection = :connection'
    const whole = `${key} and action = :action and resource = :resource and type = :type`
    this.#row = database.prepare(`select 1 from use_days where ${whole}`).pluck()
    this.#add = database.prepare(
      `insert into use_days values (:agent, :day, :connection, :action, :resource, :type, :allowed, :held, :denied, :first, :last)
       on conflict do update set allowed = allowed + :allowed, held = held + :held, denied = denied + :denied,
         first_at = min(first_at, :first), last_at = max(last_at, :last)`,
    )
    this.#take = database.prepare(
      `update use_days set allowed = allowed - :allowed, held = held - :held, denied = denied - :denied where ${whole}`,
    )
    this.#drop = database.prepare(`delete from use_days where ${whole} and allowed <= 0 and held <= 0 and denied <= 0`)
    this.#rest = database.prepare(`select 1 from use_days where ${key} limit 1`).pluck()
    this.#dropNames = database.prepare(`delete from use_names where ${key}`)
  }

  /** Counts entries, in the order in which the ledger has them. */
  count(entries: Iterable<CountedEntry>): void {
    const sums = new Map<string, Sum>()
    const rooms = new Map<string, Room>()
    const connected = new Map<string, Whose & { sessions: number; at: string }>()
    const whose = new Map<string, Whose | undefined>()
    for (const { at, type, session, said } of entries) {
      if (session === null) continue
      if (type === 'session.opened') {
        const { agent, connection } = (said ?? {}) as Opened
        const opened = { agent: String(agent?.id), connection: String(connection) }
        this.#begin.run(session, opened.agent, opened.connection)
        whose.set(session, opened)
        connect(connected, opened, at, 1)
      } else if (type === 'command') {
        if (!whose.has(session)) whose.set(session, this.#whose(session))
        const of = whose.get(session)
        if (!of) continue
        connect(connected, of, at, 0)
        for (const used of usesOf(said, of, at)) {
          const sum = this.#placed(used, sums, rooms)
          sum[used.outcome]++
          if (at < sum.first) sum.first = at
          if (at > sum.last) sum.last = at
        }
      }
    }
    for (const sum of sums.values()) this.#add.run(sum)
    for (const { agent, day, connection, names, before } of rooms.values())
      if (names !== before) this.#putNames.run(agent, day, connection, names)
    for (const one of connected.values()) this.#connected.run(one)
  }

  /** Takes off what was counted of entries whose payload goes. */
  takeOff(entries: Iterable<CountedEntry>): void {
    for (const { at, type, session, said } of entries) {
      if (session === null) continue
      if (type === 'session.closed' || type === 'session.interrupted') this.#end.run(session)
      const of = type === 'command' ? this.#whose(session) : undefined
      if (!of) continue
      for (const used of usesOf(said, of, at)) {
        const { outcome, key: _, ...place } = this.#row.get(used) === undefined ? asConnection(used) : used
        this.#take.run({ allowed: 0, held: 0, denied: 0, ...place, [outcome]: 1 })
        this.#drop.run(place)
        if (this.#rest.get(place) === undefined) this.#dropNames.run(place)
      }
    }
  }

  #whose(session: string): Whose | undefined {
    return this.#session.get(session) as Whose | undefined
  }

  /** Where a use is counted: at its resource, or at the connection where that day has no room left. */
  #placed(used: Used, sums: Map<string, Sum>, rooms: Map<string, Room>): Sum {
    const known = sums.get(used.key)
    if (known) return known
    const put = (one: Used): Sum => {
      const { outcome: _, key, ...place } = one
      const sum = sums.get(key) ?? { ...place, allowed: 0, held: 0, denied: 0, first: '9', last: '' }
      sums.set(key, sum)
      return sum
    }
    if (used.type === 'Connection' || this.#row.get(used) !== undefined) return put(used)
    const room = this.#room(used, rooms)
    if (room.names >= MOST_RESOURCES) return put(asConnection(used))
    room.names++
    return put(used)
  }

  #room({ agent, day, connection }: Used, rooms: Map<string, Room>): Room {
    const key = JSON.stringify([agent, day, connection])
    let room = rooms.get(key)
    if (!room) {
      const names = (this.#names.get(agent, day, connection) as number | undefined) ?? 0
      room = { agent, day, connection, names, before: names }
      rooms.set(key, room)
    }
    return room
  }
}

/** A use of a resource by a command. */
interface Used extends Whose {
  day: string
  action: string
  resource: string
  type: string
  outcome: Outcome
  key: string
}
interface Sum extends Omit<Used, 'outcome' | 'key'>, Record<Outcome, number> {
  first: string
  last: string
}
/** How many resources of a day have a row, by now and when the counting began. */
interface Room extends Whose {
  day: string
  names: number
  before: number
}

/** Each pair of action and resource of a command once. */
function usesOf(said: unknown, of: Whose, at: string): Used[] {
  const { effects, verdict } = (said ?? {}) as Commanded
  const outcome = outcomes[String(verdict?.outcome)]
  if (!outcome || !Array.isArray(effects)) return []
  const uses = new Map<string, Used>()
  for (const effect of effects) {
    const action = String(effect?.action)
    const resource = String(effect?.resource?.id)
    const type = String(effect?.resource?.type)
    if (action.length > LONGEST.action) continue
    const used = withKey({ ...of, day: at.slice(0, 10), action, resource, type, outcome })
    const one = resource.length > LONGEST.resource || type.length > LONGEST.action ? asConnection(used) : used
    uses.set(one.key, one)
  }
  return [...uses.values()]
}

const withKey = (used: Omit<Used, 'key'>): Used => {
  const { agent, day, connection, action, resource, type } = used
  return { ...used, key: JSON.stringify([agent, day, connection, action, resource, type]) }
}

const asConnection = ({ key: _, ...used }: Used): Used =>
  withKey({ ...used, resource: used.connection, type: 'Connection' })

function connect(
  all: Map<string, Whose & { sessions: number; at: string }>,
  { agent, connection }: Whose,
  at: string,
  sessions: number,
): void {
  const key = JSON.stringify([agent, connection])
  const known = all.get(key)
  if (!known) all.set(key, { agent, connection, sessions, at })
  else {
    known.sessions += sessions
    if (at > known.at) known.at = at
  }
}

/** Empties the tables, for counting anew. */
export const forgetUse = ['use_days', 'use_names', 'use_sessions', 'use_connections']
  .map((table) => `delete from ${table};`)
  .join(' ')

const schema = `
  create table if not exists use_days (
    agent text not null, day text not null, connection text not null, action text not null,
    resource text not null, type text not null,
    allowed integer not null, held integer not null, denied integer not null,
    first_at text not null, last_at text not null,
    primary key (agent, day, connection, action, resource, type)) without rowid;
  create table if not exists use_names (
    agent text not null, day text not null, connection text not null, names integer not null,
    primary key (agent, day, connection)) without rowid;
  create table if not exists use_sessions (
    session text primary key, agent text not null, connection text not null) without rowid;
  create table if not exists use_connections (
    agent text not null, connection text not null, sessions integer not null, last_at text not null,
    primary key (agent, connection)) without rowid;
`
