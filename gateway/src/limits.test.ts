import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../demo/issuer.ts'
import { type RunningPostgres, startPostgres } from '../../demo/postgres.ts'
import { loadConfig } from './config/config.ts'
import { type RunningGateway, startGateway } from './gateway.ts'
import { createTelemetry } from './telemetry/telemetry.ts'

vi.setConfig({ testTimeout: 60_000 })

let issuer: RunningIssuer
let server: RunningPostgres
let folder: string
let gateway: RunningGateway
beforeAll(async () => {
  ;[issuer, server] = await Promise.all([startIssuer(), startPostgres()])
  folder = mkdtempSync(join(tmpdir(), 'countersign-limits-'))
  mkdirSync(join(folder, 'policy'))
  writeFileSync(
    join(folder, 'policy', 'all.cedar'),
    `permit (principal, action, resource);
    @id("deletes") @hold("dba") forbid (principal, action == Action::"sql:write", resource)
    when { context.command.kind == "delete" } unless { context has approval };`,
  )
  writeFileSync(join(folder, 'password'), server.password, { mode: 0o600 })
  await server.query('CREATE TABLE t (a int)')
  const { host, port, user } = server
  const listen = { api: { listen: '127.0.0.1:0' }, postgres: { listen: '127.0.0.1:0' } }
  const identity = {
    issuers: [
      { issuer: issuer.url, for: 'agents', audience: 'countersign' },
      { issuer: 'https://people.example.com', for: 'people', audience: 'countersign' },
    ],
    roles: { approver: ['dba'], auditor: ['audit'] },
  }
  const orders = { kind: 'postgres', host, port, database: 'postgres', user, password: { file: './password' } }
  const limits = {
    max_statement: '1KiB',
    max_message: '64KiB',
    sessions_per_agent: 2,
    held_per_agent: 2,
    held: 3,
    recorded_rows: 2,
    recorded_bytes: '1KiB',
  }
  const file = join(folder, 'gateway.json')
  writeFileSync(file, JSON.stringify({ ...listen, identity, connections: { orders }, limits }))
  const loaded = await loadConfig(file)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  gateway = await startGateway(loaded.config, { telemetry: { ...createTelemetry(), log: pino({ level: 'silent' }) } })
})
afterAll(async () => {
  await gateway?.stop()
  await Promise.all([issuer?.stop(), server?.stop()])
  rmSync(folder, { recursive: true, force: true })
})
const clients: pg.Client[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()))
})

async function connected(subject: string): Promise<pg.Client> {
  const [host, port] = gateway.addresses.postgres!.split(':') as [string, string]
  const password = await issuer.agentToken({ subject, groups: [] })
  const options = '-c countersign.hold=fail'
  const client = new pg.Client({ host, port: Number(port), database: 'orders', user: 'x', password, options })
  client.on('error', () => {})
  await client.connect()
  clients.push(client)
  return client
}

/** What a client is told: a SQLSTATE and words. */
const told = (doing: Promise<unknown>): Promise<{ code?: string; message: string }> =>
  doing.then(
    () => ({ message: 'done' }),
    (error: Error & { code?: string }) => error,
  )

interface Case {
  limit: string
  within: () => Promise<unknown>
  beyond: () => Promise<unknown>
  code: string
  words: string
  /** Whether the session goes on. */
  lives: boolean
}
let agent: pg.Client

const cases: Case[] = [
  {
    limit: 'max_statement',
    within: () => agent.query(`select 1 ${'-'.repeat(1000)}`),
    beyond: () => agent.query(`select 1 ${'-'.repeat(1024)}`),
    code: '54000',
    words: 'the statement is longer than 1024 bytes',
    lives: true,
  },
  {
    limit: 'max_statement, prepared',
    within: () => agent.query({ name: 'short', text: `select 1 ${'-'.repeat(1000)}` }),
    beyond: () => agent.query({ name: 'long', text: `select 1 ${'-'.repeat(1024)}` }),
    code: '54000',
    words: 'the statement is longer than 1024 bytes',
    lives: true,
  },
  {
    limit: 'max_message',
    within: () => agent.query('select length($1::text)', ['x'.repeat(60 << 10)]),
    beyond: () => agent.query('select length($1::text)', ['x'.repeat(64 << 10)]),
    code: '08P01',
    words: 'is longer than this gateway takes',
    lives: false,
  },
  {
    limit: 'sessions_per_agent',
    within: () => connected('reader'),
    beyond: () => connected('reader'),
    code: '53300',
    words: 'limits.sessions_per_agent',
    lives: true,
  },
]

test.each(cases)('limits.$limit', async ({ within, beyond, code, words, lives }) => {
  agent = await connected('reader')
  expect((await told(within())).message).toBe('done')
  const refused = await told(beyond())
  expect(refused.code).toBe(code)
  expect(refused.message).toContain(words)
  expect((await told(agent.query('select 1'))).message === 'done').toBe(lives)
})

test('limits.held_per_agent and limits.held: an agent’s own, then all of them', async () => {
  const [one, other] = [await connected('one'), await connected('other')]
  const remove = (client: pg.Client, n: number) => told(client.query(`delete from t where a = ${n}`))
  const first = await remove(one, 1)
  expect(first.code).toBe('ZA001')
  expect((await remove(one, 2)).code).toBe('ZA001')
  const refused = await remove(one, 3)
  expect(refused).toMatchObject({ code: '53400', hint: expect.stringContaining('limits.held_per_agent') })
  expect(refused.message).toBe(
    'not run: 2 commands of this agent are held already, as many as may be (limits.held_per_agent)',
  )
  expect((await remove(one, 1)).message).toBe(first.message)
  expect((await remove(other, 1)).code).toBe('ZA001')
  expect(await remove(other, 2)).toMatchObject({ code: '53400', message: expect.stringContaining('(limits.held)') })
  expect((await told(one.query('select 1'))).message).toBe('done')
})
