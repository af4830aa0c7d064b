import type { ConnectionRecord, Doer, Grant } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'
import type { Session } from '@countersign/contract/session'
import type { GrantsState } from '../../access-api.ts'
import { type CallName, ConsoleError, type ConsoleEvent } from '../../console-api.ts'
import type { Me } from '../app/store.ts'

/** What of access a double of the core has. */
export type AccessKind = 'usual' | 'many' | 'empty' | 'partial' | 'refusing' | 'looking'

const MINUTE = 60_000
const machines = 'https://agents.example.com'
const people = 'https://idp.example.com'
const iso = (ms: number) => new Date(ms).toISOString()

const agent = (name: string, more: Partial<AgentRef> = {}): AgentRef => ({
  id: `${machines}#${name}`,
  issuer: machines,
  subject: name,
  name,
  groups: ['ci-agents'],
  ...more,
})
const agents = {
  billing: agent('billing-cleanup', { owner: 'Mina Okafor', onBehalfOf: 'Noor Haddad' }),
  deploy: agent('deploy-bot', { owner: 'Platform' }),
  support: agent('support-copilot', { owner: 'Support', onBehalfOf: 'Teo Brandt', chain: ['planner'] }),
  report: agent('report-builder', { owner: 'Finance' }),
  etl: agent('etl-nightly', { owner: 'Ada Lind' }),
  planner: agent('planner', { owner: 'Mina Okafor' }),
}
const tagsOf: Record<string, string[]> = {
  orders: ['production', 'pci'],
  payments: ['production'],
  warehouse: ['staging'],
  'web-1': ['staging'],
}
const ben = { person: 'Ben Osei', personId: `${people}#ben` }
const benDoes: Doer = { kind: 'person', id: ben.personId, name: ben.person }
const gateway: Doer = { kind: 'gateway', id: 'gateway', name: 'gateway' }
const asAgent = (who: AgentRef): Doer => ({ kind: 'agent', id: who.id, name: who.name })

type Given = Partial<Grant> & {
  id: string
  identity: AgentRef
  connection: string
  seconds: number
  requestedAt: string
}

function grant(given: Given): Grant {
  const { seconds } = given
  return {
    state: 'active',
    agent: given.identity.id,
    connectionTags: tagsOf[given.connection] ?? [],
    actions: ['sql:read'],
    duration: seconds % 3600 === 0 ? `${seconds / 3600}h` : `${seconds / 60}m`,
    purpose: 'weekly revenue report',
    requestedBy: asAgent(given.identity),
    approvedBy: [],
    policies: ['short-reads-are-given'],
    sessions: 0,
    ...given,
  }
}

/** Grants of every kind, as they stand at `now`; those that wait are of `believableRequests`. */
export function believableGrants(now: number): Grant[] {
  const active = (minutesAgo: number, seconds: number) => ({
    requestedAt: iso(now - minutesAgo * MINUTE - 40_000),
    activeFrom: iso(now - minutesAgo * MINUTE),
    expiresAt: iso(now - minutesAgo * MINUTE + seconds * 1000),
    seconds,
  })
  const ended = (minutesAgo: number, seconds: number, after = seconds) => ({
    requestedAt: iso(now - minutesAgo * MINUTE - 40_000),
    activeFrom: iso(now - minutesAgo * MINUTE),
    expiresAt: iso(now - minutesAgo * MINUTE + seconds * 1000),
    endedAt: iso(now - minutesAgo * MINUTE + after * 1000),
    seconds,
  })
  return [
    ...requestedGrants(now),
    grant({
      id: 'gr_active1',
      identity: agents.billing,
      connection: 'payments',
      ...active(38, 3600),
      duration: '2h',
      actions: ['sql:read', 'sql:write'],
      resources: ['payments/public.payments', 'payments/public.refunds'],
      purpose: 'monthly purge, ticket FIN-2209',
      approval: 'ap_acc1',
      approvedBy: [{ ...ben, reason: 'FIN-2209 is signed off; an hour will do', at: iso(now - 38 * MINUTE) }],
      policies: ['longer-or-writing-needs-a-person'],
      sessions: 3,
      lastUsedAt: iso(now - 2 * MINUTE),
      usedBy: [
        { session: 'se_7h2k', at: iso(now - 2 * MINUTE) },
        { session: 'se_d001', at: iso(now - 20 * MINUTE) },
        { session: 'se_older', at: iso(now - 35 * MINUTE) },
      ],
    }),
    grant({
      id: 'gr_active2',
      identity: agents.report,
      connection: 'warehouse',
      ...active(13, 900),
      sessions: 1,
      lastUsedAt: iso(now - 12 * MINUTE),
    }),
    grant({
      id: 'gr_bg',
      identity: agents.deploy,
      connection: 'orders',
      ...active(52, 7200),
      actions: ['sql'],
      purpose: 'restore the orders that the migration dropped\u202e, incident 4471',
      breakGlass: true,
      approval: 'ap_bg',
      approvedBy: [{ ...ben, reason: 'incident 4471: orders are gone, nobody else awake', at: iso(now - 52 * MINUTE) }],
      policies: ['longer-or-writing-needs-a-person', 'everything-needs-two'],
      sessions: 1,
      lastUsedAt: iso(now - 30 * MINUTE),
      usedBy: [{ session: 'se_3m9q', at: iso(now - 30 * MINUTE) }],
    }),
    grant({
      id: 'gr_ext',
      identity: agents.etl,
      connection: 'warehouse',
      ...active(8, 4 * 3600),
      extends: 'gr_ext0',
      actions: ['sql:read', 'sql:write', 'sql:ddl'],
      purpose: 'the nightly load takes longer than it should',
    }),
    grant({
      id: 'gr_ext0',
      identity: agents.etl,
      connection: 'warehouse',
      ...ended(130, 7200),
      state: 'expired',
      endedBy: gateway,
      endedBecause: 'its time was over',
      actions: ['sql:read', 'sql:write', 'sql:ddl'],
      sessions: 2,
      lastUsedAt: iso(now - 11 * MINUTE),
    }),
    grant({
      id: 'gr_rev',
      identity: agents.support,
      connection: 'orders',
      ...ended(190, 3600, 1260),
      state: 'revoked',
      endedBy: benDoes,
      endedBecause: 'it read customers of another ticket',
      purpose: 'ticket 8790: refund asked for',
      sessions: 1,
    }),
    grant({
      id: 'gr_den',
      identity: agents.deploy,
      connection: 'orders',
      state: 'denied',
      seconds: 8 * 3600,
      requestedAt: iso(now - 300 * MINUTE),
      endedAt: iso(now - 291 * MINUTE),
      endedBy: benDoes,
      endedBecause: 'denied by Ben Osei: name the tables, and an hour will do',
      actions: ['sql'],
      purpose: 'clean up after the import',
      approval: 'ap_den',
      policies: ['longer-or-writing-needs-a-person'],
    }),
    ...Array.from({ length: 14 }, (_, i) =>
      grant({
        id: `gr_past${i}`,
        identity: [agents.report, agents.support, agents.etl, agents.billing][i % 4]!,
        connection: ['warehouse', 'orders', 'warehouse', 'payments'][i % 4]!,
        ...ended(400 + i * 171, 900 + (i % 3) * 2700),
        state: 'expired',
        endedBy: gateway,
        endedBecause: 'its time was over',
        sessions: i % 3,
      }),
    ),
  ]
}

/** What waits for people: one grant, an extension that is escalated, a plan of four steps. */
function requestedGrants(now: number): Grant[] {
  const waits = (minutesAgo: number, left: number) => ({
    state: 'requested' as const,
    requestedAt: iso(now - minutesAgo * MINUTE),
    expiresAt: iso(now + left * MINUTE),
  })
  const step = (number: number, title: string, identity: AgentRef, more: Partial<Grant> & { seconds: number }) =>
    grant({
      id: `gr_plan${number}`,
      identity,
      connection: 'payments',
      ...waits(3, 7),
      plan: 'pl_1',
      step: { number, of: 4, title },
      purpose: 'month end, ticket FIN-2240',
      requestedBy: asAgent(agents.planner),
      approval: 'ap_plan',
      policies: ['longer-or-writing-needs-a-person'],
      ...more,
    })
  return [
    grant({
      id: 'gr_req',
      identity: agents.support,
      connection: 'orders',
      ...waits(2, 8),
      seconds: 7200,
      actions: ['sql:read', 'sql:write', 'data:reveal'],
      resources: ['orders/public.customers', 'orders/public.orders', 'email'],
      purpose: 'refund of ticket 8812, please be quick',
      approval: 'ap_req',
      policies: ['longer-or-writing-needs-a-person'],
    }),
    grant({
      id: 'gr_esc',
      identity: agents.etl,
      connection: 'warehouse',
      ...waits(6, 4),
      seconds: 8 * 3600,
      extends: 'gr_ext',
      actions: ['sql:read', 'sql:write', 'sql:ddl'],
      purpose: 'the load is stuck behind a lock',
      approval: 'ap_esc',
      policies: ['longer-or-writing-needs-a-person'],
    }),
    step(1, 'Count what is unsettled', agents.report, {
      seconds: 900,
      resources: ['payments/public.payments'],
    }),
    step(2, 'Settle what was paid', agents.billing, {
      seconds: 1800,
      actions: ['sql:read', 'sql:write'],
      resources: ['payments/public.payments'],
    }),
    step(3, 'Compare with the orders', agents.report, {
      connection: 'orders',
      connectionTags: tagsOf.orders!,
      seconds: 900,
      resources: ['orders/public.orders'],
    }),
    step(4, 'Close the month', agents.billing, { seconds: 600, actions: ['sql:call'] }),
  ]
}

/** The approvals by which people decide what was asked for. */
export function believableRequests(now: number): Approval[] {
  const grants = new Map(requestedGrants(now).map((one) => [one.id, one]))
  const request = (id: string, ids: string[], more: Partial<Approval> = {}): Approval => {
    const [first] = ids.map((each) => grants.get(each)!)
    const seconds = Math.max(...ids.map((each) => grants.get(each)!.seconds))
    return {
      id,
      state: 'pending',
      connection: first!.connection,
      connectionTags: first!.connectionTags,
      protocol: 'access',
      agent: first!.agent,
      identity: first!.identity,
      session: '',
      purpose: first!.purpose,
      access: { grants: ids, requestedBy: first!.requestedBy, seconds },
      command: {
        text: ids
          .map((each) => grants.get(each)!)
          .map(
            ({ actions, connection, resources, duration }) =>
              `${actions.join(', ')} on ${resources?.join(', ') ?? connection} for ${duration}`,
          )
          .join('\n'),
        parameters: [],
        kind: 'request',
        effects: [
          {
            action: 'access:request',
            resource: { type: 'Connection', id: first!.connection },
            kind: 'request',
            bounded: true,
          },
        ],
        digest: `sha256:${id.length.toString(16).repeat(64).slice(0, 64)}`,
      },
      requirements: [
        {
          policy: 'longer-or-writing-needs-a-person',
          reason: 'Writing, or an hour and more: somebody on call looks at what for',
          groups: ['oncall-dba'],
          quorum: 1,
          approvedBy: [],
          escalation: [{ after: '4m', groups: ['support-leads'] }],
        },
      ],
      decisions: [],
      requestedAt: first!.requestedAt,
      expiresAt: first!.expiresAt!,
      hold: 'fail',
      mayDecide: true,
      ...more,
    }
  }
  const escalated = request('ap_esc', ['gr_esc'])
  return [
    request('ap_req', ['gr_req'], { mayBreakGlass: true }),
    {
      ...escalated,
      requirements: [
        {
          ...{ ...escalated.requirements[0]!, groups: ['support'], critical: true },
          ...{ escalation: [{ after: '4m', groups: ['oncall-dba'] }], escalatedTo: ['oncall-dba'] },
        },
      ],
    },
    request('ap_plan', ['gr_plan1', 'gr_plan2', 'gr_plan3', 'gr_plan4'], {
      agent: agents.planner.id,
      identity: agents.planner,
      access: {
        grants: ['gr_plan1', 'gr_plan2', 'gr_plan3', 'gr_plan4'],
        plan: 'pl_1',
        title: 'Close the books of October',
        requestedBy: asAgent(agents.planner),
        seconds: 1800,
        agents: [agents.report, agents.billing],
      },
    }),
    {
      ...request('ap_acc1', ['gr_req']),
      state: 'used',
      connection: 'payments',
      connectionTags: ['production'],
      agent: agents.billing.id,
      identity: agents.billing,
      purpose: 'monthly purge, ticket FIN-2209',
      access: { grants: ['gr_active1'], requestedBy: asAgent(agents.billing), seconds: 7200 },
      mayDecide: false,
      requestedAt: iso(now - 39 * MINUTE),
      expiresAt: iso(now - 29 * MINUTE),
      closedAt: iso(now - 38 * MINUTE),
      decisions: [
        {
          ...ben,
          verdict: 'approve',
          reason: 'FIN-2209 is signed off; an hour will do',
          window: '1h',
          at: iso(now - 38 * MINUTE),
          inPlaceOf: ['Mina Okafor'],
        },
      ],
    },
  ]
}

/** `count` grants of hundreds of agents, over the last thirty days; each hundredth is live, each thousandth waits. */
export function manyGrants(now: number, count: number): Grant[] {
  const connections = Object.keys(tagsOf)
  return Array.from({ length: count }, (_, i) => {
    const seconds = 900 * (1 + (i % 16))
    const live = i % 100 === 0
    const from = live ? now - seconds * 500 : now - (i * 4 + 10) * MINUTE - seconds * 1000
    const at = {
      requestedAt: iso(from - 30_000),
      activeFrom: iso(from),
      expiresAt: iso(from + seconds * 1000),
      seconds,
    }
    const identity = agent(`worker-${String(i % 400).padStart(3, '0')}`, { owner: 'Platform' })
    const connection = connections[i % connections.length]!
    const id = `gr_m${String(i).padStart(5, '0')}`
    const purpose = `wave ${i % 97}, ticket OPS-${1000 + i}`
    if (live) return grant({ id, identity, connection, ...at, purpose })
    const end = { endedAt: at.expiresAt, endedBy: gateway, endedBecause: 'its time was over' }
    return grant({ id, identity, connection, ...at, ...end, purpose, state: i % 7 === 0 ? 'revoked' : 'expired' })
  })
}

const connectionsOf = (): ConnectionRecord[] =>
  Object.entries(tagsOf).map(([name, tags]) => ({
    name,
    kind: name === 'web-1' ? 'ssh' : 'postgres',
    tags,
    access: name === 'warehouse' ? 'standing' : 'jit',
    mode: 'enforce',
    openSessions: 2,
    liveGrants: 1,
  }))

/** The calls about access, on a world that a test can move. */
export function accessDouble(options: {
  kind: AccessKind
  me: Me
  now: number
  offline: boolean
  emit(event: ConsoleEvent): void
  approvals: Map<string, Approval>
  sessions: Map<string, Session>
}) {
  const { kind, me, now, offline, emit } = options
  const usual = kind === 'empty' ? [] : believableGrants(now)
  const grants = new Map((kind === 'many' ? [...manyGrants(now, 10_000), ...usual] : usual).map((one) => [one.id, one]))
  const state = (): GrantsState => ({
    at: iso(offline ? now - 29 * MINUTE : Date.now()),
    whole: kind !== 'partial',
    more: false,
    loading: false,
    stored: grants.size,
    seesAll: me.kind === 'person' && me.roles.some((role) => role !== 'approver'),
    ...(kind === 'partial' ? { problem: 'gw.prod.example did not answer in time.' } : {}),
  })
  const put = (grant: Grant) => {
    grants.set(grant.id, grant)
    emit({ type: 'grants', changed: [grant], removed: [], state: state() })
  }
  const asked = () => {
    if (offline)
      throw new ConsoleError('not-connected', 'There is no connection to the gateway. Try again once it is live.')
    if (kind === 'refusing')
      throw new ConsoleError('refused', 'It was refused: no policy permits this agent to ask for that.')
  }
  let made = 0
  const requested = (given: Given): Grant => {
    made += 1
    const fresh = grant({
      ...given,
      id: `gr_new${made}`,
      state: given.seconds > 900 ? 'requested' : 'active',
      requestedBy: { kind: 'person', id: me.id, name: me.name },
      ...(given.seconds > 900
        ? { expiresAt: iso(Date.now() + 10 * MINUTE), approval: `ap_new${made}` }
        : { activeFrom: iso(Date.now()), expiresAt: iso(Date.now() + given.seconds * 1000) }),
    })
    setTimeout(() => put(fresh), 30)
    return fresh
  }
  const secondsIn = (duration: string) =>
    Number.parseInt(duration, 10) * { s: 1, m: 60, h: 3600, d: 86_400 }[duration.at(-1) as 'm']
  const answers = {
    grants({ limit = 1000, after }: { limit?: number; after?: string }) {
      const all = [...grants.values()].sort((a, b) => (a.requestedAt < b.requestedAt ? 1 : -1))
      const from = Number(after ?? 0)
      return {
        items: all.slice(from, from + limit),
        next: from + limit < all.length ? String(from + limit) : null,
        state: state(),
      }
    },
    grant: ({ id }: { id: string }) => ({ grant: grants.get(id) ?? null, source: offline ? 'local' : 'gateway' }),
    plan({ id }: { id: string }) {
      const steps = [...grants.values()].filter((one) => one.plan === id)
      const [first] = steps
      if (!first) return null
      return {
        ...{ id, state: 'requested', title: 'Close the books of October', purpose: first.purpose },
        ...{ requestedAt: first.requestedAt, requestedBy: first.requestedBy, grants: steps },
      }
    },
    asked({ approval }: { approval: string }) {
      const ids = options.approvals.get(approval)?.access?.grants ?? []
      const items = ids.flatMap((id) => {
        const one = grants.get(id)
        if (!one) return []
        const earlier = [...grants.values()].filter(
          (old) => old.agent === one.agent && old.connection === one.connection && old.requestedAt < one.requestedAt,
        )
        const given = earlier.filter((old) => old.activeFrom !== undefined)
        const extended = one.extends === undefined ? undefined : grants.get(one.extends)
        return [
          {
            grant: one,
            before: {
              given: given.length,
              denied: earlier.length - given.length,
              longest: Math.max(0, ...given.map(({ seconds }) => seconds)),
              actions: [...new Set(given.flatMap(({ actions }) => actions))],
            },
            ...(extended && { extended }),
          },
        ]
      })
      return { items, missing: ids.length - items.length, state: state() }
    },
    connections: () => ({ items: connectionsOf(), at: iso(now) }),
    askable() {
      asked()
      return {
        agents: Object.values(agents).map(({ id, name, issuer, owner, onBehalfOf }, i) => ({
          ...{ id, name, issuer, state: i === 4 ? 'disabled' : 'active', actsFor: onBehalfOf ? [onBehalfOf] : [] },
          ...(owner && { owner }),
        })),
        connections: connectionsOf(),
      }
    },
    requestGrant(request: {
      agent?: string
      connection: string
      actions: string[]
      duration: string
      purpose: string
    }) {
      asked()
      const identity = Object.values(agents).find(({ id }) => id === request.agent) ?? agents.report
      const { agent: _, ...rest } = request
      return {
        grant: requested({
          ...rest,
          id: '',
          identity,
          seconds: secondsIn(request.duration),
          requestedAt: iso(Date.now()),
        }),
      }
    },
    extendGrant(input: { grant: string; duration: string; purpose: string }) {
      asked()
      const { usedBy: _, lastUsedAt: __, endedAt: ___, ...old } = grants.get(input.grant)!
      const { duration, purpose } = input
      return {
        grant: requested({
          ...{ ...old, duration, purpose, extends: old.id, approvedBy: [], sessions: 0 },
          ...{ seconds: secondsIn(duration), requestedAt: iso(Date.now()) },
        }),
      }
    },
    revokeGrant({ grant: id, reason }: { grant: string; reason: string }) {
      asked()
      const by: Doer = { kind: 'person', id: me.id, name: me.name }
      const ended = { endedAt: iso(Date.now()), endedBy: by, endedBecause: reason }
      const revoked: Grant = { ...grants.get(id)!, state: 'revoked', ...ended }
      setTimeout(() => put(revoked), 60)
      return { grant: revoked }
    },
  } satisfies Partial<Record<CallName, (input: never) => unknown>>
  return { answers, grants, put }
}
