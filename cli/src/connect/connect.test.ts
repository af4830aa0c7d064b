import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { TokenAnswer, TokenRecord } from '@countersign/contract/access'
import { listOf } from '@countersign/contract/api'
import { Approval } from '@countersign/contract/approval'
import { Session } from '@countersign/contract/session'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { sampleAccess } from '../../../demo/access.ts'
import { startWorld, type World } from '../../../demo/world.ts'
import { selfSignedPair } from '../../../gateway/src/config/tls.ts'
import { bin, newUser, type User } from '../testing/cli.ts'
import { hostAndPort } from './address.ts'
import { optionText } from './postgres.ts'

const secret = 'sample-secret-of-billing-cleanup'
// Each runs many processes, one after another, on machines that do other things, too.
vi.setConfig({ testTimeout: 120_000 })

let folder: string
let world: World
let address: string
let ca: string
let agent: User
/** Every line that the gateway logs. */
const logged: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-connect-'))
  const { pair } = await selfSignedPair(join(folder, 'made'), ['127.0.0.1'])
  ca = join(folder, 'gw.crt')
  mkdirSync(join(folder, 'world'))
  for (const place of [folder, join(folder, 'world')]) {
    writeFileSync(join(place, 'gw.crt'), pair.cert)
    writeFileSync(join(place, 'gw.key'), pair.key)
  }
  const config = { tls: { cert: './gw.crt', key: './gw.key' } }
  world = await startWorld({ folder: join(folder, 'world'), ...sampleAccess, config, log: (line) => logged.push(line) })
  address = world.api.replace('http:', 'https:')
  agent = newUser(address)
  Object.assign(agent.env, {
    COUNTERSIGN_CA: ca,
    COUNTERSIGN_ISSUER: world.agents.url,
    COUNTERSIGN_CLIENT_ID: 'billing-cleanup',
    COUNTERSIGN_CLIENT_SECRET: secret,
    COUNTERSIGN_RESOURCE: world.agents.resource,
  })
}, 120_000)
afterAll(async () => {
  await world?.stop()
  agent?.[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** What the API answers somebody. */
async function api(path: string, token: string, body?: unknown): Promise<unknown> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const asked = request(new URL(path, address), { ca: readFileSync(ca), headers, method: body ? 'POST' : 'GET' })
  asked.end(body && JSON.stringify(body))
  const [answer] = await once(asked, 'response')
  return json(answer)
}
const left = () => readdirSync(join(agent.home, 'tmp'))
const psql = ['--', 'psql', '-XAt']

describe('connect', () => {
  it('runs psql with address, certificate and token in place, and its purpose as it was said', async () => {
    const purpose = 'month end: close \\ "it"  \'now\' für 100%'
    const astray = {
      PGPASSWORD: 'old',
      PGHOSTADDR: '192.0.2.1',
      PGSERVICE: 'nowhere',
      PGSSLMODE: 'disable',
      PGCHANNELBINDING: 'require',
      PGOPTIONS: '-c countersign.hold=fail',
    }
    const ran = await agent.run(
      ['connect', 'orders', '--purpose', purpose, ...psql, '-f', '-'],
      astray,
      '\\conninfo\nSELECT 7;\n',
    )
    expect(ran.err).toBe('')
    expect(ran).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^You are connected to database "orders" .*\n(SSL connection .*\n)7\n$/),
    })
    const token = await world.people.personToken({ subject: 'admin' })
    const { items } = listOf(Session).parse(await api('/v1/sessions', token))
    expect(items[0]!.purpose).toBe(purpose)
    expect(left()).toEqual([])
  })

  it('lets nobody see a secret: not in arguments, not in what the client inherits, not in words or logs', async () => {
    const probe = join(folder, 'probe.mjs')
    writeFileSync(
      probe,
      `import { readFileSync, readdirSync, statSync } from 'node:fs'
       import { dirname } from 'node:path'
       const file = process.env.PGPASSFILE
       const commands = readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).flatMap((pid) => {
         try { return [readFileSync('/proc/' + pid + '/cmdline', 'latin1')] } catch { return [] }
       })
       console.log(JSON.stringify({ env: process.env, commands, file: readFileSync(file, 'latin1'), modes: [statSync(file), statSync(dirname(file))].map(({ mode }) => mode & 0o777) }))`,
    )
    const subject = await world.agents.clientCredentials('billing-cleanup')
    const secrets = {
      COUNTERSIGN_SUBJECT_TOKEN: subject,
      COUNTERSIGN_ACTOR_TOKEN: '',
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner-token',
    }
    const { out, err, code } = await agent.run(['connect', 'orders', '--', process.execPath, probe], secrets)
    expect([code, err]).toEqual([0, ''])
    const seen = JSON.parse(out) as { env: Record<string, string>; commands: string[]; file: string; modes: number[] }
    const token = /cst_[^\n]+/.exec(seen.file)![0]
    expect(seen.modes).toEqual([0o600, 0o700])
    expect(seen.commands.some((line) => line.includes('probe.mjs'))).toBe(true)
    for (const hidden of [token, subject, secret, 'runner-token'])
      expect(
        [JSON.stringify(seen.env), seen.commands.join('\n'), logged.join('\n')].map((text) => text.includes(hidden)),
      ).toEqual([false, false, false])
    expect(left()).toEqual([])
    // Nobody needs it any more.
    const answer = await agent.run(['connect', 'orders', '--', 'sh', '-c', 'true'])
    expect(answer.code).toBe(0)
    const { items } = listOf(TokenRecord).parse(await api('/v1/tokens', subject))
    expect(items.map(({ revoked }) => revoked?.reason)).not.toContain(undefined)
  })

  it.each<[says: string, args: string[], env: Record<string, string>, code: number, words: RegExp]>([
    ['the client’s status', ['orders', '--', 'sh', '-c', 'exit 7'], {}, 7, /^$/],
    ['no such client', ['orders', '--', 'no-such-client'], {}, 127, /there is no program no-such-client/],
    ['a client that can’t be run', ['orders', '--', '/dev/null'], {}, 126, /\/dev\/null can't be run/],
    ['no client', ['orders'], {}, 2, /missing required argument 'client'/],
    [
      'no such connection',
      ['nowhere', ...psql],
      {},
      126,
      /no token is given for nowhere: check the name, or ask for access/,
    ],
    ['access that takes a grant', ['payments', ...psql], {}, 126, /countersign grants request payments/],
    [
      'a request that is held',
      ['payments', '--request', 'sql:write', '--purpose', 'x', ...psql],
      {},
      3,
      /held for approval ap_\w+: once it is given, connect with --grant gr_/,
    ],
    [
      'a request that is refused',
      ['orders', '--request', 'sql:read', '--purpose', 'x', ...psql],
      {},
      126,
      /nothing permits you to ask for this/,
    ],
    ['a request without a purpose', ['payments', '--request', 'sql:read', ...psql], {}, 2, /--request needs --purpose/],
    [
      'waiting for nothing',
      ['orders', '--wait', ...psql],
      {},
      2,
      /--wait, --timeout and --resources go with --request/,
    ],
    ['no listener', ['web-1', '--', 'ssh'], {}, 126, /no listener for SSH: tell its operator \(ssh\.listen\)/],
    [
      'a client that the issuer doesn’t know',
      ['orders', ...psql],
      { COUNTERSIGN_CLIENT_SECRET: 'wrong' },
      4,
      /gives this client no token/,
    ],
    ['nobody', ['orders', ...psql], { COUNTERSIGN_CLIENT_ID: '' }, 4, /nothing says which agent this is/],
    [
      'a token that is none',
      ['orders', ...psql],
      { COUNTERSIGN_SUBJECT_TOKEN: 'x.y.z' },
      4,
      /subject_token is not valid here.*came from COUNTERSIGN_SUBJECT_TOKEN/,
    ],
    [
      'a certificate that nobody knows',
      ['orders', ...psql],
      { COUNTERSIGN_CA: '' },
      1,
      /not trusted on this machine: .* --ca FILE/,
    ],
  ])('%s: %j exits with it', async (_says, args, env, code, words) => {
    const ran = await agent.run(['connect', ...args], env)
    expect([ran.code, ran.err, ran.out]).toEqual([code, expect.stringMatching(words), ''])
    expect(left()).toEqual([])
  })

  it('passes signals on, ends as its client ends, and leaves nothing', async () => {
    const script = `process.on('SIGTERM', () => process.exit(9)); process.stderr.write('up\\n'); setInterval(() => {}, 1000)`
    const polite = agent.start(['connect', 'orders', '--', process.execPath, '-e', script])
    await polite.said(/up/)
    expect(left()).toHaveLength(1)
    polite.process.kill('SIGTERM')
    expect(await polite.ended).toMatchObject({ code: 9, signal: null })
    expect(left()).toEqual([])
    const killed = agent.start(['connect', 'orders', '--', 'sh', '-c', 'kill -KILL $$'])
    expect(await killed.ended).toMatchObject({ code: null, signal: 'SIGKILL' })
    expect(left()).toEqual([])
  })

  it('leaves the terminal to its client', async () => {
    const line = `'${process.execPath}' '${bin}' connect orders -- sh -c 'test -t 0 && test -t 1 && test -t 2 && echo on a terminal'`
    const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], { env: agent.env })
    let out = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    const [code] = await once(child, 'close')
    expect([code, out]).toEqual([0, 'on a terminal\r\n'])
  })

  it('asks for a grant, waits for people, and gives it back with the token at the end', async () => {
    const request = ['--request', 'sql:read,sql:write', '--purpose', 'purge', '--wait']
    const waiting = agent.start(['connect', 'payments', ...request, ...psql, '-c', 'SELECT 8'])
    waiting.process.stdin!.end()
    const [, grant, id] = await waiting.said(/asked for as (gr_\w+), held for approval (ap_\w+); waiting for people/)
    const ada = await world.people.personToken({ subject: 'ada' })
    const { command } = Approval.parse(await api(`/v1/approvals/${id}`, ada))
    await api(`/v1/approvals/${id}/decisions`, ada, { verdict: 'approve', digest: command.digest })
    expect(await waiting.ended).toMatchObject({ code: 0, out: '8\n' })
    // Which sessions used it is written down within half a second.
    const shown = () => agent.json(['grants', 'show', grant!])
    await expect.poll(shown, { timeout: 10_000 }).toMatchObject({ state: 'revoked', sessions: 1 })
  })
})

describe('token', () => {
  it('prints the token and nothing else, for a while, for one connection', async () => {
    const { out, err, code } = await agent.run(['token', 'orders', '--lifetime', '5m'])
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/^cst_\S{1,124}\n$/)
    expect(TokenAnswer.parse(await agent.json(['token', 'orders', '--lifetime', '5m']))).toMatchObject({
      connection: 'orders',
      expires_in: 300,
    })
    const { host, port } = world.postgres
    expect(
      TokenAnswer.parse(await agent.json(['token', '--resource', `postgres://${host}:${port}/orders`])),
    ).toMatchObject({ connection: 'orders' })
    expect((await agent.run(['token', '--resource', `postgres://other.example:${port}/orders`])).code).toBe(1)
  })

  it('is for an agent that acts for somebody, where an actor’s token is given', async () => {
    const [person, actor] = ['person', 'actor'].map((name) => join(agent.home, name)) as [string, string]
    writeFileSync(person, await world.people.personToken({ subject: 'ben' }), { mode: 0o600 })
    const own = await world.agents.agentToken({ subject: 'schema-bot' })
    writeFileSync(actor, `${own}\n`, { mode: 0o600 })
    const { token_id } = TokenAnswer.parse(
      await agent.json(['token', 'orders', '--subject-token-file', person, '--actor-token-file', actor]),
    )
    const { items } = listOf(TokenRecord).parse(
      await api('/v1/tokens', await world.people.personToken({ subject: 'aud' })),
    )
    expect(items.find(({ id }) => id === token_id)!.identity).toMatchObject({
      subject: 'schema-bot',
      onBehalfOf: 'ben',
    })
  })

  it('is a credential for kubectl', async () => {
    const { out } = await agent.run(['kube-credential', 'orders', '--lifetime', '5m'])
    const credential = JSON.parse(out) as { status: { token: string; expirationTimestamp: string } }
    expect(credential).toMatchObject({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: expect.stringMatching(/^cst_/) },
    })
    expect(credential.status.expirationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const left = Date.parse(credential.status.expirationTimestamp) - Date.now()
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(300_000)
  })
})

describe('what a client is told', () => {
  it('has each setting as it was, however the server splits it', () => {
    const value = fc.string({
      unit: fc.constantFrom('a', ' ', '\\', '\t', '\n', "'", '"', '=', '-', 'ü'),
      minLength: 1,
      maxLength: 30,
    })
    fc.assert(
      fc.property(value, value, (one, two) => {
        expect(split(`-c a=${optionText(one)} -c b=${optionText(two)}`)).toEqual(['-c', `a=${one}`, '-c', `b=${two}`])
      }),
      { seed: 5, numRuns: 500 },
    )
  })

  it.each([
    ['127.0.0.1:7432', { host: '127.0.0.1', port: '7432' }],
    ['[::1]:7432', { host: '::1', port: '7432' }],
    ['0.0.0.0:7432', { host: 'gw.example.com', port: '7432' }],
    ['[::]:7432', { host: 'gw.example.com', port: '7432' }],
    ['pg.example.com:7432', { host: 'pg.example.com', port: '7432' }],
  ])('%s is reached at %j', (listener, at) =>
    expect(hostAndPort(listener, new URL('https://gw.example.com'))).toEqual(at),
  )
})

/** As pg_split_opts() in PostgreSQL's postinit.c. */
function split(options: string): string[] {
  const words: string[] = []
  for (let at = 0; ; ) {
    while (/\s/.test(options[at] ?? '')) at++
    if (at >= options.length) return words
    let word = ''
    for (; at < options.length && !/\s/.test(options[at]!); at++) {
      if (options[at] === '\\') at++
      word += options[at] ?? ''
    }
    words.push(word)
  }
}
