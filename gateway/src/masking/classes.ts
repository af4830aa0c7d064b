import type { ColumnCatalog } from './columns.ts'
import { NO_CLASS } from './keys.ts'
import { type ClassProblem, type KnownColumn, resolveKeys, spread } from './resolve.ts'
import { DERIVED } from './style.ts'

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
  /** There are patterns: a column that the catalog doesn't know yet may be of any class. */
  readonly grows: boolean
  /** What each exact key stood for, so that it still does after a rename. Plain values, to be kept across restarts. */
  readonly keys: ReadonlyMap<string, KnownColumn>
}

/**
 * Finds the classified columns of a database: those that exact keys name and patterns fit, the same columns of
 * partitions and inheriting tables and of the tables above them, generated columns computed from them, and the columns
 * of views that are made of them. A column that an exact key names has its class alone, whatever patterns fit it; one
 * that several patterns fit has all their classes.
 * What can't be found fails closed as far as it can: a column that isn't in its table classifies the whole table; one
 * that was found before stays classified by its number when its name, or its table's, was changed; one that was found
 * before and has gone classifies whatever relations came since. A key that was never found is told in `problems` only.
 * @param config `data_classes`: `schema.table.column` as quote_ident() writes the parts, or a pattern → class
 * @param before the classification of an earlier look at the catalog, or what was kept of it
 */
export function classify(
  config: Readonly<Record<string, string>>,
  catalog: ColumnCatalog,
  before?: Pick<Classification, 'keys'>,
): Classification {
  const classes = new Map<string, Set<string>>()
  const add = (oid: string, attnum: number, found: Iterable<string>): boolean => {
    const at = `${oid} ${attnum}`
    const set = classes.get(at) ?? new Set()
    const size = set.size
    for (const one of found) set.add(one)
    classes.set(at, set)
    return set.size > size
  }
  const { columns, keys, problems, grows } = resolveKeys(config, catalog, before?.keys)
  // With its partitions and inheriting tables: what they take over of it.
  for (const { relation, attnum, dataClass } of columns) {
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
  const everything = new Set(Object.values(config).filter((dataClass) => dataClass !== NO_CLASS))
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
    grows,
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
