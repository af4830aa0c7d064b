import type {
  AccessAnswer,
  AgentAccess,
  AgentPatch,
  AgentRecord,
  BreakGlass,
  ConnectionRecord,
  Delegation,
  Freeze,
  PersonRecord,
  TokenRecord,
} from '@countersign/contract/access'
import type { AgentsState, PeopleState } from '../../agents-api.ts'
import { type CallName, ConsoleError, type ConsoleEvent } from '../../console-api.ts'
import type { Me } from '../app/store.ts'

/** What of agents and people a double of the core has. */
export type AgentsKind = 'usual' | 'many' | 'empty' | 'refusing' | 'frozen' | 'looking' | 'none'

const MINUTE = 60_000
const DAY = 86_400_000
const machines = 'https://agents.example.com'
const people = 'https://idp.example.com'
const iso = (ms: number) => new Date(ms).toISOString()
const ref = (subject: string, name: string) => ({ id: `${people}#${subject}`, issuer: people, subject, name })
const ben = ref('ben', 'Ben Osei')
const rae = ref('rae', 'Rae Holm')
const max = ref('admin', 'Max Novak')

function agentOf(subject: string, more: Partial<AgentRecord>): AgentRecord {
  return {
    id: `${machines}#${subject}`,
    issuer: machines,
    subject,
    name: subject,
    groups: ['ci-agents'],
    declared: true,
    state: 'active',
    actsFor: [],
    chain: [`${machines}#${subject}`],
    keys: [],
    connections: [],
    openSessions: 0,
    liveGrants: 0,
    ...more,
  }
}

/** Agents of every kind, as they stand at `now`. */
export function believableAgents(now: number): AgentRecord[] {
  const seen = (minutes: number, days: number) => ({
    lastSeenAt: iso(now - minutes * MINUTE),
    firstSeenAt: iso(now - days * DAY),
  })
  const used = (connection: string, minutes: number, sessions: number) => ({
    connection,
    lastUsedAt: iso(now - minutes * MINUTE),
    sessions,
  })
  return [
    agentOf('support-copilot', {
      ...seen(12, 210),
      groups: ['ci-agents', 'support-agents'],
      sponsor: 'lea@shop.example',
      owner: 'Support',
      orphan: 'sponsor-unknown',
      purpose: 'Helps support with tickets',
      environment: 'production',
      actsFor: [`${people}#teo`, `${people}#noor`],
      chain: [`${machines}#support-copilot`, `${machines}#planner`],
      connections: [used('orders', 12, 841), used('payments', 3 * 1440, 2)],
      openSessions: 1,
    }),
    agentOf('old-importer', {
      ...seen(40 * 1440, 700),
      sponsor: `${people}#kim`,
      sponsorName: 'Kim Vale',
      orphan: 'sponsor-left',
      purpose: 'Imports from the old warehouse',
      environment: 'staging',
      connections: [used('warehouse', 40 * 1440, 12)],
    }),
    agentOf('nightly-7f3', {
      ...seen(600, 3),
      orphan: 'no-sponsor',
      declared: false,
      connections: [used('orders', 600, 3)],
    }),
    agentOf('billing-cleanup', {
      ...seen(2, 320),
      groups: ['ci-agents', 'maintenance-agents'],
      sponsor: ben.id,
      sponsorName: ben.name,
      owner: 'Mina Okafor',
      purpose: 'Purges abandoned payments at the end of each month',
      environment: 'production',
      actsFor: [`${people}#noor`],
      keys: [
        {
          fingerprint: 'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU',
          type: 'ssh-ed25519',
          comment: 'billing@batch-2',
          addedAt: iso(now - 100 * DAY),
          addedBy: max.name,
        },
      ],
      connections: [used('payments', 2, 44), used('orders', 20 * 1440, 310)],
      openSessions: 1,
      liveGrants: 1,
    }),
    agentOf('report-builder', {
      ...seen(31, 400),
      sponsor: ben.id,
      sponsorName: ben.name,
      owner: 'Finance',
      purpose: 'Weekly figures for the shop',
      environment: 'production',
      connections: [used('warehouse', 31, 90)],
    }),
    agentOf('planner', {
      sponsor: ben.id,
      sponsorName: ben.name,
      purpose: 'Plans month ends for other agents',
      environment: 'production',
    }),
    agentOf('deploy-bot', {
      ...seen(5 * 1440, 500),
      sponsor: max.id,
      sponsorName: max.name,
      owner: 'Platform',
      environment: 'staging',
      state: 'disabled',
      disabled: { by: max.name, reason: 'its key leaked with the laptop of 14 November', at: iso(now - 4 * DAY) },
      connections: [used('web-1', 5 * 1440, 77)],
    }),
  ]
}

export function manyAgents(now: number, count: number): AgentRecord[] {
  return Array.from({ length: count }, (_, i) =>
    agentOf(`worker-${String(i).padStart(4, '0')}`, {
      lastSeenAt: iso(now - i * 17 * MINUTE),
      firstSeenAt: iso(now - 90 * DAY),
      purpose: `batch job ${i % 37}`,
      environment: ['production', 'staging', 'development'][i % 3]!,
      ...(i % 23 === 0 ? { orphan: 'no-sponsor' as const } : { sponsor: ben.id, sponsorName: ben.name }),
      ...(i % 41 === 1 ? { state: 'disabled' as const } : {}),
      connections: [{ connection: ['orders', 'warehouse'][i % 2]!, lastUsedAt: iso(now - i * MINUTE), sessions: i }],
    }),
  )
}

/** What an agent may and did: used, never used, held, denied, depends, no longer permitted. */
export function believableAccess(id: string, now: number): AgentAccess {
  const since = now - 90 * DAY
  const may = (
    connection: string,
    action: string,
    resource: string,
    verdict: 'allow' | 'hold' | 'deny' | 'depends',
  ) => ({
    ...{ connection, action, resource, verdict },
    policies:
      verdict === 'deny'
        ? []
        : [{ allow: 'agents-read-the-shop', hold: 'payments-need-a-person', depends: 'small-writes' }[verdict]],
  })
  const did = (connection: string, action: string, resource: string, [allowed, held, denied]: number[]) => ({
    ...{ connection, action, resource },
    ...{ allowed: allowed!, held: held!, denied: denied! },
    firstAt: iso(since + DAY),
    lastAt: iso(now - 40 * MINUTE),
  })
  const table = (name: string) => `orders/public.${name}`
  return {
    agent: id,
    since: `${iso(since).slice(0, 10)}T00:00:00.000Z`,
    permitted: [
      ...['orders', 'customers', 'payments', 'invoices', 'orders_archive'].flatMap((name) => [
        may('orders', 'sql:read', table(name), 'allow'),
        may('orders', 'sql:write', table(name), name === 'payments' ? 'hold' : name === 'orders' ? 'allow' : 'depends'),
        may('orders', 'sql:ddl', table(name), 'hold'),
        may('orders', 'data:reveal', table(name), 'deny'),
      ]),
      may('orders', 'sql:connect', 'orders', 'allow'),
      may('orders', 'sql:read', 'orders', 'depends'),
      may('orders', 'sql:write', 'orders', 'deny'),
      may('orders', 'sql:ddl', 'orders', 'hold'),
      may('orders', 'sql:call', 'orders', 'deny'),
      may('orders', 'sql:admin', 'orders', 'deny'),
      may('orders', 'sql:unknown', 'orders', 'deny'),
      { ...may('payments', 'sql:read', 'payments/public.payments', 'allow'), grant: 'gr_active1' },
      may('payments', 'sql:write', 'payments', 'deny'),
      may('payments', 'sql:connect', 'payments', 'allow'),
    ],
    used: [
      did('orders', 'sql:connect', 'orders', [841, 0, 0]),
      did('orders', 'sql:read', table('orders'), [6902, 0, 0]),
      did('orders', 'sql:read', table('customers'), [1211, 0, 3]),
      did('orders', 'sql:write', table('payments'), [0, 4, 0]),
      did('orders', 'data:reveal', table('customers'), [0, 0, 14]),
      did('orders', 'sql:call', table('recount()'), [12, 0, 0]),
      did('payments', 'sql:read', 'payments/public.payments', [33, 0, 0]),
    ],
    days: Array.from({ length: 90 }, (_, i) => ({
      day: iso(since + (i + 1) * DAY).slice(0, 10),
      allowed: i % 7 > 4 ? 0 : (i * 37) % 190,
      held: i % 30 === 3 ? 2 : 0,
      denied: i % 29 === 11 ? 5 : 0,
    })).filter(({ allowed, held, denied }) => allowed + held + denied > 0),
  }
}

/** The calls about agents and people, on a world that a test can move. */
export function agentsDouble(options: {
  kind: AgentsKind
  me: Me
  now: number
  offline: boolean
  emit(event: ConsoleEvent): void
  connections: () => ConnectionRecord[]
}) {
  const { kind, now, offline, emit } = options
  const me: Me =
    kind === 'looking' || kind === 'none' || options.me.kind === 'agent'
      ? options.me
      : { ...options.me, roles: [...new Set([...options.me.roles, 'reviewer' as const, 'admin' as const])] }
  const empty = kind === 'empty' || kind === 'none'
  const usual = empty ? [] : believableAgents(now)
  const agents = new Map([...(kind === 'many' ? manyAgents(now, 1000) : []), ...usual].map((one) => [one.id, one]))
  const freezes = new Map<string, Freeze>()
  if (kind === 'frozen')
    freezes.set('orders', {
      id: 'fr_1',
      connection: 'orders',
      by: max,
      reason: 'incident 4411: rows vanish',
      at: iso(now - 22 * MINUTE),
    })
  const tokens: TokenRecord[] = [...agents.values()].slice(0, 4).flatMap((agent, i) => [
    {
      id: `tk_${i}a`,
      agent: agent.id,
      identity: { id: agent.id, issuer: machines, subject: agent.subject, name: agent.name, groups: agent.groups },
      connection: 'payments',
      grant: 'gr_active1',
      purpose: 'monthly purge, ticket FIN-2209',
      issuedAt: iso(now - 20 * MINUTE),
      expiresAt: iso(now + 40 * MINUTE),
      lastUsedAt: iso(now - 2 * MINUTE),
    },
    {
      id: `tk_${i}b`,
      agent: agent.id,
      identity: { id: agent.id, issuer: machines, subject: agent.subject, name: agent.name, groups: agent.groups },
      connection: 'orders',
      issuedAt: iso(now - 3 * DAY),
      expiresAt: iso(now - 3 * DAY + 60 * MINUTE),
    },
  ])
  const adaRef = { id: me.id, issuer: me.issuer, subject: me.subject, name: me.name }
  let duty: PeopleState = {
    at: iso(now),
    delegations: empty
      ? []
      : ([
          {
            id: 'dl_1',
            from: ben,
            to: adaRef,
            groups: ['oncall-dba'],
            since: iso(now - DAY),
            until: iso(now + 6 * DAY),
            reason: 'parental leave',
            state: 'active',
          },
          {
            id: 'dl_0',
            from: adaRef,
            to: ben,
            groups: ['sre'],
            since: iso(now - 40 * DAY),
            until: iso(now - 30 * DAY),
            reason: 'holiday',
            state: 'ended',
            ended: { by: 'the gateway', reason: 'its time is over', at: iso(now - 30 * DAY) },
          },
        ] satisfies Delegation[]),
    breakGlass: empty
      ? []
      : ([
          {
            id: 'bg_1',
            approval: 'ap_d001',
            agent: `${machines}#billing-cleanup`,
            connection: 'payments',
            person: ben,
            reason: 'Checkout is down, the lock table has to go, and nobody else answers',
            at: iso(now - 50 * MINUTE),
          },
          {
            id: 'bg_0',
            approval: 'ap_d005',
            agent: `${machines}#report-builder`,
            connection: 'orders',
            person: max,
            reason: 'quarter end closes in ten minutes',
            at: iso(now - 9 * DAY),
            review: {
              by: rae,
              verdict: 'not-justified',
              reason: 'two approvers were online',
              at: iso(now - 8 * DAY),
            },
          },
        ] satisfies BreakGlass[]),
  }
  const everybody: PersonRecord[] = [
    { ...ben, email: 'ben@shop.example', groups: ['oncall-dba', 'support-leads'], roles: ['approver'] },
    { ...rae, email: 'rae@shop.example', groups: ['security'], roles: ['reviewer'] },
    { ...max, email: 'admin@shop.example', groups: ['platform'], roles: ['admin'] },
    { ...adaRef, email: 'ada@shop.example', groups: ['oncall-dba', 'sre'], roles: ['approver'] },
  ].map((one) => ({ ...one, firstSeenAt: iso(now - 300 * DAY), lastSeenAt: iso(now - 30 * MINUTE) }) as PersonRecord)

  const state = (): AgentsState => ({
    at: iso(offline ? now - 29 * MINUTE : Date.now()),
    whole: true,
    more: false,
    loading: false,
    stored: agents.size,
  })
  const asked = () => {
    if (offline)
      throw new ConsoleError('not-connected', 'There is no connection to the gateway. Try again once it is live.')
    if (kind === 'refusing') throw new ConsoleError('refused', 'Agents are changed by admins.')
  }
  const put = (agent: AgentRecord) => {
    agents.set(agent.id, agent)
    emit({ type: 'agents', changed: [agent], removed: [], state: state() })
    return agent
  }
  const changedOf = (agent: AgentRecord, patch: AgentPatch): AgentRecord => {
    const { disabled, reason, keys: _, ...told } = patch
    const next: Record<string, unknown> = { ...agent }
    for (const [name, value] of Object.entries(told)) {
      if (value === null) delete next[name]
      else if (value !== undefined) next[name] = value
    }
    if ('sponsor' in told) {
      const sponsor = everybody.find(({ id }) => id === told.sponsor)
      next.sponsorName = sponsor?.name
      next.orphan = told.sponsor === null ? 'no-sponsor' : sponsor ? undefined : 'sponsor-unknown'
    }
    if (disabled === true)
      Object.assign(next, {
        state: 'disabled',
        disabled: { by: me.name, reason: reason ?? '', at: iso(Date.now()) },
        openSessions: 0,
      })
    if (disabled === false) Object.assign(next, { state: 'active', disabled: undefined })
    return JSON.parse(JSON.stringify(next)) as AgentRecord
  }
  const tell = (what: Partial<PeopleState>) => {
    duty = { ...duty, ...what }
    emit({ type: 'duty', duty })
  }
  const connections = (): ConnectionRecord[] =>
    options.connections().map((one) => {
      const freeze = freezes.get('*') ?? freezes.get(one.name)
      return freeze ? { ...one, freeze } : one
    })
  const answers = {
    agents({ limit = 1000, after }: { limit?: number; after?: string }) {
      const all = [...agents.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
      const from = Number(after ?? 0)
      const next = from + limit < all.length ? String(from + limit) : null
      return { items: all.slice(from, from + limit), next, state: state() }
    },
    agent: ({ id }: { id: string }) => ({ agent: agents.get(id) ?? null, source: offline ? 'local' : 'gateway' }),
    agentAccess({ id }: { id: string }) {
      if (offline) asked()
      if (id.endsWith('planner')) return { agent: id, since: iso(now - 90 * DAY), permitted: [], used: [], days: [] }
      return believableAccess(id, now)
    },
    agentTokens({ id }: { id: string }) {
      if (offline) asked()
      return { items: tokens.filter((token) => token.agent === id) }
    },
    revokeToken({ token: id, reason }: { token: string; reason: string }) {
      asked()
      const token = tokens.find((one) => one.id === id)!
      token.revoked = { by: me.name, reason, at: iso(Date.now()) }
      return token
    },
    changeAgent({ id, patch }: { id: string; patch: AgentPatch }) {
      asked()
      return put(changedOf(agents.get(id)!, patch))
    },
    declareAgent({ issuer, subject, ...told }: { issuer: string; subject: string }) {
      asked()
      const fresh = agentOf(subject, { id: `${issuer}#${subject}`, issuer, orphan: 'no-sponsor' })
      return put(changedOf(fresh, told))
    },
    accessThen({ at }: { at: string }): Omit<AccessAnswer, 'next'> & { whole: boolean } {
      asked()
      const line = (agent: AgentRecord) => ({ agent: agent.id, name: agent.name })
      return {
        at,
        policy: `sha256:${'5b6c'.repeat(16)}`,
        whole: true,
        items: [...agents.values()].slice(0, 300).flatMap((agent) => [
          {
            ...line(agent),
            ...{ connection: 'orders', action: 'sql:read', resource: 'orders', verdict: 'allow' as const },
            through: { kind: 'policy' as const, policies: ['agents-read-the-shop'] },
          },
          {
            ...line(agent),
            ...{ connection: 'orders', action: 'sql:ddl', resource: 'orders', verdict: 'hold' as const },
            through: { kind: 'policy' as const, policies: ['schema-changes'] },
          },
          {
            ...line(agent),
            ...{ connection: 'payments', action: 'sql:read', resource: 'payments/public.payments' },
            verdict: 'allow' as const,
            through: {
              ...{ kind: 'grant' as const, policies: ['short-reads-are-given'], grant: 'gr_active1' },
              ...{ from: iso(now - 30 * MINUTE), until: iso(now + 30 * MINUTE), approvedBy: ['Ben Osei'] },
            },
          },
        ]),
      }
    },
    exportAccessThen() {
      asked()
      return { state: 'written', where: '/home/ada/access.csv', lines: 900 }
    },
    freeze({ connection, reason }: { connection: string; reason: string }) {
      asked()
      const freeze = { id: `fr_${freezes.size + 2}`, connection, by: adaRef, reason, at: iso(Date.now()) }
      freezes.set(connection, freeze)
      emit({ type: 'connections', items: connections() })
      return freeze
    },
    unfreeze({ connection, reason }: { connection: string; reason: string }) {
      asked()
      const freeze = freezes.get(connection)!
      freezes.delete(connection)
      emit({ type: 'connections', items: connections() })
      return { ...freeze, ended: { by: adaRef, reason, at: iso(Date.now()) } }
    },
    connections: () => ({ items: connections(), at: iso(now) }),
    people() {
      if (offline) asked()
      return { items: everybody }
    },
    duty: () => duty,
    delegate(input: { to: string; until: string; since?: string; groups?: string[]; reason: string }) {
      asked()
      const to = everybody.find(({ id }) => id === input.to)!
      const made: Delegation = {
        id: `dl_${duty.delegations.length + 2}`,
        from: adaRef,
        to: { id: to.id, issuer: to.issuer, subject: to.subject, name: to.name },
        groups: input.groups ?? ['oncall-dba'],
        since: input.since ?? iso(Date.now()),
        until: input.until,
        reason: input.reason,
        state: input.since ? 'planned' : 'active',
      }
      tell({ delegations: [made, ...duty.delegations] })
      return made
    },
    endDelegation({ id, reason }: { id: string; reason: string }) {
      asked()
      const ended = { by: me.name, reason, at: iso(Date.now()) }
      const one = { ...duty.delegations.find((each) => each.id === id)!, state: 'ended' as const, ended }
      tell({ delegations: duty.delegations.map((each) => (each.id === id ? one : each)) })
      return one
    },
    reviewBreakGlass({ id, verdict, reason }: { id: string; verdict: 'justified' | 'not-justified'; reason: string }) {
      asked()
      const review = { by: adaRef, verdict, reason, at: iso(Date.now()) }
      const one = { ...duty.breakGlass.find((each) => each.id === id)!, review }
      tell({ breakGlass: duty.breakGlass.map((each) => (each.id === id ? one : each)) })
      return one
    },
  } satisfies Partial<Record<CallName, (input: never) => unknown>>
  return { answers, agents, me }
}
