import { type LoadedConfig, type LoadedPostgresConnection, loadConfig } from './config/config.ts'
import { formatProblem } from './config/problem.ts'
import { type Classification, classify } from './masking/classes.ts'
import { loadColumns } from './masking/columns.ts'
import { NO_CLASS } from './masking/keys.ts'
import { type ClassSuggestion, suggestClasses } from './masking/suggest.ts'
import { sampleTables } from './postgres/sample.ts'
import { UpstreamError } from './postgres/upstream/connect.ts'
import { Reader } from './postgres/upstream/reader.ts'

export interface SuggestOptions {
  /** Absent: the only one for PostgreSQL. */
  connection?: string
  /** Rows that are looked at, of each table. */
  rows: number
  json: boolean
  /** Exit with 1 where a column looks sensitive and has no class. */
  check: boolean
}

/** What was found in a database. */
export interface Suggestions {
  connection: string
  tables: number
  columns: number
  /** Of columns that have no class. */
  suggestions: ClassSuggestion[]
  /** Keys of `data_classes` that don't fit. */
  problems: Classification['problems']
  /** Tables that could not be looked at, and why. */
  unread: { table: string; because: string }[]
}

/**
 * `countersign-gateway classes suggest`: looks at a sample of a database, by the connection's own credentials, read-only,
 * and prints the classes that its columns may need as YAML to paste. Never prints a value. Sets the exit code: 1 where
 * the configuration is wrong, or with `check` where a column that is likely sensitive has no class; 2 where the database
 * (with `check`: a table of it) could not be looked at.
 */
export async function suggestFor(file: string, options: SuggestOptions): Promise<void> {
  const loaded = await loadConfig(file)
  if (!loaded.ok) {
    for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`)
    process.exitCode = 1
    return
  }
  const connection = chosen(loaded.config, options.connection)
  if (typeof connection === 'string') return failed(connection)
  let found: Suggestions
  try {
    found = await lookAt(connection, options.rows)
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    return failed(`${connection.name} can't be looked at: ${error.message}`)
  }
  process.stdout.write(options.json ? `${JSON.stringify(found, undefined, 2)}\n` : yamlOf(found, options.rows))
  if (!options.check) return
  if (found.suggestions.some(({ confidence }) => confidence !== 'low')) process.exitCode = 1
  else if (found.unread.length > 0) process.exitCode = 2
}

/** @throws UpstreamError */
export async function lookAt(connection: LoadedPostgresConnection, rows: number): Promise<Suggestions> {
  await using reader = await readerOf(connection)
  const query = (sql: string) => reader.query(sql)
  const { catalog, classification } = await classesOf(connection, query)
  const settled = new Set<string>()
  for (const [key, { oid, attnum }] of classification.keys)
    if (connection.data_classes[key] === NO_CLASS) settled.add(`${oid} ${attnum}`)
  const except = (oid: string, attnum: number) =>
    settled.has(`${oid} ${attnum}`) || classification.ofColumn(oid, attnum)?.length !== 0
  const found: Suggestions = {
    ...{ connection: connection.name, tables: 0, columns: 0 },
    ...{ suggestions: [], problems: classification.problems, unread: [] },
  }
  const suggestions: ClassSuggestion[] = []
  for await (const { table, columns, unread } of sampleTables(query, catalog, { rows, except })) {
    found.tables++
    found.columns += columns.length
    if (unread !== undefined) found.unread.push({ table, because: unread })
    suggestions.push(...suggestClasses(columns))
  }
  const certainty = ['high', 'medium', 'low']
  suggestions.sort((a, b) => certainty.indexOf(a.confidence) - certainty.indexOf(b.confidence))
  return { ...found, suggestions }
}

/** Longest that a server may take to let us in. */
const CONNECT_MS = 15_000

/** A connection of the gateway's own to the database, read-only. @throws UpstreamError */
export async function readerOf(connection: LoadedPostgresConnection): Promise<Reader> {
  const { name, kind, tags, mode, host, port, database, user, password, tls, access } = connection
  const target = { ref: { name, kind, tags, mode }, host, port, database, user, tls, access }
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), CONNECT_MS)
  try {
    return await Reader.open({ ...target, ...(password === undefined ? {} : { password }) }, late.signal)
  } finally {
    clearTimeout(timer)
  }
}

/** The classes of a connection's columns as its configuration says, as if nothing had been known before. */
export async function classesOf(
  { data_classes }: Pick<LoadedPostgresConnection, 'data_classes'>,
  query: (sql: string) => Promise<(string | null)[][]>,
) {
  const catalog = await loadColumns(query)
  return { catalog, classification: classify(data_classes, catalog) }
}

function chosen({ connections }: LoadedConfig, name: string | undefined): LoadedPostgresConnection | string {
  const names = [...connections.values()].filter(({ kind }) => kind === 'postgres').map(({ name }) => name)
  const known = names.length > 0 ? `the configuration has ${names.join(', ')}` : 'the configuration has none'
  const one = name === undefined && names.length === 1 ? names[0]! : name
  if (one === undefined) return `say which connection with --connection NAME: ${known}`
  const found = connections.get(one)
  return found?.kind === 'postgres' ? found : `there is no PostgreSQL connection ${JSON.stringify(one)}: ${known}`
}

/** The suggestions as a part of gateway.yaml; what is uncertain, and what is said twice of a column, as comments. */
export function yamlOf(
  { connection, tables, columns, suggestions, problems, unread }: Suggestions,
  rows: number,
): string {
  const lines = [
    `# ${connection}: ${tables} tables, ${columns} columns without a class, up to ${rows} rows of each table were looked at.`,
    suggestions.length > 0
      ? '# Judge each, and paste what is right. Whoever may see a class is said by policy (data:reveal).'
      : '# Nothing in them looks as if it should have a class.',
  ]
  if (suggestions.length > 0) {
    // Where every line is a comment, the block is one as well: `data_classes:` alone would be no value.
    const written = new Set<string>()
    const entries = suggestions.map((one) => {
      const first = one.confidence !== 'low' && !written.has(one.key)
      if (first) written.add(one.key)
      return `      ${first ? '' : '# '}${scalar(one.key)}: ${one.dataClass}  # ${one.confidence}: ${because(one)}`
    })
    const head = ['connections:', `  ${connection}:`, '    data_classes:']
    lines.push(...(written.size > 0 ? head : head.map((line) => `# ${line}`)), ...entries)
  }
  for (const { problem } of problems) lines.push(`# problem: ${shown(problem)}`)
  for (const { table, because } of unread) lines.push(`# not looked at: ${shown(table)} (${because})`)
  return `${lines.join('\n')}\n`
}

function because({ where, named, evidence: { matching, of } }: ClassSuggestion): string {
  if (where === 'name') return of === 0 ? 'its name says so, no values were seen' : 'its name says so'
  const does = where === 'whole' ? 'are such' : 'hold such'
  return `${matching} of ${of} values ${does}${named ? ', and its name says so' : ''}`
}

/** A key as YAML reads it. */
const scalar = (key: string) => (/^[a-z_][a-z0-9_.]*$/.test(key) ? key : JSON.stringify(key))
/** Names can hold line feeds and what terminals obey. */
const shown = (text: string) => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\u{fffd}')

function failed(message: string): void {
  process.stderr.write(`countersign-gateway: ${message}\n`)
  process.exitCode = 2
}
