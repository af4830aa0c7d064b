import type { IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import {
  type AccessThen,
  type AgentAccess,
  AgentDeclaration,
  AgentPatch,
  AgentRecord,
  BreakGlass,
  BreakGlassReview,
  type ConnectionRecord,
  Delegation,
  DelegationRequest,
  Freeze,
  type PersonRecord,
  type TokenRecord,
} from '@countersign/contract/access'
import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'

/** The rooms of agents and people of a small gateway. What it says is checked by the contract. */
export interface SmallAgents {
  agents: Map<string, AgentRecord>
  tokens: TokenRecord[]
  people: PersonRecord[]
  delegations: Delegation[]
  breakGlass: BreakGlass[]
  /** Lines of “who could do what then”. */
  past: AccessThen[]
  /** Tells the feed of an agent, as it is now. */
  agent(given: Partial<AgentRecord> & { id: string }): AgentRecord
  /** Tells the feed of an emergency. */
  emergency(given: Partial<BreakGlass> & { id: string }): BreakGlass
}

type Told = { items: unknown[] } | { item: unknown } | { problem: string; status: number; members?: object }

const admins = { status: 403, problem: 'Agents are changed by admins; your roles: approver.' }

export function smallAgents(
  say: (type: FeedMessage['type'], data: unknown) => void,
  connections: () => ConnectionRecord[],
) {
  const rooms: SmallAgents = {
    agents: new Map(),
    tokens: [],
    people: [],
    delegations: [],
    breakGlass: [],
    past: [],
    agent(given) {
      const agent = AgentRecord.parse({ ...someAgent(given.id), ...rooms.agents.get(given.id), ...given })
      rooms.agents.set(agent.id, agent)
      say('agent.changed', agent)
      return agent
    },
    emergency(given) {
      const use = BreakGlass.parse({
        ...someEmergency(),
        ...rooms.breakGlass.find(({ id }) => id === given.id),
        ...given,
      })
      rooms.breakGlass = [use, ...rooms.breakGlass.filter(({ id }) => id !== use.id)]
      say(use.review ? 'break-glass.reviewed' : 'break-glass.used', use)
      return use
    },
  }

  async function answer(url: URL, person: Me, request: IncomingMessage): Promise<Told | undefined> {
    const [, , room, id, deed] = url.pathname.split('/').map(decodeURIComponent)
    const by = { id: person.id, issuer: person.issuer, subject: person.subject, name: person.name }
    const admin = person.kind === 'person' && person.roles.includes('admin')
    const now = new Date().toISOString()
    const freezing = room === 'freeze' || room === 'unfreeze' ? room : deed
    if (freezing === 'freeze' || freezing === 'unfreeze') {
      if (!admin)
        return { status: 403, problem: 'Connections are frozen and unfrozen by admins; your roles: approver.' }
      return freeze(room === freezing ? '*' : id!, freezing, ((await json(request)) as { reason: string }).reason)
    }
    if (room === 'people') return { items: rooms.people }
    if (room === 'tokens' && deed === 'revoke') {
      const token = rooms.tokens.find((one) => one.id === id)!
      if (token.revoked) return { status: 409, problem: 'This token has ended already.' }
      token.revoked = { by: person.name, reason: ((await json(request)) as { reason: string }).reason, at: now }
      return { item: token }
    }
    if (room === 'tokens') return { items: rooms.tokens.filter(({ agent }) => agent === url.searchParams.get('agent')) }
    if (room === 'delegations' && deed === 'end') {
      const { reason } = (await json(request)) as { reason: string }
      const one = rooms.delegations.find((each) => each.id === id)!
      Object.assign(one, { state: 'ended', ended: { by: person.name, reason, at: now } })
      say('delegation.changed', one)
      return { item: one }
    }
    if (room === 'delegations' && request.method === 'POST') {
      const { to, ...rest } = DelegationRequest.parse(await json(request))
      const made = Delegation.parse({
        ...{ id: `dl_${rooms.delegations.length + 1}`, since: now, groups: ['oncall-dba'], state: 'active' },
        ...{ ...rest, from: by, to: { id: to, issuer: 'i', subject: to, name: to } },
      })
      rooms.delegations.unshift(made)
      say('delegation.changed', made)
      return { item: made }
    }
    if (room === 'delegations') return { items: rooms.delegations }
    if (room === 'break-glass' && deed === 'review') {
      const review = BreakGlassReview.parse(await json(request))
      if (rooms.breakGlass.find((use) => use.id === id)?.person.id === person.id)
        return { status: 403, problem: 'Nobody reviews what they did themselves.' }
      return { item: rooms.emergency({ id: id!, review: { ...review, by, at: now } }) }
    }
    if (room === 'break-glass') return { items: rooms.breakGlass }
    if (room === 'access') {
      const from = Number(url.searchParams.get('after') ?? 0)
      const limit = Number(url.searchParams.get('limit'))
      const next = from + limit < rooms.past.length ? String(from + limit) : null
      const at = new Date(url.searchParams.get('at')!).toISOString()
      return { item: { at, policy: 'sha256:1', items: rooms.past.slice(from, from + limit), notes: ['=a note'], next } }
    }
    if (room !== 'agents') return undefined
    const known = rooms.agents.get(id ?? '')
    if (deed === 'access') return { item: { agent: id!, since: now, permitted: [], used: [] } satisfies AgentAccess }
    if (request.method === 'POST' || request.method === 'PATCH') {
      if (!admin) return admins
      const body = await json(request)
      if (request.method === 'POST') {
        const { issuer, subject, keys: _, ...told } = AgentDeclaration.parse(body)
        const of = { id: `${issuer}#${subject}`, issuer, subject, declared: true }
        return { item: rooms.agent({ ...of, ...JSON.parse(JSON.stringify(told)) }) }
      }
      const { disabled, reason = '', keys: _, ...told } = AgentPatch.parse(body)
      const state = { state: disabled ? 'disabled' : 'active', disabled: { by: person.name, reason, at: now } }
      const next = { ...known!, ...told, ...(disabled !== undefined && state) }
      return {
        item: rooms.agent(Object.fromEntries(Object.entries(next).filter(([, value]) => value !== null)) as never),
      }
    }
    return id ? { item: known } : { items: [...rooms.agents.values()] }
  }

  function freeze(connection: string, does: 'freeze' | 'unfreeze', reason: string): Told {
    const places = connections().filter(({ name }) => connection === '*' || name === connection)
    const before = places.find((place) => place.freeze?.connection === connection)?.freeze
    if ((does === 'freeze') === (before !== undefined))
      return { status: 409, problem: `${connection} is ${before ? 'frozen already' : 'not frozen'}.` }
    const by = { id: 'i#max', issuer: 'i', subject: 'max', name: 'Max' }
    const at = new Date().toISOString()
    const came = Freeze.parse(
      before ? { ...before, ended: { by, reason, at } } : { id: 'fr_1', connection, by, reason, at },
    )
    for (const place of places) {
      if (before) delete place.freeze
      else place.freeze = came
    }
    say(before ? 'connection.unfrozen' : 'connection.frozen', came)
    return { item: came }
  }

  return { rooms, answer }
}

export function someAgent(id = 'https://idp.example#billing-cleanup'): AgentRecord {
  const [issuer = '', subject = ''] = id.split('#')
  return {
    ...{ id, issuer, subject, name: subject, groups: [], declared: false, state: 'active' },
    ...{ actsFor: [], chain: [id], keys: [], connections: [], openSessions: 0, liveGrants: 0 },
  }
}

export function someEmergency(): BreakGlass {
  return {
    id: 'bg_1',
    approval: 'ap_1',
    agent: 'https://idp.example#billing-cleanup',
    connection: 'orders',
    person: { id: 'i#ben', issuer: 'i', subject: 'ben', name: 'Ben\u202e' },
    reason: 'checkout is down',
    at: new Date().toISOString(),
  }
}
