import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { pino } from 'pino'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { loadConfig } from './config/config.ts'
import { type RunningGateway, startGateway } from './gateway.ts'
import { type Served, type SigningKey, serve, signed, signingKey } from './identity/testing/providers.ts'
import {
  type AssertionParts,
  assertionXml,
  encoded,
  entityId,
  metadataOf,
  type SamlKey,
  samlKey,
  sign,
} from './identity/testing/saml.ts'
import { createTelemetry } from './telemetry/telemetry.ts'

/** Issuers of every kind, through a gateway as it is started: who gets in, and that whoever doesn't learns nothing. */

const jwtIssuer = 'https://idp.example.com'
const opaqueIssuer = 'https://opaque.example.com'
const tokenType = 'urn:ietf:params:oauth:token-type:'

let folder: string
let server: Served
let gateway: RunningGateway
let key: SigningKey
let stranger: SigningKey
let saml: SamlKey
let answers: Map<string, object>
const logged: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'issuers-wire-'))
  mkdirSync(join(folder, 'policy'))
  writeFileSync(
    join(folder, 'policy', 'all.cedar'),
    'permit (principal in Group::"agents-ci", action == Action::"sql:connect", resource);',
  )
  ;[key, stranger, saml, server] = await Promise.all([signingKey('k'), signingKey('k'), samlKey(), serve()])
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [key.public] }))
  writeFileSync(join(folder, 'metadata.xml'), metadataOf([saml]))
  writeFileSync(join(folder, 'secret'), 's3cret', { mode: 0o600 })
  answers = new Map()
  server.documents.set('/introspect', (req, res) => {
    let body = ''
    req.on('data', (chunk) => (body += chunk))
    req.on('end', () =>
      res.end(JSON.stringify(answers.get(new URLSearchParams(body).get('token')!) ?? { active: false })),
    )
  })
  const introspection = { url: `${server.url}/introspect`, client_id: 'gw', client_secret: { file: 'secret' } }
  const agents = { for: 'agents', audience: 'countersign' }
  const issuers = [
    { issuer: jwtIssuer, ...agents, jwks: { file: 'jwks.json' } },
    { issuer: opaqueIssuer, ...agents, introspection },
    { issuer: entityId, ...agents, saml: { metadata: { file: 'metadata.xml' } } },
  ]
  const listen = { listen: '127.0.0.1:0' }
  const orders = { kind: 'postgres', host: '127.0.0.1', port: 1, database: 'd', user: 'u' }
  const file = join(folder, 'gateway.json')
  writeFileSync(
    file,
    JSON.stringify({ api: listen, postgres: listen, ssh: listen, identity: { issuers }, connections: { orders } }),
  )
  const loaded = await loadConfig(file)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) })
  gateway = await startGateway(loaded.config, { telemetry: { ...createTelemetry(), log } })
})
afterAll(async () => {
  await gateway?.stop()
  await server?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const url = (path: string) => `http://${gateway.addresses.api}${path}`
const exp = () => Math.floor(Date.now() / 1000) + 600
const jwt = (claims: object = {}, by = key, header = {}) =>
  signed(
    by,
    { iss: jwtIssuer, aud: 'countersign', sub: 'deployer', groups: ['agents-ci'], exp: exp(), ...claims },
    header,
  )
const opaque = (token: string, answer: object) => {
  answers.set(token, {
    active: true,
    aud: 'countersign',
    sub: 'deployer',
    groups: ['agents-ci'],
    exp: exp(),
    ...answer,
  })
  return token
}
const assertion = (parts: AssertionParts = {}) =>
  encoded(sign(assertionXml({ attributes: { groups: ['agents-ci'] }, ...parts }), saml))

/** All that a client can see of an answer. */
async function seen(answer: Response) {
  const headers = Object.fromEntries([...answer.headers].filter(([name]) => name !== 'date'))
  return { status: answer.status, headers, body: await answer.text() }
}
const me = async (token: string) => seen(await fetch(url('/v1/me'), { headers: { authorization: `Bearer ${token}` } }))
const exchange = async (token: string, type: string, more: Record<string, string> = {}) =>
  seen(
    await fetch(url('/v1/token'), {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: token,
        subject_token_type: tokenType + type,
        audience: 'orders',
        ...more,
      }),
    }),
  )
async function connect(password: string): Promise<object> {
  const [host, port] = gateway.addresses.postgres!.split(':') as [string, string]
  const client = new pg.Client({ host, port: Number(port), database: 'orders', user: 'x', password })
  client.on('error', () => {})
  try {
    await client.connect()
    return { connected: true }
  } catch (error) {
    const { code, message, severity, detail, hint } = error as pg.DatabaseError
    return { code, message, severity, detail, hint }
  } finally {
    await client.end().catch(() => {})
  }
}

/** How SSH answers whoever signs in by a password. */
function signIn(password: string): Promise<object> {
  const [host, port] = gateway.addresses.ssh!.split(':') as [string, string]
  const client = new ssh2.Client()
  return new Promise((resolve) => {
    client.once('ready', () => resolve({ connected: true }))
    client.once('error', ({ message, level }) => resolve({ message, level }))
    client.connect({ host, port: Number(port), username: 'orders', password, authHandler: ['password'] })
  }).finally(() => client.destroy()) as Promise<object>
}
/** How the feed answers, before it is a WebSocket. */
function listen(token: string): Promise<object> {
  const socket = new WebSocket(url('/v1/feed').replace('http', 'ws'), { headers: { authorization: `Bearer ${token}` } })
  return new Promise((resolve) => {
    socket.once('open', () => resolve({ connected: true }))
    socket.once('unexpected-response', async (_request, answer) => {
      const { date: _, ...headers } = answer.headers
      resolve({ status: answer.statusCode, headers, body: await text(answer) })
    })
  }).finally(() => socket.on('error', () => {}).terminate()) as Promise<object>
}

describe('who gets in', () => {
  test('by a JWT, by an opaque token, and by an assertion that was exchanged', async () => {
    expect(JSON.parse((await me(await jwt())).body)).toMatchObject({ id: `${jwtIssuer}#deployer` })
    expect(JSON.parse((await me(opaque('an-opaque-token-1234', {}))).body)).toMatchObject({
      id: `${opaqueIssuer}#deployer`,
    })
    const answer = await exchange(assertion(), 'saml2')
    expect(answer.status).toBe(200)
    const { access_token } = JSON.parse(answer.body) as { access_token: string }
    expect(access_token).toMatch(/^cst_/)
    expect(JSON.parse((await me(access_token)).body)).toMatchObject({
      id: `${entityId}#deployer`,
      groups: ['agents-ci'],
    })
    // There is no server behind the connection: who is let in finds that out.
    for (const password of [await jwt(), 'an-opaque-token-1234', access_token])
      expect(await connect(password)).not.toMatchObject({ code: '28P01' })
    for (const password of [await jwt(), 'an-opaque-token-1234', access_token])
      expect([await signIn(password), await listen(password)]).toEqual([{ connected: true }, { connected: true }])
  })

  test('an agent that acts for somebody is shown with those before it', async () => {
    const act = { sub: 'runner', groups: ['agents-ci'], act: { sub: 'planner' } }
    expect(JSON.parse((await me(await jwt({ sub: 'ada', act }))).body)).toMatchObject({
      subject: 'runner',
      onBehalfOf: 'ada',
      chain: ['planner'],
    })
  })

  test('an assertion once', async () => {
    const token = assertion()
    expect((await exchange(token, 'saml2')).status).toBe(200)
    expect((await exchange(token, 'saml2')).status).toBe(400)
    expect(logged.join('')).toContain('this assertion was presented before')
  })
})

describe('whoever does not learns nothing', () => {
  const credentials: [name: string, make: () => string | Promise<string>][] = [
    ['a password', () => 'hunter2'],
    ['an opaque token that is not active', () => 'nobodys-opaque-token-1'],
    ['an opaque token for others', () => opaque('an-opaque-token-for-others', { aud: 'other' })],
    ['an opaque token without an end', () => opaque('an-opaque-token-without-end', { exp: undefined })],
    ['an opaque token that is another issuer’s', () => opaque('an-opaque-token-of-others', { iss: jwtIssuer })],
    ['a gateway token that is none', () => `cst_${'a'.repeat(43)}`],
    ['a JWT of nobody', () => jwt({ iss: 'https://nobody.example.com', sub: 'a1' })],
    ['a JWT of a SAML issuer', () => jwt({ iss: entityId, sub: 'a2' })],
    ['a JWT by another key', () => jwt({ sub: 'a3' }, stranger)],
    ['a JWT for others', () => jwt({ aud: 'other', sub: 'a4' })],
    ['a JWT that has ended', () => jwt({ exp: 1, sub: 'a5' })],
    ['a JWT about nobody', () => jwt({ sub: '' })],
    ['an ID token', () => jwt({ nonce: 'n', sub: 'a6' })],
    [
      'a JWT with ten actors',
      () => jwt({ act: Array.from({ length: 10 }).reduce((act) => ({ sub: 'x', act }), undefined), sub: 'a7' }),
    ],
    ['a JWT whose groups did not fit', () => jwt({ groups: undefined, _claim_names: { groups: 'x' }, sub: 'a8' })],
    ['an assertion', () => assertion()],
  ]

  test('by HTTP, the feed, PostgreSQL and SSH: one and the same answer', async () => {
    const first = await me('nobodys-token')
    expect(first.status).toBe(401)
    const refused = await connect('nobodys-token')
    expect(refused).toMatchObject({ code: '28P01' })
    const [unheard, denied] = [await listen('nobodys-token'), await signIn('nobodys-token')]
    expect(unheard).toMatchObject({ status: 401 })
    expect(denied).toEqual({ message: 'All configured authentication methods failed', level: 'client-authentication' })
    for (const [name, make] of credentials) {
      const credential = await make()
      expect(await me(credential), name).toEqual(first)
      expect(await connect(credential), name).toEqual(refused)
      expect(await listen(credential), name).toEqual(unheard)
    }
    // All at once: SSH lets each wait, so that nobody guesses quickly.
    await Promise.all(credentials.map(async ([name, make]) => expect(await signIn(await make()), name).toEqual(denied)))
  })

  const exchanged: [name: string, type: string, make: () => string | Promise<string>][] = [
    ['no token', 'jwt', () => 'nobodys-token'],
    ['an opaque token that is not active', 'access_token', () => 'nobodys-opaque-token-2'],
    ['a JWT of nobody', 'jwt', () => jwt({ iss: 'https://nobody.example.com', sub: 'b1' })],
    ['a JWT by another key', 'jwt', () => jwt({ sub: 'b2' }, stranger)],
    ['a JWT for others', 'jwt', () => jwt({ aud: 'other', sub: 'b3' })],
    ['an ID token as an access token', 'access_token', () => jwt({ nonce: 'n', sub: 'b4' })],
    ['an access token as an ID token', 'id_token', () => jwt({ sub: 'b5' }, key, { typ: 'at+jwt' })],
    ['an assertion as a JWT', 'jwt', () => assertion({ nameId: 'b6' })],
    ['a JWT as an assertion', 'saml2', () => jwt({ sub: 'b7' })],
    ['an assertion of nobody', 'saml2', () => assertion({ issuer: 'https://nobody.example.com' })],
    ['an assertion that is not signed', 'saml2', () => encoded(assertionXml())],
    ['an assertion that was changed', 'saml2', () => assertion().replace(/.{8}$/, 'AAAAAAAA')],
    ['an assertion for others', 'saml2', () => assertion({ audience: 'other' })],
    ['an assertion that has ended', 'saml2', () => assertion({ seconds: -10 })],
    ['an assertion with an entity', 'saml2', () => encoded(`<!DOCTYPE a [<!ENTITY b "c">]>${assertionXml()}`)],
  ]
  test('by the token endpoint, too', async () => {
    const first = await exchange('x', 'jwt')
    expect([first.status, JSON.parse(first.body)]).toEqual([
      400,
      { error: 'invalid_request', error_description: expect.any(String) },
    ])
    for (const [name, type, make] of exchanged) expect(await exchange(await make(), type), name).toEqual(first)
  })

  test('the log says what it was, and holds no token', () => {
    const all = logged.join('')
    for (const why of [
      'no key of the issuer fits|the signature is wrong',
      'for another audience',
      'is not active',
      'an ID token is for',
      'is not signed',
    ])
      expect(all).toMatch(new RegExp(why))
    for (const token of ['an-opaque-token-1234', 'an-opaque-token-for-others', 'hunter2', 's3cret', 'eyJ'])
      expect(all).not.toContain(token)
  })
})
