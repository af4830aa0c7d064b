import type { IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import {
  type ConnectionRecord,
  Grant,
  GrantExtension,
  GrantRequest,
  GrantRevocation,
  type Plan,
} from '@countersign/contract/access'
import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'

/** The rooms of access of a small gateway. What it says is checked by the contract. */
export interface SmallAccess {
  /** In the order in which they were asked for. */
  grants: Map<string, Grant>
  plans: Map<string, Plan>
  connections: ConnectionRecord[]
  /** What it answers to whoever asks for access. */
  access: 'gives' | 'holds' | 'denies' | 'refuses'
  /** Bodies that arrived, in order. */
  wanted: unknown[]
  /** Tells the feed of a grant, as it is now. */
  grant(given: Partial<Grant> & { id: string }): Grant
}

type Told = { items: unknown[] } | { item: unknown } | { problem: string; status: number; members?: object }

export function smallAccess(say: (type: FeedMessage['type'], data: unknown) => void, how: () => SmallAccess['access']) {
  const rooms: Omit<SmallAccess, 'access'> = {
    grants: new Map(),
    plans: new Map(),
    connections: [],
    wanted: [],
    grant(given) {
      const grant = Grant.parse({ ...someGrant(), ...rooms.grants.get(given.id), ...given })
      rooms.grants.set(grant.id, grant)
      const said = {
        requested: 'requested',
        active: 'activated',
        denied: 'denied',
        expired: 'expired',
        revoked: 'revoked',
      }
      say(`grant.${said[grant.state]}` as FeedMessage['type'], grant)
      return grant
    },
  }

  async function asked(body: unknown, more: Partial<Grant>): Promise<Told> {
    rooms.wanted.push(body)
    if (how() === 'refuses')
      return { status: 403, problem: 'No policy permits to ask for that, or there is no such connection.' }
    const id = `gr_${rooms.grants.size + 1}`
    if (how() === 'denies') {
      rooms.grant({ ...more, id, state: 'denied', endedBecause: 'denied by policy never-at-night' })
      return { status: 403, problem: 'Denied by policy never-at-night.', members: { grant: id } }
    }
    return { item: rooms.grant({ ...more, id, state: how() === 'holds' ? 'requested' : 'active' }) }
  }

  async function answer(url: URL, person: Me, request: IncomingMessage): Promise<Told | undefined> {
    const [, , room, id, deed] = url.pathname.split('/').map(decodeURIComponent)
    const given = rooms.grants.get(id ?? '')
    if (room === 'connections') return { items: rooms.connections }
    if (room === 'plans') return { item: rooms.plans.get(id ?? '') }
    if (room !== 'grants') return undefined
    if (deed === 'revoke') {
      const { reason } = GrantRevocation.parse(await json(request))
      if (given?.state !== 'active') return { status: 409, problem: 'It has ended already.' }
      const by = { kind: 'person' as const, id: person.id, name: person.name }
      const ended = { endedAt: new Date().toISOString(), endedBy: by, endedBecause: reason ?? '' }
      return { item: rooms.grant({ ...given, state: 'revoked', ...ended }) }
    }
    if (deed === 'extend') {
      const body = GrantExtension.parse(await json(request))
      return asked(body, { ...given!, purpose: body.purpose, duration: body.duration, extends: given!.id })
    }
    if (request.method === 'POST') {
      const { agent: _, onBehalfOf: __, ...body } = GrantRequest.parse(await json(request))
      return asked(body, body)
    }
    if (id) return { item: given }
    const state = url.searchParams.get('state')
    return { items: [...rooms.grants.values()].filter((grant) => !state || grant.state === state).reverse() }
  }
  return { rooms, answer }
}

export function someGrant(): Grant {
  const agent = {
    id: 'https://idp.example#billing-cleanup',
    issuer: 'https://idp.example',
    subject: 'billing-cleanup',
    name: 'billing-cleanup',
    groups: ['ci-agents'],
  }
  const now = Date.now()
  return {
    id: 'gr_1',
    state: 'active',
    connection: 'orders',
    connectionTags: ['production'],
    agent: agent.id,
    identity: agent,
    actions: ['sql:read'],
    duration: '30m',
    seconds: 1800,
    purpose: 'monthly purge',
    requestedAt: new Date(now - 1000).toISOString(),
    requestedBy: { kind: 'agent', id: agent.id, name: agent.name },
    approvedBy: [],
    policies: ['short-reads'],
    activeFrom: new Date(now).toISOString(),
    expiresAt: new Date(now + 1_800_000).toISOString(),
    sessions: 0,
  }
}
