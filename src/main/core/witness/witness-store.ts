import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { z } from 'zod'
import {
  BundleVerdict,
  type SeenCheckpoint,
  Verification,
  WitnessAlarm,
  type WitnessedLog,
} from '../../../witness-api.ts'

/** A log that this desktop watches. One that was given up for another stays, as what it was. */
export interface LogRow {
  id: number
  origin: string
  /** The verifier key that everything else is trusted by. */
  pinned: string
  how: 'first-contact' | 'person' | 'accepted'
  pinnedAt: string
  since: string
  /** When it was given up for what the gateway shows now. */
  givenUpAt: string | null
}

/** A step from one key of the log to the next, and the checkpoint that both signed. */
export interface Rotation {
  from: string
  to: string
  handover: string
  size: number
  seenAt: string
}

export interface CheckpointRow {
  log: number
  size: number
  root: string
  note: string
  seenAt: string
  how: SeenCheckpoint['how']
  source: string
  state: SeenCheckpoint['state']
}

/**
 * What this desktop has witnessed, in a file of its own (witness.sqlite): it outlives a sign-out, and every write is on
 * disk before it counts, since a cosignature vouches for what is kept here (C2SP tlog-witness).
 */
export interface WitnessStore extends Disposable {
  logs(): LogRow[]
  /** The log that a gateway shows, as far as it is known. */
  logOf(gateway: string): LogRow | undefined
  addLog(log: Omit<LogRow, 'id' | 'givenUpAt'>): LogRow
  giveUp(log: number, at: string): void
  /** Undefined: the gateway is met anew. */
  bind(gateway: string, log: number | undefined): void
  pin(log: number, pinned: string, how: LogRow['how'], at: string): void
  rotations(log: number): Rotation[]
  setRotations(log: number, rotations: readonly Rotation[]): void
  /** False where it is known; its note is replaced where the new one has more cosignatures. */
  addCheckpoint(row: CheckpointRow): boolean
  setState(row: Pick<CheckpointRow, 'log' | 'size' | 'root'>, state: CheckpointRow['state']): void
  /** The largest that is proven. */
  newest(log: number): CheckpointRow | undefined
  /** The largest that is not in conflict. */
  largest(log: number): CheckpointRow | undefined
  /** Largest first. */
  pending(log: number, limit: number): CheckpointRow[]
  ofSize(log: number, size: number): CheckpointRow[]
  /** As they were seen, the newest first. */
  checkpoints(log: number, limit: number, skip?: number): CheckpointRow[]
  /** Signed notes, for holding a bundle against them. */
  notes(log: number): string[]
  counts(log: number): { seen: number; pending: number }
  growth(log: number): WitnessedLog['growth']
  /** Thins out old ones that are proven; answers how many went. */
  thin(log: number): number
  alarms(): WitnessAlarm[]
  saveAlarm(alarm: WitnessAlarm): void
  verdict(id: string): BundleVerdict | undefined
  verdicts(): BundleVerdict[]
  saveVerdict(verdict: BundleVerdict): void
  verifications(): Verification[]
  saveVerification(verification: Verification): void
  kept(name: string): string | undefined
  keep(name: string, value: string): void
  together(work: () => void): void
  /** Forgets what belongs to who signed in: verdicts and verifications. What was witnessed stays. */
  forget(): void
}

/** Older proven checkpoints than this many are thinned to the last of each hour. */
const keptWhole = 5_000
const keptVerdicts = 100

const schema = `
  CREATE TABLE logs (
    id INTEGER PRIMARY KEY, origin TEXT NOT NULL, pinned TEXT NOT NULL, how TEXT NOT NULL, pinned_at TEXT NOT NULL, since TEXT NOT NULL,
    given_up_at TEXT
  ) STRICT;
  CREATE TABLE gateways (gateway TEXT PRIMARY KEY, log INTEGER NOT NULL REFERENCES logs) STRICT;
  CREATE TABLE rotations (
    log INTEGER NOT NULL REFERENCES logs, n INTEGER NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL,
    handover TEXT NOT NULL, size INTEGER NOT NULL, seen_at TEXT NOT NULL, PRIMARY KEY (log, n)
  ) STRICT;
  CREATE TABLE checkpoints (
    log INTEGER NOT NULL REFERENCES logs, size INTEGER NOT NULL, root TEXT NOT NULL, note TEXT NOT NULL, seen_at TEXT NOT NULL,
    how TEXT NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (log, size, root)
  ) STRICT;
  CREATE INDEX checkpoints_by_time ON checkpoints (log, seen_at);
  CREATE INDEX checkpoints_by_state ON checkpoints (log, state, size);
  CREATE TABLE alarms (id TEXT PRIMARY KEY, found_at TEXT NOT NULL, is_open INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE verdicts (id TEXT PRIMARY KEY, at TEXT NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE verifications (session TEXT PRIMARY KEY, at TEXT NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`

/** Opens (and where needed makes) the file in `folder`. @throws Error when it was written by a newer version */
export function openWitnessStore(folder: string): WitnessStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'witness.sqlite')
  const db = new Database(file)
  if (process.platform !== 'win32') chmodSync(file, 0o600)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('busy_timeout = 2000')
  const version = db.pragma('user_version', { simple: true }) as number
  if (version > 1)
    throw new Error(`${file} was written by a newer version of the console. Update this one, or move the file away.`)
  if (version === 0)
    db.transaction(() => {
      db.exec(schema)
      db.pragma('user_version = 1')
    })()

  const logColumns = 'id, origin, pinned, how, pinned_at AS pinnedAt, since, given_up_at AS givenUpAt'
  const columns = 'log, size, root, note, seen_at AS seenAt, how, source, state'
  const one = {
    logs: db.prepare(`SELECT ${logColumns} FROM logs ORDER BY id`),
    logOf: db.prepare(`SELECT ${logColumns} FROM logs WHERE id = (SELECT log FROM gateways WHERE gateway = ?)`),
    log: db.prepare(`SELECT ${logColumns} FROM logs WHERE id = ?`),
    addLog: db.prepare('INSERT INTO logs (origin, pinned, how, pinned_at, since) VALUES (?, ?, ?, ?, ?)'),
    giveUp: db.prepare('UPDATE logs SET given_up_at = ? WHERE id = ?'),
    bind: db.prepare(
      'INSERT INTO gateways (gateway, log) VALUES (?, ?) ON CONFLICT (gateway) DO UPDATE SET log = excluded.log',
    ),
    unbind: db.prepare('DELETE FROM gateways WHERE gateway = ?'),
    pin: db.prepare('UPDATE logs SET pinned = ?, how = ?, pinned_at = ? WHERE id = ?'),
    rotations: db.prepare(
      'SELECT source AS "from", target AS "to", handover, size, seen_at AS seenAt FROM rotations WHERE log = ? ORDER BY n',
    ),
    dropRotations: db.prepare('DELETE FROM rotations WHERE log = ?'),
    addRotation: db.prepare('INSERT INTO rotations VALUES (?, ?, ?, ?, ?, ?, ?)'),
    known: db.prepare('SELECT note FROM checkpoints WHERE log = ? AND size = ? AND root = ?'),
    add: db.prepare('INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
    renote: db.prepare('UPDATE checkpoints SET note = ? WHERE log = ? AND size = ? AND root = ?'),
    state: db.prepare('UPDATE checkpoints SET state = ? WHERE log = ? AND size = ? AND root = ?'),
    newest: db.prepare(
      `SELECT ${columns} FROM checkpoints WHERE log = ? AND state = 'proven' ORDER BY size DESC LIMIT 1`,
    ),
    largest: db.prepare(
      `SELECT ${columns} FROM checkpoints WHERE log = ? AND state <> 'conflict' ORDER BY size DESC LIMIT 1`,
    ),
    pending: db.prepare(
      `SELECT ${columns} FROM checkpoints WHERE log = ? AND state = 'pending' ORDER BY size DESC LIMIT ?`,
    ),
    ofSize: db.prepare(`SELECT ${columns} FROM checkpoints WHERE log = ? AND size = ?`),
    list: db.prepare(
      `SELECT ${columns} FROM checkpoints WHERE log = ? ORDER BY seen_at DESC, size DESC LIMIT ? OFFSET ?`,
    ),
    notes: db.prepare(`SELECT note FROM checkpoints WHERE log = ? AND state <> 'conflict'`),
    counts: db.prepare(
      `SELECT count(*) AS seen, coalesce(sum(state = 'pending'), 0) AS pending FROM checkpoints WHERE log = ?`,
    ),
    growth: db.prepare(
      `SELECT at, size FROM (
         SELECT seen_at AS at, size, row_number() OVER (ORDER BY seen_at, size) AS n, count(*) OVER () AS all_of_them
         FROM checkpoints WHERE log = ? AND state <> 'conflict'
       ) WHERE all_of_them <= 200 OR n = 1 OR n = all_of_them OR n % (all_of_them / 200 + 1) = 0 ORDER BY at, size`,
    ),
    thin: db.prepare(
      `DELETE FROM checkpoints WHERE rowid IN (
         SELECT rowid FROM (
           SELECT rowid, state, how, row_number() OVER (ORDER BY seen_at DESC) AS age,
             row_number() OVER (PARTITION BY substr(seen_at, 1, 13) ORDER BY seen_at DESC) AS in_hour,
             row_number() OVER (ORDER BY seen_at) AS n
           FROM checkpoints WHERE log = ?
         ) WHERE age > ? AND in_hour > 1 AND n > 1 AND state = 'proven' AND how <> 'handover' AND how <> 'bundle'
       )`,
    ),
    alarms: db.prepare('SELECT body FROM alarms ORDER BY is_open DESC, found_at DESC LIMIT 100'),
    saveAlarm: db.prepare(
      `INSERT INTO alarms VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, body = excluded.body`,
    ),
    verdict: db.prepare('SELECT body FROM verdicts WHERE id = ?'),
    verdicts: db.prepare('SELECT body FROM verdicts ORDER BY at DESC LIMIT ?'),
    saveVerdict: db.prepare('INSERT INTO verdicts VALUES (?, ?, ?)'),
    thinVerdicts: db.prepare(
      `DELETE FROM verdicts WHERE id NOT IN (SELECT id FROM verdicts ORDER BY at DESC LIMIT ?)
       AND id NOT IN (SELECT json_extract(body, '$.verdict') FROM verifications)`,
    ),
    verifications: db.prepare('SELECT body FROM verifications ORDER BY at DESC'),
    saveVerification: db.prepare(
      `INSERT INTO verifications VALUES (?, ?, ?)
       ON CONFLICT (session) DO UPDATE SET at = excluded.at, body = excluded.body`,
    ),
    kept: db.prepare('SELECT value FROM kept WHERE name = ?'),
    keep: db.prepare('INSERT INTO kept VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value'),
  }
  const together = db.transaction((work: () => void) => work())

  return {
    logs: () => one.logs.all() as LogRow[],
    logOf: (gateway) => one.logOf.get(gateway) as LogRow | undefined,
    addLog({ origin, pinned, how, pinnedAt, since }) {
      const { lastInsertRowid } = one.addLog.run(origin, pinned, how, pinnedAt, since)
      return one.log.get(lastInsertRowid) as LogRow
    },
    giveUp: (log, at) => void one.giveUp.run(at, log),
    bind: (gateway, log) => void (log === undefined ? one.unbind.run(gateway) : one.bind.run(gateway, log)),
    pin: (log, pinned, how, at) => void one.pin.run(pinned, how, at, log),
    rotations: (log) => one.rotations.all(log) as Rotation[],
    setRotations(log, rotations) {
      together(() => {
        one.dropRotations.run(log)
        rotations.forEach(({ from, to, handover, size, seenAt }, n) => {
          one.addRotation.run(log, n, from, to, handover, size, seenAt)
        })
      })
    },
    addCheckpoint({ log, size, root, note, seenAt, how, source, state }) {
      const known = one.known.get(log, size, root) as { note: string } | undefined
      if (!known) one.add.run(log, size, root, note, seenAt, how, source, state)
      else if (note.split('\n').length > known.note.split('\n').length) one.renote.run(note, log, size, root)
      return !known
    },
    setState: ({ log, size, root }, state) => void one.state.run(state, log, size, root),
    newest: (log) => one.newest.get(log) as CheckpointRow | undefined,
    largest: (log) => one.largest.get(log) as CheckpointRow | undefined,
    pending: (log, limit) => one.pending.all(log, limit) as CheckpointRow[],
    ofSize: (log, size) => one.ofSize.all(log, size) as CheckpointRow[],
    checkpoints: (log, limit, skip = 0) => one.list.all(log, limit, skip) as CheckpointRow[],
    notes: (log) => (one.notes.all(log) as { note: string }[]).map(({ note }) => note),
    counts: (log) => one.counts.get(log) as { seen: number; pending: number },
    growth: (log) => one.growth.all(log) as WitnessedLog['growth'],
    thin: (log) => one.thin.run(log, keptWhole).changes,
    alarms: () => bodies(WitnessAlarm, one.alarms.all()),
    saveAlarm: (alarm) =>
      void one.saveAlarm.run(alarm.id, alarm.foundAt, alarm.acknowledged ? 0 : 1, JSON.stringify(alarm)),
    verdict: (id) => bodies(BundleVerdict, [one.verdict.get(id)])[0],
    verdicts: () => bodies(BundleVerdict, one.verdicts.all(keptVerdicts)),
    saveVerdict(verdict) {
      one.saveVerdict.run(verdict.id, verdict.at, JSON.stringify(verdict))
      one.thinVerdicts.run(keptVerdicts)
    },
    verifications: () => bodies(Verification, one.verifications.all()),
    saveVerification: (it) => void one.saveVerification.run(it.session, it.at, JSON.stringify(it)),
    kept: (name) => (one.kept.get(name) as { value: string } | undefined)?.value,
    keep: (name, value) => void one.keep.run(name, value),
    together,
    forget: () => void db.exec('DELETE FROM verifications; DELETE FROM verdicts'),
    [Symbol.dispose]: () => db.close(),
  }
}

/** A row that no longer fits its schema (an older version wrote it) is left out. */
function bodies<T>(schema: z.ZodType<T>, rows: unknown[]): T[] {
  const items: T[] = []
  for (const row of rows) {
    if (!row) continue
    const parsed = schema.safeParse(JSON.parse((row as { body: string }).body))
    if (parsed.success) items.push(parsed.data)
  }
  return items
}
