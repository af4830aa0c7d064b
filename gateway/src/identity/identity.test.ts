import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { exportJWK, type JWK, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../demo/issuer.ts'
import type { IssuerConfig } from '../config/schema.ts'
import { createIdentity, type RoleGroups } from './identity.ts'
import { cooldown, freshFor, staleFor } from './issuer-keys.ts'
import { type AgentPrincipal, type PersonPrincipal, type Principal, TokenError } from './principal.ts'
import { largestToken } from './token.ts'

const roles: RoleGroups = { approver: ['dba', 'sre'], reviewer: ['security'], auditor: [], admin: ['platform'] }
const silent = { warn() {}, info() {} }

function identityOf(
  issuers: (Pick<IssuerConfig, 'issuer' | 'for'> & Partial<IssuerConfig>)[],
  clock: () => number = Date.now,
) {
  return createIdentity({
    issuers: issuers.map((issuer) => ({ audience: 'countersign', groups: 'groups', scopes: [], ...issuer })),
    roles,
    clock,
    log: silent,
  })
}

async function fault(work: Promise<Principal>): Promise<string> {
  try {
    const { kind, id } = await work
    return `accepted: ${kind} ${id}`
  } catch (error) {
    if (error instanceof TokenError) return error.fault
    throw error
  }
}

describe('tokens of a real issuer', () => {
  let forPeople: RunningIssuer
  let forAgents: RunningIssuer
  let identity: ReturnType<typeof identityOf>
  beforeAll(async () => {
    forPeople = await startIssuer()
    forAgents = await startIssuer({
      agents: [{ subject: 'deployer', groups: ['ci'], secret: 'a-secret-of-32-characters-at-least' }],
    })
    identity = identityOf([
      { issuer: forPeople.url, for: 'people' },
      { issuer: forAgents.url, for: 'agents' },
    ])
  })
  afterAll(async () => {
    await forPeople?.stop()
    await forAgents?.stop()
  })

  test('a person has the roles of their groups', async () => {
    const token = await forPeople.personToken({
      subject: 'ada',
      name: 'Ada',
      groups: ['dba', 'security', 'staff'],
      claims: { email: 'ada@example.com' },
    })
    expect(await identity.authenticate(token)).toEqual({
      kind: 'person',
      id: `${forPeople.url}#ada`,
      issuer: forPeople.url,
      subject: 'ada',
      name: 'Ada',
      email: 'ada@example.com',
      groups: ['dba', 'security', 'staff'],
      roles: ['approver', 'reviewer'],
      expiresAt: expect.any(Date),
    })
  })

  test('an agent has no roles, whatever its groups are', async () => {
    const token = await forAgents.agentToken({ subject: 'deployer', groups: ['dba'], claims: { owner: 'ada' } })
    const principal = await identity.authenticate(token)
    expect(principal).toEqual({
      kind: 'agent',
      id: `${forAgents.url}#deployer`,
      issuer: forAgents.url,
      subject: 'deployer',
      name: 'deployer',
      owner: 'ada',
      groups: ['dba'],
      expiresAt: expect.any(Date),
    })
    expect(principal).not.toHaveProperty('roles')
  })

  test('a token of the client credentials grant is an agent', async () => {
    expect(await identity.authenticate(await forAgents.clientCredentials('deployer'))).toMatchObject({
      kind: 'agent',
      subject: 'deployer',
      groups: ['ci'],
    })
  })

  test('the same subject of two issuers is two identities', async () => {
    const one = await identity.authenticate(await forAgents.agentToken({ subject: 'x' }))
    const other = await identity.authenticate(await forPeople.personToken({ subject: 'x' }))
    expect(one.id).not.toBe(other.id)
  })

  test('who acts is the outermost actor, with groups of its own', async () => {
    const delegated = (act: unknown) =>
      forAgents.agentToken({ subject: 'ada', groups: ['dba'], claims: { act, owner: undefined } })
    const bare = await identity.authenticate(await delegated({ sub: 'bot', act: { sub: 'earlier' } }))
    expect(bare).toMatchObject({ kind: 'agent', subject: 'bot', onBehalfOf: 'ada', groups: [], name: 'bot' })
    const grouped = await identity.authenticate(await delegated({ sub: 'bot', groups: ['ci'], name: 'Bot' }))
    expect(grouped).toMatchObject({ subject: 'bot', onBehalfOf: 'ada', groups: ['ci'], name: 'Bot' })
  })

  test('one audience of several, one group as a text, groups twice', async () => {
    const token = await forAgents.agentToken({
      subject: 'x',
      audience: ['other', 'countersign'],
      claims: { groups: 'ci' },
    })
    expect(await identity.authenticate(token)).toMatchObject({ groups: ['ci'] })
    const twice = await forAgents.agentToken({ subject: 'x', groups: ['a', 'b', 'a', ''] })
    expect(await identity.authenticate(twice)).toMatchObject({ groups: ['a', 'b'] })
  })

  test('a name that breaks out of its line is not shown', async () => {
    for (const name of ['a\nb', 'a\u001b[2Jb', 'a\u202eb', '  ', '\u200b\u3164', 7]) {
      const token = await forAgents.agentToken({ subject: 'x', claims: { name, preferred_username: 'second' } })
      expect(await identity.authenticate(token)).toMatchObject({ name: 'second' })
    }
  })

  test('nobody changes who another caller is', async () => {
    const token = await forPeople.personToken({ subject: 'max', groups: ['staff'] })
    const first = (await identity.authenticate(token)) as PersonPrincipal
    first.roles.push('admin')
    first.groups.push('dba')
    expect(await identity.authenticate(token)).toMatchObject({ roles: [], groups: ['staff'] })
  })

  const now = () => Math.floor(Date.now() / 1000)
  type Make = () => Promise<string>
  const agent = (claims: Record<string, unknown>) => () => forAgents.agentToken({ subject: 'x', claims })
  type Parts = [header: string, claims: string, signature: string]
  const edited = (change: (...parts: Parts) => Parts): Make => {
    return async () => change(...((await forAgents.agentToken({ subject: 'x' })).split('.') as Parts)).join('.')
  }
  const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as object
  const reheaded = (change: Record<string, unknown>) => edited((h, c, s) => [json({ ...read(h), ...change }), c, s])
  const refused: [name: string, fault: string, make: Make][] = [
    ['nothing', 'malformed', async () => ''],
    ['a password', 'malformed', async () => 'hunter2'],
    ['binary', 'malformed', async () => '\0\xff\u{1f4a9}'],
    ['three empty parts', 'malformed', async () => '..'],
    ['parts that are no JSON', 'malformed', async () => 'aaaa.bbbb.cccc'],
    ['a JWE', 'malformed', async () => 'a.b.c.d.e'],
    ['one that is too long', 'malformed', agent({ filler: 'x'.repeat(largestToken) })],
    ['a space behind', 'malformed', async () => `${await agent({})()} `],
    ['claims that are a list', 'malformed', edited((h, _c, s) => [h, json([1]), s])],
    ['another claim than was signed', 'signature', edited((h, c, s) => [h, json({ ...read(c), groups: ['dba'] }), s])],
    ['a signature cut short', 'signature', edited((h, c, s) => [h, c, s.slice(0, 40)])],
    ['no signature', 'signature', edited((h, c) => [h, c, ''])],
    ['alg none', 'algorithm', edited((_h, c) => [json({ alg: 'none' }), c, ''])],
    ['alg nOnE', 'algorithm', reheaded({ alg: 'nOnE' })],
    ['alg HS256', 'algorithm', reheaded({ alg: 'HS256' })],
    ['alg missing', 'algorithm', reheaded({ alg: undefined })],
    ['alg ES256 over an RSA key', 'signature', reheaded({ alg: 'ES256' })],
    ['alg RS512 over an RS256 key', 'signature', reheaded({ alg: 'RS512' })],
    ['a kid that is unknown', 'signature', reheaded({ kid: 'other' })],
    ['a kid that is a path', 'signature', reheaded({ kid: '../../dev/null' })],
    ['a kid that is an object', 'malformed', reheaded({ kid: { a: 1 } })],
    ['a critical header', 'malformed', reheaded({ crit: ['exp'], exp: 1 })],
    ['b64 false', 'malformed', reheaded({ b64: false, crit: ['b64'] })],
    ['a logout token', 'malformed', reheaded({ typ: 'logout+jwt' })],
    ['a DPoP proof', 'malformed', reheaded({ typ: 'dpop+jwt' })],
    ['no issuer', 'issuer', agent({ iss: undefined })],
    ['an issuer nobody knows', 'issuer', agent({ iss: 'https://evil.example.com' })],
    ['the issuer with a slash', 'issuer', async () => agent({ iss: `${forAgents.url}/` })()],
    ["another issuer's name", 'signature', async () => agent({ iss: forPeople.url })()],
    ['no audience', 'audience', agent({ aud: undefined })],
    ['another audience', 'audience', () => forAgents.agentToken({ subject: 'x', audience: 'other' })],
    ['part of an audience', 'audience', () => forAgents.agentToken({ subject: 'x', audience: 'countersign2' })],
    ['no end', 'malformed', agent({ exp: undefined })],
    ['an end as a text', 'malformed', agent({ exp: '9999999999' })],
    ['an end past every calendar', 'malformed', agent({ exp: 1e300 })],
    ['ended', 'expired', () => forAgents.agentToken({ subject: 'x', expiresIn: -60 })],
    [
      'ended a second ago',
      'expired',
      () => forAgents.agentToken({ subject: 'x', expiresIn: -1, claims: { iat: now() - 9 } }),
    ],
    ['not yet begun', 'not-yet-valid', () => agent({ nbf: now() + 120 })()],
    ['a beginning as a text', 'malformed', agent({ nbf: 'now' })],
    ['issued in the future', 'not-yet-valid', () => agent({ iat: now() + 120 })()],
    ['ended before it was issued', 'malformed', () => agent({ iat: now() + 20, exp: now() + 10 })()],
    ['no subject', 'subject', agent({ sub: undefined })],
    ['an empty subject', 'subject', agent({ sub: '' })],
    ['a blank subject', 'subject', agent({ sub: '   ' })],
    ['a subject that is a number', 'subject', agent({ sub: 7 })],
    ['a subject with a line break', 'subject', agent({ sub: 'a\nb' })],
    ['an actor that is a text', 'subject', agent({ act: 'bot' })],
    ['an actor that is a list', 'subject', agent({ act: [{ sub: 'bot' }] })],
    ['an actor without a subject', 'subject', agent({ act: {} })],
    ['an actor of another issuer', 'subject', agent({ act: { sub: 'bot', iss: 'https://evil.example.com' } })],
    ['groups that are numbers', 'malformed', agent({ groups: [1] })],
    ['groups that are an object', 'malformed', agent({ groups: { dba: true } })],
    ['groups that did not fit', 'malformed', agent({ groups: undefined, _claim_names: { groups: 'src1' } })],
    [
      'an agent that acts for a person, from the issuer for people',
      'subject',
      () => forPeople.personToken({ subject: 'ada', groups: ['dba'], claims: { act: { sub: 'bot' } } }),
    ],
  ]
  test.each(refused)('refused: %s (%s)', async (_name, expected, make) => {
    expect(await fault(identity.authenticate(await make()))).toBe(expected)
  })

  test("an issuer's clock may be 20 seconds ahead", async () => {
    const token = await forAgents.agentToken({ subject: 'x', claims: { iat: now() + 20, nbf: now() + 20 } })
    expect(await fault(identity.authenticate(token))).toMatch(/^accepted: agent/)
  })

  test('a token that was good a moment ago is refused at its end', async () => {
    let at = Date.now()
    const own = identityOf([{ issuer: forAgents.url, for: 'agents' }], () => at)
    const token = await forAgents.agentToken({ subject: 'x', expiresIn: 20 })
    const { expiresAt } = (await own.authenticate(token)) as AgentPrincipal
    at = expiresAt.getTime() - 1
    expect(await fault(own.authenticate(token))).toMatch(/^accepted/)
    at = expiresAt.getTime()
    expect(await fault(own.authenticate(token))).toBe('expired')
  })

  test('an issuer that is taken out of the configuration is trusted no more, at once', async () => {
    const own = identityOf([{ issuer: forAgents.url, for: 'agents' }])
    const token = await forAgents.agentToken({ subject: 'x' })
    expect(await fault(own.authenticate(token))).toMatch(/^accepted/)
    own.reconfigure({ issuers: [], roles })
    expect(await fault(own.authenticate(token))).toBe('issuer')
  })

  test('roles that are changed count at once', async () => {
    const own = identityOf([{ issuer: forPeople.url, for: 'people' }])
    const token = await forPeople.personToken({ subject: 'x', groups: ['dba'] })
    expect(await own.authenticate(token)).toMatchObject({ roles: ['approver'] })
    const config = {
      issuer: forPeople.url,
      for: 'people' as const,
      audience: 'countersign',
      groups: 'groups',
      scopes: [],
    }
    own.reconfigure({ issuers: [config], roles: { ...roles, approver: [] } })
    expect(await own.authenticate(token)).toMatchObject({ roles: [] })
  })

  test('for: both tells agents from people, and no token is both', async () => {
    const both = identityOf([{ issuer: forAgents.url, for: 'both' }])
    const kinds: [kind: string, claims: Record<string, unknown>][] = [
      ['person', { client_id: 'console' }],
      ['person', { client_id: undefined, azp: 'console' }],
      ['person', { client_id: undefined }],
      ['agent', { client_id: 'x' }],
      ['agent', { client_id: undefined, azp: 'x' }],
      ['agent', { client_id: 'other', gty: 'client-credentials' }],
      ['agent', { client_id: 'other', idtyp: 'app' }],
      ['agent', { client_id: 'console', act: { sub: 'bot', groups: ['dba'] } }],
    ]
    for (const [kind, claims] of kinds) {
      const principal = await both.authenticate(await forAgents.agentToken({ subject: 'x', groups: ['dba'], claims }))
      expect([principal.kind, 'roles' in principal]).toEqual([kind, kind === 'person'])
    }
  })

  test('a rotated key is fetched once, and the old one is no longer taken', async () => {
    const own = await startIssuer()
    try {
      let at = Date.now()
      const rotating = identityOf([{ issuer: own.url, for: 'agents' }], () => at)
      const old = await own.agentToken({ subject: 'x' })
      expect(await fault(rotating.authenticate(old))).toMatch(/^accepted/)
      own.rotate()
      expect(await fault(rotating.authenticate(await own.agentToken({ subject: 'x' })))).toMatch(/^accepted/)
      at += 61_000
      expect(await fault(rotating.authenticate(old))).toBe('signature')
    } finally {
      await own.stop()
    }
  })
})

describe('an issuer that misbehaves', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  let server: Server
  let url: string
  let requests: string[]
  let at: number
  let identity: ReturnType<typeof identityOf>
  let metadata: Record<string, unknown>
  let keys: unknown[]
  let answer: (req: IncomingMessage, res: ServerResponse) => unknown

  beforeEach(async () => {
    requests = []
    at = Date.now()
    answer = wellBehaved
    server = createServer((req, res) => {
      requests.push(req.url!)
      answer(req, res)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    metadata = { issuer: url, jwks_uri: `${url}/jwks` }
    keys = [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }]
    identity = identityOf([{ issuer: url, for: 'agents' }], () => at)
  })
  afterEach(() => void server.close().closeAllConnections())

  const wellBehaved = (req: IncomingMessage, res: ServerResponse) => {
    if (req.url === '/.well-known/openid-configuration') res.end(JSON.stringify(metadata))
    else if (req.url === '/jwks') res.end(JSON.stringify({ keys }))
    else res.writeHead(404).end()
  }
  const claims = () => {
    const seconds = Math.floor(at / 1000)
    return { iss: url, aud: 'countersign', sub: 'x', iat: seconds, exp: seconds + 100_000 }
  }
  const token = (header: Record<string, unknown> = {}, key: KeyObject = privateKey) =>
    new SignJWT(claims()).setProtectedHeader({ alg: 'RS256', kid: 'k', ...header }).sign(key)

  test('well behaved, it is asked once for many tokens', async () => {
    const results = await Promise.all(
      Array.from({ length: 20 }, async () => fault(identity.authenticate(await token()))),
    )
    expect(new Set(results)).toEqual(new Set([`accepted: agent ${url}#x`]))
    expect(requests).toEqual(['/.well-known/openid-configuration', '/jwks'])
  })

  type Spoilt = { metadata?: Record<string, unknown>; keys?: unknown; answer?: typeof answer }
  test.each<[string, () => Spoilt]>([
    ['metadata of another issuer', () => ({ metadata: { issuer: 'https://idp.example.com' } })],
    ['metadata of the issuer with a slash', () => ({ metadata: { issuer: `${url}/` } })],
    ['no jwks_uri', () => ({ metadata: { jwks_uri: undefined } })],
    ['a jwks_uri by plain http elsewhere', () => ({ metadata: { jwks_uri: 'http://idp.example.com/jwks' } })],
    ['a jwks_uri that is a file', () => ({ metadata: { jwks_uri: 'file:///etc/passwd' } })],
    ['keys that are no list', () => ({ keys: 'none' })],
    ['a thousand keys', () => ({ keys: Array(1000).fill(keys[0]) })],
    ['a huge key set', () => ({ keys: [...keys, { kty: 'RSA', filler: 'x'.repeat(600_000) }] })],
    ['an error', () => ({ answer: (_req, res) => res.writeHead(500).end('{}') })],
    ['no JSON', () => ({ answer: (_req, res) => res.end('<html>') })],
    ['JSON that is a list', () => ({ answer: (_req, res) => res.end('[]') })],
    ['bytes that are no text', () => ({ answer: (_req, res) => res.end(Buffer.from([0xff, 0xfe])) })],
    ['a redirect', () => ({ answer: (_req, res) => res.writeHead(302, { location: `${url}/jwks` }).end() })],
    ['a connection that is closed', () => ({ answer: (req) => req.socket.destroy() })],
    ['nothing there', () => ({ answer: (_req, res) => res.writeHead(404).end() })],
    [
      'a body without end',
      () => ({
        answer: (_req, res) => {
          const more = () => {
            while (res.writable && res.write('x'.repeat(65_536)));
            res.once('drain', more)
          }
          more()
        },
      }),
    ],
  ])('%s: its keys can not be had, and that is not asked again at once', async (_name, spoil) => {
    const good = { metadata, keys }
    const spoilt = spoil()
    metadata = { ...metadata, ...spoilt.metadata }
    keys = (spoilt.keys ?? keys) as unknown[]
    answer = spoilt.answer ?? answer
    expect(await fault(identity.authenticate(await token()))).toBe('issuer-unreachable')
    const asked = requests.length
    expect(await fault(identity.authenticate(await token({ kid: 'other' })))).toBe('issuer-unreachable')
    expect(requests).toHaveLength(asked)
    answer = wellBehaved
    ;({ metadata, keys } = good)
    at += cooldown
    expect(await fault(identity.authenticate(await token()))).toMatch(/^accepted/)
  })

  test('one that never answers does not keep another waiting', async () => {
    const silentOne = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silentOne, 'listening')
    const slow = `http://127.0.0.1:${(silentOne.address() as { port: number }).port}`
    const two = identityOf([
      { issuer: slow, for: 'agents' },
      { issuer: url, for: 'agents' },
    ])
    const slowToken = await new SignJWT({ ...claims(), iss: slow })
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .sign(privateKey)
    const waiting = fault(two.authenticate(slowToken))
    const first = await Promise.race([waiting, fault(two.authenticate(await token()))])
    expect(first).toMatch(/^accepted/)
    silentOne.close().closeAllConnections()
    expect(await waiting).toBe('issuer-unreachable')
  })

  test('HS256 with the public key as the secret', async () => {
    const head = Buffer.from(JSON.stringify({ alg: 'HS256', kid: 'k' })).toString('base64url')
    const body = Buffer.from(JSON.stringify(claims())).toString('base64url')
    const pem = publicKey.export({ type: 'spki', format: 'pem' })
    const signature = createHmac('sha256', pem).update(`${head}.${body}`).digest('base64url')
    expect(await fault(identity.authenticate(`${head}.${body}.${signature}`))).toBe('algorithm')
  })

  test('symmetric and private keys that it publishes are not used', async () => {
    const secret = Buffer.alloc(32, 7)
    keys = [
      { kty: 'oct', k: secret.toString('base64url'), kid: 'k', alg: 'RS256' },
      { ...privateKey.export({ format: 'jwk' }), kid: 'k' },
    ]
    expect(await fault(identity.authenticate(await token()))).toBe('signature')
  })

  test.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'])(
    '%s is accepted',
    async (alg) => {
      const curve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg]
      const pair: { privateKey: KeyObject; publicKey: KeyObject } = curve
        ? generateKeyPairSync('ec', { namedCurve: curve })
        : alg === 'EdDSA'
          ? generateKeyPairSync('ed25519')
          : { privateKey, publicKey }
      keys = [{ ...(await exportJWK(pair.publicKey)), kid: 'k' }]
      expect(await fault(identity.authenticate(await token({ alg }, pair.privateKey)))).toMatch(/^accepted/)
    },
  )

  test('an RSA key of 1024 bits is too short', async () => {
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 })
    keys = [{ ...(await exportJWK(short.publicKey)), kid: 'k' }]
    const made = await token()
    expect(await fault(identity.authenticate(made))).toBe('signature')
  })

  test('keys and addresses that a token brings along are not looked at', async () => {
    const own = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const jwk = (await exportJWK(own.publicKey)) as JWK
    const evil = `${url}/evil`
    for (const header of [
      { jwk },
      { jku: evil },
      { x5u: evil },
      { kid: evil, jku: evil },
      { x5c: [own.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] },
    ])
      expect(await fault(identity.authenticate(await token(header, own.privateKey)))).toBe('signature')
    expect(requests).not.toContain('/evil')
  })

  test('a token without kid is checked with whichever key fits', async () => {
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
    keys.unshift({ ...(await exportJWK(other.publicKey)), kid: 'first' })
    expect(await fault(identity.authenticate(await token({ kid: undefined })))).toMatch(/^accepted/)
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(await fault(identity.authenticate(await token({ kid: undefined }, stranger.privateKey)))).toBe('signature')
  })

  test('a thousand unknown kids ask it once more, and again only after the cooldown', async () => {
    await identity.authenticate(await token())
    const before = requests.length
    const flood = async () => {
      for (let i = 0; i < 50; i++) await fault(identity.authenticate(await token({ kid: `k${i}` })))
    }
    await flood()
    expect(requests.length - before).toBe(2)
    at += cooldown
    await flood()
    expect(requests.length - before).toBe(4)
  })

  test('while it is down its last keys are used, but not for ever', async () => {
    expect(await fault(identity.authenticate(await token()))).toMatch(/^accepted/)
    answer = (req) => req.socket.destroy()
    at += freshFor
    expect(await fault(identity.authenticate(await token()))).toMatch(/^accepted/)
    expect(await fault(identity.authenticate(await token({ kid: 'new' })))).toBe('issuer-unreachable')
    at += staleFor
    expect(await fault(identity.authenticate(await token()))).toBe('issuer-unreachable')
  })

  test('a key that it withdraws is not used any more once keys are asked for anew', async () => {
    expect(await fault(identity.authenticate(await token()))).toMatch(/^accepted/)
    const next = generateKeyPairSync('rsa', { modulusLength: 2048 })
    keys = [{ ...(await exportJWK(next.publicKey)), kid: 'next' }]
    at += freshFor
    expect(await fault(identity.authenticate(await token()))).toBe('signature')
  })

  test.each([
    ['appended', '/tenant/.well-known/openid-configuration'],
    ['inserted (RFC 8414)', '/.well-known/oauth-authorization-server/tenant'],
    ['inserted, OpenID', '/.well-known/openid-configuration/tenant'],
  ])('metadata of an issuer with a path: %s', async (_name, path) => {
    const issuer = `${url}/tenant`
    metadata.issuer = issuer
    answer = (req, res) => {
      if (req.url === path) res.end(JSON.stringify(metadata))
      else if (req.url === '/jwks') res.end(JSON.stringify({ keys }))
      else res.writeHead(404).end()
    }
    const own = identityOf([{ issuer, for: 'agents' }])
    const made = await new SignJWT({ ...claims(), iss: issuer })
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .sign(privateKey)
    expect(await fault(own.authenticate(made))).toMatch(/^accepted/)
  })
})
