import { setFlagsFromString } from 'node:v8'
import { loadModule, parseSync } from 'libpg-query'
import type { Effect } from '../../gate/command.ts'
import type { Catalog } from './catalog.ts'
import { watchConstants } from './constants.ts'
import { remembered } from './memory.ts'
import { effectivePath } from './relations.ts'
import { emitUnknown, type Node, type Place, type Scan } from './scan.ts'
import { kindOf, redefines, returnsRows, runsQueries, sessionChange } from './session.ts'
import { visit } from './walk.ts'

/** What a statement's meaning depends on beyond its text. */
export interface StatementContext {
  connection: string
  catalog: Catalog
  /** Value of search_path, its entries unquoted, `$user` as it stands; null where it isn't known now. */
  searchPath: string[] | null
  /** current_user now. Where it isn't the catalog's, names are resolved more widely. */
  user: string
  /** The session's schema for temporary objects, pg_temp_3 for example; null where it has none. Absent: not known. */
  tempSchema?: string | null
  /** Whether nothing that a ROLLBACK would undo was done before this text. Absent: not known. */
  settled?: boolean
  /** Settings by which the same text means something else, as they are now. Effects don't depend on them, an approval does. */
  settings?: Readonly<Record<string, string | null>>
  /** Text behind a prepared statement, made by Parse or PREPARE; '' is the unnamed one of the wire. */
  prepared(name: string): string | undefined
  /** Text behind a portal: of the statement that was bound, or of the DECLARE. */
  portal(name: string): string | undefined
}

export interface Analysis {
  /** Kind of the whole: select, delete, …; `several`, `empty`, `unknown`. */
  kind: string
  /** Of all statements together, at least one. */
  effects: Effect[]
  statements: StatementAnalysis[]
  /** Refused for everyone, whatever policy says. */
  refused?: Refusal
  /** What the grammar says of a text that it doesn't accept; its effect is sql:unknown. */
  parseError?: string
  /** What couldn't be made out, in words for whoever wrote the statement: `relation public.custmers`. */
  unresolved?: string[]
  /** No statement in it. */
  empty?: boolean
  /**
   * It didn't depend on any constant: it is the analysis of every text of the same shape (shape.ts) in these circumstances.
   * Then `statements[].text` is that of the first such text.
   */
  general?: boolean
}

export interface Refusal {
  sqlstate: string
  message: string
  hint?: string
}

export interface StatementAnalysis {
  kind: string
  text: string
  effects: Effect[]
  returnsRows?: boolean
  session: SessionChange
}

/** What a statement changes of the session that later statements depend on. Names are as the server keeps them. */
export interface SessionChange {
  transaction?: 'begin' | 'commit' | 'rollback' | 'savepoint' | 'release' | 'rollback-to' | 'prepare'
  setsSearchPath?: boolean
  changesCatalog?: boolean
  /** `text` is the whole PREPARE: give it back from StatementContext.prepared as it is. */
  prepares?: { name: string; text: string }
  executes?: string
  /** '' with `deallocatesAll`. */
  deallocates?: string
  deallocatesAll?: boolean
  /** `text` is the whole DECLARE: give it back from StatementContext.portal as it is. */
  declares?: { cursor: string; text: string }
  fetches?: string
  closes?: string
  closesAll?: boolean
  discards?: 'all' | 'plans' | 'temp' | 'sequences'
  setsRole?: boolean
  /** Settings by which later texts may mean something else (meaningfulSetting), in lower case. */
  sets?: string[]
  /** RESET ALL, DISCARD ALL: every setting goes back to what the server says, the refused ones too. */
  resetsAll?: boolean
  copy?: 'in' | 'out'
}

/** Makes the parser ready; analyse() before that answers sql:unknown. */
export function loadParser(): Promise<void> {
  // Optimising WebAssembly takes V8 half a gigabyte for seconds, in the middle of somebody's work (the parser is one huge
  // function), and makes parsing hardly faster. Process-wide, so a decision of Cedar's that isn't remembered takes
  // longer, up to twice. V8 asks at each function: putting the flags back after loading brings the half gigabyte back.
  setFlagsFromString('--no-wasm-dynamic-tiering')
  setFlagsFromString('--no-wasm-tier-up')
  return loadModule()
}

/**
 * Reduces SQL text to effects (contract.md section 4, "SQL").
 * @param text what the server would be given, decoded from valid UTF-8
 * @returns never throws: what can't be parsed, resolved or finished is sql:unknown on the connection
 */
export function analyse(text: string, context: StatementContext): Analysis {
  return remembered(text, context, () => {
    try {
      return analyseAfresh(text, context)
    } catch (error) {
      // Deep nesting ends in a RangeError; it and whatever else goes wrong here is a text that isn't understood.
      return {
        analysis: unknown(context, `the text is too deep or too odd to be read (${String(error)})`),
        lasting: true,
      }
    }
  })
}

function analyseAfresh(text: string, context: StatementContext): { analysis: Analysis; lasting: boolean } {
  if (text.includes('\0') || !text.isWellFormed()) {
    return { analysis: unknown(context, 'the text has characters that PostgreSQL does not take'), lasting: true }
  }
  let parsed: RawStatement[]
  try {
    parsed = parse(text)
  } catch (error) {
    return { analysis: unknown(context, error instanceof Error ? error.message : String(error)), lasting: true }
  }
  if (parsed.length === 0) {
    const effect = effectOnConnection(context, 'sql:connect', 'empty')
    return { analysis: { kind: 'empty', effects: [effect], statements: [], empty: true }, lasting: true }
  }

  const course = startCourse(context)
  const statements: StatementAnalysis[] = []
  let refused: Refusal | undefined
  const unresolved = new Set<string>()
  const slice = slicer(text)
  const constants = parsed.length === 1 ? watchConstants(text, parsed[0]!.stmt) : undefined
  for (const raw of parsed) {
    const own = slice(raw.stmt_location ?? 0, raw.stmt_len ?? 0)
    const scan = startScan(context, course)
    scan.statements.push(raw.stmt)
    visit(scan, raw.stmt, { kind: 'unknown', naming: 'sql:read', ctes: new Set() })
    const kind = kindOf(raw.stmt)
    if (scan.effects.size === 0) harmless(scan, kind)
    if (course.redefined && runsQueries(raw.stmt)) {
      emitUnknown(scan, `the ${kind} after ${course.redefined} in the same text: send it by itself`, kind)
    }
    const session = sessionChange(raw.stmt, own, scan.session)
    for (const effect of scan.effects.values()) effect.command.functions = [...scan.functions]
    const effects = [...scan.effects.values()]
    statements.push({ kind, text: own, effects, session, ...(returnsRows(raw.stmt) ? { returnsRows: true } : {}) })
    refused ??= scan.refused
    for (const what of scan.unresolved) unresolved.add(what)
    course.asked ||= scan.asked
    advance(course, session)
    if (redefines(raw.stmt) || scan.redefines) course.redefined ??= kind
  }

  const kinds = new Set(statements.map((statement) => statement.kind))
  const analysis: Analysis = {
    kind: kinds.size === 1 ? statements[0]!.kind : 'several',
    effects: union(statements),
    statements,
    ...(refused ? { refused } : {}),
    ...(unresolved.size > 0 ? { unresolved: [...unresolved] } : {}),
    ...(constants && !constants.read && !course.asked ? { general: true } : {}),
  }
  return { analysis, lasting: !course.asked }
}

interface RawStatement {
  stmt?: Node
  /** Bytes of UTF-8 from the start. */
  stmt_location?: number
  /** Bytes; 0 or absent: to the end. */
  stmt_len?: number
}

function parse(text: string): RawStatement[] {
  // The parser takes an empty text for a mistake of the caller.
  if (text.trim() === '') return []
  return (parseSync(text).stmts ?? []) as RawStatement[]
}

/** What changes from statement to statement of one text. */
interface Course {
  path: string[] | null
  settled: boolean
  fresh: Scan['fresh']
  /** The kind of a statement after which the catalog doesn't tell what names, functions and operators mean. */
  redefined?: string
  prepared: Map<string, string | undefined>
  portals: Map<string, string | undefined>
  asked: boolean
}

function startCourse(context: StatementContext): Course {
  return {
    path: effectivePath(context.searchPath, context.user),
    settled: context.settled === true,
    fresh: new Map(),
    prepared: new Map(),
    portals: new Map(),
    asked: false,
  }
}

/** After a statement: what the next one can still take for granted. Where the path may be another, names mean any of that name. */
function advance(course: Course, session: SessionChange): void {
  if (session.prepares) course.prepared.set(session.prepares.name, session.prepares.text)
  if (session.declares) course.portals.set(session.declares.cursor, session.declares.text)
  if (session.setsSearchPath || session.setsRole || session.resetsAll) {
    course.path = null
    course.settled = false
  }
  if (session.changesCatalog) course.path = null
  const ends = session.transaction && /^(commit|rollback|rollback-to)$/.test(session.transaction)
  if (ends && !course.settled) course.path = null
}

function startScan(context: StatementContext, course: Course): Scan {
  const scan: Scan = {
    context,
    catalog: context.catalog,
    path: course.path,
    fresh: course.fresh,
    effects: new Map(),
    functions: new Set(),
    reached: new Set(),
    unresolved: new Set(),
    session: {},
    statements: [],
    functionsInFrom: new Set(),
    explaining: false,
    behind: 0,
    asked: false,
    visit: (value: unknown, place: Place) => visit(scan, value, place),
    parse(text) {
      try {
        return parse(text).map((raw) => raw.stmt)
      } catch {
        return undefined
      }
    },
    prepared(name) {
      scan.asked = true
      return course.prepared.has(name) ? course.prepared.get(name) : context.prepared(name)
    },
    portal(name) {
      scan.asked = true
      return course.portals.has(name) ? course.portals.get(name) : context.portal(name)
    },
  }
  return scan
}

/** A statement without any effect of its own: a SELECT without a table. */
function harmless(scan: Scan, kind: string): void {
  if (kind === 'unknown') {
    emitUnknown(scan, 'what the statement does', kind)
    return
  }
  scan.effects.set('', effectOnConnection(scan.context, 'sql:connect', kind))
}

function effectOnConnection(context: StatementContext, action: string, kind: string): Effect {
  return {
    action,
    resource: { type: 'Connection', id: context.connection },
    command: { kind, bounded: true, functions: [] },
  }
}

function unknown(context: StatementContext, parseError: string): Analysis {
  return {
    kind: 'unknown',
    effects: [effectOnConnection(context, 'sql:unknown', 'unknown')],
    statements: [],
    parseError,
  }
}

function union(statements: StatementAnalysis[]): Effect[] {
  if (statements.length === 1) return statements[0]!.effects
  const effects = new Map<string, Effect>()
  for (const effect of statements.flatMap((statement) => statement.effects)) {
    effects.set(
      JSON.stringify([effect.action, effect.resource.type, effect.resource.id, effect.command, effect.object]),
      effect,
    )
  }
  return [...effects.values()]
}

/** Cuts a text by the parser's offsets, which count bytes of UTF-8. */
function slicer(text: string): (location: number, length: number) => string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  if (/^[\x00-\x7f]*$/.test(text)) {
    return (location, length) => text.slice(location, length === 0 ? undefined : location + length).trim()
  }
  const bytes = Buffer.from(text)
  return (location, length) => bytes.toString('utf8', location, length === 0 ? bytes.length : location + length).trim()
}
