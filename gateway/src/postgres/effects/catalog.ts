import { quoteIdent } from './quote.ts'

/** A row of pg_class, with what else is touched through it. Other relations are named by OID. */
export interface Relation {
  oid: string
  schema: string
  name: string
  /** pg_class.relkind: r p v m f S t c, and i I for indexes. */
  kind: string
  columns: ReadonlySet<string>
  /** Partitions and inheriting tables, directly under it. */
  children: string[]
  parents: string[]
  /** For an index its table, for a TOAST table the table whose values it keeps. */
  of?: string
  /** What its rules name, by event. A view's query is the rule `select`. */
  rules: { event: 'select' | 'update' | 'insert' | 'delete'; instead: boolean; names: string[] }[]
  /** Foreign keys of other tables that point here, at these columns; letters as in pg_constraint.confdeltype. */
  referencedBy: { table: string; onDelete: string; onUpdate: string; columns: string[] }[]
}

export interface Routine {
  oid: string
  schema: string
  name: string
  /** pg_proc.provolatile: i s v. */
  volatility: string
  arguments: number
  defaults: number
  variadic: boolean
  /** OID of the relation whose row type is the first argument; '*' where it takes any row, '' where it takes none. */
  firstRow: string
  /** Written in C and installed by an extension. */
  packaged: boolean
}

export interface Operator {
  schema: string
  name: string
  /** pg_operator.oprkind: b for infix, l for prefix. */
  kind: string
  routine: Routine
}

/** What a server's catalog said at one moment. It doesn't change: a newer look is a new one. */
export interface Catalog {
  /** current_user of who looked; USAGE on schemas was asked for that role. */
  user: string
  /** Schemas by name; whether the user may look into them. One without USAGE is passed over by name resolution. */
  schemas: ReadonlyMap<string, { usable: boolean }>
  relation(oid: string): Relation | undefined
  /** Relations of that name, in whatever schema. */
  relations(name: string): readonly Relation[]
  relationsIn(schema: string): readonly Relation[]
  /** What DROP … CASCADE of these takes along or changes: views on them, views on those, tables with foreign keys to them. */
  dependants(of: readonly Relation[]): readonly Relation[]
  routines(name: string): readonly Routine[]
  /** Operators that didn't come with the server. */
  operators(name: string): readonly Operator[]
  /** Schemas that have a type of that name. */
  types(name: string): readonly string[]
  /** Functions behind user-defined casts to a type of that name. */
  casts(type: string): readonly Routine[]
}

/** OIDs below are made by initdb (FirstNormalObjectId): what came with the server. */
export const cameWithServer = (object: { oid: string }): boolean => Number(object.oid) < 16384

/** Name of a relation or routine in policy ids: `schema.name`, each part as quote_ident() writes it. */
export function qualifiedName(object: { schema: string; name: string }): string {
  return `${quoteIdent(nominalSchema(object.schema))}.${quoteIdent(object.name)}`
}

/** Every session's own schema for temporary objects, pg_temp_3 and the like, is `pg_temp` to policy. */
export function nominalSchema(schema: string): string {
  return isTemporary(schema) ? 'pg_temp' : schema
}

export const isTemporary = (schema: string): boolean => /^pg_temp(_\d+)?$/.test(schema)

/**
 * Looks at the catalog of one database. It is one statement, hence one snapshot. Run it on a connection of the gateway's
 * own, logged in as the role that commands will run as, with `search_path` set to `pg_catalog`: a search path that an
 * agent can set could put other operators under the ones used here.
 * @param query runs one statement and answers its rows, each value in text format
 * @throws whatever `query` throws; Error where a row isn't what was asked for
 */
export async function loadCatalog(query: (sql: string) => Promise<(string | null)[][]>): Promise<Catalog> {
  const parts = new Map<string, unknown[][]>()
  for (const [part, row] of await query(catalogQuery)) {
    if (!part || row == null) throw new Error('the catalog query answered a row without a value')
    const rows = parts.get(part)
    if (rows) rows.push(JSON.parse(row))
    else parts.set(part, [JSON.parse(row)])
  }
  return assemble(<T extends unknown[]>(part: string) => (parts.get(part) ?? []) as T[])
}

/** A number from 1 to 16383, as the OIDs are of what came with the server. */
const initialOid = String.raw`([1-9]\d{0,3}|1[0-5]\d{3}|16[0-2]\d{2}|163[0-7]\d|1638[0-3])`

const ruleNames = `SELECT d.refobjid::text FROM pg_catalog.pg_depend d
       WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class`

const catalogQuery = [
  ['user', "current_user, ''", ''],
  ['schema', "nspname, has_schema_privilege(oid, 'USAGE')", 'FROM pg_catalog.pg_namespace'],
  [
    'relation',
    `c.oid::text, n.nspname, c.relname, c.relkind,
     CASE WHEN c.relkind IN ('r','p','v','m','f','S') THEN ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END`,
    `FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`,
  ],
  ['index', 'indexrelid::text, indrelid::text', 'FROM pg_catalog.pg_index'],
  ['toast', 'reltoastrelid::text, oid::text', 'FROM pg_catalog.pg_class WHERE reltoastrelid <> 0'],
  ['inherits', 'inhrelid::text, inhparent::text', 'FROM pg_catalog.pg_inherits'],
  [
    'rule',
    // pg_depend says nothing of what came with the server, such as pg_stats: there the rule itself does.
    `r.ev_class::text, r.ev_type, r.is_instead, CASE WHEN r.ev_action::text ~ ':relid ${initialOid} '
       THEN ARRAY(${ruleNames} UNION SELECT m[1] FROM pg_catalog.regexp_matches(r.ev_action::text, ':relid ${initialOid} ', 'g') m)
       ELSE ARRAY(${ruleNames}) END`,
    'FROM pg_catalog.pg_rewrite r WHERE r.oid >= 16384',
  ],
  [
    'key',
    `confrelid::text, conrelid::text, confdeltype, confupdtype, ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
       WHERE a.attrelid = confrelid AND a.attnum = ANY (confkey))`,
    "FROM pg_catalog.pg_constraint WHERE contype = 'f'",
  ],
  [
    'routine',
    `p.oid::text, n.nspname, p.proname, p.provolatile, p.pronargs, p.pronargdefaults, p.provariadic <> 0,
     CASE WHEN t.typrelid <> 0 THEN t.typrelid::text WHEN t.typtype IN ('p','d') THEN '*' ELSE '' END,
     l.lanname IN ('c','internal') AND p.oid IN (SELECT d.objid FROM pg_catalog.pg_depend d
       WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e')`,
    `FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     JOIN pg_catalog.pg_language l ON l.oid = p.prolang LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]`,
  ],
  [
    'operator',
    'n.nspname, o.oprname, o.oprkind, o.oprcode::pg_catalog.oid::text',
    `FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE o.oid >= 16384`,
  ],
  [
    'type',
    't.typname, n.nspname',
    'FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace',
  ],
  [
    'cast',
    't.typname, c.castfunc::text',
    `FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type t ON t.oid = c.casttarget WHERE c.oid >= 16384 AND c.castfunc <> 0`,
  ],
]
  .map(([part, columns, from]) => `SELECT '${part}', pg_catalog.json_build_array(${columns})::text ${from}`)
  .join('\nUNION ALL ')

const ruleEvents = { '1': 'select', '2': 'update', '3': 'insert', '4': 'delete' } as const

function assemble(rows: <T extends unknown[]>(part: string) => T[]): Catalog {
  const relations = new Map<string, Relation>()
  for (const [oid, schema, name, kind, columns] of rows<[string, string, string, string, string[] | null]>(
    'relation',
  )) {
    const linked = { children: [], parents: [], rules: [], referencedBy: [] }
    relations.set(oid, { oid, schema, name, kind, columns: new Set(columns), ...linked })
  }
  for (const [index, table] of rows<[string, string]>('index')) belong(index, table)
  for (const [toast, table] of rows<[string, string]>('toast')) belong(toast, table)
  function belong(part: string, whole: string) {
    const relation = relations.get(part)
    if (relation) relation.of = whole
  }
  for (const [child, parent] of rows<[string, string]>('inherits')) {
    relations.get(parent)?.children.push(child)
    relations.get(child)?.parents.push(parent)
  }
  for (const [on, type, instead, names] of rows<[string, keyof typeof ruleEvents, boolean, string[]]>('rule')) {
    relations.get(on)?.rules.push({ event: ruleEvents[type], instead, names })
  }
  for (const [to, table, onDelete, onUpdate, columns] of rows<[string, string, string, string, string[]]>('key')) {
    relations.get(to)?.referencedBy.push({ table, onDelete, onUpdate, columns })
  }

  const routines = rows<[string, string, string, string, number, number, boolean, string, boolean]>('routine').map(
    ([oid, schema, name, volatility, count, defaults, variadic, firstRow, packaged]): Routine => ({
      oid,
      schema,
      name,
      volatility,
      arguments: count,
      defaults,
      variadic,
      firstRow,
      packaged,
    }),
  )
  const routineByOid = new Map(routines.map((routine) => [routine.oid, routine]))
  const operators = rows<[string, string, string, string]>('operator').flatMap(([schema, name, kind, code]) => {
    const routine = routineByOid.get(code)
    return routine ? [{ schema, name, kind, routine }] : []
  })
  const casts = new Map<string, Routine[]>()
  for (const [target, code] of rows<[string, string]>('cast')) {
    const routine = routineByOid.get(code)
    if (routine) casts.set(target, [...(casts.get(target) ?? []), routine])
  }

  const relationsByName = Map.groupBy(relations.values(), (relation) => relation.name)
  const relationsBySchema = Map.groupBy(relations.values(), (relation) => relation.schema)
  const routinesByName = Map.groupBy(routines, (routine) => routine.name)
  const operatorsByName = Map.groupBy(operators, (operator) => operator.name)
  const users = new Map<string, Relation[]>()
  for (const relation of relations.values()) {
    for (const name of relation.rules.flatMap((rule) => rule.names)) {
      const those = users.get(name)
      if (those) those.push(relation)
      else users.set(name, [relation])
    }
  }
  function dependants(of: readonly Relation[]): Relation[] {
    const found = new Map<string, Relation>()
    const queue = [...of]
    for (let relation = queue.pop(); relation; relation = queue.pop()) {
      for (const { table } of relation.referencedBy) {
        const referencing = relations.get(table)
        if (referencing) found.set(table, referencing)
      }
      const children = relation.children.flatMap((oid) => relations.get(oid) ?? [])
      for (const next of [...(users.get(relation.oid) ?? []), ...children]) {
        if (!found.has(next.oid)) queue.push(next)
        found.set(next.oid, next)
      }
    }
    return [...found.values()]
  }
  const types = new Map<string, string[]>()
  for (const [name, schema] of rows<[string, string]>('type')) types.set(name, [...(types.get(name) ?? []), schema])

  return {
    user: rows<[string, string]>('user')[0]?.[0] ?? '',
    schemas: new Map(rows<[string, boolean]>('schema').map(([name, usable]) => [name, { usable }])),
    relation: (oid) => relations.get(oid),
    relations: (name) => relationsByName.get(name) ?? [],
    dependants,
    relationsIn: (schema) => relationsBySchema.get(schema) ?? [],
    routines: (name) => routinesByName.get(name) ?? [],
    operators: (name) => operatorsByName.get(name) ?? [],
    types: (name) => types.get(name) ?? [],
    casts: (type) => casts.get(type) ?? [],
  }
}
