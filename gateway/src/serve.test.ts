import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../demo/issuer.ts'
import { type RunningPostgres, startPostgres } from '../../demo/postgres.ts'
import { selfSignedPair } from './config/tls.ts'

const bin = join(import.meta.dirname, '..', 'bin', 'countersign-gateway.js')
const permitAll = 'permit (principal in Group::"ci", action in Action::"sql", resource in Connection::"orders");\n'

let forPeople: RunningIssuer
let forAgents: RunningIssuer
let database: RunningPostgres
beforeAll(async () => {
  ;[forPeople, forAgents, database] = await Promise.all([startIssuer(), startIssuer(), startPostgres()])
})
afterAll(async () => {
  await Promise.all([forPeople, forAgents, database].map((started) => started?.stop()))
})

let folder: string
let running: Serving[]
beforeEach(() => {
  running = []
  folder = mkdtempSync(join(tmpdir(), 'countersign-serve-'))
  mkdirSync(join(folder, 'policy'))
  writeFileSync(join(folder, 'policy', 'all.cedar'), permitAll)
  writeFileSync(join(folder, 'password'), `${database.password}\n`, { mode: 0o600 })
})
afterEach(async () => {
  for (const { child, exit } of running) {
    child.kill('SIGKILL')
    await exit
  }
  rmSync(folder, { recursive: true, force: true })
})

function configure(changes: Record<string, unknown> = {}): string {
  const file = join(folder, 'gateway.json')
  const config = {
    api: { listen: '127.0.0.1:0' },
    postgres: { listen: '127.0.0.1:0' },
    identity: {
      issuers: [
        { issuer: forPeople.url, for: 'people', audience: 'countersign', client_id: 'console' },
        { issuer: forAgents.url, for: 'agents', audience: 'countersign' },
      ],
      roles: { approver: ['dba'], admin: ['platform'] },
    },
    connections: {
      orders: {
        kind: 'postgres',
        host: database.host,
        port: database.port,
        database: 'postgres',
        user: database.user,
        password: { file: './password' },
      },
    },
    ...changes,
  }
  writeFileSync(file, JSON.stringify(config))
  return file
}

interface Serving {
  child: ChildProcess
  stdout: string[]
  stderr: string[]
  exit: Promise<number | null>
  /** The first line of standard error that matches, once it is there. */
  said(pattern: RegExp): Promise<string>
}

function serve(file: string, flags: string[] = []): Serving {
  const child = spawn(process.execPath, [...flags, bin, 'serve', '--config', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stdout: string[] = []
  const stderr: string[] = []
  const lines = createInterface({ input: child.stderr })
  createInterface({ input: child.stdout }).on('line', (line) => stdout.push(line))
  lines.on('line', (line) => stderr.push(line))
  // 'close': every line has come, too.
  const exit = once(child, 'close').then(([code]) => code as number | null)
  const serving = {
    child,
    stdout,
    stderr,
    exit,
    said: (pattern: RegExp) =>
      new Promise<string>((resolve, reject) => {
        const look = () => {
          const line = stderr.find((each) => pattern.test(each))
          if (line === undefined) return
          lines.off('line', look)
          resolve(line)
        }
        lines.on('line', look)
        exit.then(() => reject(new Error(`it ended:\n${stderr.join('\n')}`)))
        look()
      }),
  }
  running.push(serving)
  return serving
}

/** Serves until it is ready. */
async function ready(file: string, flags: string[] = []) {
  const serving = serve(file, flags)
  await serving.said(/"msg":"ready"/)
  const line = /^countersign-gateway ready api=(127\.0\.0\.1:(\d+)) postgres=(127\.0\.0\.1:(\d+))$/
  const [, api, apiPort, , postgresPort] = line.exec(serving.stdout[0]!)!
  return Object.assign(serving, { api: `http://${api}`, apiPort: Number(apiPort), postgresPort: Number(postgresPort) })
}

async function terminated(serving: Serving): Promise<number | null> {
  serving.child.kill('SIGTERM')
  return serving.exit
}

async function agent(postgresPort: number): Promise<pg.Client> {
  const password = await forAgents.agentToken({ subject: 'deployer', groups: ['ci'] })
  const client = new pg.Client({ host: '127.0.0.1', port: postgresPort, database: 'orders', user: 'x', password })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function asAdmin(api: string, path: string): Promise<unknown> {
  const token = await forPeople.personToken({ subject: 'max', groups: ['platform'] })
  const answer = await fetch(`${api}${path}`, { headers: { authorization: `Bearer ${token}` } })
  return { status: answer.status, body: await answer.json() }
}

vi.setConfig({ testTimeout: 90_000 })

describe('starting and stopping', () => {
  test('SSH is in the ready line, and shows the key that is told', async () => {
    const gateway = serve(configure({ ssh: { listen: '127.0.0.1:0' } }))
    const made = JSON.parse(await gateway.said(/made a host key/)) as { fingerprint: string }
    await gateway.said(/"msg":"ready"/)
    const line = /^countersign-gateway ready api=(\S+) postgres=\S+ ssh=(127\.0\.0\.1:(\d+))$/
    const [, api, ssh, port] = line.exec(gateway.stdout[0]!)!
    const told = (await (await fetch(`http://${api}/.well-known/countersign`)).json()) as Record<string, string>
    expect(told).toMatchObject({ ssh, ssh_host_key: expect.stringMatching(/^ssh-ed25519 AAAA/) })
    const scanned = await promisify(execFile)('ssh-keyscan', ['-t', 'ed25519', '-p', port!, '127.0.0.1'])
    expect(scanned.stdout).toContain(told.ssh_host_key)
    const blob = Buffer.from(told.ssh_host_key!.split(' ')[1]!, 'base64')
    expect(made.fingerprint).toBe(`SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=$/, '')}`)
    expect(await terminated(gateway)).toBe(0)
  })

  test('one line on standard output, a whole session, and SIGTERM ends it with 0', async () => {
    const gateway = await ready(configure())
    expect((await fetch(`${gateway.api}/readyz`)).status).toBe(200)
    const client = await agent(gateway.postgresPort)
    expect((await client.query('select 1 + 1 as two')).rows).toEqual([{ two: 2 }])
    const metrics = await (await fetch(`${gateway.api}/metrics`)).text()
    expect(metrics).toContain('countersign_sessions_open 1')
    expect(metrics).toContain('countersign_commands_total{protocol="postgres",outcome="allow"} 2') // opening is one, too
    expect(metrics).toContain('countersign_authentications_total{result="agent"} 1')
    await client.end()
    expect(await terminated(gateway)).toBe(0)
    expect(gateway.stdout).toHaveLength(1)
  })

  test('the data folder and its keys are for nobody else', async () => {
    const gateway = await ready(configure())
    const data = join(folder, 'countersign-data')
    const mode = (name: string) => (statSync(join(data, name)).mode & 0o777).toString(8)
    expect(['.', 'tls', 'tls/gw.key', 'countersign.sqlite'].map(mode)).toEqual(['700', '700', '600', '600'])
    const certificate = new X509Certificate(readFileSync(join(data, 'tls', 'gw.crt')))
    expect(certificate.subjectAltName).toContain('IP Address:127.0.0.1')
    expect(certificate.checkHost('localhost')).toBe('localhost')
    expect(await terminated(gateway)).toBe(0)
  })

  test('a command that runs when it is told to stop has its time, an idle session ends at once', async () => {
    const gateway = await ready(configure({ limits: { drain: '30s' } }))
    const [busy, idle] = [await agent(gateway.postgresPort), await agent(gateway.postgresPort)]
    const lock = new pg.Client({ ...connection(), database: 'postgres' })
    await lock.connect()
    await lock.query('select pg_advisory_lock(7)')
    const answer = busy.query("select 'done' as state from (select pg_advisory_lock(7)) l")
    for (;;) {
      const { rows } = await lock.query("select 1 from pg_locks where locktype = 'advisory' and not granted")
      if (rows.length > 0) break
    }
    const idleError = once(idle, 'error').then(undefined, (error: unknown) => error)
    gateway.child.kill('SIGTERM')
    expect([await idleError].flat()[0]).toMatchObject({ code: '57P01' })
    expect((await fetch(`${gateway.api}/readyz`)).status).toBe(503)
    await lock.query('select pg_advisory_unlock(7)')
    expect((await answer).rows).toEqual([{ state: 'done' }])
    expect(await gateway.exit).toBe(0)
    await lock.end()
  })

  test('a command that does not end in its time is ended, and so is the gateway', async () => {
    const gateway = await ready(configure({ limits: { drain: '0s' } }))
    const client = await agent(gateway.postgresPort)
    const answer = client.query('select pg_sleep(600)').catch((error: Error & { code?: string }) => error)
    const { rows } = await untilSleeping()
    expect(rows).toHaveLength(1)
    expect(await terminated(gateway)).toBe(0)
    expect(await answer).toBeInstanceOf(Error)
  })

  test('started by npx, it ends in order with the shell that npx put between', async () => {
    const line = '"$0" "$@"; exit $?' // a shell that waits, as npx has one
    const shell = spawn('sh', ['-c', line, process.execPath, bin, 'serve', '--config', configure()], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, npm_lifecycle_event: 'npx' },
    })
    let said = ''
    const up = new Promise<void>((resolve) => {
      shell.stderr.setEncoding('utf8').on('data', (text) => {
        said += text
        if (said.includes('"msg":"ready"')) resolve()
      })
    })
    const gone = once(shell, 'close') // of everybody who holds its pipes: of the gateway, too
    await Promise.race([up, gone])
    shell.kill('SIGTERM')
    expect(await gone).toEqual([null, 'SIGTERM'])
    expect(said).toContain('"msg":"stopping: SIGTERM"')
  })

  test('a session that was open when it was killed is interrupted after the next start', async () => {
    const file = configure()
    const first = await ready(file)
    const client = await agent(first.postgresPort)
    await client.query('select 1')
    first.child.kill('SIGKILL')
    await first.exit
    const second = await ready(file)
    expect(await asAdmin(second.api, '/v1/sessions')).toMatchObject({
      status: 200,
      body: { items: [{ state: 'interrupted', connection: 'orders', counts: { commands: 2 } }] },
    })
    expect(await terminated(second)).toBe(0)
  })
})

test('something that nobody foresaw ends it with 1, in order', async () => {
  const boom = "data:text/javascript,process.on('SIGUSR2', () => { throw new Error('boom') })"
  const file = configure()
  const gateway = await ready(file, ['--import', boom])
  const client = await agent(gateway.postgresPort)
  const ended = once(client, 'error').then(undefined, (error: unknown) => error)
  gateway.child.kill('SIGUSR2')
  expect(await gateway.exit).toBe(1)
  expect(gateway.stderr.join('\n')).toMatch(/"level":"fatal".*boom/)
  expect([await ended].flat()[0]).toMatchObject({ code: '57P01' })
})

describe('what keeps it from starting', () => {
  test('a configuration with problems', async () => {
    const gateway = serve(configure({ api: { listen: 'here' } }))
    expect(await gateway.exit).toBe(1)
    expect(gateway.stderr).toEqual([
      `${join(folder, 'gateway.json')}:1: api.listen is "here"; an address is HOST:PORT, for example 127.0.0.1:7440`,
    ])
    expect(gateway.stdout).toEqual([])
  })

  test('policies with problems', async () => {
    writeFileSync(join(folder, 'policy', 'bad.cedar'), '\npermit (principal);\n')
    const gateway = serve(configure())
    expect(await gateway.exit).toBe(1)
    expect(gateway.stderr[0]).toMatch(new RegExp(`^${join(folder, 'policy', 'bad.cedar')}:2: `))
    expect(gateway.stdout).toEqual([])
  })

  test('another gateway on the same data folder, which is not disturbed', async () => {
    const file = configure()
    const first = await ready(file)
    const second = serve(file)
    expect(await second.exit).toBe(1)
    expect(second.stderr.at(-1)).toBe(
      `countersign-gateway: another gateway uses the data folder ${join(folder, 'countersign-data')}: stop it, or give this one a folder of its own (data:)`,
    )
    expect((await fetch(`${first.api}/readyz`)).status).toBe(200)
    expect(await terminated(first)).toBe(0)
  })

  test('an SSH host key that is damaged: none is made in its place', async () => {
    mkdirSync(join(folder, 'countersign-data', 'ssh'), { recursive: true, mode: 0o700 })
    writeFileSync(join(folder, 'countersign-data', 'ssh', 'host_ed25519'), 'no key')
    const gateway = serve(configure({ ssh: { listen: '127.0.0.1:0' } }))
    expect(await gateway.exit).toBe(1)
    expect(gateway.stderr.at(-1)).toMatch(
      /the SSH host key .* can't be used, it holds no private key that can be used: put/,
    )
  })

  test.each(['api', 'postgres', 'ssh'])('a port of %s that another program has', async (name) => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const gateway = serve(configure({ [name]: { listen: `127.0.0.1:${port}` } }))
    expect(await gateway.exit).toBe(1)
    expect(gateway.stderr.at(-1)).toBe(
      `countersign-gateway: ${name} can't listen on 127.0.0.1:${port}: another program listens there: stop it, or choose another port`,
    )
    expect(gateway.stdout).toEqual([])
    taken.close()
  })

  test('a data folder that is a file', async () => {
    writeFileSync(join(folder, 'countersign-data'), 'x')
    const gateway = serve(configure())
    expect(await gateway.exit).toBe(1)
    expect(gateway.stderr.at(-1)).toMatch(/^countersign-gateway: the data folder \S+ can't be used: /)
  })
})

describe('SIGHUP', () => {
  test('puts policy, roles and connections in force', async () => {
    const gateway = await ready(configure())
    expect(await asAdmin(gateway.api, '/v1/me')).toMatchObject({ body: { roles: ['admin'] } })
    await (await agent(gateway.postgresPort)).end()

    writeFileSync(join(folder, 'policy', 'all.cedar'), permitAll.replace('"ci"', '"nobody"'))
    configure({
      identity: {
        issuers: [
          { issuer: forPeople.url, for: 'people', audience: 'countersign', client_id: 'console' },
          { issuer: forAgents.url, for: 'agents', audience: 'countersign' },
        ],
        roles: { auditor: ['platform'] },
      },
    })
    gateway.child.kill('SIGHUP')
    await gateway.said(/"msg":"reloaded"/)
    expect(await asAdmin(gateway.api, '/v1/me')).toMatchObject({ body: { roles: ['auditor'] } })
    await expect(agent(gateway.postgresPort)).rejects.toMatchObject({ code: '42501' })
    expect(await terminated(gateway)).toBe(0)
  })

  test('with something broken changes nothing, and says what is broken', async () => {
    const file = configure()
    const gateway = await ready(file)
    const before = await asAdmin(gateway.api, '/v1/policy')
    const [policy, password] = [join(folder, 'policy', 'all.cedar'), join(folder, 'password')]
    const cases: [spoil: () => unknown, words: RegExp][] = [
      [() => writeFileSync(policy, 'permit (principal;\n'), /policy\/all\.cedar:1: /],
      [() => configure({ postgress: {} }), /gateway\.json:1: unknown key "postgress"; did you mean "postgres"\?/],
      [() => rmSync(password), /gateway\.json:1: the file \S+password does not exist/],
      [
        () => configure({ tls: { cert: './none.crt', key: './none.key' } }),
        /gateway\.json:1: the file \S+none\.crt does not exist/,
      ],
      [() => writeFileSync(file, '{'), /gateway\.json:1: not YAML/],
      [() => rmSync(file), /gateway\.json:1: the file \S+gateway\.json does not exist/],
    ]
    for (const [spoil, words] of cases) {
      gateway.stderr.length = 0
      spoil()
      gateway.child.kill('SIGHUP')
      await gateway.said(/nothing was reloaded/)
      expect(gateway.stderr.join('\n')).toMatch(words)
      expect(await asAdmin(gateway.api, '/v1/policy')).toEqual(before)
      writeFileSync(policy, permitAll)
      writeFileSync(password, `${database.password}\n`, { mode: 0o600 })
      configure()
    }
    const client = await agent(gateway.postgresPort)
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
    expect(await terminated(gateway)).toBe(0)
  })

  test('presents the new certificate to both kinds of client', async () => {
    const pairs = await Promise.all(['a', 'b'].map((name) => selfSignedPair(join(folder, name), [])))
    const put = ({ pair }: (typeof pairs)[number]) => {
      writeFileSync(join(folder, 'gw.crt'), pair.cert)
      writeFileSync(join(folder, 'gw.key'), pair.key)
    }
    put(pairs[0]!)
    const gateway = await ready(configure({ tls: { cert: './gw.crt', key: './gw.key' } }))
    const presented = async (port: number, alpn: string[]) => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: alpn })
      await once(socket, 'secureConnect')
      const certificate = socket.getPeerX509Certificate()!.fingerprint256
      socket.destroy()
      return certificate
    }
    const both = async () => [
      await presented(gateway.apiPort, ['http/1.1']),
      await presented(gateway.postgresPort, ['postgresql']),
    ]
    const [first, second] = pairs.map(({ pair }) => new X509Certificate(pair.cert).fingerprint256)
    expect(await both()).toEqual([first, first])
    put(pairs[1]!)
    gateway.child.kill('SIGHUP')
    await gateway.said(/"msg":"reloaded"/)
    expect(await both()).toEqual([second, second])
    // TLS is configured, so nobody may go without.
    await expect(agent(gateway.postgresPort)).rejects.toMatchObject({ code: '28000' })
    expect(await terminated(gateway)).toBe(0)
  })
})

const connection = () => ({
  host: database.host,
  port: database.port,
  user: database.user,
  password: database.password,
})

async function untilSleeping() {
  const watcher = new pg.Client({ ...connection(), database: 'postgres' })
  await watcher.connect()
  try {
    for (;;) {
      const found = await watcher.query(
        "select 1 from pg_stat_activity where wait_event = 'PgSleep' and state = 'active'",
      )
      if (found.rows.length > 0) return found
    }
  } finally {
    await watcher.end()
  }
}
