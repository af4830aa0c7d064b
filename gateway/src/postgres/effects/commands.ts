import { call } from './calls.ts'
import { objects } from './nodes.ts'
import { create, type RangeVar, rangeOf, referencing, touch, touchFound } from './relations.ts'
import { emitOnConnection, emitUnknown, type Node, type Place, type Scan, strings } from './scan.ts'
import { redefines, sessionChange } from './session.ts'
import { changesRole, refusedInCode } from './settings.ts'
import type { StatementRow } from './statements.ts'

/** How many statements may stand behind one another: EXECUTE of FETCH of … */
const deepestBehind = 8

/** Every statement that isn't a query. */
export function command(scan: Scan, row: StatementRow, type: string, node: Node, outer: Place): void {
  const place: Place = { ...outer, kind: row.kind, naming: 'sql:read' }
  const part = { kind: row.kind, bounded: true }
  switch (row.does) {
    case 'connect':
      // A prepared transaction outlives its session, and any session of the same user may end it, whoever made it.
      emitOnConnection(scan, /PREPARE/.test(String(node.kind)) ? 'sql:write' : 'sql:connect', part)
      scan.visit(node, place)
      return
    case 'write':
      emitOnConnection(scan, 'sql:write', part)
      scan.visit(node, place)
      return
    case 'set': {
      const name = String(node.name ?? '')
      emitOnConnection(scan, changesRole(name) ? 'sql:admin' : 'sql:connect', part)
      scan.visit(node, place)
      return
    }
    case 'discard':
      emitOnConnection(scan, 'sql:connect', part)
      return
    case 'admin':
      emitOnConnection(scan, 'sql:admin', part)
      if (node.targtype === 'ACL_TARGET_ALL_IN_SCHEMA') {
        for (const schema of strings(node.objects) ?? []) touchSchema(scan, schema, 'sql:admin', part)
      }
      scan.visit(node, { ...place, naming: 'sql:admin' })
      return
    case 'do':
      emitOnConnection(scan, 'sql:call', part)
      code(scan, node)
      return
    case 'call':
      emitCall(scan, node, place)
      scan.visit({ ...node, funccall: undefined, args: (node.funccall as Node | undefined)?.args }, place)
      return
    case 'truncate':
      truncate(scan, node)
      return
    case 'lock':
      for (const range of ranges(node.relations)) {
        // AccessShareLock is 1, what SELECT takes.
        touch(scan, range, node.mode === 1 ? 'sql:read' : 'sql:write', part)
      }
      return
    case 'refresh':
      for (const view of touch(scan, node.relation as RangeVar, 'sql:write', part))
        touchFound(scan, view, 'sql:read', part)
      return
    case 'copy':
      copy(scan, node, place)
      return
    case 'explain':
      explain(scan, node, place)
      return
    case 'declare':
    case 'prepare':
      scan.visit({ query: node.query }, place)
      return
    case 'execute':
      scan.visit(node.params, place)
      behind(scan, scan.prepared(String(node.name ?? '')), `prepared statement ${node.name}`, place, String(node.name))
      return
    case 'fetch':
      behind(scan, scan.portal(String(node.portalname ?? '')), `cursor ${node.portalname}`, place)
      return
    case 'createAs':
      // EXPLAIN alone doesn't create it.
      if (!scan.explaining) create(scan, (node.into as { rel: RangeVar }).rel, part)
      scan.visit({ query: node.query }, place)
      return
    case 'part':
      scan.visit(node, outer)
      return
    default:
      define(scan, row, type, node, place)
      return
  }
}

/** CREATE, ALTER, DROP, COMMENT and their kin. */
function define(scan: Scan, row: StatementRow, type: string, node: Node, outer: Place): void {
  const place: Place = { ...outer, naming: 'sql:ddl', ...(node.missing_ok ? { missingOk: true } : {}) }
  const part = { kind: row.kind, bounded: true }
  const before = new Set(scan.effects.keys())
  let rest = node

  if (row.creates !== undefined) {
    const base = row.creates === 'base' ? (node.base as Node) : node
    const field = row.creates === 'base' ? 'relation' : row.creates
    create(scan, base[field] as RangeVar, part)
    rest =
      row.creates === 'base'
        ? { ...node, base: undefined, ...base, relation: undefined }
        : { ...node, [field]: undefined }
  }
  if (type === 'CompositeTypeStmt') rest = { ...node, typevar: undefined }
  if (type === 'CreateFunctionStmt' || type === 'AlterFunctionStmt') code(scan, node)
  for (const name of namedObjects(node)) touch(scan, name, 'sql:ddl', part, place)
  for (const { PublicationObjSpec: published } of (node.pubobjects ?? []) as { PublicationObjSpec?: Node }[]) {
    if (published?.pubobjtype === 'PUBLICATIONOBJ_TABLES_IN_SCHEMA') {
      touchSchema(scan, String(published.name ?? ''), 'sql:ddl', part)
    }
  }
  if (type === 'DropStmt') dropWhatDepends(scan, node, part)
  if (type === 'ReindexStmt' && node.kind === 'REINDEX_OBJECT_SCHEMA') {
    emitOnConnection(scan, 'sql:ddl', part)
    touchSchema(scan, String(node.name ?? ''), 'sql:ddl', part)
  }

  const creationSchema = scan.creationSchema
  const path = scan.path
  if (type === 'CreateSchemaStmt') {
    const role = (node.authrole as { rolename?: string } | undefined)?.rolename
    scan.creationSchema = String(node.schemaname ?? role ?? '')
    scan.path = null
  }
  scan.visit(rest, place)
  if (type === 'CreateSchemaStmt') {
    scan.path = path
    if (creationSchema === undefined) delete scan.creationSchema
    else scan.creationSchema = creationSchema
  }

  const defined = [...scan.effects].some(([key, effect]) => !before.has(key) && effect.action === 'sql:ddl')
  if (!defined || ofTheDatabase.test(type)) emitOnConnection(scan, 'sql:ddl', part)
}

/** What they make belongs to the database, whatever relations are named along with it. */
const ofTheDatabase = /^(CreateSchema|CreateFunction|CreatePublication|AlterPublication|AlterExtensionContents)Stmt$/

/** Relations that a statement names as lists of strings: in DROP, COMMENT, SECURITY LABEL, ALTER … DEPENDS. */
function namedObjects(node: Node): RangeVar[] {
  const kind = objectKind(node.removeType ?? node.objtype ?? node.objectType)
  if (node.relation !== undefined) return []
  const objects = (node.objects ?? (node.object === undefined ? [] : [node.object])) as { List?: { items?: Node[] } }[]
  return objects.flatMap((object) => {
    const parts = strings(object.List?.items)
    if (parts === undefined) return []
    if (kind === 'relation') return rangeOf(parts) ?? []
    if (kind === 'of a relation') return rangeOf(parts.slice(0, -1)) ?? []
    return []
  })
}

const objectKind = (type: unknown) => objects[type as keyof typeof objects]

/** CASCADE takes what depends on it along: views and foreign keys, and with a schema all that is in it. */
function dropWhatDepends(scan: Scan, node: Node, part: { kind: string; bounded: boolean }): void {
  const objects = (node.objects ?? []) as { List?: { items?: Node[] }; String?: { sval?: string } }[]
  if (node.behavior !== 'DROP_CASCADE') return
  if (objectKind(node.removeType) === 'schema') {
    for (const { String: name } of objects) touchSchema(scan, name?.sval ?? '', 'sql:ddl', part)
    emitOnConnection(scan, 'sql:ddl', part)
    return
  }
  // Views are found from what they name; any other dependant may be anywhere.
  if (objectKind(node.removeType) !== 'relation') {
    emitOnConnection(scan, 'sql:ddl', part)
    return
  }
  const dropped = namedObjects(node).flatMap((range) => scan.catalog.relations(range.relname))
  for (const table of scan.catalog.dependants(dropped)) touchFound(scan, table, 'sql:ddl', part)
}

/** Everything in a schema. What the catalog doesn't know yet is covered by the effect on the connection alone. */
function touchSchema(
  scan: Scan,
  schema: string,
  action: 'sql:ddl' | 'sql:admin',
  part: { kind: string; bounded: boolean },
) {
  for (const relation of scan.catalog.relationsIn(schema)) {
    if (!/^[iItc]$/.test(relation.kind)) touchFound(scan, relation, action, part)
  }
}

function truncate(scan: Scan, node: Node): void {
  const part = { kind: 'truncate', bounded: false }
  const tables = ranges(node.relations).flatMap((range) => touch(scan, range, 'sql:write', part))
  if (node.behavior !== 'DROP_CASCADE') return
  for (const table of referencing(scan.catalog, tables, null)) touchFound(scan, table, 'sql:write', part)
}

function copy(scan: Scan, node: Node, place: Place): void {
  const part = { kind: 'copy', bounded: true }
  // STDIN and STDOUT have no file name; a program, and a file of the server's, are the server's own doing.
  if (node.filename !== undefined || node.is_program) emitOnConnection(scan, 'sql:admin', part)
  if (node.relation) touch(scan, node.relation as RangeVar, node.is_from ? 'sql:write' : 'sql:read', part)
  scan.visit({ ...node, relation: undefined }, place)
}

function explain(scan: Scan, node: Node, place: Place): void {
  const outer = scan.explaining
  scan.explaining ||= !runs(node.options)
  // Even where it names no relation it is a command.
  emitOnConnection(scan, 'sql:connect', { kind: 'explain', bounded: true })
  scan.visit(node, place)
  scan.explaining = outer
}

/** Whether EXPLAIN runs its statement. In doubt it does. Of several options the last counts, but any is enough here. */
function runs(options: unknown): boolean {
  return ((options ?? []) as { DefElem?: Node }[]).some(({ DefElem: option }) => {
    if (String(option?.defname).toLowerCase() !== 'analyze') return false
    const { String: text, Integer: number } = (option?.arg ?? {}) as Record<string, Node | undefined>
    if (number) return (number.ival ?? 0) !== 0
    return !/^(false|off)$/i.test(String(text?.sval ?? ''))
  })
}

/**
 * What runs behind a name: the effects of that statement, as it would be read now.
 * @param name that of a prepared statement: behind it stands its own PREPARE, or whatever the wire prepared
 */
function behind(scan: Scan, text: string | undefined, what: string, place: Place, name?: string): void {
  if (text === undefined) {
    emitUnknown(scan, what, place.kind)
    return
  }
  if (scan.behind >= deepestBehind) {
    emitUnknown(scan, `${what}, which is too far behind others`, place.kind)
    return
  }
  const parsed = scan.parse(text)
  if (parsed?.length !== 1) {
    emitUnknown(scan, what, place.kind)
    return
  }
  const statement = parsed[0] as Node | undefined
  // Prepared by the wire, SET, DDL and the like run behind EXECUTE too: what follows must know of it.
  const { prepares, declares, ...change } = sessionChange(statement, text, scan.session)
  scan.session = change
  if (name !== undefined) {
    if (prepares && prepares.name !== name) scan.session.prepares = prepares
    if (declares) scan.session.declares = declares
  }
  if (redefines(statement)) scan.redefines = true
  scan.statements.push(statement)
  scan.behind++
  scan.visit(parsed[0], { ...place, ctes: new Set() })
  scan.behind--
}

/** The body of a function or block, which isn't SQL for sure: only its words can be looked at. */
function code(scan: Scan, node: Node): void {
  for (const { DefElem: option } of [...((node.options ?? node.args ?? []) as { DefElem?: Node }[])]) {
    if (option?.defname !== 'as') continue
    const { List: list, String: text } = (option.arg ?? {}) as Record<string, Node | undefined>
    const texts = list ? strings(list.items) : [String(text?.sval ?? '')]
    for (const body of texts ?? []) scan.refused ??= refusedInCode(body)
  }
}

function emitCall(scan: Scan, node: Node, place: Place): void {
  const before = scan.effects.size
  call(scan, (node.funccall ?? {}) as Node, place, 'procedure')
  // A procedure is never harmless, even one that counts as a harmless function.
  if (scan.effects.size === before) emitOnConnection(scan, 'sql:call', { kind: 'call', bounded: true })
}

function ranges(list: unknown): RangeVar[] {
  return ((list ?? []) as { RangeVar?: RangeVar }[]).flatMap((item) => item.RangeVar ?? [])
}
