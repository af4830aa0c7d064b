import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { base64url, SignJWT } from 'jose'
import * as oauth from 'openid-client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type RunningIssuer, startIssuer, type TokenRequest } from '../../../demo/issuer.ts'
import { type RunningPostgres, startPostgres } from '../../../demo/postgres.ts'
import { loadConfig } from '../config/config.ts'
import { type RunningGateway, startGateway } from '../gateway.ts'
import {
  type AssertionParts,
  assertionXml,
  encoded,
  entityId,
  metadataOf,
  type SamlKey,
  samlKey,
  sign,
} from '../identity/testing/saml.ts'
import { newTokenText } from '../identity/tokens/text.ts'
import { entriesIn } from '../sessions/scribe/testing/read.ts'
import { createTelemetry } from '../telemetry/telemetry.ts'
import { FeedClient } from './testing/world.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 120_000 })

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const type = (word: string) => `urn:ietf:params:oauth:token-type:${word}`
const policy = `permit (principal in Group::"ci", action in Action::"sql", resource);
permit (principal in Group::"ci", action == Action::"access:request", resource);
forbid (principal, action, resource in Connection::"payroll");
@id("purposeful") permit (principal in Group::"purposeful", action in Action::"sql", resource in Connection::"orders")
when { context has purpose && context.purpose == "spring cleaning" };
`

let people: RunningIssuer
let agents: RunningIssuer
let strangers: RunningIssuer
let database: RunningPostgres
let gateway: RunningGateway
let folder: string
let url: string
/** Of a SAML identity provider, and of somebody else. */
let keys: { idp: SamlKey; stranger: SamlKey }
const logged: string[] = []
/** Every text of a token that was given, to be looked for where it must not be. */
const given: string[] = []

beforeAll(async () => {
  ;[people, agents, strangers, database] = await Promise.all([
    startIssuer(),
    startIssuer(),
    startIssuer(),
    startPostgres(),
  ])
  folder = mkdtempSync(join(tmpdir(), 'token-routes-'))
  mkdirSync(join(folder, 'policy'))
  writeFileSync(join(folder, 'policy', 'base.cedar'), policy)
  writeFileSync(join(folder, 'password'), database.password, { mode: 0o600 })
  keys = { idp: await samlKey(), stranger: await samlKey() }
  writeFileSync(join(folder, 'idp.xml'), metadataOf([keys.idp]))
  const { host, port, user } = database
  const connection = { kind: 'postgres', host, port, database: 'postgres', user, password: { file: './password' } }
  const config = {
    api: { listen: '127.0.0.1:0' },
    postgres: { listen: '127.0.0.1:0' },
    identity: {
      issuers: [
        { issuer: agents.url, for: 'agents', audience: 'countersign' },
        { issuer: people.url, for: 'people', audience: 'countersign', client_id: people.clientId },
        {
          issuer: entityId,
          for: 'people',
          audience: 'countersign',

          saml: { metadata: { file: './idp.xml' } },
        },
      ],
      roles: { approver: ['dba'], auditor: ['audit'], admin: ['platform'] },
      tokens: { lifetime: '10m', max_lifetime: '30m' },
    },
    connections: {
      orders: connection,
      second: connection,
      frozen: connection,
      payroll: connection,
      vault: { ...connection, access: 'jit' },
    },
  }
  writeFileSync(join(folder, 'gateway.json'), JSON.stringify(config))
  const loaded = await loadConfig(join(folder, 'gateway.json'))
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const telemetry = createTelemetry({ level: 'trace', destination: { write: (line) => void logged.push(line) } })
  gateway = await startGateway(loaded.config, { telemetry })
  url = `http://${gateway.addresses.api}`
  await asPerson('max', ['platform'], '/v1/connections/frozen/freeze', { reason: 'an incident' })
})
afterAll(async () => {
  await gateway?.stop()
  await Promise.all([people, agents, strangers, database].map((started) => started?.stop()))
  rmSync(folder, { recursive: true, force: true })
})

const ofAgent = (request: Partial<TokenRequest> = {}) =>
  agents.agentToken({ subject: 'deployer', groups: ['ci'], ...request })
const ofPerson = (request: Partial<TokenRequest> = {}) =>
  people.personToken({ subject: 'ada', groups: ['dba'], ...request })

let calls = 0
/** Each call comes from another address of this machine, so that none is slowed down for another's sake. */
const elsewhere = () => `127.0.${1 + ((calls >> 7) % 100)}.${1 + (calls++ % 128)}`

async function post(path: string, body: string, type?: string, from = elsewhere()) {
  const headers = { 'content-type': type ?? 'application/x-www-form-urlencoded' }
  const sent = request(url + path, { method: 'POST', headers, localAddress: from })
  // Where the body is too large, the answer comes before the end of it.
  sent.on('error', () => {})
  sent.end(body)
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  const json = JSON.parse(await text(answer)) as Record<string, unknown>
  if (typeof json.access_token === 'string') given.push(json.access_token)
  return { status: answer.statusCode, headers: answer.headers, json }
}
type Fields = Record<string, string | undefined>
async function exchange(fields: Fields = {}, from?: string) {
  const subject = fields.subject_token ?? (await ofAgent())
  const whole = {
    grant_type: EXCHANGE,
    subject_token: subject,
    subject_token_type: type('jwt'),
    audience: 'orders',
    ...fields,
  }
  const left = Object.entries(whole).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return post('/v1/token', new URLSearchParams(left).toString(), undefined, from)
}
/** The text of a token, and its id. */
async function token(fields: Fields = {}): Promise<{ text: string; id: string }> {
  const { status, json } = await exchange(fields)
  if (status !== 200) throw new Error(JSON.stringify(json))
  return { text: json.access_token as string, id: json.token_id as string }
}
async function call(path: string, bearer: string, body?: object) {
  const init = body && { method: 'POST', body: JSON.stringify(body) }
  const headers = { authorization: `Bearer ${bearer}`, ...(body && { 'content-type': 'application/json' }) }
  const answer = await fetch(url + path, { ...init, headers })
  return {
    status: answer.status,
    body: (await answer.json()) as Record<string, unknown> & { items: Record<string, unknown>[] },
  }
}
const asPerson = async (subject: string, groups: string[], path: string, body?: object) =>
  call(path, await people.personToken({ subject, name: subject, groups }), body)

async function connected(password: string, name = 'orders', options = ''): Promise<pg.Client> {
  const port = Number(gateway.addresses.postgres!.split(':')[1])
  const client = new pg.Client({ host: '127.0.0.1', port, database: name, user: 'x', password, options })
  client.on('error', () => {})
  await client.connect()
  return client
}
const sqlstate = (password: string, name?: string) =>
  connected(password, name).then(
    async (client) => {
      await client.end()
      return 'let in'
    },
    (error: { code?: string }) => error.code,
  )

describe('a token that is given', () => {
  it('is of use for the connection, through the API’s and PostgreSQL’s door', async () => {
    const { status, headers, json } = await exchange({ requested_token_lifetime: '120' })
    expect(status).toBe(200)
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['content-type']).toMatch(/^application\/json/)
    expect(json).toEqual({
      access_token: expect.stringMatching(/^cst_[0-9A-Za-z]{36}$/),
      issued_token_type: type('access_token'),
      token_type: 'Bearer',
      expires_in: 120,
      token_id: expect.stringMatching(/^tk_/),
      connection: 'orders',
    })
    const me = await call('/v1/me', json.access_token as string)
    expect(me).toMatchObject({ status: 200, body: { kind: 'agent', id: `${agents.url}#deployer`, groups: ['ci'] } })
    const client = await connected(json.access_token as string)
    expect((await client.query('select 6 * 7 as answer')).rows).toEqual([{ answer: 42 }])
    await client.end()
  })

  it('signs psql in', async () => {
    const [host, port] = gateway.addresses.postgres!.split(':') as [string, string]
    const { text } = await token()
    const psql = spawn('psql', ['-XAtc', 'SELECT 6 * 7'], {
      env: { ...process.env, PGHOST: host, PGPORT: port, PGDATABASE: 'orders', PGUSER: 'any', PGPASSWORD: text },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    psql.stdout.on('data', (chunk) => {
      out += chunk
    })
    expect([(await once(psql, 'close'))[0], out]).toEqual([0, '42\n'])
  })

  it('is what openid-client asks for, finds and gives back', async () => {
    const config = await oauth.discovery(new URL(url), 'any', undefined, oauth.None(), {
      algorithm: 'oauth2',
      execute: [oauth.allowInsecureRequests],
    })
    const parameters = { subject_token: await ofAgent(), subject_token_type: type('access_token'), audience: 'orders' }
    const answer = await oauth.genericGrantRequest(config, EXCHANGE, parameters)
    given.push(answer.access_token)
    expect(answer).toMatchObject({ token_type: 'bearer', expires_in: 600 })
    expect(await sqlstate(answer.access_token)).toBe('let in')
    await oauth.tokenRevocation(config, answer.access_token)
    expect(await sqlstate(answer.access_token)).toBe('28P01')
    await expect(
      oauth.genericGrantRequest(config, EXCHANGE, { ...parameters, audience: 'nowhere' }),
    ).rejects.toMatchObject({ error: 'invalid_target', status: 400 })
  })

  it('is for a connection by its URL, too', async () => {
    const port = gateway.addresses.postgres!.split(':')[1]
    for (const resource of [
      `postgres://127.0.0.1:${port}/orders`,
      `postgresql://x@localhost:${port}/orders?sslmode=prefer`,
    ])
      expect((await exchange({ audience: undefined, resource })).json).toMatchObject({ connection: 'orders' })
  })

  it.each<[what: string, of: Partial<TokenRequest>, asked: string | undefined, seconds: [least: number, most: number]]>(
    [
      ['what is configured, where nobody asks', {}, undefined, [600, 600]],
      ['less, where it is asked for', {}, '5', [5, 5]],
      ['more, up to what may be asked for', {}, '1800', [1800, 1800]],
      ['no more than may be asked for', {}, '999999999', [1800, 1800]],
      ['no longer than the subject token', { expiresIn: 100 }, '1800', [80, 100]],
    ],
  )('lives for %s', async (_what, of, asked, [least, most]) => {
    const { json } = await exchange({ subject_token: await ofAgent(of), requested_token_lifetime: asked })
    expect(json.expires_in).toBeGreaterThanOrEqual(least)
    expect(json.expires_in).toBeLessThanOrEqual(most)
  })

  it('is on behalf of a person where the agent shows both tokens, for as long as both last', async () => {
    const fields = {
      subject_token: await ofPerson({ expiresIn: 300, claims: { may_act: { iss: agents.url, sub: 'deployer' } } }),
      actor_token: await ofAgent({ groups: ['ci'] }),
      actor_token_type: type('access_token'),
    }
    const { json } = await exchange(fields)
    expect(json.expires_in).toBeLessThanOrEqual(300)
    const me = await call('/v1/me', json.access_token as string)
    expect(me.body).toMatchObject({ id: `${agents.url}#deployer`, onBehalfOf: 'ada', groups: ['ci'] })
    const client = await connected(json.access_token as string)
    const sessions = await asPerson('aud', ['audit'], '/v1/sessions?state=open')
    expect(sessions.body.items[0]).toMatchObject({ identity: { onBehalfOf: 'ada' } })
    await client.end()
  })

  it('keeps the chain of those who acted before', async () => {
    const act = { sub: 'executor', groups: ['ci'], act: { sub: 'planner', act: { sub: 'scheduler' } } }
    const { text } = await token({ subject_token: await ofAgent({ subject: 'ada', claims: { act } }) })
    const { body } = await call('/v1/me', text)
    expect(body).toMatchObject({ subject: 'executor', onBehalfOf: 'ada', chain: ['planner', 'scheduler'] })
  })

  it('carries a purpose, of which policy and sessions know', async () => {
    const subject_token = await ofAgent({ subject: 'cleaner', groups: ['purposeful'] })
    expect((await exchange({ subject_token })).json.error).toBe('invalid_target')
    const { text } = await token({ subject_token, purpose: 'spring cleaning' })
    const client = await connected(text)
    const { body } = await asPerson('aud', ['audit'], '/v1/sessions?state=open')
    expect(body.items[0]).toMatchObject({ purpose: 'spring cleaning' })
    await client.end()
  })
})

describe('for a SAML assertion', () => {
  const asserted = (parts: AssertionParts = {}, key = keys.idp) =>
    encoded(sign(assertionXml({ nameId: 'ada', ...parts }), key))
  const byActor = async (subject_token: string) =>
    exchange({
      subject_token,
      subject_token_type: type('saml2'),
      actor_token: await ofAgent(),
      actor_token_type: type('jwt'),
    })

  it('a token is given, once', async () => {
    const assertion = asserted({ seconds: 120 })
    const { json } = await byActor(assertion)
    expect(json.expires_in).toBeLessThanOrEqual(120)
    const me = await call('/v1/me', json.access_token as string)
    expect(me.body).toMatchObject({ id: `${agents.url}#deployer`, onBehalfOf: 'ada', groups: ['ci'] })
    expect(await sqlstate(json.access_token as string)).toBe('let in')
    expect(await byActor(assertion)).toMatchObject({ status: 400, json: { error: 'invalid_request' } })
  })

  it.each<[what: string, make: () => string]>([
    ['signed by somebody else', () => asserted({}, keys.stranger)],
    ['not signed', () => encoded(assertionXml({ nameId: 'ada' }))],
    ['for another audience', () => asserted({ audience: 'elsewhere' })],
    ['that has expired', () => asserted({ now: Date.now() - 3_600_000 })],
    ['of an identity provider that nobody configured', () => asserted({ issuer: 'https://idp.example.org/saml' })],
    [
      'in which the name was changed',
      () => encoded(Buffer.from(asserted(), 'base64url').toString().replace('>ada<', '>max<')),
    ],
    ['that is none', () => encoded('<x/>')],
  ])('%s none is', async (_what, make) => {
    const { status, json } = await byActor(make())
    expect({ status, ...json }).toEqual({
      status: 400,
      error: 'invalid_request',
      error_description: 'The subject_token is not valid here: get a new one from its issuer.',
    })
  })

  it('of a person alone none is', async () => {
    const fields = { subject_token: asserted(), subject_token_type: type('saml2') }
    expect((await exchange(fields)).json).toMatchObject({
      error: 'invalid_request',
      error_description: expect.stringMatching(/actor_token/),
    })
  })
})

describe('no token is given', () => {
  const invalid = { status: 400, error: 'invalid_request' }
  const bad = { ...invalid, words: 'The subject_token is not valid here: get a new one from its issuer.' }
  const badActor = { ...invalid, words: 'The actor_token is not valid here: get a new one from its issuer.' }
  const nowhere = {
    status: 400,
    error: 'invalid_target',
    words: 'No token is given for this target: there is none such, or it is not yours now.',
  }
  const now = () => Math.floor(Date.now() / 1000)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const claims = () => ({ iss: agents.url, aud: 'countersign', sub: 'deployer', groups: ['ci'], exp: now() + 300 })
  const unsigned = (header: object, more = {}) =>
    [header, { ...claims(), ...more }].map((part) => base64url.encode(JSON.stringify(part))).join('.')
  const kidOf = async () =>
    JSON.parse(Buffer.from((await ofAgent()).split('.')[0]!, 'base64url').toString()).kid as string
  const actor = async (fields: Fields = {}) => ({
    subject_token: await ofPerson(),
    actor_token: await ofAgent(),
    actor_token_type: type('jwt'),
    ...fields,
  })

  it.each<
    [what: string, fields: () => Fields | Promise<Fields>, told: { status: number; error: string; words?: string }]
  >([
    ['expired', async () => ({ subject_token: await ofAgent({ expiresIn: -1 }) }), bad],
    ['about to expire', async () => ({ subject_token: await ofAgent({ claims: { exp: now() + 0.5 } }) }), bad],
    ['without an end', async () => ({ subject_token: await ofAgent({ claims: { exp: undefined } }) }), bad],
    ['not yet valid', async () => ({ subject_token: await ofAgent({ claims: { nbf: now() + 300 } }) }), bad],
    ['issued tomorrow', async () => ({ subject_token: await ofAgent({ claims: { iat: now() + 86_400 } }) }), bad],
    ['for another audience', async () => ({ subject_token: await ofAgent({ audience: 'elsewhere' }) }), bad],
    ['for no audience', async () => ({ subject_token: await ofAgent({ claims: { aud: undefined } }) }), bad],
    [
      'of an issuer that nobody configured',
      async () => ({ subject_token: await strangers.agentToken({ subject: 'deployer' }) }),
      bad,
    ],
    [
      'that says it is of ours',
      async () => ({ subject_token: await strangers.agentToken({ subject: 'deployer', claims: { iss: agents.url } }) }),
      bad,
    ],
    ['with no subject', async () => ({ subject_token: await ofAgent({ claims: { sub: '' } }) }), bad],
    ['with the algorithm none', () => ({ subject_token: `${unsigned({ alg: 'none' })}.` }), bad],
    [
      'signed by the public key as a secret',
      async () => ({
        subject_token: await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256' }).sign(new Uint8Array(32)),
      }),
      bad,
    ],
    [
      'signed by its own key',
      async () => ({
        subject_token: await new SignJWT(claims())
          .setProtectedHeader({ alg: 'ES256', kid: await kidOf() })
          .sign(privateKey),
      }),
      bad,
    ],
    [
      'of an unknown key',
      async () => ({
        subject_token: await new SignJWT(claims())
          .setProtectedHeader({ alg: 'ES256', kid: 'nobody’s' })
          .sign(privateKey),
      }),
      bad,
    ],
    [
      'with other claims than were signed',
      async () => ({ subject_token: (await ofAgent()).replace(/\.[^.]+\./, `.${unsigned({}).split('.')[1]}.`) }),
      bad,
    ],
    ['cut off', async () => ({ subject_token: (await ofAgent()).slice(0, -10) }), bad],
    ['that is none', () => ({ subject_token: 'letmein' }), bad],
    ['too large', async () => ({ subject_token: await ofAgent({ claims: { padding: 'x'.repeat(20_000) } }) }), bad],
    [
      'of the gateway, for another connection',
      async () => ({
        subject_token: (await token()).text,
        subject_token_type: type('access_token'),
        audience: 'second',
      }),
      bad,
    ],
    [
      'of the gateway, for longer',
      async () => ({ subject_token: (await token()).text, requested_token_lifetime: '1800' }),
      bad,
    ],
    ['of the gateway, that never was', () => ({ subject_token: newTokenText() }), bad],
    ['of an assertion that is none', () => ({ subject_token: 'PHg+', subject_token_type: type('saml2') }), bad],
    [
      'of a person alone',
      async () => ({ subject_token: await ofPerson() }),
      { ...invalid, words: "The subject_token is a person's: send the token of the agent that acts as actor_token." },
    ],
    ['of a person who acts', async () => actor({ actor_token: await ofPerson() }), invalid],
    ['of an actor, expired', async () => actor({ actor_token: await ofAgent({ expiresIn: -1 }) }), badActor],
    ['of an actor, by a gateway token', async () => actor({ actor_token: (await token()).text }), badActor],
    [
      'of a subject, expired, beside a good actor',
      async () => actor({ subject_token: await ofPerson({ expiresIn: -1 }) }),
      bad,
    ],
    [
      'of another actor than may act',
      async () => actor({ subject_token: await ofPerson({ claims: { may_act: { iss: agents.url, sub: 'other' } } }) }),
      invalid,
    ],
    [
      'of nobody who may act',
      async () => actor({ subject_token: await ofPerson({ claims: { may_act: {} } }) }),
      invalid,
    ],
    ['of an actor without a type', async () => actor({ actor_token_type: undefined }), invalid],
    ['with a type that nobody knows', () => ({ subject_token_type: 'jwt' }), invalid],
    ['with another type asked for', () => ({ requested_token_type: type('jwt') }), invalid],
    ['without a target', () => ({ audience: undefined }), invalid],
    ['by another grant type', () => ({ grant_type: 'password' }), { status: 400, error: 'unsupported_grant_type' }],
    ['for a connection that isn’t there', () => ({ audience: 'nowhere' }), nowhere],
    ['for a name that can be none', () => ({ audience: '../orders' }), nowhere],
    ['for one that policy keeps from it', () => ({ audience: 'payroll' }), nowhere],
    ['for one that is frozen', () => ({ audience: 'frozen' }), nowhere],
    ['for one that needs a grant, without any', () => ({ audience: 'vault' }), nowhere],
    ['for one that needs a grant, with one that is none', () => ({ audience: 'vault', grant: 'gr_unknown' }), nowhere],
    [
      'to an agent whom nothing permits',
      async () => ({ subject_token: await ofAgent({ subject: 'nobody', groups: [] }) }),
      nowhere,
    ],
    [
      'for another gateway’s URL',
      () => ({ audience: undefined, resource: 'postgres://gw.example.com:7432/orders' }),
      nowhere,
    ],
    [
      'for a URL and a name that differ',
      () => ({ resource: `postgres://${gateway.addresses.postgres}/second` }),
      nowhere,
    ],
    ['by a grant that isn’t there', () => ({ grant: 'gr_unknown' }), { status: 400, error: 'invalid_grant' }],
  ])('for a subject token %s', async (_what, fields, told) => {
    const { status, headers, json } = await exchange(await fields())
    expect({ status, error: json.error }).toEqual({ status: told.status, error: told.error })
    if (told.words !== undefined) expect(json).toEqual({ error: told.error, error_description: told.words })
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['content-type']).toMatch(/^application\/json/)
  })

  it.each<[what: string, body: string, type: string | undefined, status: number]>([
    ['JSON', '{"grant_type":"x"}', 'application/json', 400],
    ['text', 'grant_type=x', 'text/plain', 400],
    ['of many parts', '--x--', 'multipart/form-data; boundary=x', 400],
    ['nothing', '', undefined, 400],
    ['a parameter twice', `grant_type=${EXCHANGE}&grant_type=${EXCHANGE}`, undefined, 400],
    ['more than a body may have', `subject_token=${'x'.repeat(600_000)}`, undefined, 413],
  ])('for a body that is %s', async (_what, body, type, status) => {
    const answer = await post('/v1/token', body, type)
    expect([answer.status, answer.json.error]).toEqual([status, 'invalid_request'])
  })

  it('by another method', async () => {
    const answer = await fetch(`${url}/v1/token`)
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
  })

  it('where the issuer doesn’t answer', async () => {
    const gone = await startIssuer()
    const text = await gone.agentToken({ subject: 'x' })
    await gone.stop()
    // One that was configured, and is silent: the gateway has never had its keys.
    const file = join(folder, 'gateway.json')
    const before = readFileSync(file, 'utf8')
    const config = JSON.parse(before)
    config.identity.issuers.push({ issuer: gone.url, for: 'agents', audience: 'countersign' })
    writeFileSync(file, JSON.stringify(config))
    expect(await gateway.reload()).toMatchObject({ ok: true })
    const { status, headers, json } = await exchange({ subject_token: text })
    expect([status, json.error, headers['retry-after']]).toEqual([503, 'temporarily_unavailable', '5'])
    writeFileSync(file, before)
    await gateway.reload()
  })
})

describe('presented at a door', () => {
  it.each<[what: string, make: () => Promise<string>, postgres: string, api: number]>([
    ['that never was', async () => newTokenText(), '28P01', 401],
    ['cut off', async () => (await token()).text.slice(0, -1), '28P01', 401],
    [
      'that was revoked',
      async () => {
        const { text, id } = await token()
        await asPerson('max', ['platform'], `/v1/tokens/${id}/revoke`, { reason: 'gone' })
        return text
      },
      '28P01',
      401,
    ],
    [
      'that has expired',
      async () => {
        const { text } = await token({ requested_token_lifetime: '1' })
        // Its session is told when it is over; where the machine is too slow for one, it is by now.
        const client = await connected(text).catch(() => undefined)
        const over = client && (await once(client, 'error').then(undefined, (error: unknown) => error))
        if (client) expect([over].flat()[0]).toMatchObject({ code: '57P01' })
        return text
      },
      '28P01',
      401,
    ],
  ])('one %s is refused', async (_what, make, postgres, api) => {
    const text = await make()
    expect(await sqlstate(text)).toBe(postgres)
    const { status, body } = await call('/v1/me', text)
    expect([status, body.detail]).toEqual([api, 'This token is not valid here: sign in again, or get a new one.'])
  })

  it('one for another connection is refused as if there were none', async () => {
    const { text } = await token({ audience: 'second' })
    expect([await sqlstate(text), await sqlstate(text, 'nowhere'), await sqlstate(text, 'second')]).toEqual([
      '42501',
      '42501',
      'let in',
    ])
  })
})

describe('revoking', () => {
  const ended = (client: pg.Client) => once(client, 'error').then(undefined, (error: unknown) => error)

  it('ends the sessions that it opened, with the reason, and no others', async () => {
    const [one, other] = [await token(), await token()]
    const [client, stays] = [await connected(one.text), await connected(other.text)]
    const over = ended(client)
    const answer = await asPerson('max', ['platform'], `/v1/tokens/${one.id}/revoke`, { reason: 'it leaked' })
    expect(answer).toMatchObject({ status: 200, body: { id: one.id, revoked: { by: 'max', reason: 'it leaked' } } })
    expect([await over].flat()[0]).toMatchObject({ code: '57P01', message: expect.stringContaining('it leaked') })
    expect((await stays.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await stays.end()
  })

  it('closes the feed that is listened to by it', async () => {
    const { text, id } = await token()
    const feed = await FeedClient.connect(`${url.replace('http', 'ws')}/v1/feed`, text)
    await asPerson('max', ['platform'], `/v1/tokens/${id}/revoke`, { reason: 'it leaked' })
    expect(await feed.untilClosed()).toEqual({ code: 4401, reason: expect.stringContaining('it leaked') })
  })

  it('is for whoever holds it (RFC 7009), and tells nobody whether it was one', async () => {
    const { text } = await token()
    const revoke = (body: string) => post('/v1/token/revoke', body)
    const client = await connected(text)
    const over = ended(client)
    expect(await revoke(`token=${text}&token_type_hint=refresh_token`)).toMatchObject({ status: 200, json: {} })
    expect([await over].flat()[0]).toMatchObject({ code: '57P01' })
    expect(await revoke(`token=${text}`)).toMatchObject({ status: 200, json: {} })
    expect(await revoke(`token=${newTokenText()}`)).toMatchObject({ status: 200, json: {} })
    expect(await revoke(`token=${await ofAgent()}`)).toMatchObject({
      status: 400,
      json: { error: 'unsupported_token_type' },
    })
    expect(await revoke('')).toMatchObject({ status: 400, json: { error: 'invalid_request' } })
  })

  it.each<[who: string, as: () => Promise<string>, status: number]>([
    ['admins', () => people.personToken({ subject: 'max', groups: ['platform'] }), 200],
    ['its agent', () => ofAgent({ subject: 'owned', claims: { owner: 'olga' } }), 200],
    ['its agent’s owner', () => people.personToken({ subject: 'olga', groups: [] }), 200],
    ['no auditors', () => people.personToken({ subject: 'aud', groups: ['audit'] }), 403],
    ['no approvers', () => ofPerson(), 404],
    ['no other agent', () => ofAgent({ subject: 'other' }), 404],
    [
      'not its agent by another gateway token',
      async () => (await token({ subject_token: await ofAgent({ subject: 'owned', claims: { owner: 'olga' } }) })).text,
      404,
    ],
  ])('by its id is for %s', async (_who, as, status) => {
    const { id } = await token({ subject_token: await ofAgent({ subject: 'owned', claims: { owner: 'olga' } }) })
    const bearer = await as()
    // Who answers for an agent is known once the registry has written down who came.
    const seen = status === 404 ? 404 : 200
    await vi.waitFor(async () => expect((await call(`/v1/tokens/${id}`, bearer)).status).toBe(seen), 20_000)
    expect((await call(`/v1/tokens/${id}/revoke`, bearer, {})).status).toBe(status)
    if (status === 200) expect((await call(`/v1/tokens/${id}/revoke`, bearer, {})).status).toBe(409)
  })
})

describe('with a grant', () => {
  const granted = async (bearer: string, asked: object = {}) => {
    const wish = { connection: 'vault', actions: ['sql:read'], duration: '10m', purpose: 'to look', ...asked }
    const { status, body } = await call('/v1/grants', bearer, wish)
    expect(status).toBe(201)
    expect(body).toMatchObject({ state: 'active' })
    return body.id as string
  }

  it('a token is given for a connection that needs one, and ends with it where it is bound', async () => {
    const subject_token = await ofAgent({ subject: 'granted' })
    const mine = { subject_token, audience: 'vault', requested_token_lifetime: '1800' }
    expect((await exchange(mine)).json.error).toBe('invalid_target')
    const grant = await granted(subject_token, { duration: '5m' })
    expect((await exchange(mine)).json.expires_in).toBe(1800)
    const { json } = await exchange({ ...mine, grant })
    expect(json.expires_in).toBeLessThanOrEqual(300)
    expect(json.expires_in).toBeGreaterThan(290)
    const { body } = await call(`/v1/tokens/${json.token_id}`, subject_token)
    expect(body).toMatchObject({ grant, connection: 'vault' })

    const another = await granted(subject_token)
    const client = await connected(json.access_token as string, 'vault')
    const over = once(client, 'error').then(undefined, (error: unknown) => error)
    await call(`/v1/grants/${grant}/revoke`, subject_token, { reason: 'done' })
    expect([await over].flat()[0]).toMatchObject({ code: '57P01' })
    // There is another grant, but it isn't this token's.
    expect(await sqlstate(json.access_token as string, 'vault')).toBe('42501')
    expect(await exchange({ ...mine, grant })).toMatchObject({ status: 400, json: { error: 'invalid_grant' } })
    expect((await exchange({ ...mine, grant: another })).status).toBe(200)
  })

  it('that is another agent’s, for another connection, or on behalf of another, none is given', async () => {
    const [mine, theirs] = [await ofAgent({ subject: 'one' }), await ofAgent({ subject: 'two' })]
    const elsewhere = await granted(mine, { connection: 'second' })
    const own = await granted(mine)
    const notMine = await granted(theirs)
    const asks = async (fields: Fields) =>
      (await exchange({ subject_token: mine, audience: 'vault', ...fields })).json.error
    const forAda = { subject_token: await ofPerson(), actor_token: mine, actor_token_type: type('jwt') }
    expect(await asks({ grant: own })).toBeUndefined()
    expect(await asks({ grant: notMine })).toBe('invalid_grant')
    expect(await asks({ grant: elsewhere })).toBe('invalid_grant')
    expect(await asks({ ...forAda, grant: own })).toBe('invalid_target')
    expect(await asks({ ...forAda, audience: 'second', grant: elsewhere })).toBe('invalid_grant')
  })

  it('or without, a disabled agent is given none, and what it has is of no use', async () => {
    const subject_token = await ofAgent({ subject: 'to-be-disabled' })
    const { text } = await token({ subject_token })
    const client = await connected(text)
    const over = once(client, 'error').then(undefined, (error: unknown) => error)
    const path = `${url}/v1/agents/${encodeURIComponent(`${agents.url}#to-be-disabled`)}`
    const bearer = await people.personToken({ subject: 'max', name: 'max', groups: ['platform'] })
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ disabled: true, reason: 'it ran wild' })
    await vi.waitFor(
      async () => expect((await fetch(path, { method: 'PATCH', headers, body })).status).toBe(200),
      20_000,
    )
    expect([await over].flat()[0]).toMatchObject({ code: '57P01' })
    // Revoked with its agent, for good: nothing tells it from one that never was.
    expect(await sqlstate(text)).toBe('28P01')
    const { status, json } = await exchange({ subject_token })
    expect([status, json.error]).toEqual([400, 'invalid_target'])
    expect((await call('/v1/me', text)).status).toBe(401)
    expect((await call('/v1/me', subject_token)).status).toBe(403)
  })
})

it('by a gateway token an agent sees what agents may, and gives itself back; it asks for nothing', async () => {
  const { text, id } = await token()
  for (const path of ['/v1/me', '/v1/sessions', '/v1/approvals', '/v1/grants', `/v1/tokens/${id}`])
    expect([path, (await call(path, text)).status]).toEqual([path, 200])
  for (const path of ['/v1/policy', '/v1/connections', '/v1/people', '/v1/delegations'])
    expect([path, (await call(path, text)).status]).toEqual([path, 403])
  const asked = { connection: 'vault', actions: ['sql:read'], duration: '10m', purpose: 'more' }
  const { status, body } = await call('/v1/grants', text, asked)
  expect([status, body.detail]).toEqual([403, expect.stringContaining('send the token of your issuer')])
  expect((await call(`/v1/tokens/${id}/revoke`, text, {})).status).toBe(200)
  expect((await call('/v1/me', text)).status).toBe(401)
})

describe('the list', () => {
  it('has for each what is theirs', async () => {
    const subject_token = await ofAgent({ subject: 'listed' })
    const [one, two] = [await token({ subject_token }), await token({ subject_token, audience: 'second' })]
    const ids = async (bearer: string, query = '') =>
      (await call(`/v1/tokens${query}`, bearer)).body.items.map(({ id }) => id)
    const mine = `?agent=${encodeURIComponent(`${agents.url}#listed`)}`
    const auditor = await people.personToken({ subject: 'aud', groups: ['audit'] })
    expect(await ids(subject_token)).toEqual([two.id, one.id])
    expect(await ids(one.text)).toEqual([one.id])
    expect(await ids(auditor, mine)).toEqual([two.id, one.id])
    expect(await ids(auditor, `${mine}&connection=second`)).toEqual([two.id])
    expect(await ids(await ofPerson(), mine)).toEqual([])
    expect(await ids(await ofAgent({ subject: 'other' }), mine)).toEqual([])
    expect((await call(`/v1/tokens/${two.id}`, one.text)).status).toBe(404)
    expect((await call(`/v1/tokens/${one.id}`, one.text)).body).toMatchObject({
      connection: 'orders',
      identity: { subject: 'listed' },
    })
    expect((await call('/v1/tokens?after=x', auditor)).status).toBe(400)
  })
})

describe('who guesses', () => {
  const one = '127.0.200.1'
  const wrong = async (subject: string, from: string) => {
    const subject_token = (await ofAgent({ subject })).slice(0, -4)
    return exchange({ subject_token }, from)
  }

  it('waits longer and longer, and keeps nobody else behind that address out who was known there', async () => {
    const known = await ofAgent({ subject: 'known' })
    expect((await exchange({ subject_token: known }, one)).status).toBe(200)
    let last = await wrong('guessed', one)
    while (last.status === 400) last = await wrong('guessed', one)
    expect(last).toMatchObject({
      status: 429,
      // The first wait is a second: a machine that was too busy to see that is told of the next (throttle.test.ts: each).
      headers: { 'retry-after': expect.stringMatching(/^[124]$/) },
      json: { error: 'temporarily_unavailable' },
    })
    // A stranger's one refusal, and the next, until all who are strange there must wait, and whoever has done nothing too:
    // if a second was too short to see it, then for longer.
    for (let n = 0, wait = false; !wait; n++) {
      expect(n).toBeLessThan(30)
      if ((await wrong(`made-up-${n}`, one)).status !== 429) continue
      const subject_token = await ofAgent({ subject: `new-here-${n}` })
      wait = (await exchange({ subject_token }, one)).status === 429
    }
    expect((await exchange({ subject_token: known }, one)).status).toBe(200)
    expect((await exchange({ subject_token: await ofAgent({ subject: 'known', expiresIn: 99 }) }, one)).status).toBe(
      200,
    )
    expect((await exchange({ subject_token: await ofAgent({ subject: 'new-here' }) }, '127.0.200.2')).status).toBe(200)
  })

  it('gets no further by names of connections', async () => {
    const subject_token = await ofAgent({ subject: 'prober' })
    const answers = await Promise.all(
      Array.from({ length: 80 }, (_, n) => exchange({ subject_token, audience: `guess-${n}` })),
    )
    const told = (status: number) => answers.filter((answer) => answer.status === status).length
    expect(told(429)).toBeGreaterThan(0)
    expect(told(400) + told(429)).toBe(80)
  })
})

describe('discovery', () => {
  it('tells clients where to go', async () => {
    const get = async (name: string) => (await fetch(`${url}/.well-known/${name}`)).json()
    expect(await get('countersign')).toEqual({
      api: url,
      token_endpoint: `${url}/v1/token`,
      postgres: gateway.addresses.postgres,
      tls: false,
    })
    expect(await get('oauth-authorization-server')).toEqual({
      issuer: url,
      token_endpoint: `${url}/v1/token`,
      token_endpoint_auth_methods_supported: ['none'],
      revocation_endpoint: `${url}/v1/token/revoke`,
      revocation_endpoint_auth_methods_supported: ['none'],
      grant_types_supported: [EXCHANGE],
      response_types_supported: [],
    })
    expect(await get('oauth-protected-resource')).toEqual({
      resource: url,
      authorization_servers: [people.url, url],
      bearer_methods_supported: ['header'],
      resource_name: 'Countersign',
    })
  })
})

/** The last one, once everything has been given, used, refused and revoked. */
it('the text of no token is anywhere but with whom it was given to; every refusal is in the ledger', async () => {
  const data = join(folder, 'countersign-data')
  await gateway.stop()
  expect(given.length).toBeGreaterThan(20)
  const files = readdirSync(data, { recursive: true, encoding: 'utf8' }).map((name) => join(data, name))
  const bytes = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file).toString('latin1'))
  for (const text of given) {
    const secret = text.slice('cst_'.length)
    expect(logged.some((line) => line.includes(secret))).toBe(false)
    expect(bytes.some((content) => content.includes(secret))).toBe(false)
  }
  expect(logged.some((line) => line.includes('no token was given'))).toBe(true)
  const entries = entriesIn(data)
  expect(entries.filter((entry) => entry.type === 'token.issued')).toHaveLength(given.length)
  const reasons = entries
    .filter(({ type, payload }) => type === 'sign-in' && payload.via === 'token' && payload.outcome === 'refused')
    .map(({ payload }) => payload.reason as string)
  for (const reason of [
    'the token has expired',
    'the connection is frozen',
    'no live grant',
    'policy does not let it in',
  ])
    expect(reasons).toContain(reason)
})
