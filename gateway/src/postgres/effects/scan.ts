import type { Effect } from '../../gate/command.ts'
import { type Catalog, qualifiedName } from './catalog.ts'
import type { Refusal, SessionChange, StatementContext } from './effects.ts'

/** A node of the parse tree, or a part of one. libpg-query leaves out what is false, 0 or empty. */
export type Node = Record<string, unknown>

/** What is being collected about one statement. */
export interface Scan {
  context: StatementContext
  catalog: Catalog
  /** The schemas searched, in order; null where it isn't known: then a name may mean any of that name. */
  path: string[] | null
  /** Where CREATE without a schema puts things, inside CREATE SCHEMA. */
  creationSchema?: string
  /** Relations created earlier in the same text: the catalog doesn't know them yet. */
  fresh: Map<string, { schema: string; name: string }[]>
  effects: Map<string, Effect>
  functions: Set<string>
  /** What was already followed to all that it reaches. */
  reached: Set<string>
  unresolved: Set<string>
  refused?: Refusal | undefined
  session: SessionChange
  /** The statements being looked at whose functions in FROM haven't been gathered yet, and the names of those that were. */
  statements: unknown[]
  functionsInFrom: Set<string>
  /** A statement behind EXECUTE or FETCH gives names another meaning. */
  redefines?: boolean
  /** Inside EXPLAIN without ANALYZE: what would be written is read, nothing runs. */
  explaining: boolean
  /** How many statements deep behind EXECUTE and FETCH. */
  behind: number
  /** Whether what a name of a prepared statement or portal stands for was asked: then the answer must not be kept. */
  asked: boolean
  /** Looks through any part of the tree, and through whatever statements are in it. */
  visit(value: unknown, place: Place): void
  /** The statements of a text; undefined where it can't be parsed. */
  parse(text: string): unknown[] | undefined
  prepared(name: string): string | undefined
  portal(name: string): string | undefined
}

/** Where in the statement we are. */
export interface Place {
  /** The part whose effects these are: select, update, … */
  kind: string
  /** What naming a relation here does to it. */
  naming: 'sql:read' | 'sql:ddl' | 'sql:admin'
  /** Common table expressions in scope, which hide relations of the same name. */
  ctes: { has(name: string): boolean }
  /** IF EXISTS: what isn't there is no fault. */
  missingOk?: boolean
}

export interface Part {
  kind: string
  bounded: boolean
}

type Action = `sql:${'connect' | 'read' | 'write' | 'call' | 'ddl' | 'admin' | 'unknown'}`
type Named = { schema: string; name: string; oid?: string }

export function emitOnConnection(scan: Scan, action: Action, part: Part): void {
  emit(scan, action, { type: 'Connection', id: scan.context.connection }, part)
}

export function emitOnTable(scan: Scan, action: Action, table: Named, part: Part): void {
  if (scan.explaining && action === 'sql:write') {
    emitOnTable(scan, 'sql:read', table, explain)
    return
  }
  emit(scan, action, named(scan, 'Table', table), part, table.oid)
}

export function emitOnRoutine(scan: Scan, routine: Named, part: Part): void {
  emit(scan, 'sql:call', named(scan, 'Routine', routine), part, routine.oid)
}

/** Something that couldn't be made out, in words that let an innocent typing error be understood. */
export function emitUnknown(scan: Scan, what: string, kind: string): void {
  scan.unresolved.add(what)
  emitOnConnection(scan, 'sql:unknown', { kind, bounded: true })
}

const explain: Part = { kind: 'explain', bounded: true }

function named(scan: Scan, type: 'Table' | 'Routine', object: Named): Effect['resource'] {
  const id = `${scan.context.connection}/${qualifiedName(object)}`
  const schema = object.schema.startsWith('pg_temp') ? 'pg_temp' : object.schema
  return { type, id, attrs: { schema, name: object.name } }
}

function emit(scan: Scan, action: Action, resource: Effect['resource'], part: Part, object?: string): void {
  const { kind, bounded } = scan.explaining ? explain : part
  const key = `${action} ${resource.type} ${kind} ${bounded} ${object ?? ''} ${resource.id}`
  if (scan.effects.has(key)) return
  const command = { kind, bounded, functions: [] as string[] }
  scan.effects.set(key, { action, resource, command, ...(object === undefined ? {} : { object }) })
}

/** The texts of a list of String nodes; undefined where there is anything else among them. */
export function strings(list: unknown): string[] | undefined {
  if (!Array.isArray(list)) return undefined
  const texts: string[] = []
  for (const item of list) {
    const text = (item as { String?: { sval?: string } }).String?.sval
    if (text === undefined) return undefined
    texts.push(text)
  }
  return texts
}

/**
 * A constant's value: its text, also behind casts that leave it as it is; undefined where it isn't a constant. Null is
 * null. `'abc'::varchar(2)` is no constant here, since the server sees another text, and no more is `true::bool::text`.
 */
export function literal(node: unknown): string | null | undefined {
  const { A_Const: constant, TypeCast: cast } = (node ?? {}) as { A_Const?: Node; TypeCast?: Node }
  if (cast) {
    const inner = (cast.arg as { TypeCast?: Node } | undefined)?.TypeCast
    if (inner && !/^(text|varchar)$/.test(plainType(inner))) return undefined
    return /^(text|varchar|regclass|bool)$/.test(plainType(cast)) ? literal(cast.arg) : undefined
  }
  if (!constant) return undefined
  if (constant.isnull) return null
  const { sval, ival, fval, boolval } = constant as Record<string, Node | undefined>
  if (sval) return String(sval.sval ?? '')
  if (ival) return String(ival.ival ?? 0)
  if (fval) return String(fval.fval ?? '')
  if (boolval) return boolval.boolval ? 'true' : 'false'
  return undefined
}

/** The type of a cast, as the grammar names it, where it comes without a length and is no array; else ''. */
function plainType(cast: Node): string {
  const { names, typmods, arrayBounds, setof } = (cast.typeName ?? {}) as Node
  const parts = strings(names) ?? []
  if (typmods !== undefined || arrayBounds !== undefined || setof) return ''
  if (parts.length === 2 && parts[0] !== 'pg_catalog') return ''
  return parts.length <= 2 ? (parts.at(-1) ?? '') : ''
}
