import { type Catalog, cameWithServer, isTemporary, nominalSchema, type Relation } from './catalog.ts'
import { harmlessCatalogs } from './harmless.ts'
import { emitOnConnection, emitOnTable, emitUnknown, type Node, type Part, type Place, type Scan } from './scan.ts'

export interface RangeVar {
  catalogname?: string
  schemaname?: string
  relname: string
  /** Absent for ONLY. */
  inh?: boolean
  relpersistence?: string
  alias?: { aliasname?: string }
}

type Action = 'sql:read' | 'sql:write' | 'sql:ddl' | 'sql:admin'

/** A relation named where nothing more particular is said: in FROM, or in a definition. */
export function nameRelation(scan: Scan, range: RangeVar, place: Place): void {
  if (range.schemaname === undefined && place.naming === 'sql:read' && place.ctes.has(range.relname)) return
  touch(scan, range, place.naming, { kind: place.kind, bounded: true }, place)
}

/**
 * Emits the effects of doing something to a relation and to all that this reaches: partitions and inheriting tables and
 * those above them (rows of one are rows of the other), what a view is made of, what a rule names.
 * All of them, always: a policy may forbid any single one.
 * @returns the relations that the name may mean; none where it couldn't be resolved, which is an effect of its own
 */
export function touch(scan: Scan, range: RangeVar, action: Action, part: Part, place?: Place): Relation[] {
  const { candidates, fresh } = resolve(scan, range)
  for (const created of fresh) emitOnTable(scan, action, created, part)
  if (candidates.length + fresh.length === 0) {
    if (place?.missingOk) emitOnConnection(scan, action, part)
    else emitUnknown(scan, `relation ${shown(range)}`, part.kind)
  }
  for (const relation of candidates) follow(scan, relation, action, part, range.inh === true)
  return candidates
}

/** The same for a relation found in the catalog. */
export function touchFound(scan: Scan, relation: Relation, action: Action, part: Part): void {
  follow(scan, relation, action, part, true)
}

function follow(scan: Scan, relation: Relation, action: Action, part: Part, inherited: boolean): void {
  const way = `${action} ${part.kind} ${part.bounded} ${inherited} ${scan.explaining} ${relation.oid}`
  if (scan.reached.has(way)) return
  scan.reached.add(way)
  reach(scan, relation, action, part, inherited, new Set())
}

function reach(
  scan: Scan,
  relation: Relation,
  action: Action,
  part: Part,
  inherited: boolean,
  seen: Set<string>,
): void {
  const visit = `${action} ${inherited} ${relation.oid}`
  if (seen.has(visit)) return
  seen.add(visit)
  if (systemRelation(relation)) {
    emitOnCatalog(scan, relation, action, part)
    return
  }
  const whole = relation.of === undefined ? undefined : scan.catalog.relation(relation.of)
  if (relation.kind === 'i' || relation.kind === 'I') {
    if (whole) {
      reach(scan, whole, action, part, inherited, seen)
      return
    }
    emitUnknown(scan, `the table of index ${relation.name}`, part.kind)
    return
  }
  emitOnTable(scan, action, relation, part)
  const others = (oids: string[]) => oids.flatMap((oid) => scan.catalog.relation(oid) ?? [])
  if (whole) reach(scan, whole, action, part, false, seen)
  if (inherited) for (const child of others(relation.children)) reach(scan, child, action, part, true, seen)
  if (action === 'sql:ddl' || action === 'sql:admin') return
  for (const parent of others(relation.parents)) reach(scan, parent, action, part, false, seen)

  const reading: Part = { kind: part.kind, bounded: true }
  for (const rule of relation.rules) {
    if (action === 'sql:read' && rule.event !== 'select') continue
    // What a rule does with what it names isn't told by the catalog: behind a write it may be written or read.
    for (const named of others(rule.names)) {
      reach(scan, named, 'sql:read', reading, true, seen)
      // Of what came with the server only pg_settings is written through a view.
      const written = action === 'sql:write' && relation.kind !== 'm'
      if (written && (!systemRelation(named) || named.name === 'pg_settings'))
        reach(scan, named, 'sql:write', part, true, seen)
    }
  }
}

function systemRelation(relation: Relation): boolean {
  return (relation.schema === 'pg_catalog' || relation.schema === 'information_schema') && cameWithServer(relation)
}

function emitOnCatalog(scan: Scan, relation: Relation, action: Action, part: Part): void {
  if (action === 'sql:read' && harmlessCatalogs.has(relation.name)) {
    emitOnConnection(scan, 'sql:connect', part)
    return
  }
  emitOnTable(scan, action, relation, part)
  if (action === 'sql:read') return
  emitOnConnection(scan, 'sql:admin', part)
  // pg_settings has a rule: UPDATE is set_config() for each row.
  if (relation.name === 'pg_settings' && action === 'sql:write') {
    scan.refused ??= {
      sqlstate: '42501',
      message: 'pg_settings can not be updated through the gateway',
      hint: 'Use SET, so that what is set can be seen.',
    }
  }
}

/** What a name may mean now. More than one where the search path, or the session's temporary objects, aren't known. */
export function resolve(
  scan: Scan,
  range: RangeVar,
): { candidates: Relation[]; fresh: { schema: string; name: string }[] } {
  const { catalog } = scan
  const named = catalog.relations(range.relname)
  const fresh = scan.fresh.get(range.relname) ?? []
  if (range.schemaname !== undefined) {
    const schema = nominalSchema(range.schemaname)
    const own = isTemporary(range.schemaname) ? temporary(scan, named) : named.filter((r) => r.schema === schema)
    return { candidates: own, fresh: fresh.filter((created) => nominalSchema(created.schema) === schema) }
  }
  if (scan.path === null || fresh.length > 0) return { candidates: [...named], fresh }

  const candidates: Relation[] = []
  const sure = scan.context.user === catalog.user
  for (const schema of scan.path) {
    if (schema === 'pg_temp') {
      candidates.push(...temporary(scan, named))
      // Whose they are is only sure where the session's own schema is known.
      if (candidates.length > 0 && typeof scan.context.tempSchema === 'string') break
      continue
    }
    const found = named.find((relation) => relation.schema === schema)
    if (!found || (sure && !catalog.schemas.get(schema)?.usable)) continue
    candidates.push(found)
    if (sure) break
  }
  return { candidates, fresh }
}

function temporary(scan: Scan, named: readonly Relation[]): Relation[] {
  const own = scan.context.tempSchema
  if (own === null) return []
  return named.filter((relation) => (own === undefined ? isTemporary(relation.schema) : relation.schema === own))
}

/** A relation about to be created: its name there, or what has that name already. */
export function create(scan: Scan, range: RangeVar, part: Part): void {
  const schema = creationSchema(scan, range)
  if (schema === undefined) {
    emitUnknown(
      scan,
      `the schema that ${shown(range)} would be created in (name it: schema.${range.relname})`,
      part.kind,
    )
    return
  }
  const existing = resolve(scan, { ...range, schemaname: schema }).candidates
  if (existing.length === 0) emitOnTable(scan, 'sql:ddl', { schema, name: range.relname }, part)
  for (const relation of existing) touchFound(scan, relation, 'sql:ddl', part)
  const created = { schema, name: range.relname }
  scan.fresh.set(range.relname, [...(scan.fresh.get(range.relname) ?? []), created])
}

function creationSchema(scan: Scan, range: RangeVar): string | undefined {
  if (range.schemaname !== undefined) return nominalSchema(range.schemaname)
  if (range.relpersistence === 't') return 'pg_temp'
  if (scan.creationSchema !== undefined) return scan.creationSchema
  if (scan.path === null || scan.context.user !== scan.catalog.user) return undefined
  return scan.context.searchPath
    ?.map((schema) => (schema === '$user' ? scan.context.user : schema))
    .find((schema) => schema === 'pg_temp' || scan.catalog.schemas.get(schema)?.usable)
}

/** The path as it is searched: temporary objects and pg_catalog come first unless it names them. */
export function effectivePath(searchPath: string[] | null, user: string): string[] | null {
  if (searchPath === null) return null
  const path = searchPath.map((schema) => (schema === '$user' ? user : nominalSchema(schema)))
  const implied = ['pg_temp', 'pg_catalog'].filter((schema) => !path.includes(schema))
  return [...implied, ...path]
}

/** RangeVar out of the parts of a name; undefined where there are too many. */
export function rangeOf(parts: string[]): RangeVar | undefined {
  const relname = parts.at(-1)
  if (relname === undefined || parts.length > 3) return undefined
  const schemaname = parts.at(-2)
  return { relname, inh: true, ...(schemaname === undefined ? {} : { schemaname }) }
}

/** Tables that TRUNCATE … CASCADE empties, or from which DELETE takes or changes rows by ON DELETE. */
export function referencing(catalog: Catalog, from: Relation[], actions: string | null): Relation[] {
  const found = new Map<string, Relation>()
  const queue = [...from]
  for (let relation = queue.pop(); relation; relation = queue.pop()) {
    for (const key of relation.referencedBy) {
      if (actions !== null && !actions.includes(key.onDelete)) continue
      const table = catalog.relation(key.table)
      if (!table || found.has(table.oid)) continue
      found.set(table.oid, table)
      // Where ON DELETE sets a value, the chain of deletions ends.
      if (actions === null || key.onDelete === 'c') queue.push(table)
    }
    for (const child of relation.children) {
      const table = catalog.relation(child)
      if (table && !found.has(child)) queue.push(table)
    }
  }
  return [...found.values()]
}

/**
 * Tables with a foreign key to one of these columns, by which an UPDATE of it changes their rows; and those with a key to
 * what is changed there, which may be any column. Behind a view's column may be one of any name: then all keys count.
 */
export function referencingColumns(catalog: Catalog, from: Relation[], columns: ReadonlySet<string>): Relation[] {
  const found = new Map<string, Relation>()
  const seen = new Set<string>()
  const view = from.some(({ kind }) => kind === 'v')
  const queue = from.map((relation) => ({ relation, any: view }))
  for (let next = queue.pop(); next; next = queue.pop()) {
    const { relation, any } = next
    if (seen.has(`${any} ${relation.oid}`)) continue
    seen.add(`${any} ${relation.oid}`)
    for (const key of relation.referencedBy) {
      if (key.onUpdate === 'a' || key.onUpdate === 'r') continue
      if (!any && !key.columns.some((column) => columns.has(column))) continue
      const table = catalog.relation(key.table)
      if (!table) continue
      found.set(table.oid, table)
      queue.push({ relation: table, any: true })
    }
    for (const oid of [...relation.children, ...relation.parents]) {
      const relative = catalog.relation(oid)
      if (relative) queue.push({ relation: relative, any })
    }
  }
  return [...found.values()]
}

export const isRangeVar = (node: Node): node is Node & RangeVar => typeof node.relname === 'string'

function shown(range: RangeVar): string {
  return range.schemaname === undefined ? range.relname : `${range.schemaname}.${range.relname}`
}
