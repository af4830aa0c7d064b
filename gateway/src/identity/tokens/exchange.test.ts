import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Command, ConnectionRef } from '../../gate/command.ts'
import { type LiveGrant, standing } from '../../gate/entrance.ts'
import type { Store } from '../../store/store.ts'
import { openFreshStore } from '../../store/testing/fresh.ts'
import { type AgentPrincipal, type PersonPrincipal, TokenError } from '../principal.ts'
import type { SignIn } from '../sign-ins.ts'
import { createSubjectTokens, type VerifiedToken } from '../subject-tokens.ts'
import { createExchange, type Exchange } from './exchange.ts'
import { TOKEN_EXCHANGE } from './form.ts'
import { createTokens, type Tokens } from './tokens.ts'

const issuer = 'https://idp.example.com'
const start = Date.UTC(2026, 10, 21, 12)
const minute = 60_000

let folder: string
let store: Store
let tokens: Tokens
let exchange: Exchange
let now: number
/** What an issuer would say of a token. */
let issued: Map<string, VerifiedToken>
let grants: LiveGrant[]
let barred: Set<string>
let previewed: Command[]
let refused: (SignIn & { reason: string })[]
let inside: number
const connections = new Map<string, ConnectionRef>(
  ['postgres', 'ssh', 'kubernetes', 'mcp', 'http'].map((kind) => [
    kind,
    { name: kind, kind, tags: [], mode: 'enforce' },
  ]),
)

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'exchange-'))
  store = await openFreshStore(join(folder, 'store.db'))
  now = start
  issued = new Map()
  grants = []
  barred = new Set()
  previewed = []
  refused = []
  inside = 0
  const clock = () => now
  tokens = createTokens({ store, trusts: () => true, log: { error: () => {} }, clock, mostLive: 5 })
  const identity = {
    async verify({ token }: { token: string }) {
      const known = issued.get(token)
      if (!known) throw new TokenError('signature', 'wrong')
      return known
    },
  }
  exchange = createExchange({
    tokens,
    subjectTokens: createSubjectTokens({ identity, db: store.db, clock }),
    connection: (name) => connections.get(name),
    entrance: {
      enter() {
        inside++
        const left = () => void inside--
        return { backing: grants.length > 0 ? { needed: false, grants } : standing, opened() {}, left }
      },
    },
    gate: {
      preview(command) {
        previewed.push(command)
        return { outcome: command.agent.groups.includes('held') ? 'hold' : 'allow', policies: [], reason: '' }
      },
    },
    lifetimes: () => ({ lifetime: 15 * minute, max_lifetime: 60 * minute }),
    barred: ({ id }) => (barred.has(id) ? 'barred' : undefined),
    log: { info() {}, warn() {} },
    clock,
  })
})
afterEach(async () => {
  // Whoever was let in for a look has left again.
  expect(inside).toBe(0)
  await tokens[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function agent(subject: string, more: Partial<AgentPrincipal> = {}): AgentPrincipal {
  const who = { id: `${issuer}#${subject}`, issuer, subject, name: subject, groups: ['ci'] }
  return { kind: 'agent', ...who, expiresAt: new Date(start + 120 * minute), ...more }
}
function person(subject: string): PersonPrincipal {
  const who = { id: `${issuer}#${subject}`, issuer, subject, name: subject, groups: [], roles: [] }
  return { kind: 'person', ...who, expiresAt: new Date(start + 120 * minute) }
}

/** @returns the answer, or the code of the error */
async function ask(fields: Record<string, string> = {}) {
  const jwt = 'urn:ietf:params:oauth:token-type:jwt'
  const form = {
    grant_type: TOKEN_EXCHANGE,
    subject_token: 'executor',
    subject_token_type: jwt,
    audience: 'postgres',
    ...fields,
  }
  const withTypes = { ...form, ...('actor_token' in form && { actor_token_type: jwt }) }
  const signIns = { refused: (one: SignIn & { reason: string }) => void refused.push(one) }
  const body = new URLSearchParams(withTypes).toString()
  return exchange.exchange(body, { address: '10.0.0.1', listeners: {}, signIns }).catch((error) => error)
}

describe('a token lives', () => {
  beforeEach(() => {
    issued.set('executor', { principal: agent('executor') })
    issued.set('short', { principal: agent('short', { expiresAt: new Date(start + 90_500) }) })
    issued.set('ada', { principal: person('ada') })
    grants = [{ id: 'gr_1', actions: ['sql'], endsAt: start + 45_000 }]
  })

  it.each<[fields: Record<string, string>, seconds: number]>([
    [{}, 900],
    [{ requested_token_lifetime: '1' }, 1],
    [{ requested_token_lifetime: '3600' }, 3600],
    [{ requested_token_lifetime: '3601' }, 3600],
    [{ subject_token: 'short' }, 90],
    [{ subject_token: 'ada', actor_token: 'short' }, 90],
    [{ subject_token: 'ada', actor_token: 'executor' }, 900],
    [{ grant: 'gr_1' }, 45],
    [{ grant: 'gr_1', requested_token_lifetime: '10' }, 10],
  ])('with %o for %i seconds', async (fields, seconds) => {
    const answer = await ask(fields)
    expect(answer.expires_in).toBe(seconds)
    const { expiresAt } = await tokens.authenticate(answer.access_token)
    // It says no more than is true, to the second.
    expect(Math.floor((expiresAt.getTime() - start) / 1000)).toBe(seconds)
  })

  it('never for less than a second', async () => {
    now = start + 90_000
    expect((await ask({ subject_token: 'short' })).code).toBe('invalid_request')
    now = start + 45_000
    expect((await ask({ grant: 'gr_1' })).code).toBe('invalid_grant')
  })
})

describe('what may be presented once', () => {
  beforeEach(() => {
    issued.set('executor', { principal: agent('executor') })
    issued.set('assertion', { principal: person('ada'), once: { id: 'one', until: new Date(start + minute) } })
  })

  it('is refused the second time', async () => {
    const both = { subject_token: 'assertion', actor_token: 'executor' }
    expect((await ask(both)).expires_in).toBe(900)
    expect((await ask(both)).code).toBe('invalid_request')
    expect(refused.map(({ reason }) => reason)).toEqual(['the token was presented before, and may be once only'])
  })

  it('is not used up beside what is no good', async () => {
    expect((await ask({ subject_token: 'assertion', actor_token: 'wrong' })).code).toBe('invalid_request')
    expect(
      (await ask({ subject_token: 'assertion', actor_token: 'executor', requested_token_lifetime: 'x' })).code,
    ).toBe('invalid_request')
    expect((await ask({ subject_token: 'assertion', actor_token: 'executor' })).expires_in).toBe(900)
  })

  it('is, of many that come at once, given for one', async () => {
    const all = await Promise.all(
      Array.from({ length: 5 }, () => ask({ subject_token: 'assertion', actor_token: 'executor' })),
    )
    expect(all.filter((one) => one.expires_in === 900)).toHaveLength(1)
  })
})

describe('whoever', () => {
  it.each([
    ['is barred', 'executor', undefined],
    ['acts for one who is', 'ada', 'executor'],
    ['is barred and acts for one who isn’t', 'ben', 'executor'],
  ])('%s gets what one gets for a target that isn’t there', async (what, subject_token, actor_token) => {
    issued.set('executor', { principal: agent('executor') })
    for (const name of ['ada', 'ben']) issued.set(name, { principal: person(name) })
    barred = new Set([`${issuer}#${what.startsWith('is') ? 'executor' : 'ada'}`])
    const both = { subject_token, ...(actor_token && { actor_token }) }
    const [told, nowhere] = [await ask(both), await ask({ ...both, audience: 'nowhere' })]
    expect(told).toMatchObject({ code: 'invalid_target', status: 400 })
    expect(told.message).toBe(nowhere.message)
    expect(previewed).toEqual([])
  })

  it('has as many tokens as they may waits for one to end', async () => {
    issued.set('executor', { principal: agent('executor') })
    for (let n = 0; n < 5; n++) await ask({ requested_token_lifetime: '60' })
    expect(await ask()).toMatchObject({ code: 'temporarily_unavailable', status: 429, retryAfter: 60 })
    now += minute
    expect((await ask()).expires_in).toBe(900)
  })

  it('is to be held at the door is given a token: people are asked when they come in', async () => {
    issued.set('executor', { principal: agent('executor', { groups: ['held'] }) })
    expect((await ask()).expires_in).toBe(900)
  })
})

it.each([
  ['postgres', 'sql:connect', 'postgres'],
  ['ssh', 'ssh:connect', 'ssh'],
  ['kubernetes', 'k8s:connect', 'kubernetes'],
  ['mcp', 'mcp:connect', 'mcp'],
])('policy is asked whether %s may be opened', async (audience, action, protocol) => {
  issued.set('executor', { principal: agent('executor') })
  expect((await ask({ audience, purpose: 'why not' })).connection).toBe(audience)
  expect(previewed).toMatchObject([
    {
      protocol,
      session: { purpose: 'why not' },
      effects: [{ action, resource: { type: 'Connection', id: audience } }],
    },
  ])
})

it('what nothing listens for is no target', async () => {
  issued.set('executor', { principal: agent('executor') })
  expect((await ask({ audience: 'http' })).code).toBe('invalid_target')
})

it('who was refused is told by what the issuer said of them, never by what they say', async () => {
  issued.set('executor', { principal: agent('executor') })
  await ask({ audience: 'nowhere' })
  await ask({ subject_token: 'wrong', audience: 'postgres' })
  await ask({ grant_type: 'x' })
  expect(refused).toEqual([
    { via: 'token', address: '10.0.0.1', who: agent('executor'), reason: 'there is no such connection' },
    { via: 'token', address: '10.0.0.1', reason: 'the token’s signature is wrong' },
    { via: 'token', address: '10.0.0.1', reason: 'what was asked for is no token exchange' },
  ])
})
