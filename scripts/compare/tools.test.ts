import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clients, find, pgbench, provide, psql } from '../system.ts'
import { nodePostgres, postgresJs } from './clients/node.ts'
import { distributionBinaries, startDistributionPostgres } from './distribution.ts'
import { environment, type Side, type Sides, startSides } from './sides.ts'

const scripts = join(import.meta.dirname, 'clients')
let sides: Sides
let home: string
beforeAll(async () => {
  provide([psql, pgbench, ...Object.values(clients)])
  home = mkdtempSync(join(tmpdir(), 'countersign-tools-'))
  sides = await startSides('tools', startDistributionPostgres)
}, 180_000)
afterAll(async () => {
  await sides?.[Symbol.asyncDispose]()
  rmSync(home, { recursive: true, force: true })
  expect(sides.complaints).toEqual([])
})

/** Both databases as they were at the start. */
async function afresh(): Promise<void> {
  const schema = readFileSync(join(scripts, 'schema.sql'), 'utf8')
  const gone = 'DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP ROLE IF EXISTS reader;'
  await Promise.all([sides.direct, sides.gateway].map(({ server }) => server.query(gone + schema, 'tools')))
}

/** What a client says on each side is the same, and it said something. */
async function same(client: (side: Side, folder: string) => Promise<string>): Promise<string> {
  await afresh()
  const folder = () => mkdtempSync(join(home, 'client-'))
  const [direct, gateway] = await Promise.all([sides.direct, sides.gateway].map((side) => client(side, folder())))
  expect(gateway).toBe(direct)
  expect(direct).not.toBe('')
  return direct!
}

/** Runs a program to its end. Answers what it printed, output first, and its exit status. */
async function run(side: Side, cwd: string, command: string, ...args: string[]): Promise<string> {
  const child = spawn(command, args, { cwd, env: environment(side), stdio: ['ignore', 'pipe', 'pipe'] })
  const said = ['', '']
  for (const [n, stream] of [child.stdout, child.stderr].entries()) {
    stream.setEncoding('utf8').on('data', (text) => {
      said[n] += text
    })
  }
  const [status] = await once(child, 'close')
  return `${said.join('-- and to stderr:\n')}-- exit ${status}`
}

/** Of the distribution's newest version, as the server is: pg_dump takes no newer server. */
const program = (name: string) => join(distributionBinaries(), name)

/** A key against tampering that pg_dump draws anew each time. */
const dumped = (text: string) => text.replace(/^\\(un)?restrict .*$/gm, '')
const dump = async (side: Side, folder: string) => dumped(await run(side, folder, program('pg_dump')))

describe('a tool gets through the gateway what it gets directly:', { timeout: 180_000 }, () => {
  it('pg_dump as SQL', async () => {
    expect(await same(dump)).toContain('CREATE POLICY own ON public.note')
  })

  it('pg_dump in the custom and directory formats, two jobs, and pg_restore of each into the database', async () => {
    const said = await same(async (side, folder) => {
      const out: string[] = []
      for (const [format, ...jobs] of [['custom'], ['directory', '-j2']]) {
        const file = join(folder, format!)
        const step = async (name: string, ...args: string[]) => {
          out.push(dumped(await run(side, folder, program(name), ...args)).replaceAll(folder, 'FOLDER'))
        }
        await step('pg_dump', '-F', format!, ...jobs, '-f', file)
        await step('pg_restore', '-f', '-', file)
        await step('pg_restore', '--clean', '--if-exists', '-d', 'tools', ...(jobs.length > 0 ? jobs : ['-1']), file)
        out.push(await dump(side, folder))
      }
      return out.join('\n')
    })
    expect(said).not.toContain('-- exit 1')
  })

  it('psql and its backslash commands, \\copy both ways, \\watch, \\gset, \\gexec', async () => {
    const said = await same(async (side, folder) => {
      const text = await run(side, folder, find(psql)!, '-X', '-a', '-e', '-f', join(scripts, 'psql.sql'))
      const files = ['person.csv', 'copied.txt'].map((name) => readFileSync(join(folder, name), 'utf8'))
      // \watch says what time it is, a notification who sent it.
      const named = text.replace(/^.*\(every 0\.01s\)$/gm, 'EVERY').replace(/server process with PID \d+/, 'SERVER')
      return named + files.join('') + readFileSync(join(folder, 'note.bin')).toString('base64')
    })
    expect(said).toContain('200 person 99')
  })

  it.each(['simple', 'extended', 'prepared'])('pgbench -M %s, with a pipeline where there can be one', async (mode) => {
    await same(async (side, folder) => {
      const out: string[] = []
      for (const script of mode === 'simple' ? ['plain'] : ['plain', 'pipeline']) {
        const args = [
          '-n',
          '-M',
          mode,
          '-c',
          '3',
          '-t',
          '40',
          '--random-seed=7',
          '-f',
          join(scripts, `${script}.pgbench`),
        ]
        const said = await run(side, folder, program('pgbench'), ...args)
        out.push(...said.split('\n').filter((line) => /processed|failed|mode|error|exit/.test(line)))
      }
      const after = 'SELECT sum(score) AS s, (SELECT count(*) FROM note) AS n FROM person'
      return [...out, JSON.stringify(await side.server.query(after, 'tools'))].join('\n')
    })
  })

  it('node-postgres', async () => {
    await same(async (side) => (await nodePostgres(side)).join('\n'))
  })

  it('postgres.js: pipelines, cursors, COPY streams', async () => {
    await same(async (side) => (await postgresJs(side)).join('\n'))
  })

  it('psycopg 3: pipelines, binary, COPY, server-side cursors', async () => {
    const said = await same(async (side, cwd) => {
      const text = await run(side, cwd, '/usr/bin/python3', join(scripts, 'psycopg3.py'))
      // It warns of a pipeline that ends in an error only where it hadn't read that error before: that is a matter of
      // moments, on a direct connection too.
      return text
        .replace(/^error ignored terminating <psycopg\.Pipeline .*\n/gm, '')
        .replace(/^ *-- and to stderr:\n(?= *-- exit)/gm, '')
    })
    expect(said).toMatch(/exit 0$/)
  })

  it('psycopg 2', async () => {
    const file = join(scripts, 'psycopg2_client.py')
    expect(await same((side, cwd) => run(side, cwd, '/usr/bin/python3', file))).toMatch(/exit 0$/)
  })

  it('JDBC in its four query modes, with fetch sizes and COPY', async () => {
    const said = await same((side, cwd) =>
      run(side, cwd, 'java', '-cp', find(clients.pgjdbc)!, join(scripts, 'Jdbc.java')),
    )
    expect(said).toMatch(/exit 0$/)
  })
})
