/** A column of a relation, as pg_attribute has it. */
export interface CatalogColumn {
  attnum: number
  name: string
  typeOid: number
  /** COPY of the table leaves it out. */
  generated: boolean
  /** Of a view's column: where it comes from, where it is a plain column of something. Attnum 0 is a whole row. */
  origin?: { oid: string; attnum: number }
  /** Of a generated column: the columns of the same table that it is computed from. */
  from?: readonly number[]
}

export interface CatalogRelation {
  oid: string
  schema: string
  name: string
  /** pg_class.relkind: r p f m v S. */
  kind: string
  columns: ReadonlyMap<number, CatalogColumn>
  children: readonly string[]
  parents: readonly string[]
  /** Of a view: the relations that its query names, and so may read. */
  reads: readonly string[]
  /**
   * Of a view: its query calls functions or operators that didn't come with the server, which may read anything, or it
   * reads a TOAST table, which holds the long values of any column of another one.
   */
  calls: boolean
}

/** The columns of a database's tables and views at one moment, and where views take theirs from. */
export interface ColumnCatalog {
  relation(oid: string): CatalogRelation | undefined
  named(schema: string, name: string): CatalogRelation | undefined
  readonly relations: Iterable<CatalogRelation>
}

/**
 * Reads columns and their lineage. It is one statement, hence one snapshot. Run it where loadCatalog() of the protocol
 * is run: on a connection of the gateway's own, with `search_path` set to `pg_catalog`, and as often.
 * @param query runs one statement and answers its rows, each value in text format
 * @throws whatever `query` throws; Error where a row isn't what was asked for
 */
export async function loadColumns(query: (sql: string) => Promise<(string | null)[][]>): Promise<ColumnCatalog> {
  const relations = new Map<string, CatalogRelation & { children: string[]; parents: string[] }>()
  const inherits: [string, string][] = []
  const tree = new Map<string, string>()
  for (const [part, row] of await query(columnsQuery)) {
    if (!part || row == null) throw new Error('the columns query answered a row without a value')
    if (part === 'inherits') inherits.push(JSON.parse(row) as [string, string])
    else if (part === 'rule') {
      const [oid, text] = JSON.parse(row) as [string, string]
      tree.set(oid, text)
    } else {
      const [oid, schema, name, kind, columns, reads, calls] = JSON.parse(row) as RelationRow
      const byNumber = columns.map(([attnum, column, typeOid, generated, from]): [number, CatalogColumn] => [
        attnum,
        {
          attnum,
          name: column,
          typeOid: Number(typeOid),
          generated: generated !== '',
          ...(from === null ? {} : { from }),
        },
      ])
      relations.set(oid, {
        oid,
        schema,
        name,
        kind,
        columns: new Map(byNumber),
        children: [],
        parents: [],
        reads,
        calls,
      })
    }
  }
  for (const [child, parent] of inherits) {
    relations.get(parent)?.children.push(child)
    relations.get(child)?.parents.push(parent)
  }
  for (const [oid, text] of tree) {
    const relation = relations.get(oid)
    if (!relation) continue
    for (const [attnum, origin] of originsOf(text)) {
      const column = relation.columns.get(attnum)
      if (column) column.origin = origin
    }
  }
  const byName = new Map([...relations.values()].map((relation) => [`${relation.schema}\0${relation.name}`, relation]))
  return {
    relation: (oid) => relations.get(oid),
    named: (schema, name) => byName.get(`${schema}\0${name}`),
    relations: [...relations.values()],
  }
}

type RelationRow = [
  oid: string,
  schema: string,
  name: string,
  kind: string,
  columns: [attnum: number, name: string, typeOid: string, generated: string, from: number[] | null][],
  reads: string[],
  calls: boolean,
]

/** pg_rewrite holds a view's analysed query, and it the origin of each column: what RowDescription says of a query. */
const columnsQuery = `
SELECT 'relation', pg_catalog.json_build_array(c.oid::text, n.nspname, c.relname, c.relkind,
  ARRAY(SELECT pg_catalog.json_build_array(a.attnum, a.attname, a.atttypid::text, a.attgenerated,
      CASE WHEN a.attgenerated <> '' THEN ARRAY(SELECT DISTINCT d.refobjsubid FROM pg_catalog.pg_attrdef f
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
        WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.refobjid = a.attrelid AND d.refobjsubid > 0 AND d.refobjsubid <> a.attnum) END)
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
  CASE WHEN c.relkind IN ('v','m') AND c.oid >= 16384 THEN ARRAY(SELECT DISTINCT d.refobjid::text
      FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
      WHERE r.ev_class = c.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> c.oid)
    ELSE ARRAY[]::text[] END,
  c.relkind IN ('v','m') AND c.oid >= 16384 AND EXISTS (SELECT FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid WHERE r.ev_class = c.oid
      AND (d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
          AND d.refobjid >= 16384
        OR d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.oid = d.refobjid AND t.relkind = 't'))))::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r','p','f','m','v','S')
UNION ALL
SELECT 'inherits', pg_catalog.json_build_array(inhrelid::text, inhparent::text)::text FROM pg_catalog.pg_inherits
UNION ALL
SELECT 'rule', pg_catalog.json_build_array(ev_class::text, ev_action::text)::text
FROM pg_catalog.pg_rewrite WHERE ev_type = '1' AND ev_class >= 16384`

/**
 * The origins in the target list of a view's query, out of the server's text of a node tree (outfuncs.c): `{TYPE :field
 * value …}`, lists in round brackets, `\` before whatever would be read otherwise. Only the outermost query's target
 * list is looked at; what isn't found has no origin, hence counts as computed.
 */
export function originsOf(tree: string): Map<number, { oid: string; attnum: number }> {
  const origins = new Map<number, { oid: string; attnum: number }>()
  const token = /\\.|[{}()]|:(?:targetList|resno|resorigtbl|resorigcol|resjunk) (?:-?\w+)?/gs
  let depth = 0
  let within = false // the outermost target list
  let resno = 0
  let oid = '0'
  for (let match = token.exec(tree); match; match = token.exec(tree)) {
    const [text] = match
    if (text === '{' || text === '(') depth++
    else if (text === '}' || text === ')') {
      depth--
      if (within && depth <= listDepth) within = false
    } else if (depth === listDepth && text.startsWith(':targetList')) within = true
    else if (within && depth === listDepth + 2) {
      const [field, value] = text.slice(1).split(' ')
      if (field === 'resno') resno = Number(value)
      else if (field === 'resorigtbl') oid = value ?? '0'
      else if (field === 'resorigcol' && oid !== '0') origins.set(resno, { oid, attnum: Number(value) })
    }
  }
  return origins
}

/** `({QUERY :targetList ({TARGETENTRY …} …) …})`: the query's fields are two brackets deep, an entry's four. */
const listDepth = 2
