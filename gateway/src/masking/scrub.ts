import type { Touch } from './plan.ts'

/**
 * Fields of an ErrorResponse or NoticeResponse by their letter
 * (https://www.postgresql.org/docs/18/protocol-error-fields.html).
 */
export type ReportFields = ReadonlyMap<string, string>

/**
 * What is left of an error's or notice's fields where the statement touched classified data. The server quotes values in
 * them: `invalid input syntax for type integer: "…"`, `Key (email)=(…) already exists`, `Failing row contains (…)`.
 *
 * | field | | why |
 * |---|---|---|
 * | S, V severity | kept | one of eight words; S is written in English, as V is |
 * | C SQLSTATE | kept | clients act on it. Whatever isn't five of `0-9A-Z` becomes XX000 |
 * | F, L, R | kept | file, line and routine of the server's source, constants of it |
 * | P position | kept in class 42 | counts characters of the client's own text |
 * | M message, D detail, H hint | ours | quote values |
 * | W, q, p | dropped | what functions ran, with texts that they made of values |
 * | s t c d n | dropped | names, unless RAISE … USING TABLE = value was used |
 * | others | dropped | not known |
 * @param classes what the statement touches and the agent may not see: named in the hint
 */
export function scrubReport(fields: ReportFields, classes: readonly string[]): Map<string, string> {
  const severity = severities.find((known) => known === fields.get('V')) ?? 'ERROR'
  const given = fields.get('C') ?? ''
  const code = /^[0-9A-Z]{5}$/.test(given) ? given : 'XX000'
  const scrubbed = new Map([
    ['S', severity],
    ['V', severity],
    ['C', code],
    ['M', `${words(code, severity)} (text withheld)`],
    [
      'H',
      `The server's words could quote masked data (${classes.join(', ') || 'classified'}), so they are kept from you. Policy permits them with data:reveal.`,
    ],
  ])
  const position = fields.get('P')
  if (code.startsWith('42') && position !== undefined && /^\d{1,9}$/.test(position)) scrubbed.set('P', position)
  for (const letter of ['F', 'L', 'R']) {
    const source = fields.get(letter)
    if (source !== undefined && /^[A-Za-z0-9_.-]{1,63}$/.test(source)) scrubbed.set(letter, source)
  }
  return scrubbed
}

const severities = ['ERROR', 'FATAL', 'PANIC', 'WARNING', 'NOTICE', 'DEBUG', 'INFO', 'LOG'] as const

/** What went wrong, by SQLSTATE (https://www.postgresql.org/docs/18/errcodes-appendix.html). */
function words(code: string, severity: string): string {
  if (severity !== 'ERROR' && severity !== 'FATAL' && severity !== 'PANIC') return 'the server has a notice'
  return byCode[code] ?? byClass[code.slice(0, 2)] ?? 'the server answered with an error'
}

const byCode: Readonly<Record<string, string>> = {
  '22P02': 'a value is not valid for the type that it was to become',
  '22003': 'a number is out of the range of its type',
  '22012': 'division by zero',
  '22001': 'a value is too long for its type',
  '23502': 'a value that may not be null is',
  '23503': 'a foreign key is violated',
  '23505': 'a unique constraint is violated',
  '23514': 'a check constraint is violated',
  '42501': 'the database does not permit this',
  '42601': 'syntax error',
  '42703': 'there is no such column',
  '42883': 'there is no such function or operator',
  '42P01': 'there is no such relation',
  '40001': 'the transaction could not be serialized: try again',
  '40P01': 'deadlock: try again',
  '57014': 'the statement was cancelled',
  P0001: 'a function raised an error',
}

const byClass: Readonly<Record<string, string>> = {
  '08': 'the connection failed',
  '21': 'a subquery answered more rows than one',
  '22': 'a value could not be converted or computed',
  '23': 'a constraint is violated',
  '25': 'the transaction does not allow this now',
  '28': 'the login was refused',
  '40': 'the transaction was rolled back',
  '42': 'the statement is not right',
  '44': 'a row does not satisfy the view',
  '53': 'the server is out of something',
  '54': 'a limit of the server was exceeded',
  '55': 'an object is not in the state for this',
  '57': 'the server was told to stop this',
}

/** Settings that the server reports, and whose values are of a fixed few: they can't carry anything. */
const closed = new Set(
  `in_hot_standby is_superuser standard_conforming_strings integer_datetimes client_encoding server_encoding
  default_transaction_read_only server_version scram_iterations IntervalStyle DateStyle`.split(/\s+/),
)

/**
 * Whether a ParameterStatus may go on that arrives while such a statement is under way: set_config('application_name',
 * email, …) would tell the value. What may not is dropped; the client then knows an older value.
 */
export function parameterPasses(name: string, touch: Pick<Touch, 'hidden'>): boolean {
  return touch.hidden.length === 0 || closed.has(name)
}

/**
 * The payload of a notification, whoever sent it: what it was made of isn't known. Where the agent may not see all
 * classes of the database, the payload is dropped; that there was a notification is what most wait for.
 * @param hidden classes of the database that the agent may not see
 */
export function scrubNotification(payload: string, hidden: readonly string[]): string {
  return hidden.length === 0 ? payload : ''
}
