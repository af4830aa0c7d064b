import type { CatalogRelation, ColumnCatalog } from './columns.ts'
import { DERIVED } from './style.ts'

/** A key of `data_classes` that doesn't name a column as it should. */
export interface ClassProblem {
  key: string
  /** What is wrong and the mend, a sentence. */
  problem: string
}

/** Which columns hold data of which classes, at one moment of the catalog. */
export interface Classification {
  readonly catalog: ColumnCatalog
  readonly problems: readonly ClassProblem[]
  /** All classes of the configuration. Empty: there is nothing to mask in this database. */
  readonly all: readonly string[]
  /**
   * Classes of a column, none where it is unclassified; undefined where the column isn't known. Attnum 0 is the whole
   * row. `derived` among them says that it was computed from columns of the others.
   */
  ofColumn(oid: string, attnum: number): readonly string[] | undefined
  /** Classes of anything in a relation; undefined where it isn't known. */
  ofRelation(oid: string): readonly string[] | undefined
  /** What each key stood for, so that it still does after a rename. */
  readonly keys: ReadonlyMap<string, { oid: string; attnum: number }>
}

/**
 * Finds the classified columns of a database: those configured, the same columns of partitions and inheriting tables
 * and of the tables above them, generated columns computed from them, and the columns of views that are made of them.
 * What can't be found fails closed as far as it can: a column that isn't in its table classifies the whole table; one
 * that was found before stays classified by its number when its name, or its table's, was changed.
 * @param config `data_classes`: `schema.table.column` as quote_ident() writes the parts → class
 * @param before the classification by the same configuration as of an earlier look at the catalog
 */
export function classify(
  config: Readonly<Record<string, string>>,
  catalog: ColumnCatalog,
  before?: Classification,
): Classification {
  const problems: ClassProblem[] = []
  const keys = new Map<string, { oid: string; attnum: number }>()
  const classes = new Map<string, Set<string>>()
  const add = (oid: string, attnum: number, found: Iterable<string>): boolean => {
    const at = `${oid} ${attnum}`
    const set = classes.get(at) ?? new Set()
    const size = set.size
    for (const one of found) set.add(one)
    classes.set(at, set)
    return set.size > size
  }
  const configured: { relation: CatalogRelation; attnum: number; dataClass: string }[] = []
  for (const [key, dataClass] of Object.entries(config)) {
    for (const { relation, attnum } of meant(key, catalog, keys, before, problems)) {
      configured.push({ relation, attnum, dataClass })
    }
  }
  for (const { relation, attnum, dataClass } of configured) {
    add(relation.oid, attnum, [dataClass])
    spread(catalog, relation, relation.columns.get(attnum)!.name, 'children', (oid, n) => add(oid, n, [dataClass]))
  }
  // A table shows the rows of those under it as its own.
  for (const relation of catalog.relations) {
    for (const { attnum, name } of relation.columns.values()) {
      const own = classes.get(`${relation.oid} ${attnum}`)
      if (own) spread(catalog, relation, name, 'parents', (oid, n) => add(oid, n, own))
    }
  }
  const everything = new Set(Object.values(config))
  for (const [oid, names] of everything.size > 0 ? carriers(catalog) : []) {
    for (const { attnum, name } of catalog.relation(oid)!.columns.values()) {
      if (names.test(name)) add(oid, attnum, [...everything, DERIVED])
    }
  }

  const reached = reach(catalog)
  const classesOfRelation = (oid: string): readonly string[] => {
    const found = new Set<string>()
    for (const one of reached(oid)) {
      const { calls, columns } = catalog.relation(one)!
      if (calls) for (const dataClass of everything) found.add(dataClass)
      for (const attnum of columns.keys()) {
        for (const dataClass of classes.get(`${one} ${attnum}`) ?? []) found.add(dataClass)
      }
    }
    return [...found].sort()
  }
  // Views are made of views, and generated columns of columns: until nothing is added any more.
  for (let more = true; more; ) {
    more = false
    for (const relation of catalog.relations) {
      // What a view computes may hold all that it reads.
      const computed = relation.reads.length > 0 || relation.calls ? classesOfRelation(relation.oid) : []
      for (const { attnum, origin, from } of relation.columns.values()) {
        for (const source of from ?? []) {
          const found = classes.get(`${relation.oid} ${source}`)
          if (found && add(relation.oid, attnum, [...found, DERIVED])) more = true
        }
        if (computed.length === 0) continue
        const plain = origin !== undefined && catalog.relation(origin.oid)?.columns.has(origin.attnum)
        const found = plain ? classes.get(`${origin.oid} ${origin.attnum}`) : [...computed, DERIVED]
        if (found && add(relation.oid, attnum, found)) more = true
      }
    }
  }
  const ofRelation = new Map<string, readonly string[]>()
  const relationClasses = (oid: string): readonly string[] => {
    let found = ofRelation.get(oid)
    if (!found) {
      found = classesOfRelation(oid)
      ofRelation.set(oid, found)
    }
    return found
  }

  const none: readonly string[] = []
  const sorted = new Map([...classes].map(([at, set]) => [at, [...set].sort()]))
  const all = [...everything].sort()
  return {
    catalog,
    problems,
    keys,
    all,
    ofColumn(oid, attnum) {
      const relation = catalog.relation(oid)
      if (!relation) return undefined
      if (attnum === 0) return relationClasses(oid)
      // System columns (ctid, tableoid, …) say where a row is, nothing of what is in it.
      if (attnum < 0) return none
      return relation.columns.has(attnum) ? (sorted.get(`${oid} ${attnum}`) ?? none) : undefined
    },
    ofRelation: (oid) => (catalog.relation(oid) ? relationClasses(oid) : undefined),
  }
}

/** A relation and all that its query names, and theirs. */
function reach(catalog: ColumnCatalog): (oid: string) => ReadonlySet<string> {
  const known = new Map<string, Set<string>>()
  return (oid) => {
    const found = known.get(oid) ?? new Set<string>()
    if (!known.has(oid)) {
      known.set(oid, found)
      const queue = [oid]
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        const relation = catalog.relation(next)
        if (!relation || found.has(next)) continue
        found.add(next)
        queue.push(...relation.reads)
      }
    }
    return found
  }
}

/** The columns that a key stands for. */
function meant(
  key: string,
  catalog: ColumnCatalog,
  keys: Map<string, { oid: string; attnum: number }>,
  before: Classification | undefined,
  problems: ClassProblem[],
): { relation: CatalogRelation; attnum: number }[] {
  const earlier = before?.keys.get(key)
  const parts = partsOf(key)
  if (!parts) {
    problems.push({
      key,
      problem: `${key} isn't schema.table.column: write each part as quote_ident() does, lower case or in double quotes`,
    })
    return []
  }
  const [schema, table, column] = parts as [string, string, string]
  const found: { relation: CatalogRelation; attnum: number }[] = []
  const relation = catalog.named(schema, table)
  const named = relation && [...relation.columns.values()].find(({ name }) => name === column)
  if (relation && named) {
    keys.set(key, { oid: relation.oid, attnum: named.attnum })
    found.push({ relation, attnum: named.attnum })
  }
  const kept = earlier && catalog.relation(earlier.oid)
  if (kept?.columns.has(earlier!.attnum) && !(kept === relation && named?.attnum === earlier!.attnum)) {
    // Renamed since: both what it was and what now has that name. The old one is kept in mind.
    keys.set(key, earlier!)
    found.push({ relation: kept, attnum: earlier!.attnum })
    problems.push({
      key,
      problem: `${key} was renamed in the database; what it named stays masked: correct data_classes`,
    })
    return found
  }
  if (found.length > 0) return found
  if (relation) {
    problems.push({
      key,
      problem: `there is no column ${column} in ${schema}.${table}: all its columns are masked until data_classes is correct`,
    })
    return [...relation.columns.keys()].map((attnum) => ({ relation, attnum }))
  }
  problems.push({ key, problem: `there is no table or view ${schema}.${table}: correct data_classes, or create it` })
  return []
}

/** Same-named columns of all relations under, or above, a relation. */
function spread(
  catalog: ColumnCatalog,
  from: CatalogRelation,
  column: string,
  way: 'children' | 'parents',
  found: (oid: string, attnum: number) => void,
): void {
  const seen = new Set([from.oid])
  const queue = [...from[way]]
  for (let oid = queue.pop(); oid !== undefined; oid = queue.pop()) {
    const relation = catalog.relation(oid)
    if (!relation || seen.has(oid)) continue
    seen.add(oid)
    const own = [...relation.columns.values()].find(({ name }) => name === column)
    // Above a table that brings the column in itself, there is none.
    if (!own) continue
    found(oid, own.attnum)
    queue.push(...relation[way])
  }
}

/** Columns of the server's own catalogs in which values of tables, or texts of others' statements, turn up. */
const carrying: Readonly<Record<string, RegExp>> = {
  pg_stats: /^(most_common|histogram|range_)/,
  pg_stats_ext: /^most_common/,
  pg_stats_ext_exprs: /^(most_common|histogram|range_)/,
  pg_statistic: /^stavalues/,
  pg_statistic_ext_data: /^stxd(mcv|expr)/,
  pg_stat_activity: /^query$/,
  pg_stat_statements: /^query$/,
  pg_largeobject: /^data$/,
}

function* carriers(catalog: ColumnCatalog): Iterable<[string, RegExp]> {
  for (const { oid, schema, name } of catalog.relations) {
    const names = Object.hasOwn(carrying, name) ? carrying[name] : undefined
    if (names && (schema === 'pg_catalog' || name === 'pg_stat_statements')) yield [oid, names]
  }
}

/** The three parts of a key, unquoted. */
export function partsOf(key: string): string[] | undefined {
  const part = /(?:"((?:[^"\0]|"")+)"|([a-z_][a-z0-9_$]*))(\.|$)/y
  const parts: string[] = []
  for (let match = part.exec(key); match; match = part.exec(key)) {
    parts.push(match[1] === undefined ? match[2]! : match[1].replaceAll('""', '"'))
    if (match[3] === '') return parts.length === 3 ? parts : undefined
  }
  return undefined
}
