import type { CatalogRelation, ColumnCatalog } from './columns.ts'
import { type ClassKey, keyOf, NO_CLASS } from './keys.ts'

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

/** What the keys of `data_classes` stand for in a catalog. */
export interface ResolvedKeys {
  /** Columns that keys name or fit, without those that are under or above them, or made of them. */
  columns: ClassifiedColumn[]
  /** What each exact key stood for, to be given again next time. */
  keys: Map<string, KnownColumn>
  problems: ClassProblem[]
  /** There are patterns. */
  grows: boolean
}

export interface ClassifiedColumn {
  relation: CatalogRelation
  attnum: number
  dataClass: string
}

/**
 * Finds the columns that the keys of `data_classes` mean. One that an exact key names, with the same columns of its
 * partitions and inheriting tables, is left out of all patterns. A key that names a column of a view means what is
 * behind it, too: who has put a view where a table was has moved the table.
 * @param earlier what the keys stood for when the catalog was read last
 */
export function resolveKeys(
  config: Readonly<Record<string, string>>,
  catalog: ColumnCatalog,
  earlier: ReadonlyMap<string, KnownColumn> | undefined,
): ResolvedKeys {
  const columns: ClassifiedColumn[] = []
  const keys = new Map<string, KnownColumn>()
  const problems: ClassProblem[] = []
  const patterns: [key: string, pattern: Pattern, dataClass: string][] = []
  let newest = 0
  for (const { oid } of catalog.relations) newest = Math.max(newest, Number(oid))
  const exact = new Set<string>()
  for (const [key, dataClass] of Object.entries(config)) {
    const read = keyOf(key)
    if (!read) problems.push({ key, kind: 'form', problem: `${key} isn't schema.table.column: ${KEY_FORM}` })
    else if (read.is === 'pattern') patterns.push([key, read, dataClass])
    else {
      const known = earlier?.get(key)
      const told: ClassProblem[] = []
      const found = meant({ key, ...read }, catalog, keys, known, newest, told)
      problems.push(...(dataClass === NO_CLASS ? told.map(ofNone) : told))
      for (const { relation, attnum, named } of found) {
        if (dataClass !== NO_CLASS)
          for (const behind of withOrigins(catalog, relation, attnum)) columns.push({ ...behind, dataClass })
        if (!named) continue
        exact.add(`${relation.oid} ${attnum}`)
        const { name } = relation.columns.get(attnum)!
        spread(catalog, relation, name, 'children', (oid, n) => exact.add(`${oid} ${n}`))
      }
    }
  }
  for (const [key, pattern, dataClass] of patterns) {
    const fitting = fittingColumns(catalog, pattern)
    for (const { relation, attnum } of fitting)
      if (!exact.has(`${relation.oid} ${attnum}`)) columns.push({ relation, attnum, dataClass })
    const problem = `no column fits ${key}: correct data_classes, unless one is to come`
    if (fitting.length === 0) problems.push({ key, kind: 'unmatched', problem })
  }
  return { columns, keys, problems, grows: patterns.length > 0 }
}

/** A key that takes a column out of patterns masks nothing, whatever has become of the column. */
function ofNone({ key, kind }: ClassProblem): ClassProblem {
  const what = kind === 'renamed' ? 'was renamed in the database' : 'is no column of the database'
  return { key, kind, problem: `${key}, which is to have no class, ${what}: correct data_classes` }
}

interface Column {
  relation: CatalogRelation
  attnum: number
}

function fittingColumns(catalog: ColumnCatalog, pattern: Pattern): Column[] {
  const found: Column[] = []
  for (const relation of catalog.relations) {
    if (!ofUsers(relation)) continue
    for (const { attnum, name } of relation.columns.values())
      if (pattern.fits(relation.schema, relation.name, name)) found.push({ relation, attnum })
  }
  return found
}

/** A column, and where it is a plain column of a view, those that it comes from. */
function withOrigins(catalog: ColumnCatalog, relation: CatalogRelation, attnum: number): Column[] {
  const found = [{ relation, attnum }]
  for (let at = relation.columns.get(attnum)?.origin; at && found.length < 100; ) {
    const behind = catalog.relation(at.oid)
    const column = behind?.columns.get(at.attnum)
    if (!behind || !column) break
    found.push({ relation: behind, attnum: column.attnum })
    at = column.origin
  }
  return found
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
export function spread(
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
