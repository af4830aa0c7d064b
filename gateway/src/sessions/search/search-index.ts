import type { RecordingEvent, RecordingHeader } from '@countersign/contract/recording'
import type Database from 'better-sqlite3'
import type { BaseLogger } from 'pino'
import type { RecordedLine, RecordingReader } from '../scribe/line.ts'
import { isDamage, openForWriting, remove, type Unusable } from './database.ts'
import {
  bounds,
  cameBackIn,
  type Document,
  hashOf,
  indexed,
  keyOf,
  parametersOf,
  tablesOf,
  tickOf,
  verdicts,
} from './document.ts'
import { OutputOf } from './output.ts'
import { PART, Parts } from './parts.ts'

export interface SearchIndexOptions {
  file: string
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** How long to wait for who else holds the file (ms). */
  patienceMs?: number
  /** Commands a part of the index takes. */
  part?: number
  /** Characters of commands that are kept in mind, of all sessions together. */
  remembered?: number
}

/** Commands of one session that are known without asking the index: so many, and as many characters. */
const knownOfOne = { texts: 512, length: 128 * 1024 }
/** So long what was given may wait to be stored with what follows: a commit costs as much as some hundred commands. */
const FLUSH_MS = 1000
/** How long one commit may work on what was put off. */
const TIDY_MS = 5

/** A session that is being read. */
interface Reading {
  readonly id: string
  readonly started: number
  readonly header: RecordingHeader
  /** Where its recording goes on. */
  place: number
  /** Its number, once it is in the index. */
  n: number | undefined
  agent: number
  connection: number
  /** Milliseconds since 1970 of its last command. */
  last: number
  lastId: number
  known: Map<string, Document>
  length: number
  /** Commands whose results are still to come, by their id in the recording. */
  awaited: Map<string, Document>
  output: OutputOf
  stale: Set<Document>
  ended: boolean
}

/**
 * The index of commands: reads recordings along, a line at a time, and keeps one entry for all commands of a session that
 * have the same text and verdict. Synchronous; the only one that writes it. What is given is found after `flush`.
 * A session that was left in its middle is read from its beginning again.
 */
export class SearchIndex implements RecordingReader, Disposable {
  /** Why it was made anew, if it was: then all recordings are to be read. */
  made: Unusable | undefined
  /** Sessions of which lines were given whose beginnings it lacks: nothing of them is taken until it has those. */
  readonly lacking = new Map<string, RecordingHeader>()
  readonly #options: SearchIndexOptions
  #db: Database.Database
  #parts: Parts
  #sql: Statements
  #readings = new Map<string, Reading>()
  /** Readings with something to be stored. */
  #stale = new Set<Reading>()
  #names = new Map<string, number>()
  /** What names are used more often than is stored. */
  #uses = new Map<number, number>()
  #remembered = 0
  /** By how much a command's number was moved so that it is its own, at most; in ticks. */
  #drift = 0
  /** Numbers given to commands that aren't stored yet. */
  readonly #given = new Set<number>()
  /** The part that is being merged. */
  #tidying: number | undefined
  /** Whether something was tidied since the log was emptied. */
  #tidied = true
  #mayBeUntidy = true
  #flushed = Number.NEGATIVE_INFINITY

  /** Opens the index, or makes it anew where it is missing, damaged or of another version. */
  constructor(options: SearchIndexOptions) {
    this.#options = options
    const { db, made } = openForWriting(options.file, options.patienceMs)
    this.#db = db
    this.made = made
    this.#parts = new Parts(db, options.part ?? PART)
    this.#sql = statementsOf(db)
    this.#drift = (this.#sql.meta.get('drift') as { value: number } | undefined)?.value ?? 0
  }

  get #most(): number {
    return this.#options.remembered ?? 16 * 1024 * 1024
  }

  /** Whether a recording is in it from its beginning to its end. */
  hasWhole(session: string): boolean {
    return (this.#sql.session.get(session) as { whole: number } | undefined)?.whole === 1
  }

  /** Sessions whose recordings are being read, and haven't ended. */
  isReading(session: string): boolean {
    return this.#readings.has(session)
  }

  placeIn(session: string): number {
    const reading = this.#readings.get(session)
    if (reading) return reading.place
    const stored = this.#sql.session.get(session) as { bytes: number; whole: number } | undefined
    return stored?.whole === 1 ? stored.bytes : 0
  }

  line(header: RecordingHeader, line: RecordedLine): void {
    const { session } = header
    let reading = this.#readings.get(session)
    if (!reading && line.offset === 0 && !this.hasWhole(session)) reading = this.#begin(header)
    // What was had already is given again after a failure elsewhere.
    if (line.offset !== reading?.place) {
      if (!reading || line.offset > reading.place) this.#lacks(header)
      return
    }
    switch (line.type) {
      case 'command':
        this.#command(reading, line.parsed as RecordingEvent & { type: 'command' })
        break
      case 'rows':
      case 'result':
        if (reading.awaited.size > 0) this.#cameBack(reading, line)
        break
      case 'channel': {
        const event = line.parsed as RecordingEvent & { type: 'channel' }
        const document = reading.awaited.get(event.command)
        if (document) reading.output.begin(event, document)
        break
      }
      case 'output': {
        const taken = reading.output.take(line)
        if (taken) this.#add(reading, taken.document, 'cameBack', taken.text)
        break
      }
      case 'end':
        reading.ended = true
        this.#stale.add(reading)
        break
    }
    reading.place = line.end
  }

  /** What comes before a line is missing: somebody has to give it. */
  #lacks(header: RecordingHeader): void {
    const { session } = header
    if (!this.lacking.has(session) && !this.hasWhole(session)) this.lacking.set(session, header)
  }

  /** Stores what was given, a while ago or when it has become much. @throws as `flush` */
  commit(): void {
    if (this.#stale.size === 0 && !this.#mayBeUntidy) return
    const now = performance.now()
    if (this.#stale.size > 0 && now - this.#flushed < FLUSH_MS && this.#given.size < STORED_AT_ONCE) return
    this.flush()
  }

  /** Stores all that was given. @throws where it can't be stored; it is to be given again then, by `placeIn` */
  flush(): void {
    this.#flushed = performance.now()
    try {
      if (this.#stale.size > 0) this.#db.transaction(() => this.#store())()
      for (const reading of this.#stale) this.#settled(reading)
      this.#stale.clear()
      this.#given.clear()
      this.#uses.clear()
      if (this.#remembered > this.#most) this.#forgetKnown()
      if (this.#mayBeUntidy) this.tidy(TIDY_MS)
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }

  /** Sessions are no longer found, from now on; what is stored of them goes with `tidy`. */
  forget(sessions: readonly string[]): void {
    try {
      this.#db.transaction(() => {
        for (const session of sessions) this.#sql.gone.run(session)
      })()
      for (const session of sessions) {
        const reading = this.#readings.get(session)
        if (!reading) continue
        this.#readings.delete(session)
        this.#stale.delete(reading)
        this.#remembered -= reading.length
      }
      this.#mayBeUntidy = true
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }

  /**
   * Works off what was put off: takes out what was forgotten, and the bytes that it leaves.
   * @param ms how long, about
   * @returns whether nothing is left to be done
   */
  tidy(ms: number): boolean {
    if (!this.#mayBeUntidy) return true
    const until = performance.now() + ms
    try {
      do {
        if (this.#db.transaction(() => this.#tidyStep())()) {
          this.#tidied = true
          continue
        }
        // What was overwritten in the file is still in the log beside it.
        const [{ busy }] = this.#tidied
          ? (this.#db.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }])
          : [{ busy: 0 }]
        if (busy) return false
        this.#tidied = false
        this.#mayBeUntidy = false
        return true
      } while (performance.now() < until)
      return false
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }

  /** Whether something was given that isn't stored. */
  get waits(): boolean {
    return this.#stale.size > 0
  }

  /** How many sessions have yet to be read, so that it can be told to those who search. */
  behind(sessions: number): void {
    this.#sql.setMeta.run('behind', sessions)
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }

  #begin(header: RecordingHeader): Reading {
    const started = Date.parse(header.startedAt)
    const reading: Reading = {
      id: header.session,
      started,
      header,
      place: 0,
      n: undefined,
      agent: 0,
      connection: 0,
      last: started,
      lastId: 0,
      known: new Map(),
      length: 0,
      awaited: new Map(),
      output: new OutputOf(),
      stale: new Set(),
      ended: false,
    }
    this.#readings.set(header.session, reading)
    this.#stale.add(reading)
    return reading
  }

  #command(reading: Reading, event: RecordingEvent & { type: 'command' }): void {
    const key = keyOf(event)
    const at = reading.started + event.t
    let document = reading.known.get(key)
    if (!document) {
      const hash = hashOf(key)
      document = this.#stored(reading, hash) ?? this.#fresh(reading, event, hash, at)
      this.#know(reading, key, document)
    } else {
      document.count++
      if (document.stale === 'nothing') document.stale = 'count'
      else if (document.stale === 'words') document.stale = 'all'
    }
    document.last = Math.floor(at)
    reading.last = Math.max(reading.last, document.last)
    reading.stale.add(document)
    this.#stale.add(reading)
    const { more } = document
    // One that was held and then released stands twice: what comes belongs to the last.
    if (reading.awaited.size > 0) this.#received(reading, event.command)
    if (more && more.times < bounds.times) {
      more.times++
      const parameters = parametersOf(event)
      if (parameters !== '') this.#add(reading, document, 'parameters', parameters)
      this.#await(reading, event.command, document)
    }
    if (this.#given.size >= STORED_AT_ONCE) this.flush()
  }

  #await(reading: Reading, command: string, document: Document): void {
    if (reading.awaited.size >= AWAITED) this.#received(reading, reading.awaited.keys().next().value!)
    reading.awaited.set(command, document)
    document.more!.awaited++
  }

  #received(reading: Reading, command: string): void {
    const { more } = reading.awaited.get(command) ?? {}
    if (more) more.awaited--
    reading.awaited.delete(command)
  }

  /** A command that was seen before, but isn't known by heart. */
  #stored(reading: Reading, hash: Buffer): Document | undefined {
    if (reading.n === undefined) return undefined
    const row = this.#sql.once.get(reading.n, hash) as Pick<Document, 'id' | 'count'> | undefined
    if (!row) return undefined
    const { id, count } = row
    return {
      ...{ id, hash, verdict: 0, kind: '', seq: 0, t: 0, tables: [], last: 0 },
      count: count + 1,
      more: undefined,
      stored: true,
      stale: 'count',
    }
  }

  #fresh(reading: Reading, event: RecordingEvent & { type: 'command' }, hash: Buffer, at: number): Document {
    const id = this.#numberFor(reading, tickOf(at))
    return {
      id,
      hash,
      verdict: verdicts.indexOf(event.verdict.outcome),
      kind: event.kind,
      seq: event.seq,
      t: event.t,
      tables: tablesOf(event),
      count: 1,
      last: 0,
      more: { text: event.text.slice(0, bounds.text), parameters: '', cameBack: '', times: 0, awaited: 0 },
      stored: false,
      stale: 'all',
    }
  }

  #know(reading: Reading, key: string, document: Document): void {
    reading.known.set(key, document)
    const length = key.length + (document.more?.text.length ?? 0)
    reading.length += length
    this.#remembered += length
  }

  #add(reading: Reading, document: Document, what: 'parameters' | 'cameBack', text: string): void {
    document.more![what] += `${text}\n`
    reading.length += text.length
    this.#remembered += text.length
    if (document.stale === 'nothing') document.stale = 'words'
    else if (document.stale === 'count') document.stale = 'all'
    reading.stale.add(document)
    this.#stale.add(reading)
  }

  #cameBack(reading: Reading, line: RecordedLine): void {
    const command = COMMAND.exec(line.bytes.toString('latin1', 0, 160))?.[1]
    if (command !== undefined && !reading.awaited.has(command)) return
    const event = line.parsed as RecordingEvent & { type: 'rows' | 'result' }
    const document = reading.awaited.get(event.command)
    if (!document) return
    const text = document.more && cameBackIn(event)
    if (event.type === 'result') this.#received(reading, event.command)
    if (text) this.#add(reading, document, 'cameBack', text)
  }

  /** The first number that is free from a tick on. */
  #numberFor(reading: Reading, tick: number): number {
    let id = Math.max(tick, reading.lastId + 1)
    for (let step = 1; this.#isTaken(id); step *= 2) id += step
    this.#drift = Math.max(this.#drift, id - tick)
    reading.lastId = id
    this.#given.add(id)
    return id
  }

  #isTaken(id: number): boolean {
    return this.#given.has(id) || (id <= this.#parts.newest && this.#sql.isTaken.get(id) !== undefined)
  }

  #store(): void {
    const fresh: { reading: Reading; document: Document }[] = []
    for (const reading of this.#stale) {
      if (reading.n === undefined) this.#storeSession(reading)
      for (const document of reading.stale) fresh.push({ reading, document })
    }
    fresh.sort((a, b) => a.document.id - b.document.id)
    const { insert, insertText, count } = this.#sql
    for (const { reading, document } of fresh) {
      const { id, stale, more } = document
      const isNew = !document.stored
      if (isNew) {
        const { hash, verdict, kind, seq, t } = document
        insert.run(id, reading.n, hash, verdict, kind, seq, t, document.count, document.last)
        insertText.run(id, more!.text.slice(0, bounds.shown), JSON.stringify(document.tables))
      } else if (stale !== 'words') count.run(document.count, document.last, id)
      if (!more || stale === 'count') continue
      const tables = document.tables.map((table) => this.#nameOf('table', table, isNew))
      const { agent, connection } = reading
      const words = indexed(document, more.text, { session: reading.n!, agent, connection, tables })
      if (isNew) this.#parts.add(id, words)
      else this.#parts.replace(id, words)
    }
    for (const reading of this.#stale) {
      const { last, place, ended, n } = reading
      this.#sql.progress.run(last, place, ended ? 1 : 0, n)
    }
    for (const [n, uses] of this.#uses) this.#sql.use.run(uses, n)
    this.#sql.setMeta.run('drift', this.#drift)
    if (this.#parts.store()) this.#mayBeUntidy = true
  }

  #storeSession(reading: Reading): void {
    const { id, header, started, last } = reading
    // Left in its middle when the index was written last.
    if (this.#sql.session.get(id)) this.#sql.gone.run(id)
    reading.agent = this.#nameOf('agent', header.agent.id, true)
    reading.connection = this.#nameOf('connection', header.connection, true)
    const { lastInsertRowid } = this.#sql.insertSession.run(
      ...[id, reading.agent, header.agent.name, reading.connection, started, last],
    )
    reading.n = Number(lastInsertRowid)
  }

  /** The number that stands for a name; `used` where something is stored that has it. */
  #nameOf(kind: 'agent' | 'connection' | 'table', name: string, used: boolean): number {
    const key = `${kind} ${name}`
    let n = this.#names.get(key)
    if (n === undefined) {
      const row = this.#sql.name.get(kind, name) as { n: number } | undefined
      n = row ? row.n : Number(this.#sql.insertName.run(kind, name).lastInsertRowid)
      if (this.#names.size >= 10_000) this.#names.clear()
      this.#names.set(key, n)
    }
    if (used) this.#uses.set(n, (this.#uses.get(n) ?? 0) + 1)
    return n
  }

  /** After what a reading had to be stored is. */
  #settled(reading: Reading): void {
    for (const document of reading.stale) {
      document.stale = 'nothing'
      document.stored = true
      const { more } = document
      if (more && more.times >= bounds.times && more.awaited === 0) document.more = undefined
    }
    reading.stale.clear()
    if (reading.ended) this.#readings.delete(reading.id)
    if (reading.ended || reading.known.size >= knownOfOne.texts || reading.length >= knownOfOne.length)
      this.#forgetKnownOf(reading)
  }

  #forgetKnownOf(reading: Reading): void {
    this.#remembered -= reading.length
    reading.length = 0
    reading.known.clear()
  }

  /** Sessions that were read longest ago are no longer known by heart; they are asked of the index from now on. */
  #forgetKnown(): void {
    for (const reading of this.#readings.values()) {
      this.#forgetKnownOf(reading)
      reading.awaited.clear()
      if (this.#remembered <= this.#most / 2) return
    }
  }

  /** One piece of what was put off; false where there is none. */
  #tidyStep(): boolean {
    const gone = this.#sql.nextGone.get() as { n: number; agent: number; connection: number } | undefined
    if (gone) {
      this.#takeOut(gone)
      return true
    }
    const part = this.#parts.untidy()
    if (!part) return false
    const done = this.#parts.tidy(part, this.#tidying !== part.n)
    this.#tidying = done ? undefined : part.n
    return true
  }

  #takeOut({ n, agent, connection }: { n: number; agent: number; connection: number }): void {
    const some = this.#sql.someOf.all(n) as { id: number; tables: string }[]
    for (const { id, tables } of some) {
      this.#parts.take(id)
      this.#sql.deleteText.run(id)
      this.#sql.delete.run(id)
      for (const table of JSON.parse(tables) as string[]) this.#sql.unuse.run('table', table)
    }
    this.#parts.store()
    if (some.length < TAKEN_AT_ONCE) {
      this.#sql.deleteSession.run(n)
      for (const name of [agent, connection]) this.#sql.use.run(-1, name)
    }
    this.#sql.deleteNames.run()
    this.#names.clear()
  }

  /** Nothing in memory is known to be stored; and where the file is damaged there is a new one. */
  #failed(error: unknown): void {
    this.#readings.clear()
    this.#stale.clear()
    this.#names.clear()
    this.#uses.clear()
    this.#given.clear()
    this.#remembered = 0
    this.#tidying = undefined
    this.#mayBeUntidy = true
    if (isDamage(error)) this.remake()
    else this.#parts.reload()
  }

  /** Begins an index anew, as where it was found to be damaged: all recordings are to be read again. */
  remake(): void {
    this.#options.log.error({}, 'the search index is damaged: it is made anew from the recordings')
    this.#readings.clear()
    this.#stale.clear()
    this.#db.close()
    remove(this.#options.file)
    this.#db = openForWriting(this.#options.file, this.#options.patienceMs).db
    this.made = 'damaged'
    this.#parts = new Parts(this.#db, this.#options.part ?? PART)
    this.#sql = statementsOf(this.#db)
  }
}

/** The command of rows and results stands right behind their type, as recorders write them. */
const COMMAND = /^\{"seq":\d+,"t":[\d.]+,"type":"[a-z]+","command":"([^"\\]*)"/

/** Results of so many commands of a session are awaited. */
const AWAITED = 1024
/** So many new commands are stored before anybody commits: more would keep others waiting in one piece. */
const STORED_AT_ONCE = 512
/** How many commands of a forgotten session are taken out in one piece. */
const TAKEN_AT_ONCE = 200

type Statements = ReturnType<typeof statementsOf>

function statementsOf(db: Database.Database) {
  return {
    session: db.prepare('select bytes, whole from sessions where id = ?'),
    insertSession: db.prepare(
      'insert into sessions (id, agent, agent_name, connection, started, last) values (?, ?, ?, ?, ?, ?)',
    ),
    progress: db.prepare('update sessions set last = ?, bytes = ?, whole = ? where n = ?'),
    gone: db.prepare(`update sessions set gone = 1, whole = 0, agent_name = '', id = 'gone ' || n where id = ?`),
    nextGone: db.prepare('select n, agent, connection from sessions where gone = 1 limit 1'),
    someOf: db.prepare(
      `select commands.id, texts.tables from commands join texts using (id) where session = ? limit ${TAKEN_AT_ONCE}`,
    ),
    deleteSession: db.prepare('delete from sessions where n = ?'),
    once: db.prepare('select id, count from commands where session = ? and hash = ?'),
    isTaken: db.prepare('select 1 from commands where id = ?'),
    insert: db.prepare(
      'insert into commands (id, session, hash, verdict, kind, seq, t, count, last) values (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    insertText: db.prepare('insert into texts (id, text, tables) values (?, ?, ?)'),
    count: db.prepare('update commands set count = ?, last = ? where id = ?'),
    delete: db.prepare('delete from commands where id = ?'),
    deleteText: db.prepare('delete from texts where id = ?'),
    name: db.prepare('select n from names where kind = ? and name = ?'),
    insertName: db.prepare('insert into names (kind, name) values (?, ?)'),
    use: db.prepare('update names set uses = uses + ? where n = ?'),
    unuse: db.prepare('update names set uses = uses - 1 where kind = ? and name = ?'),
    deleteNames: db.prepare('delete from names where uses <= 0'),
    meta: db.prepare('select value from meta where name = ?'),
    setMeta: db.prepare(
      'insert into meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value',
    ),
  }
}
