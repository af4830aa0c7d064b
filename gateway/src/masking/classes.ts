import type { CatalogRelation, ColumnCatalog } from './columns.ts'
import { type ClassKey, keyOf, NO_CLASS } from './keys.ts'
import { DERIVED } from './style.ts'

/**
 * What is wrong with a key of `data_classes`: it can't be read (`form`), its column isn't in its table (`column`), there
 * never was such a table (`absent`), there was and it has gone (`lost`), it or its table has another name now
 * (`renamed`), nothing fits the pattern (`unmatched`).
 */
export const classProblemKinds = ['form', 'column', 'absent', 'lost', 'renamed', 'unmatched'] as const
export type ClassProblemKind = (typeof classProblemKinds)[number]

/** A key of `data_classes` that doesn't name a column as it should. */
export interface ClassProblem {
  key: string
  kind: ClassProblemKind
  /** What is wrong and the mend, a sentence. */
  problem: string
}

/** The column that a key stood for. */
export interface KnownColumn {
  oid: string
  attnum: number
  /** The newest relation of the database when it was last found (an OID): where it is lost, it may be in what came since. */
  newest?: number
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
  const problems: ClassProblem[] = []
  const keys = new Map<string, KnownColumn>()
  const classes = new Map<string, Set<string>>()
  const add = (oid: string, attnum: number, found: Iterable<string>): boolean => {
    const at = `${oid} ${attnum}`
    const set = classes.get(at) ?? new Set()
    const size = set.size
    for (const one of found) set.add(one)
    classes.set(at, set)
    return set.size > size
  }
  // With its partitions and inheriting tables: what they take over of it.
  const addBelow = (relation: CatalogRelation, attnum: number, dataClass: string) => {
    add(relation.oid, attnum, [dataClass])
    spread(catalog, relation, relation.columns.get(attnum)!.name, 'children', (oid, n) => add(oid, n, [dataClass]))
  }
  let newest = 0
  for (const { oid } of catalog.relations) newest = Math.max(newest, Number(oid))
  const exact = new Set<string>()
  const patterns: [key: string, pattern: Pattern, dataClass: string][] = []
  for (const [key, dataClass] of Object.entries(config)) {
    const read = keyOf(key)
    if (read?.is === 'pattern') patterns.push([key, read, dataClass])
    else if (read) {
      for (const { relation, attnum, named } of meant(
        { key, ...read },
        catalog,
        keys,
        before?.keys.get(key),
        newest,
        problems,
      )) {
        if (dataClass !== NO_CLASS) addBelow(relation, attnum, dataClass)
        if (!named) continue
        exact.add(`${relation.oid} ${attnum}`)
        const { name } = relation.columns.get(attnum)!
        spread(catalog, relation, name, 'children', (oid, n) => exact.add(`${oid} ${n}`))
      }
    } else problems.push({ key, kind: 'form', problem: `${key} isn't schema.table.column: ${KEY_FORM}` })
  }
  for (const [key, pattern, dataClass] of patterns) {
    let fitting = 0
    for (const relation of catalog.relations) {
      if (!ofUsers(relation)) continue
      for (const { attnum, name } of relation.columns.values()) {
        if (!pattern.fits(relation.schema, relation.name, name)) continue
        fitting++
        if (!exact.has(`${relation.oid} ${attnum}`)) addBelow(relation, attnum, dataClass)
      }
    }
    if (fitting === 0)
      problems.push({
        key,
        kind: 'unmatched',
        problem: `no column fits ${key}: correct data_classes, unless one is to come`,
      })
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
    grows: patterns.length > 0,
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

type Pattern = Extract<ClassKey, { is: 'pattern' }>
type Named = Extract<ClassKey, { is: 'column' }> & { key: string }

/** How keys are written, for whoever has written one otherwise. */
export const KEY_FORM =
  'write each part as quote_ident() does, lower case or in double quotes, or with * for any characters'

/** The first OID that a server gives to what users make (FirstNormalObjectId). */
const FIRST_OF_USERS = 16_384
const ofUsers = ({ oid, kind }: CatalogRelation) => Number(oid) >= FIRST_OF_USERS && kind !== 'S'

/** The columns that an exact key stands for; `named` where it is certain that it is the one that was meant. */
function meant(
  { key, schema, table, column }: Named,
  catalog: ColumnCatalog,
  keys: Map<string, KnownColumn>,
  earlier: KnownColumn | undefined,
  newest: number,
  problems: ClassProblem[],
): { relation: CatalogRelation; attnum: number; named: boolean }[] {
  const tell = (kind: ClassProblemKind, problem: string) => problems.push({ key, kind, problem })
  const whole = (relation: CatalogRelation) =>
    [...relation.columns.keys()].map((attnum) => ({ relation, attnum, named: false }))
  const found: { relation: CatalogRelation; attnum: number; named: boolean }[] = []
  const relation = catalog.named(schema, table)
  const named = relation && [...relation.columns.values()].find(({ name }) => name === column)
  if (relation && named) {
    keys.set(key, { oid: relation.oid, attnum: named.attnum, newest })
    found.push({ relation, attnum: named.attnum, named: true })
  }
  if (!earlier) {
    if (found.length > 0) return found
    if (!relation) {
      tell('absent', `there is no table or view ${schema}.${table}: correct data_classes, or create it`)
      return []
    }
    tell(
      'column',
      `there is no column ${column} in ${schema}.${table}: all its columns are masked until data_classes is correct`,
    )
    return whole(relation)
  }
  const kept = catalog.relation(earlier.oid)
  if (kept?.columns.has(earlier.attnum)) {
    if (kept === relation && named?.attnum === earlier.attnum) return found
    // Renamed since: both what it was and what now has that name. The old one is kept in mind.
    keys.set(key, { ...earlier, newest })
    found.push({ relation: kept, attnum: earlier.attnum, named: true })
    tell('renamed', `${key} was renamed in the database; what it named stays masked: correct data_classes`)
    return found
  }
  if (found.length > 0) return found
  keys.set(key, earlier)
  if (relation || kept) {
    const tables = [...new Set([relation, kept])].filter((one) => one !== undefined)
    const names = tables.map((one) => `${one.schema}.${one.name}`).join(' and ')
    tell(
      'column',
      `the column of ${key} has gone from ${names}: all columns there are masked until data_classes is correct`,
    )
    return tables.flatMap(whole)
  }
  const since = earlier.newest ?? 0
  tell(
    'lost',
    `${schema}.${table} was there and has gone: tables and views that came since are masked until data_classes is correct`,
  )
  return [...catalog.relations].filter((one) => ofUsers(one) && Number(one.oid) > since).flatMap(whole)
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
