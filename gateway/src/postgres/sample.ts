import type { CatalogColumn, CatalogRelation, ColumnCatalog } from '../masking/columns.ts'
import type { SampledColumn } from '../masking/suggest.ts'
import { quoteIdent } from './effects/quote.ts'

type Query = (sql: string) => Promise<(string | null)[][]>

export interface SampleOptions {
  /** Rows of each table, at most. */
  rows: number
  /** Columns that aren't of interest. */
  except(oid: string, attnum: number): boolean
  /** For each statement. */
  timeoutMs?: number
}

/** What was seen of a table: values of its columns, or why there are none. */
export type SampledTable =
  | { table: string; columns: SampledColumn[]; unread?: undefined }
  | { table: string; columns: SampledColumn[]; unread: string }

/** Characters of a value that are taken. */
const TAKEN = 2048
/** Columns that are asked for at once: what comes back stays small. */
const AT_ONCE = 8

/**
 * Samples the tables, materialized views and foreign tables of a database, one after another: its text-like columns and
 * numbers with values, the others by name. Partitions are sampled by their table; views not at all, since they show
 * what is elsewhere, and may run anything. Each statement is read-only, with a limit of time and of waiting for locks.
 * What the server refuses is told by table, in the gateway's words: the server's may quote values.
 * @param query of a connection of its own, its search_path `pg_catalog`
 */
export async function* sampleTables(
  query: Query,
  catalog: ColumnCatalog,
  { rows, except, timeoutMs = 10_000 }: SampleOptions,
): AsyncIterable<SampledTable> {
  const strings = new Set(
    (await query("SELECT oid::text FROM pg_catalog.pg_type WHERE typcategory = 'S'")).map(([oid]) => oid),
  )
  const estimates = new Map(
    (await query('SELECT oid::text, reltuples::bigint::text FROM pg_catalog.pg_class')).map(([oid, rows]) => [
      oid,
      Number(rows),
    ]),
  )
  const limited = async (select: string) => {
    try {
      return await query(
        `BEGIN READ ONLY; SET LOCAL statement_timeout = ${timeoutMs}; SET LOCAL lock_timeout = ${Math.ceil(timeoutMs / 5)}; ${select}`,
      )
    } finally {
      await query('ROLLBACK')
    }
  }
  for (const relation of catalog.relations) {
    if (!isSampled(relation, catalog)) continue
    const table = [relation.schema, relation.name].map(quoteIdent).join('.')
    const columns = [...relation.columns.values()]
      .filter(({ attnum }) => !except(relation.oid, attnum))
      .map((column) => ({ ...seen(column, table, strings), values: [] as string[] }))
    const wanted = columns.filter(({ kind }) => kind !== 'other')
    let unread: string | undefined
    for (let at = 0; at < wanted.length; at += AT_ONCE) {
      const some = wanted.slice(at, at + AT_ONCE)
      const list = some.map(({ name }) => `pg_catalog.left(${quoted(name)}::pg_catalog.text, ${TAKEN})`).join(', ')
      try {
        const share = (rows * 400) / (estimates.get(relation.oid) ?? 0)
        let found: (string | null)[][] = []
        if (relation.kind !== 'f' && share > 0 && share < 20)
          found = await limited(
            `SELECT ${list} FROM ${table} TABLESAMPLE SYSTEM (${Math.max(share, 0.000001).toFixed(6)}) LIMIT ${rows}`,
          )
        // Blocks are drawn, not rows: a few can be none.
        if (found.length < rows / 4) found = await limited(`SELECT ${list} FROM ${table} LIMIT ${rows}`)
        for (const row of found)
          row.forEach((value, n) => {
            if (value !== null) some[n]!.values.push(value)
          })
      } catch (error) {
        unread = because((error as Error).message)
      }
    }
    yield unread === undefined ? { table, columns } : { table, columns, unread }
  }
}

function isSampled({ oid, kind, schema, parents }: CatalogRelation, catalog: ColumnCatalog): boolean {
  if (Number(oid) < 16_384 || !'rpmf'.includes(kind) || schema.startsWith('pg_')) return false
  return !parents.some((parent) => catalog.relation(parent)?.kind === 'p')
}

/** json, jsonb, xml, and arrays of text, bpchar, varchar, json, jsonb (pg_type.dat). */
const alike = new Set([114, 3802, 142, 1009, 1014, 1015, 199, 3807])
/** int8 and numeric: the others hold no card number. */
const numbers = new Set([20, 1700])

function seen({ name, typeOid }: CatalogColumn, table: string, strings: ReadonlySet<string | null | undefined>) {
  const kind: SampledColumn['kind'] =
    strings.has(String(typeOid)) || alike.has(typeOid) ? 'text' : numbers.has(typeOid) ? 'number' : 'other'
  // A boolean `email` or an enum `phone` says nothing about anybody.
  const named = kind !== 'other' || typeOid === 17 || typeOid === 1082 ? name : ''
  return { key: `${table}.${quoteIdent(name)}`, name: named === '' ? '' : name, kind }
}

/** Always in quotes: it goes into a statement. */
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

function because(message: string): string {
  if (/permission denied/.test(message)) return 'permission denied'
  if (/timeout|canceling statement/.test(message)) return 'it took too long'
  return 'the server refused'
}
