import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../demo/issuer.ts'
import { type RunningPostgres, startPostgres } from '../../demo/postgres.ts'
import { loadConfig } from './config/config.ts'
import { type RunningGateway, startGateway } from './gateway.ts'
import { createTelemetry } from './telemetry/telemetry.ts'

vi.setConfig({ testTimeout: 60_000 })

let issuer: RunningIssuer
let server: RunningPostgres
beforeAll(async () => {
  ;[issuer, server] = await Promise.all([startIssuer(), startPostgres()])
})
afterAll(async () => {
  await Promise.all([issuer?.stop(), server?.stop()])
})

let folder: string
let database: string
let gateway: RunningGateway | undefined
let client: pg.Client | undefined
let number = 0
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-masked-'))
  mkdirSync(join(folder, 'policy'))
  const permit = 'permit (principal, action in Action::"sql", resource in Connection::"shop");\n'
  writeFileSync(join(folder, 'policy', 'all.cedar'), permit)
  writeFileSync(join(folder, 'password'), server.password, { mode: 0o600 })
  database = `shop_${number++}`
  await server.query(`CREATE DATABASE ${database}`)
  await onServer(`CREATE TABLE customers (id int, email text, city text); CREATE TABLE notes (id int, body text);
    INSERT INTO customers VALUES (1, 'jane@example.com', 'Oslo'); INSERT INTO notes VALUES (1, 'pay 4111 1111 1111 1111')`)
})
afterEach(async () => {
  await stopped()
  rmSync(folder, { recursive: true, force: true })
})

const onServer = (sql: string) => server.query(sql, database)
const config = () => join(folder, 'gateway.json')

function configure(connection: Record<string, unknown>, all: Record<string, unknown> = {}): void {
  const issuers = [{ issuer: issuer.url, for: 'agents', audience: 'countersign' }]
  const { host, port, user } = server
  const shop = { kind: 'postgres', host, port, database, user, password: { file: './password' }, ...connection }
  const listen = { api: { listen: '127.0.0.1:0' }, postgres: { listen: '127.0.0.1:0' } }
  writeFileSync(config(), JSON.stringify({ ...listen, identity: { issuers }, connections: { shop }, ...all }))
}

/** A gateway by the configuration as it is now, and an agent that is connected by it. */
async function started(): Promise<RunningGateway> {
  const loaded = await loadConfig(config())
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const telemetry = { ...createTelemetry(), log: pino({ level: 'silent' }) }
  gateway = await startGateway(loaded.config, { telemetry })
  await reconnected()
  return gateway
}

async function reconnected(): Promise<void> {
  await client?.end()
  const password = await issuer.agentToken({ subject: 'reader', groups: ['ci'] })
  const [host, port] = gateway!.addresses.postgres!.split(':') as [string, string]
  client = new pg.Client({ host, port: Number(port), database: 'shop', user: 'x', password })
  client.on('error', () => {})
  await client.connect()
}

async function stopped(): Promise<void> {
  await client?.end()
  await gateway?.stop()
  client = undefined
  gateway = undefined
}

async function restarted(): Promise<void> {
  await stopped()
  await started()
}

async function rows(sql: string): Promise<unknown[][]> {
  return (await client!.query<unknown[]>({ text: sql, rowMode: 'array' })).rows
}

async function classProblems(): Promise<Record<string, number>> {
  const metrics = await (await fetch(`http://${gateway!.addresses.api}/metrics`)).text()
  const found = metrics.matchAll(/^countersign_data_class_problems\{connection="shop",kind="(\w+)"\} (\d+)$/gm)
  return Object.fromEntries([...found].map(([, kind, count]) => [kind, Number(count)]).filter(([, count]) => count))
}

describe('keys', () => {
  test('by pattern, also for a column that is added while the gateway runs', async () => {
    configure({ data_classes: { '*.*.email': 'email' } })
    await started()
    expect(await rows('SELECT * FROM customers')).toEqual([[1, '[masked: email]', 'Oslo']])
    expect(await rows('SELECT * FROM notes')).toEqual([[1, 'pay 4111 1111 1111 1111']])
    await rows("ALTER TABLE notes ADD COLUMN email text DEFAULT 'new@example.com'")
    expect(await rows('SELECT * FROM notes')).toEqual([[1, 'pay 4111 1111 1111 1111', '[masked: email]']])
    expect(await classProblems()).toEqual({})
  })

  test('by pattern, for a column that is added past the gateway: until the catalog is read anew, by what is not known', async () => {
    configure({ data_classes: { '*.*.email': 'email' } })
    await started()
    const body = 'pay 4111 1111 1111 1111'
    expect(await rows('SELECT *, id + 1 FROM notes')).toEqual([[1, body, 2]])
    await onServer("ALTER TABLE notes ADD COLUMN email text DEFAULT 'new@example.com'")
    for (const sql of ['SELECT * FROM notes', 'SELECT n.id, n.body, n.email AS id2 FROM (SELECT * FROM notes) n'])
      expect(await rows(sql)).toEqual([[1, body, expect.stringMatching(/^\[masked: (email|derived)\]$/)]])
    const copied = await new Promise<string>((resolve, reject) => {
      let text = ''
      const query = client!.query(new pg.Query('COPY notes TO STDOUT'))
      client!.connection.on('copyData', ({ chunk }: { chunk: Buffer }) => {
        text += chunk.toString()
      })
      query.on('end', () => resolve(text))
      query.on('error', reject)
    })
    expect(copied).not.toContain('new@example.com')
    expect(copied).toContain('[masked: ')
  })

  test.each<[what: string, ddl: string, select: string, shown: unknown[], problem: string]>([
    [
      'a column that is renamed',
      'ALTER TABLE customers RENAME COLUMN email TO contact',
      'SELECT contact, city FROM customers',
      ['[masked: email]', 'Oslo'],
      'renamed',
    ],
    [
      'a table that is renamed',
      'ALTER TABLE customers RENAME TO people',
      'SELECT email, city FROM people',
      ['[masked: email]', 'Oslo'],
      'renamed',
    ],
    [
      'a table that becomes another',
      'CREATE TABLE people AS SELECT city AS town, email AS contact FROM customers; DROP TABLE customers',
      'SELECT contact FROM people',
      ['[masked: email]'],
      'lost',
    ],
  ])('%s while the gateway is down stays masked', async (_, ddl, select, shown, problem) => {
    configure({ data_classes: { 'public.customers.email': 'email' } })
    await started()
    expect(await rows('SELECT email FROM customers')).toEqual([['[masked: email]']])
    await stopped()
    await onServer(ddl)
    await started()
    expect(await rows(select)).toEqual([shown])
    expect(await rows('SELECT body FROM notes')).toEqual([['pay 4111 1111 1111 1111']])
    expect(await classProblems()).toEqual({ [problem]: 1 })
    await restarted()
    expect(await rows(select)).toEqual([shown])
  })

  test('of a table that never was is told, and is no outage; corrected, it is told no more', async () => {
    configure({ data_classes: { 'public.costumers.email': 'email' } })
    await started()
    expect(await rows('SELECT email FROM customers')).toEqual([['jane@example.com']])
    expect(await classProblems()).toEqual({ absent: 1 })
    configure({ data_classes: { 'public.customers.email': 'email' } })
    expect((await gateway!.reload()).ok).toBe(true)
    expect(await classProblems()).toEqual({})
    await reconnected()
    expect(await rows('SELECT email FROM customers')).toEqual([['[masked: email]']])
    expect(await classProblems()).toEqual({})
  })
})

describe('a reload', () => {
  const changes: [what: string, connection: Record<string, unknown>, all?: Record<string, unknown>][] = [
    ['a class', { data_classes: { '*.*.email': 'email' } }],
    ['a detector', { data_classes: { '*.*.city': 'city' }, masking: { detect: ['email'] } }],
    ['the style for all', { data_classes: { '*.*.city': 'city' } }, { masking: { style: 'null' } }],
    ['what policy knows of it', { data_classes: { '*.*.city': 'city' }, tags: ['production'] }],
  ]
  test.each(changes)('that changes %s ends the sessions that would go on without', async (_, connection, all) => {
    configure({ data_classes: { '*.*.city': 'city' } })
    await started()
    await rows('BEGIN; DECLARE c CURSOR FOR SELECT email FROM customers')
    const ended = new Promise<Error & { code?: string }>((resolve) => client!.once('error', resolve))
    configure(connection, all)
    expect((await gateway!.reload()).ok).toBe(true)
    expect(await ended).toMatchObject({ code: '57P01' })
    await expect(rows('FETCH c')).rejects.toThrow()
  })

  test('that changes nothing of it, or the password alone, ends none', async () => {
    configure({})
    await started()
    const pid = await rows('SELECT pg_backend_pid()')
    writeFileSync(join(folder, 'password2'), server.password, { mode: 0o600 })
    configure({ password: { file: './password2' } }, { approvals: { hold: 'fail' } })
    expect((await gateway!.reload()).ok).toBe(true)
    expect(await rows('SELECT pg_backend_pid()')).toEqual(pid)
  })
})

describe('styles', () => {
  test('hashes are the same after a restart, and of another key in another folder', async () => {
    configure({ data_classes: { '*.*.email': 'email' } }, { masking: { style: 'hash' } })
    await started()
    expect(statSync(join(folder, 'countersign-data', 'masking.key')).mode & 0o777).toBe(0o600)
    const first = await rows('SELECT email FROM customers')
    expect(first[0]![0]).toMatch(/^email_[0-9a-f]{16}$/)
    await restarted()
    expect(await rows('SELECT email FROM customers')).toEqual(first)
    await stopped()
    configure({ data_classes: { '*.*.email': 'email' } }, { masking: { style: 'hash' }, data: './elsewhere' })
    await started()
    expect(await rows('SELECT email FROM customers')).not.toEqual(first)
  })

  test('by class and connection, from the next session after a reload', async () => {
    configure({ data_classes: { '*.*.email': 'email', 'public.customers.city': 'city' } })
    await started()
    expect(await rows('SELECT email, city FROM customers')).toEqual([['[masked: email]', '[masked: city]']])
    const masking = { style: 'null', classes: { email: 'partial' } }
    configure({ data_classes: { '*.*.email': 'email', 'public.customers.city': 'city' } }, { masking })
    expect((await gateway!.reload()).ok).toBe(true)
    await reconnected()
    expect(await rows('SELECT email, city FROM customers')).toEqual([['j***@e***.com', null]])
  })
})

describe('detectors', () => {
  test('find nothing unless they are asked to', async () => {
    configure({})
    await started()
    expect(await rows('SELECT body FROM notes')).toEqual([['pay 4111 1111 1111 1111']])
  })

  test('for all connections, or for one instead, from the next session after a reload', async () => {
    configure({}, { masking: { detect: ['card'] } })
    await started()
    expect(await rows('SELECT body FROM notes')).toEqual([['pay [masked: card]']])
    expect(await rows('SELECT email FROM customers')).toEqual([['jane@example.com']])
    configure({ masking: { detect: ['email'] } }, { masking: { detect: ['card'] } })
    expect((await gateway!.reload()).ok).toBe(true)
    await reconnected()
    expect(await rows('SELECT body FROM notes')).toEqual([['pay 4111 1111 1111 1111']])
    expect(await rows('SELECT email FROM customers')).toEqual([['[masked: email]']])
  })

  test('and policy says by the name who sees what they find', async () => {
    const reveal = 'permit (principal, action == Action::"data:reveal", resource == DataClass::"card");\n'
    writeFileSync(join(folder, 'policy', 'reveal.cedar'), reveal)
    configure({ masking: { detect: ['card', 'email'] } })
    await started()
    expect(await rows('SELECT body FROM notes')).toEqual([['pay 4111 1111 1111 1111']])
    expect(await rows('SELECT email FROM customers')).toEqual([['[masked: email]']])
  })
})

test('a masking key that is none stops the start, in words', async () => {
  configure({})
  mkdirSync(join(folder, 'countersign-data'), { mode: 0o700 })
  writeFileSync(join(folder, 'countersign-data', 'masking.key'), 'short', { mode: 0o600 })
  await expect(started()).rejects.toThrow(
    /masking\.key can't be used, it has 5 bytes, not 32: put the one of your backup/,
  )
})
