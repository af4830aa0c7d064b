import type { NewRecordingEvent, RecordingHeader } from '@countersign/contract/recording'
import { lineOf } from '../gateway/src/sessions/line.ts'
import { RecordedLine } from '../gateway/src/sessions/scribe/line.ts'

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const schemas = ['public', 'billing', 'analytics', 'audit']
const nouns =
  'customers orders payments invoices shipments products carts sessions events users addresses refunds coupons reviews suppliers'.split(
    ' ',
  )
export const tables = schemas.flatMap((schema) => nouns.map((noun) => `${schema}.${noun}`))
const columns =
  'id customer_id order_id email status amount created_at updated_at country currency name sku quantity'.split(' ')
const first = 'ada ben chloe dara emil fatima grace hugo ines jonas kenji lena maya noor oscar priya'.split(' ')
const last = 'lovelace osei martin khan weber silva okafor novak tanaka rossi haas lindqvist moreau'.split(' ')
const states = ['open', 'paid', 'shipped', 'cancelled', 'refunded']
export const agents = Array.from(
  { length: 40 },
  (_, i) => `${['reporter', 'tidier', 'support', 'migrator', 'analyst'][i % 5]}-${i}`,
)
export const connections = ['orders', 'billing', 'warehouse', 'crm', 'audit-db', 'events', 'staging', 'legacy']

export const DAYS = 90
export const END = Date.parse('2026-11-21T00:00:00Z')

/** Commands of a few thousand sessions that overlap in time, as agents send them: distinct within their session. */
export function* recordings(commands: number, sessions: number, seed = 4): Generator<RecordedLine[][]> {
  const random = seeded(seed)
  const perSession = Math.ceil(commands / sessions)
  const together = 20
  const span = DAYS * 86_400_000
  for (let n = 0; n < sessions; n += together) {
    const group: RecordedLine[][] = []
    for (let i = n; i < Math.min(n + together, sessions); i++) {
      const startedAt = new Date(END - span + (span * n) / sessions + random() * 3_600_000)
      group.push(recording(sessionId(i), startedAt, perSession, random))
    }
    yield group
  }
}

function sessionId(n: number): string {
  let id = ''
  for (let i = 0, rest = n; i < 24; i++, rest = Math.floor(rest / 26)) id += String.fromCharCode(97 + (rest % 26))
  return `se_${id}`
}

function recording(session: string, startedAt: Date, commands: number, random: () => number): RecordedLine[] {
  // An agent has its connection and its tables.
  const agent = Math.floor(random() * random() * agents.length)
  const connection = connections[agent % connections.length]!
  const own = Array.from({ length: 8 }, (_, i) => tables[(agent * 7 + i * 5) % tables.length]!)
  const header: RecordingHeader = {
    type: 'header',
    format: 'countersign-recording/1',
    session,
    connection,
    protocol: 'postgres',
    mode: 'enforce',
    agent: {
      ...{ id: `https://idp.example.com#${agents[agent]}`, issuer: 'https://idp.example.com' },
      subject: agents[agent]!,
      name: agents[agent]!,
      groups: [],
    },
    client: { address: '10.0.0.7' },
    startedAt: startedAt.toISOString(),
    resultBound: { rows: 10, bytes: 1000 },
  }
  const lines = new Lines(header)
  let t = 5
  for (let i = 0; i < commands; i++) {
    const { text, kind, table, other } = statement(own, random, i)
    const chance = random()
    const outcome = chance < 0.02 ? 'deny' : chance < 0.05 ? 'hold' : 'allow'
    const effects = [table, ...(other ? [other] : [])].map((name) => ({
      ...{
        action: kind === 'select' ? 'sql:read' : 'sql:write',
        resource: { type: 'Table', id: `${connection}/${name}` },
      },
      ...{ kind, bounded: true },
    }))
    const verdict: { outcome: 'deny' | 'hold' | 'allow'; policies: string[] } = { outcome, policies: ['p'] }
    const command = `c${i}`
    lines.add(t, { type: 'command', command, text, parameters: [], kind, effects, digest: 'sha256:00', verdict })
    t += 1 + random() * 30
    if (outcome !== 'allow')
      lines.add(t, {
        type: 'result',
        command,
        status: 'refused',
        sqlstate: '42501',
        message: `denied by policy ${kind}-rule`,
        ms: 0,
      })
    else {
      if (kind === 'select') lines.add(t, rowsOf(command, random))
      lines.add(t, { type: 'result', command, status: 'completed', tag: 'OK', rows: 1, ms: 2 })
    }
    t += random() * 15_000
  }
  lines.add(t, { type: 'end', state: 'closed', reason: 'the client disconnected' })
  return lines.all
}

function rowsOf(command: string, random: () => number): NewRecordingEvent {
  const rows = Array.from({ length: 1 + Math.floor(random() * 3) }, () => [
    String(Math.floor(random() * 1e7)),
    email(random),
    date(random),
    pick(states, random),
  ])
  return {
    type: 'rows',
    command,
    columns: ['id', 'email', 'created_at', 'status'].map((name) => ({ name, type: 25 })),
    rows,
  }
}

function statement(own: string[], random: () => number, n: number) {
  const table = pick(own, random)
  const other = random() < 0.3 ? pick(own, random) : undefined
  const id = Math.floor(random() * 1e7)
  const chance = random()
  const some = () => pick(columns, random)
  if (chance < 0.55) {
    const join = other ? ` join ${other} o on o.customer_id = t.id` : ''
    const where =
      random() < 0.3
        ? `t.email = '${email(random)}'`
        : random() < 0.5
          ? `t.created_at > '${date(random)}'`
          : `t.id = ${id}`
    return {
      kind: 'select',
      table,
      other,
      text: `select t.${some()}, t.${some()}, t.${some()} from ${table} t${join} where ${where} order by t.${some()} limit ${10 + (n % 90)}`,
    }
  }
  if (chance < 0.75)
    return {
      kind: 'insert',
      table,
      other: undefined,
      text: `insert into ${table} (id, email, status, amount) values (${id}, '${email(random)}', '${pick(states, random)}', ${Math.floor(random() * 1e5) / 100})`,
    }
  if (chance < 0.93)
    return {
      kind: 'update',
      table,
      other: undefined,
      text: `update ${table} set status = '${pick(states, random)}', updated_at = '${date(random)}' where ${random() < 0.5 ? `id = ${id}` : `id = '${uuid(random)}'`}`,
    }
  return {
    kind: 'delete',
    table,
    other: undefined,
    text: `delete from ${table} where ${some()} = '${uuid(random)}' and created_at < '${date(random)}'`,
  }
}

class Lines {
  readonly all: RecordedLine[] = []
  #at = 0
  #seq = 0
  constructor(header: RecordingHeader) {
    this.#push(`${JSON.stringify(header)}\n`)
  }
  add(t: number, event: NewRecordingEvent): void {
    this.#push(lineOf(event, ++this.#seq, Math.round(t * 1000)))
  }
  #push(text: string): void {
    const bytes = Buffer.from(text)
    this.all.push(new RecordedLine(bytes.subarray(0, -1), this.#at))
    this.#at += bytes.length
  }
}

/** A pgbench client that has prepared its statements: the same few, over and over. */
export function pgbench(transactions: number): RecordedLine[] {
  const texts = [
    'BEGIN',
    'UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;',
    'SELECT abalance FROM pgbench_accounts WHERE aid = $1;',
    'UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2;',
    'UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2;',
    'INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP);',
    'END',
  ]
  const lines = new Lines({
    ...{
      type: 'header',
      format: 'countersign-recording/1',
      session: 'se_pgbench',
      connection: 'orders',
      protocol: 'postgres',
    },
    ...{ mode: 'enforce', client: { address: '10.0.0.7' }, startedAt: '2026-11-20T00:00:00Z' },
    agent: {
      id: 'https://idp.example.com#bench',
      issuer: 'https://idp.example.com',
      subject: 'bench',
      name: 'bench',
      groups: [],
    },
    resultBound: { rows: 10, bytes: 1000 },
  } as RecordingHeader)
  const verdict = { outcome: 'allow' as const, policies: ['p'] }
  for (let n = 0; n < transactions; n++)
    for (const [i, text] of texts.entries()) {
      const command = `c${n * texts.length + i}`
      lines.add(n, {
        type: 'command',
        command,
        text,
        parameters: [String(n), '7'],
        kind: 'select',
        effects: [],
        digest: 'sha256:00',
        verdict,
      })
      lines.add(n, { type: 'result', command, status: 'completed', tag: 'OK', rows: 1, ms: 1 })
    }
  return lines.all
}

export function pick<T>(all: readonly T[], random: () => number): T {
  return all[Math.floor(random() * all.length)]!
}
export function email(random: () => number): string {
  return `${pick(first, random)}.${pick(last, random)}${Math.floor(random() * 200)}@example.com`
}
export function date(random: () => number): string {
  return new Date(END - random() * DAYS * 86_400_000).toISOString().slice(0, random() < 0.5 ? 10 : 19)
}
function uuid(random: () => number): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
