import { randomUUID } from 'node:crypto'
import type { Classification } from '../masking/classes.ts'
import { type Catalogs, readCatalog, readClassification, Snapshot } from './catalogs.ts'
import type { StatementAnalysis, StatementContext } from './effects/effects.ts'
import { meaningful } from './effects/settings.ts'
import { FAILED, IDLE, type Outstanding } from './outstanding.ts'
import type { PostgresTarget } from './target.ts'
import { ProtocolViolation } from './wire/framer.ts'

/** Asks on the session's own connection, unseen by the client: each statement's rows. */
export type Ask = (...statements: string[]) => Promise<(string | null)[][][]>

export type Circumstances = Omit<StatementContext, 'prepared' | 'portal'>

/** Catalogs older than this are read anew while the old one is still used, or before anything is decided. */
const STALE_MS = 15_000
const TOO_OLD_MS = 120_000
/** A name that isn't found is looked for once more where the catalog is older than this. */
const MOMENT_MS = 250

/** So many settings of its own making a session may use before its approvals hold for nothing outside of it. */
const OWN_SETTINGS = 256

/** What names mean in a session at this moment: its search_path, its role, and the catalog as it sees it. */
export class Bearings {
  searchPath: string[] | null = null
  user = ''
  #temporary: string | null = null
  #circumstances: Circumstances | undefined
  readonly #target: PostgresTarget
  readonly #catalogs: Catalogs
  readonly #outstanding: Outstanding
  readonly #ask: Ask
  /** search_path or role may have changed since they were asked. */
  #dirty = true
  /** … and the change may be undone at the end of the transaction. */
  #touched = false
  /** Settings by which texts mean something else: what the server said, and as text. */
  #settings: Readonly<Record<string, string | null>> = {}
  #settingsAsSaid = ''
  /** Those of its own making that this session has set. */
  readonly #ownSettings = new Set<string>()
  #settingsTouched = false
  /** Stands for settings that aren't asked for, since there are too many. */
  #beyond: string | undefined
  /** The catalog as this session's open transaction sees it, once that has changed it. */
  #own: Snapshot | undefined
  /** When its reading began. */
  #ownSince = 0
  /** The open transaction, if there is one, began no earlier. */
  #idleAt = performance.now()
  #changed: 'no' | 'in transaction' | 'committed' = 'no'
  /** When that was known to be committed. */
  #committedAt = 0
  /** What has changed is there for every session. */
  #changedForAll = false

  constructor(target: PostgresTarget, catalogs: Catalogs, outstanding: Outstanding, ask: Ask) {
    this.#target = target
    this.#catalogs = catalogs
    this.#outstanding = outstanding
    this.#ask = ask
    catalogs.joined(target)
  }

  get connection(): { name: string } {
    return this.#target.ref
  }

  get #snapshot(): Snapshot | undefined {
    return this.#own ?? this.#catalogs.current(this.#target)
  }

  /** Which columns hold data of which classes. @throws Error where no catalog has been read for a connection with rules */
  get classification(): Classification {
    const classification = this.#snapshot?.classification
    if (!classification) throw new Error('the columns of the database have not been read')
    return classification
  }

  /** Whether a statement may be analysed without asking anything first. */
  get fresh(): boolean {
    if (this.#dirty || this.#changed !== 'no') return false
    if (this.#own) return !this.#catalogs.changedSince(this.#target, this.#ownSince)
    const age = this.#catalogs.current(this.#target)?.age ?? Number.POSITIVE_INFINITY
    if (age > STALE_MS) this.#catalogs.refreshLater(this.#target)
    return age <= TOO_OLD_MS
  }

  /**
   * Asks for what may have changed. Nothing may be outstanding.
   * @param text what it is asked for: where that says nothing that the catalog could give a meaning, it isn't read
   * @throws Error where the server doesn't answer
   */
  async take(text?: string): Promise<void> {
    const failed = this.#outstanding.status === FAILED
    if (!this.#snapshot || text === undefined || !namesNothing(text)) await this.#takeCatalog(failed)
    if (!this.#dirty) return
    if (failed) {
      this.searchPath = null // it can't be asked; unqualified names stay unresolved
      return
    }
    // Nothing here that a search_path could lead astray: operators and functions by their full names.
    const [rows] = await this.#ask(
      `SELECT pg_catalog.current_setting('search_path'), current_user,
              (SELECT nspname FROM pg_catalog.pg_namespace WHERE oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()),
              pg_catalog.current_setting('standard_conforming_strings'), pg_catalog.current_setting('client_encoding'),
              ${settingsNow([...meaningful, ...this.#ownSettings])}`,
    )
    const [path, user, temporary, strings, encoding, settings] = rows?.[0] ?? []
    // Within a batch the server doesn't report them before its end.
    if (strings !== 'on' || (encoding !== 'UTF8' && encoding !== 'SQL_ASCII'))
      throw new ProtocolViolation('a setting by which the server reads other commands than the gateway got through')
    this.searchPath = path == null ? null : schemasOf(path)
    this.user = user ?? ''
    this.#temporary = temporary ?? null
    const asSaid = `${settings} ${this.#beyond}`
    if (asSaid !== this.#settingsAsSaid) {
      this.#settingsAsSaid = asSaid
      this.#settings = { ...JSON.parse(settings ?? '{}'), ...(this.#beyond ? { '': this.#beyond } : {}) }
    }
    this.#dirty = false
  }

  async #takeCatalog(failed: boolean): Promise<void> {
    const known = this.#snapshot
    if (this.#changed === 'committed' || !known || (!this.#own && known.age > TOO_OLD_MS)) {
      const committed = this.#changed === 'committed'
      this.#changed = 'no'
      this.#own = undefined
      try {
        if (committed) await this.#catalogs.since(this.#target, this.#committedAt)
        else await this.#catalogs.refresh(this.#target)
      } catch (error) {
        if (committed) this.#changed = 'committed'
        throw error
      }
    }
    // Others have changed it for this transaction, too.
    const behind = this.#own !== undefined && this.#catalogs.changedSince(this.#target, this.#ownSince)
    if ((this.#changed === 'in transaction' || behind) && !failed) await this.#lookOurselves()
  }

  /** Reads the catalog anew because a name wasn't found. Answers whether that was worth it. */
  async lookAgain(): Promise<boolean> {
    if (this.#own || (this.#catalogs.current(this.#target)?.age ?? 0) < MOMENT_MS) return false
    await this.#catalogs.refresh(this.#target)
    return true
  }

  /** Reads everything anew: what a held command means must be what it meant. */
  async again(): Promise<void> {
    if (!this.#own) {
      this.#changed = 'committed'
      this.#committedAt = performance.now()
    }
    await this.take()
  }

  /**
   * What an analysis depends on beyond the text and the names of prepared statements and portals: the same object for as
   * long as nothing of it has changed.
   */
  get circumstances(): Circumstances {
    const snapshot = this.#snapshot
    if (!snapshot) throw new Error('no catalog has been read')
    const { catalog } = snapshot
    const known = this.#circumstances
    if (
      known?.catalog === catalog &&
      known.searchPath === this.searchPath &&
      known.user === this.user &&
      known.tempSchema === this.#temporary &&
      known.settled === !this.#touched &&
      known.settings === this.#settings
    )
      return known
    this.#circumstances = {
      connection: this.#target.ref.name,
      catalog,
      searchPath: this.searchPath,
      user: this.user,
      tempSchema: this.#temporary,
      settled: !this.#touched,
      settings: this.#settings,
    }
    return this.#circumstances
  }

  /** Takes note of what statements that are about to run may change. */
  note(statements: StatementAnalysis[]): void {
    for (const { session, effects } of statements) {
      // Whatever code a function holds, it may set the search_path, or make tables.
      const calls = effects.some(({ action }) => action === 'sql:call' || action === 'sql:unknown')
      if (session.setsSearchPath || session.setsRole || session.resetsAll || session.changesCatalog || calls) {
        this.#dirty = true
        this.#touched = true
      }
      if (session.sets) {
        this.#dirty = true
        this.#settingsTouched = true
        for (const name of session.sets) if (name.includes('.')) this.#noteOwn(name)
      }
      const ends = session.transaction && session.transaction !== 'begin'
      if (ends && (this.#touched || this.#settingsTouched)) this.#dirty = true
      // What the transaction has made may be gone again, and what it dropped be back.
      if (session.transaction === 'rollback-to' && this.#own) this.#changed = 'in transaction'
      const code = effects.some(({ action }) => action === 'sql:unknown')
      if (session.changesCatalog || code) this.#changed = 'in transaction'
      this.#changedForAll ||= effects.some(redefinesForAll)
    }
  }

  #noteOwn(name: string): void {
    // The server takes no other names (valid_custom_variable_name).
    if (!/^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)+$/.test(name) || this.#ownSettings.has(name)) return
    if (this.#ownSettings.size < OWN_SETTINGS) this.#ownSettings.add(name)
    // Too many to be asked for each time: then nothing that is approved here holds for another session.
    else this.#beyond ??= randomUUID()
  }

  /** The server says that it changed. */
  pathReported(): void {
    this.#dirty = true
    this.#touched = true
  }

  ready(status: number): void {
    if (status !== IDLE) return
    if (this.#touched || this.#settingsTouched) this.#dirty = true
    this.#touched = false
    this.#settingsTouched = false
    if (this.#changed !== 'no' || this.#own) {
      this.#changed = 'committed'
      this.#committedAt = performance.now()
      this.#own = undefined
    }
    // A view that one session replaces is another one to all of them, from what they send next.
    if (this.#changedForAll) this.#catalogs.outdate(this.#target)
    this.#changedForAll = false
    this.#idleAt = performance.now()
  }

  /**
   * Reads the catalog through the session's own transaction, which alone sees what it has made, under a search_path in
   * which nobody can have put operators of his own.
   */
  async #lookOurselves(): Promise<void> {
    const since = performance.now()
    const [said] = await this.#ask(
      "SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('transaction_isolation')",
    )
    const [before, isolation] = [said?.[0]?.[0] ?? '', said?.[0]?.[1]]
    // Its queries see the catalog as it was when it began; its names mean what they mean now.
    if (!/^read (un)?committed$/.test(isolation ?? '') && this.#catalogs.changedSince(this.#target, this.#idleAt))
      throw new ProtocolViolation(
        'another session has changed the database in a way that this transaction can not see: begin it again',
      )
    const query = async (sql: string) => {
      const [, rows] = await this.#ask(
        "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)",
        sql,
        `SELECT pg_catalog.set_config('search_path', ${literal(before)}, true)`,
      )
      return rows ?? []
    }
    const catalog = await readCatalog(query)
    const { masking } = this.#target
    const known = this.#snapshot?.classification
    // What the transaction has renamed may yet be rolled back: it is nothing to be kept.
    const rules = masking && { dataClasses: masking.dataClasses }
    this.#ownSince = since
    this.#own = new Snapshot(catalog, rules && (await readClassification(query, rules, known)))
    this.#changed = 'no'
  }
}

/** DDL by which names may mean something else, and not in the session's own temporary schema. */
const redefinesForAll = ({ action, resource, command }: StatementAnalysis['effects'][number]) =>
  action === 'sql:ddl' &&
  resource.attrs?.schema !== 'pg_temp' &&
  /^(create|alter|drop|import)$/.test(String(command.kind))

/** Whether a text is nothing but the beginning or the end of a transaction, in the plainest of its spellings. */
const namesNothing = (text: string) =>
  text.length < 64 &&
  /^\s*(BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT)(\s+(WORK|TRANSACTION))?\s*;?\s*$/i.test(text)

/** An expression for an object of settings, null where one isn't set. */
const settingsNow = (names: string[]) =>
  `(SELECT pg_catalog.json_object_agg(s, pg_catalog.current_setting(s, true)) FROM pg_catalog.unnest(ARRAY[${names.map(literal).join(', ')}]) s)`

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`

/**
 * The entries of a search_path as current_setting() writes it, unquoted (SplitIdentifierString() of the server).
 * @returns null where it is no such list
 */
export function schemasOf(text: string): string[] | null {
  const entries: string[] = []
  const entry = /\s*(?:"((?:[^"]|"")*)"|([^\s",]+))\s*(,|$)/y
  if (text.trim() === '') return entries
  for (;;) {
    const match = entry.exec(text)
    if (!match) return null
    const [, quoted, plain, separator] = match
    entries.push(
      clipped(
        quoted === undefined
          ? plain!.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
          : quoted.replaceAll('""', '"'),
      ),
    )
    if (separator === '') return entries
  }
}

/** A name as the server cuts it: to 63 bytes, without cutting a character (truncate_identifier()). */
function clipped(name: string): string {
  const bytes = Buffer.from(name)
  if (bytes.length <= 63) return name
  let end = 63
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}
