import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { type RunningPostgres, startPostgres } from '../../demo/postgres.ts'
import type { Suggestions } from './suggest-classes.ts'

vi.setConfig({ testTimeout: 60_000 })

const bin = join(import.meta.dirname, '..', 'bin', 'countersign-gateway.js')
let server: RunningPostgres
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-suggest-'))
  server = await startPostgres({ config: { log_statement: 'all' }, log: (line) => log.push(line) })
  await server.query(`
    CREATE ROLE reader LOGIN PASSWORD 'reader';
    CREATE TABLE people (id int, email text, "Work Mail" varchar(80), city text, card bigint, born date, ok boolean);
    INSERT INTO people SELECT n, 'zq' || n || '@hush.example', 'zw' || n || '@hush.example', 'Oslo', 4111111111111111, '1970-01-01'
      FROM generate_series(1, 300) n;
    CREATE TABLE events (id int, payload jsonb, note text) PARTITION BY RANGE (id);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (1000);
    INSERT INTO events SELECT n, jsonb_build_object('to', 'zq' || n || '@hush.example'), 'line' FROM generate_series(1, 50) n;
    CREATE TABLE big (id int, iban text);
    INSERT INTO big SELECT n, 'DE89370400440532013000' FROM generate_series(1, 60000) n;
    CREATE TABLE slow (id int, password text);
    CREATE TABLE closed (ssn text); CREATE TABLE closed_too (note text);
    CREATE VIEW people_view AS SELECT email FROM people;
    CREATE TABLE none_such (email text); INSERT INTO none_such VALUES ('zq@hush.example'), ('zr@hush.example');
    GRANT SELECT ON people, events, events_1, big, slow, people_view, none_such TO reader; ANALYZE`)
})
afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})
const log: string[] = []

async function run(args: string[], dataClasses: Record<string, string> = {}, connection: object = {}) {
  const file = join(folder, 'gateway.json')
  const issuers = [{ issuer: 'https://agents.example.com', for: 'agents', audience: 'countersign' }]
  const shop = {
    ...{ kind: 'postgres', host: server.host, port: server.port, database: 'postgres', user: 'reader' },
    ...{ password: { env: 'READER' }, data_classes: dataClasses, ...connection },
  }
  const content = { api: { listen: '127.0.0.1:0' }, identity: { issuers }, connections: { shop } }
  writeFileSync(file, JSON.stringify(content, undefined, 1))
  const [command, ...rest] = args
  const all = [bin, command!, ...(command === 'classes' ? ['suggest'] : []), '--config', file, ...rest]
  const child = spawn(process.execPath, all, { env: { ...process.env, READER: 'reader' } })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number]>,
  ])
  return { stdout, stderr, code }
}

describe('classes suggest', () => {
  test('prints YAML that can be pasted, with counts, and never a value', async () => {
    const { stdout, stderr, code } = await run(['classes'], {
      'public.big.id': 'number',
      'public.none_such.email': 'none',
      '*.none_such.email': 'email',
      'public.costumers.email': 'email',
    })
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).not.toMatch(/hush|41111|DE89|Oslo/)
    expect(parse(stdout)).toEqual({
      connections: {
        shop: {
          data_classes: {
            'public.people.email': 'email',
            'public.people."Work Mail"': 'email',
            'public.people.card': 'card',
            'public.events.payload': 'email',
            'public.big.iban': 'iban',
            'public.slow.password': 'password',
            'public.closed.ssn': 'ssn',
          },
        },
      },
    })
    expect(stdout).toContain('public.people.email: email  # high: 300 of 300 values are such, and its name says so')
    expect(stdout).toContain('public.events.payload: email  # medium: 50 of 50 values hold such')
    expect(stdout).toContain('public.slow.password: password  # medium: its name says so, no values were seen')
    expect(stdout).toContain('# problem: there is no table or view public.costumers')
    expect(stdout).toContain('# not looked at: public.closed (permission denied)')
  })

  test('samples large tables, reads no partition twice and no view, and writes nothing', async () => {
    log.length = 0
    await run(['classes', '--rows', '100'])
    const statements = log.filter((line) => line.includes('statement:') && line.includes('pg_catalog.left'))
    // Blocks are drawn: when too few rows come of them, what comes first is taken after that.
    const [sampled, ...more] = statements.filter((line) => line.includes('public.big'))
    expect(sampled).toMatch(/BEGIN READ ONLY; SET LOCAL statement_timeout = \d+; .*TABLESAMPLE SYSTEM .* LIMIT 100/)
    expect(more.length).toBeLessThanOrEqual(1)
    for (const line of more) expect(line).toMatch(/BEGIN READ ONLY; .* FROM public\.big LIMIT 100/)
    expect(statements.filter((line) => /events_1|people_view/.test(line))).toEqual([])
    expect(statements.every((line) => line.includes('BEGIN READ ONLY;'))).toBe(true)
  })

  test('as JSON', async () => {
    const { stdout } = await run(['classes', '--json', '--connection', 'shop'], { '*.people.*': 'person' })
    const found = JSON.parse(stdout) as Suggestions
    expect(found).toMatchObject({
      connection: 'shop',
      problems: [],
      unread: [{ table: 'public.closed' }, { table: 'public.closed_too' }],
    })
    expect(found.suggestions.find(({ key }) => key === 'public.big.iban')).toEqual({
      ...{ key: 'public.big.iban', dataClass: 'iban', confidence: 'high', where: 'whole', named: true },
      evidence: { matching: 1000, of: 1000 },
    })
    expect(found.suggestions.some(({ key }) => key.startsWith('public.people.'))).toBe(false)
  })

  test.each<[what: string, dataClasses: Record<string, string>, code: number]>([
    ['something has no class', { '*.*.*mail*': 'email' }, 1],
    ['all has a class', { '*.*.*': 'any', 'public.closed.ssn': 'none' }, 0],
    [
      'a table could not be looked at',
      {
        '*.people.*': 'a',
        '*.events.*': 'a',
        '*.big.*': 'a',
        '*.slow.*': 'a',
        '*.none_such.*': 'a',
        '*.closed.*': 'a',
      },
      2,
    ],
  ])('--check: %s', async (_, dataClasses, code) => {
    expect((await run(['classes', '--check'], dataClasses)).code).toBe(code)
  })

  test.each<[args: string[], connection: object, words: RegExp, code: number]>([
    [['--connection', 'shup'], {}, /there is no PostgreSQL connection "shup": the configuration has shop/, 2],
    [[], { database: 'nowhere' }, /^countersign-gateway: shop can't be looked at: /, 2],
    [[], { user: 7 }, /gateway\.json:\d+: connections\.shop\.user/, 1],
    [['--rows', '0'], {}, /--rows is a number from 1 to 100000/, 2],
  ])('%j %j', async (args, connection, words, expected) => {
    const { stderr, stdout, code } = await run(['classes', ...args], {}, connection)
    expect(stderr).toMatch(words)
    expect(stdout).toBe('')
    expect(code).toBe(expected)
  })
})

test('check --connect tells at its line which key does not fit', async () => {
  writeFileSync(join(folder, 'all.cedar'), 'permit (principal, action, resource);\n')
  const { stdout } = await run(['check', '--connect'], {
    'public.people.email': 'email',
    'public.people.emial': 'email',
    '*.*.phone': 'phone',
  })
  const told = stdout.split('\n').filter((line) => /gateway\.json:\d+: warning: /.test(line))
  expect(told.map((line) => line.replace(/^.*gateway\.json:/, ''))).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^\d+: warning: there is no column emial in public\.people: all its columns are masked/),
      expect.stringMatching(
        /^\d+: warning: no column fits \*\.\*\.phone: correct data_classes, unless one is to come$/,
      ),
    ]),
  )
})
