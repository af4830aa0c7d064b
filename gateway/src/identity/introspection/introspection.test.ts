import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Provider } from 'oidc-provider'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { IssuerConfig } from '../../config/schema.ts'
import type { Principal } from '../principal.ts'
import { entry, identityOf, outcome, type Served, serve, signed, signingKey } from '../testing/providers.ts'
import { Proofs, unaskedFor } from './proofs.ts'

describe('tokens of a real issuer that are opaque', () => {
  const secret = 'a-secret of the gateway: with %, + and & in it, 32 characters'
  let server: ReturnType<typeof createServer>
  let url: string
  let config: IssuerConfig

  beforeAll(async () => {
    let handle: (req: IncomingMessage, res: ServerResponse) => unknown
    server = createServer((req, res) => handle(req, res)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    const client = (client_id: string, client_secret: string, grant_types: string[]) => ({
      client_id,
      client_secret,
      grant_types,
      redirect_uris: [],
      response_types: [] as never[],
    })
    const provider = new Provider(url, {
      clients: [
        client('deployer', 'a-secret-of-32-characters-at-least', ['client_credentials']),
        client('stranger', 'another-secret-of-32-characters-or-so', ['client_credentials']),
        client('countersign', secret, []),
      ],
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        introspection: { enabled: true, allowedPolicy: () => true },
        revocation: { enabled: true, allowedPolicy: () => true },
      },
      ttl: { ClientCredentials: 600 },
    })
    handle = provider.callback()
    config = entry({
      issuer: url,
      subject: 'client_id',
      authorized_party: ['deployer'],
      introspection: {
        url: `${url}/token/introspection`,
        client_id: 'countersign',
        client_secret: secret,
        auth: 'basic',
        tokens: 'opaque',
      },
    })
  })
  afterAll(() => void server?.close().closeAllConnections())

  const post = async (path: string, client: string, password: string, form: Record<string, string>) => {
    const authorization = `Basic ${Buffer.from(`${client}:${password}`).toString('base64')}`
    const answer = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { authorization },
      body: new URLSearchParams(form),
    })
    return (await answer.text()) || '{}'
  }
  const tokenOf = async (client: string, password: string): Promise<string> =>
    JSON.parse(await post('/token', client, password, { grant_type: 'client_credentials' })).access_token as string
  const deployer = () => tokenOf('deployer', 'a-secret-of-32-characters-at-least')

  test('are whose the issuer says, for as long as it says', async () => {
    const token = await deployer()
    expect(token).not.toContain('.')
    const principal = await identityOf([config]).authenticate(token)
    expect(principal).toMatchObject({ kind: 'agent', id: `${url}#deployer`, subject: 'deployer', groups: [] })
    expect(principal.proof).toMatch(/^[0-9a-f-]{36}$/)
    expect(Math.abs(principal.expiresAt.getTime() - Date.now() - 600_000)).toBeLessThan(30_000)
    expect(JSON.stringify(principal)).not.toContain(token)
  })

  test('can be exchanged', async () => {
    const given = { token: await deployer(), type: 'access_token' as const }
    expect((await identityOf([config]).verify(given)).principal).toMatchObject({ subject: 'deployer' })
  })

  test('of another client are refused', async () => {
    const token = await tokenOf('stranger', 'another-secret-of-32-characters-or-so')
    expect(await outcome(identityOf([config]).authenticate(token))).toBe('audience')
  })

  test('that are none are refused, and a secret that is wrong is no answer', async () => {
    expect(await outcome(identityOf([config]).authenticate('nobodys-token-of-enough-characters'))).toBe('expired')
    const wrong = { ...config, introspection: { ...config.introspection!, client_secret: 'wrong' } }
    expect(await outcome(identityOf([wrong]).authenticate(await deployer()))).toBe('issuer-unreachable')
  })

  test('with the secret in the form, too', async () => {
    const posted = { ...config, introspection: { ...config.introspection!, auth: 'post' as const } }
    expect(await outcome(identityOf([posted]).authenticate(await deployer()))).toMatch(/^accepted/)
  })

  test('end, with their sessions, when they are revoked', async () => {
    const identity = identityOf([config])
    const token = await deployer()
    const principal = await identity.authenticate(token)
    expect(await identity.recheck(principal)).toBeUndefined()
    await post('/token/revocation', 'deployer', 'a-secret-of-32-characters-at-least', { token })
    expect(await identity.recheck(principal)).toBe('its issuer says that the token is good no more')
  })
})

describe('what an introspection may answer', () => {
  const iss = 'https://idp.example.com'
  const opaque = 'opaque-token-0123456789'
  let server: Served
  let at: number
  let answer: Record<string, unknown>
  let forms: URLSearchParams[]
  let headers: IncomingMessage['headers'][]
  let down: boolean

  beforeEach(async () => {
    server = await serve()
    at = Date.now()
    answer = { active: true, sub: 'x', aud: 'countersign', exp: Math.floor(at / 1000) + 3600, groups: ['ci'] }
    forms = []
    headers = []
    down = false
    server.documents.set('/introspect', (req, res) => {
      let body = ''
      req.on('data', (chunk) => (body += chunk))
      req.on('end', () => {
        forms.push(new URLSearchParams(body))
        headers.push(req.headers)
        if (down) res.writeHead(503).end()
        else res.end(JSON.stringify(answer))
      })
    })
  })
  afterEach(() => server[Symbol.asyncDispose]())

  const config = (
    more: Partial<IssuerConfig> = {},
    settings: Partial<NonNullable<IssuerConfig['introspection']>> = {},
  ) =>
    entry({
      issuer: iss,
      introspection: {
        url: `${server.url}/introspect`,
        client_id: 'gw:1',
        client_secret: 's&cret',
        auth: 'basic',
        tokens: 'opaque',
        ...settings,
      },
      ...more,
    })
  const identity = (...issuers: IssuerConfig[]) =>
    identityOf(issuers.length > 0 ? issuers : [config()], { clock: () => at })

  test('is asked as RFC 7662 and RFC 6749 want it', async () => {
    await identity().authenticate(opaque)
    expect(Object.fromEntries(forms[0]!)).toEqual({ token: opaque, token_type_hint: 'access_token' })
    expect(headers[0]).toMatchObject({
      authorization: `Basic ${Buffer.from('gw%3A1:s%26cret').toString('base64')}`,
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
    })
    await identity(config({}, { auth: 'post' })).authenticate(opaque)
    expect(Object.fromEntries(forms[1]!)).toMatchObject({ client_id: 'gw:1', client_secret: 's&cret' })
    expect(headers[1]).not.toHaveProperty('authorization')
  })

  const seconds = () => Math.floor(at / 1000)
  const refused: [name: string, fault: string, change: () => Record<string, unknown>][] = [
    ['inactive', 'expired', () => ({ active: false })],
    ['active as a text', 'expired', () => ({ active: 'true' })],
    ['no word of whether it is active', 'expired', () => ({ active: undefined })],
    ['another issuer', 'issuer', () => ({ iss: 'https://other.example.com' })],
    ['another audience', 'audience', () => ({ aud: ['other'] })],
    ['no audience', 'audience', () => ({ aud: undefined })],
    ['no end', 'malformed', () => ({ exp: undefined })],
    ['an end that has been', 'expired', () => ({ exp: seconds() })],
    ['an end that is no number', 'malformed', () => ({ exp: '9999999999' })],
    ['not yet begun', 'not-yet-valid', () => ({ nbf: seconds() + 120 })],
    ['a beginning that is no number', 'malformed', () => ({ nbf: 'now' })],
    ['nobody', 'subject', () => ({ sub: undefined })],
    ['a refresh token', 'malformed', () => ({ token_type: 'refresh_token' })],
    ['a token bound to a key', 'malformed', () => ({ token_type: 'DPoP' })],
    ['a token bound to a certificate', 'malformed', () => ({ cnf: { 'x5t#S256': 'x' } })],
    ['an ID token', 'malformed', () => ({ typ: 'ID' })],
    ['groups that are an object', 'malformed', () => ({ groups: { ci: true } })],
  ]
  test.each(refused)('%s is refused (%s)', async (_name, fault, change) => {
    answer = { ...answer, ...change() }
    expect(await outcome(identity().authenticate(opaque))).toBe(fault)
  })

  test('the issuer named, or Bearer, is fine', async () => {
    answer = { ...answer, iss, token_type: 'Bearer', aud: ['other', 'countersign'] }
    expect(await outcome(identity().authenticate(opaque))).toBe(`accepted: agent ${iss}#x`)
  })

  test('is remembered for ten seconds, and never past its end', async () => {
    const room = identity()
    await room.authenticate(opaque)
    at += 9999
    await room.authenticate(opaque)
    expect(forms).toHaveLength(1)
    at += 1
    await room.authenticate(opaque)
    expect(forms).toHaveLength(2)
    answer.exp = seconds() + 2
    at += 10_000
    answer.exp = seconds() + 2
    await room.authenticate(opaque)
    at = (answer.exp as number) * 1000
    expect(await outcome(room.authenticate(opaque))).toBe('expired')
  })

  const never: [name: string, token: string][] = [
    ['a gateway token', `cst_${'a'.repeat(43)}`],
    ['a password', 'hunter2'],
    ['fifteen characters', 'x'.repeat(15)],
    ['a text with a space', 'opaque token 0123456789'],
    ['a text in another script', 'ôpaque-token-0123456789'],
    ['five thousand characters', 'x'.repeat(5000)],
    [
      'a JWT of nobody',
      `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from('{"iss":"https://x.example.com"}').toString('base64url')}.c2ln`,
    ],
  ]
  test.each(never)('%s is asked of no issuer', async (_name, token) => {
    expect(await outcome(identity().authenticate(token))).toMatch(/^(malformed|issuer)$/)
    expect(forms).toHaveLength(0)
  })

  test('each token is asked of one issuer, by its prefix', async () => {
    const asked = (token: string) => outcome(room.authenticate(token))
    const other = (issuer: string, prefix: string) => config({ issuer }, { prefix })
    const room = identity(other('https://a.example.com', 'a_'), config(), other('https://ab.example.com', 'a_b_'))
    expect(await asked(`a_${opaque}`)).toBe('accepted: agent https://a.example.com#x')
    expect(await asked(`a_b_${opaque}`)).toBe('accepted: agent https://ab.example.com#x')
    expect(await asked(opaque)).toBe(`accepted: agent ${iss}#x`)
    const prefixed = identity(other('https://a.example.com', 'a_'))
    expect(await outcome(prefixed.authenticate(opaque))).toBe('malformed')
  })

  test('JWTs are checked by their keys, or asked about where the entry says so', async () => {
    const key = await signingKey('k')
    const claims = { iss, aud: 'countersign', sub: 'signed', exp: seconds() + 60 }
    const jwt = await signed(key, claims)
    const keys = { jwks: { keys: [key.public] } }
    expect(await outcome(identity(config(keys)).authenticate(jwt))).toBe(`accepted: agent ${iss}#signed`)
    expect(forms).toHaveLength(0)
    const all = identity(config({}, { tokens: 'all' }))
    expect(await outcome(all.authenticate(jwt))).toBe(`accepted: agent ${iss}#x`)
    answer.active = false
    at += 10_000
    expect(await outcome(all.authenticate(jwt))).toBe('expired')
  })

  test('a flood of guesses is asked a few at a time, and not at all for a moment after it did not answer', async () => {
    const room = identity()
    const guesses = Array.from({ length: 100 }, (_, n) => outcome(room.authenticate(`guess-of-many-${n}-0123456789`)))
    const outcomes = await Promise.all(guesses)
    expect(outcomes.filter((one) => one === 'issuer-unreachable')).toHaveLength(68)
    expect(forms).toHaveLength(32)
    down = true
    expect(await outcome(room.authenticate(`${opaque}-1`))).toBe('issuer-unreachable')
    down = false
    expect(await outcome(room.authenticate(`${opaque}-2`))).toBe('issuer-unreachable')
    expect(forms).toHaveLength(33)
    at += 2000
    expect(await outcome(room.authenticate(`${opaque}-2`))).toMatch(/^accepted/)
  })

  describe('asked again about a live session', () => {
    const changes: [name: string, change: () => unknown, words: string | undefined][] = [
      ['nothing has changed', () => {}, undefined],
      ['it was revoked', () => (answer.active = false), 'its issuer says that the token is good no more'],
      [
        'it has other groups',
        () => (answer.groups = ['ci', 'more']),
        'its issuer says something else of the token now',
      ],
      ['it is somebody else’s', () => (answer.sub = 'y'), 'its issuer says something else of the token now'],
      ['its groups come in another order', () => (answer.groups = ['ci']), undefined],
    ]
    test.each(changes)('%s', async (_name, change, words) => {
      const room = identity()
      const principal = await room.authenticate(opaque)
      at += 60_000
      change()
      expect(await room.recheck(principal)).toBe(words)
    })

    test('a session is held to what was said when it was opened, whoever comes by the token since', async () => {
      const room = identity()
      const first = await room.authenticate(opaque)
      at += 10_000
      answer.groups = ['ci', 'more']
      const second = await room.authenticate(opaque)
      expect(second.proof).not.toBe(first.proof)
      expect(await room.recheck(first)).toBe('its issuer says something else of the token now')
      expect(await room.recheck(second)).toBeUndefined()
      at += 10_000
      expect((await room.authenticate(opaque)).proof).toBe(second.proof)
    })

    test('while the issuer is down it lives on for five minutes', async () => {
      const room = identity()
      const principal = await room.authenticate(opaque)
      down = true
      at += unaskedFor - 1
      expect(await room.recheck(principal)).toBeUndefined()
      at += 2001
      expect(await room.recheck(principal)).toBe('its issuer could not be asked about the token for too long')
    })

    test('an issuer that is configured no more, and a token nobody knows, end it', async () => {
      const room = identity()
      const principal = await room.authenticate(opaque)
      room.reconfigure({ issuers: [], roles: { approver: [], reviewer: [], auditor: [], admin: [] } })
      expect(await room.recheck(principal)).toBe('its issuer says that the token is good no more')
      expect(await room.recheck({ ...principal, proof: 'other' } as Principal)).toMatch(/can’t be asked/)
    })

    test('tokens that carry their own end are not asked about', async () => {
      const key = await signingKey('k')
      const room = identity(entry({ issuer: iss, jwks: { keys: [key.public] } }))
      const token = await signed(key, { iss, aud: 'countersign', sub: 'x', exp: seconds() + 60 })
      const principal = await room.authenticate(token)
      expect(principal.proof).toBeUndefined()
      expect(await room.recheck(principal)).toBeUndefined()
    })
  })
})

test('10,000 tokens are kept to be asked about, the newest', async () => {
  const at = Date.now()
  const proofs = new Proofs(() => at)
  const principal = (n: number): Principal => ({
    kind: 'agent',
    id: `i#${n}`,
    issuer: 'i',
    subject: `${n}`,
    name: `${n}`,
    groups: [],
    expiresAt: new Date(at + 60_000),
  })
  const handles = Array.from({ length: 10_001 }, (_, n) => proofs.keep(`token-${n}`, principal(n)))
  expect(await proofs.recheck(handles[0]!, async () => principal(0))).toMatch(/can’t be asked/)
  expect(await proofs.recheck(handles[1]!, async () => principal(1))).toBeUndefined()
  expect(await proofs.recheck(handles[10_000]!, async () => principal(10_000))).toBeUndefined()
})
