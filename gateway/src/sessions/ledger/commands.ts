import { join } from 'node:path'
import type { Effect } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'
import type { VerdictRecord } from '@countersign/contract/recording'
import Database from 'better-sqlite3'
import { stopped } from './stopped.ts'

/** A session as the ledger has its beginning. */
export interface RecordedSession {
  id: string
  openedAt: string
  agent: AgentRef
  connection: string
  protocol: string
  mode: 'enforce' | 'observe'
  purpose?: string
  /** Ids of the grants that it was opened by. */
  grants?: string[]
  /** The one that its token is bound to: no other counts. */
  grant?: string
  /** Version of the policy that was in force. */
  policy?: string
}

/** A command as the ledger has it. Commands of a session share the session object, those of an agent its identity. */
export interface RecordedCommand {
  /** Of its entry. */
  n: number
  at: string
  session: RecordedSession
  /** Its id in the recording. */
  command: string
  kind: string
  digest: string
  /** `effectOf` (gate/recorded.ts) makes of each what policy decides. */
  effects: Effect[]
  verdict: VerdictRecord
  approval?: string
  /** Data classes that it may read or write; absent where there are none. */
  classes?: string[]
}

export interface CommandsAsked {
  /** ISO 8601, UTC; commands at `from` belong to it, those at `to` don't. */
  from: string
  to: string
  /** Their ids; absent: all. */
  agents?: readonly string[]
  connections?: readonly string[]
  /** Told, now and then, of commands in the window that say nothing: erased by retention, or of a form not known. */
  onUnreadable?: (commands: number) => void
  /** Told, now and then, how many entries were looked at, of how many. */
  onRead?: (entries: number, of: number) => void
}

const BATCH = 1000

/**
 * The commands that were recorded between two times, in the order in which the ledger has them: by rising time within a
 * session. Reads by batches, so that nothing of the ledger is held on to between them; memory does not grow with the
 * commands, but with the sessions that were open at a time. Of any thread or process, while the log is written or not:
 * entries that come later are not read.
 * @param folder `data/ledger`
 * @throws LedgerStopped where entries.sqlite isn't there, or can't be read
 */
export function* recordedCommands(folder: string, asked: CommandsAsked): Generator<RecordedCommand> {
  const { from, to, onUnreadable, onRead } = asked
  using opened = open(folder)
  const { count, rows } = opened
  const end = opened.ask(() => count.get() as number)
  const agents = asked.agents && new Set(asked.agents)
  const connections = asked.connections && new Set(asked.connections)
  const wanted = ({ agent, connection }: RecordedSession) =>
    (!agents || agents.has(agent.id)) && (!connections || connections.has(connection))
  const sessions = new Map<string, RecordedSession | 'not asked for' | 'unknown'>()
  const identities = new Map<string, AgentRef>()
  const begin = (id: string, at: string, payload: Buffer | null) => {
    const session = payload && sessionIn(id, at, payload, identities)
    sessions.set(id, !session ? 'unknown' : wanted(session) ? session : 'not asked for')
  }
  const start = opened.ask(() => firstOf(opened, from, end))
  for (let next = start; ; ) {
    let unreadable = 0
    const batch = opened.ask(() => rows.all(next, end, from, to, BATCH) as Row[])
    for (const { n, at, type, session: id, payload } of batch) {
      if (type === 'session.opened') begin(id, at, payload)
      else if (type !== 'command') sessions.delete(id)
      else {
        const session = sessions.get(id) ?? 'unknown'
        if (session === 'not asked for') continue
        const found = session === 'unknown' ? undefined : commandIn(n, at, session, payload)
        // Whose they were can't be told of any that are left of a session that was erased: they count for everybody.
        if (found) yield found
        else unreadable++
      }
    }
    if (unreadable > 0) onUnreadable?.(unreadable)
    if (batch.length < BATCH) break
    next = batch.at(-1)!.n + 1
    onRead?.(next - start, end - start)
  }
  onRead?.(end - start, end - start)
}

interface Row {
  n: number
  at: string
  type: string
  session: string
  payload: Buffer | null
}

function open(folder: string) {
  const ask = <T>(question: () => T): T => {
    try {
      return question()
    } catch (error) {
      throw stopped('Recorded commands can’t be read', error)
    }
  }
  return ask(() => {
    const database = new Database(join(folder, 'entries.sqlite'), {
      readonly: true,
      fileMustExist: true,
      timeout: 5000,
    })
    try {
      database.pragma('trusted_schema = OFF')
      return {
        ask,
        count: database.prepare('select coalesce(max(n) + 1, 0) from entries').pluck(),
        /** Of sessions: when they began, when they ended, and commands of the window. */
        rows: database.prepare(
          `select n, at, type, session, payload from entries
           where n >= ? and n < ? and session is not null
             and (type in ('session.opened', 'session.closed', 'session.interrupted')
               or type = 'command' and at >= ? and at < ?)
           order by n limit ?`,
        ),
        beginnings: database.prepare(
          `select n, session from entries indexed by entries_by_type
           where type = 'session.opened' and type not in ('command', 'recording.chunk') and n >= ?
           order by n limit ${BATCH}`,
        ),
        ending: database
          .prepare(
            `select at from entries where session = ? and type in ('session.closed', 'session.interrupted')
             order by n desc limit 1`,
          )
          .pluck(),
        [Symbol.dispose]: () => void database.close(),
      }
    } catch (error) {
      database.close()
      throw error
    }
  })
}

/** Where the first session begins that had not ended before the window: what is before it is of no command in it. */
function firstOf({ beginnings, ending }: ReturnType<typeof open>, from: string, end: number): number {
  for (let next = 0; ; ) {
    const batch = beginnings.all(next) as { n: number; session: string }[]
    for (const { n, session } of batch) {
      const ended = ending.get(session) as string | undefined
      if (ended === undefined || ended >= from) return n
    }
    if (batch.length < BATCH) return end
    next = batch.at(-1)!.n + 1
  }
}

function sessionIn(
  id: string,
  openedAt: string,
  payload: Buffer,
  identities: Map<string, AgentRef>,
): RecordedSession | undefined {
  const said = objectIn(payload)
  const { connection, protocol, mode, agent, purpose, grants, grant, policy } = said ?? {}
  if (typeof connection !== 'string' || (mode !== 'enforce' && mode !== 'observe')) return undefined
  if (!isAgent(agent)) return undefined
  const key = JSON.stringify(agent)
  const known = identities.get(key) ?? agent
  identities.set(key, known)
  return {
    id,
    openedAt,
    agent: known,
    connection,
    protocol: String(protocol),
    mode,
    ...(typeof purpose === 'string' && { purpose }),
    ...(Array.isArray(grants) && { grants }),
    ...(typeof grant === 'string' && { grant }),
    ...(typeof policy === 'string' && { policy }),
  }
}

function commandIn(
  n: number,
  at: string,
  session: RecordedSession,
  payload: Buffer | null,
): RecordedCommand | undefined {
  const said = payload && objectIn(payload)
  if (!said) return undefined
  const { command, kind, digest, effects, verdict, approval, classes } = said
  if (!Array.isArray(effects) || !isVerdict(verdict)) return undefined
  return {
    n,
    at,
    session,
    command: String(command),
    kind: String(kind),
    digest: String(digest),
    effects,
    verdict,
    ...(typeof approval === 'string' && { approval }),
    ...(Array.isArray(classes) && { classes }),
  }
}

/** A payload that was damaged on disk says nothing; `verify` finds it. */
function objectIn(payload: Buffer): Record<string, unknown> | undefined {
  try {
    const said = JSON.parse(payload.toString())
    return typeof said === 'object' && said !== null ? said : undefined
  } catch {
    return undefined
  }
}

function isAgent(value: unknown): value is AgentRef {
  const { id, issuer, groups } = (value ?? {}) as Partial<Record<keyof AgentRef, unknown>>
  return typeof id === 'string' && typeof issuer === 'string' && Array.isArray(groups)
}

function isVerdict(value: unknown): value is VerdictRecord {
  const { outcome, policies } = (value ?? {}) as Partial<Record<keyof VerdictRecord, unknown>>
  return ['allow', 'deny', 'hold'].includes(String(outcome)) && Array.isArray(policies)
}
