import type { AgentUse, Permission } from '@countersign/contract/access'
import type {
  BulkPreview,
  Campaign,
  CampaignItem,
  CampaignItemPage,
  CampaignTemplate,
  ItemEvidence,
  ObservedUse,
  Recommendation,
  ReviewSignals,
} from '@countersign/contract/review'
import { type CallName, ConsoleError, type ConsoleEvent } from '../../console-api.ts'
import type { CampaignsState, ItemDecided, ItemsState, PendingReview } from '../../reviews-api.ts'
import type { Me } from '../app/store.ts'

/**
 * What of reviews a double of the core has: the usual ones for a reviewer, 10,000 items, none, ones for an admin or an
 * auditor, decisions that were refused, a snapshot that is being taken; `none`: the person sees no reviews.
 */
export type ReviewsKind = 'usual' | 'many' | 'empty' | 'admin' | 'auditor' | 'refused' | 'starting' | 'failing' | 'none'

const DAY = 86_400_000
const people = 'https://idp.example.com'
const machines = 'https://agents.example.com'
const iso = (ms: number) => new Date(ms).toISOString()
const ref = (subject: string, name: string) => ({ id: `${people}#${subject}`, issuer: people, subject, name })
const ben = ref('ben', 'Ben Osei')
const rae = ref('rae', 'Rae Holm')
const hash = 'c0ffee'.padEnd(64, '7')

type Item = Partial<CampaignItem> & { name: string; connection: string }

/** Items that tell something each, as they stand at `now`. */
export function believableItems(now: number, me: ReturnType<typeof ref>, campaign = 'ca_q4'): CampaignItem[] {
  const given: Item[] = [
    {
      ...{
        name: 'old-importer',
        connection: 'warehouse',
        privileged: true,
        orphan: 'sponsor-left',
        sponsor: 'Kim Vale',
      },
      privilegedBecause: ['may drop tables of production'],
      ...{ commands: 0, permittedCells: 14, usedCells: 0 },
      recommendation: { verdict: 'revoke', summary: 'never used · sponsor left in June' },
    },
    {
      ...{ name: 'report-builder', connection: 'orders', commands: 8113, permittedCells: 9, usedCells: 2 },
      lastUsedAt: iso(now - 2 * 3_600_000),
      recommendation: { verdict: 'reduce', summary: '2 of 9 privileges used in 90 days' },
    },
    {
      ...{ name: 'support-copilot', connection: 'crm tools', refused: 14, held: 3, commands: 2204 },
      ...{ permittedCells: 6, usedCells: 6, lastUsedAt: iso(now - 600_000) },
      recommendation: { verdict: 'abstain', summary: '14 denials, 3 holds refused' },
    },
    {
      ...{ name: 'deploy-bot', connection: 'prod-k8s', commands: 911, permittedCells: 8, usedCells: 7 },
      recommendation: { verdict: 'certify', summary: '7 of 8 used · no denials' },
    },
    {
      ...{ name: 'nightly-7f3\u202e', connection: 'orders', commands: 40, permittedCells: 3, usedCells: 3 },
      recommendation: { verdict: 'certify', summary: '3 of 3 used · no denials' },
    },
    {
      ...{ name: 'jit-payments', connection: 'payments', kind: 'rule', access: 'jit', commands: 61 },
      recommendation: { verdict: 'abstain', summary: '61 uses, 5 were drawn' },
    },
    {
      ...{ name: 'billing-cleanup', connection: 'payments', mine: false, reviewers: [rae], stage: 1, stages: 2 },
      ...{ commands: 301, permittedCells: 4, usedCells: 3 },
      recommendation: { verdict: 'certify', summary: '3 of 4 used · no denials' },
    },
    {
      ...{ name: 'patch-runner', connection: 'web-*', verdict: 'reduce', decidedBy: me, application: 'verified' },
      ...{ connectionTags: ['staging'], overlay: 'ov_1', decidedAt: iso(now - DAY), how: 'reviewer' },
      recommendation: { verdict: 'reduce', summary: '3 of 20 used' },
    },
    {
      ...{ name: 'etl-nightly', connection: 'orders', verdict: 'reduce', decidedBy: me, application: 'pending' },
      ...{ overlay: 'ov_2', decidedAt: iso(now - 3_600_000), how: 'reviewer' },
      recommendation: { verdict: 'certify', summary: '9 of 9 used' },
    },
    {
      ...{ name: 'archive-bot', connection: 'warehouse', verdict: 'revoke', decidedBy: ben, application: 'failed' },
      ...{ overlay: 'ov_3', decidedAt: iso(now - 2 * DAY), how: 'reviewer' },
      recommendation: { verdict: 'revoke', summary: 'idle for 80 days' },
    },
  ]
  return given.map((item, i) => itemOf(now, me, campaign, i + 1, item))
}

function itemOf(now: number, me: ReturnType<typeof ref>, campaign: string, number: number, item: Item): CampaignItem {
  return {
    ...{ id: `it_${campaign.slice(3)}_${number}`, campaign, number, kind: 'access' },
    ...(item.kind === 'rule' ? {} : { agent: `${machines}#${item.name}` }),
    ...{ sponsor: 'Noor Haddad', owner: 'Finance', groups: ['ci-agents'], connectionTags: ['production'] },
    ...{ access: 'standing', privileged: false, privilegedBecause: [], lastUsedAt: iso(now - DAY) },
    ...{ commands: 120, refused: 0, held: 0, permittedCells: 9, usedCells: 4 },
    ...{ stage: 0, stages: 1, reviewers: [me], mine: true, verdict: 'undecided' },
    ...{ evidence: hash, revision: 0, comments: 0, ...item },
  } as CampaignItem
}

function manyItems(now: number, me: ReturnType<typeof ref>, count: number): CampaignItem[] {
  return Array.from({ length: count }, (_, i) => {
    const verdict = (['certify', 'reduce', 'revoke', 'abstain'] as const)[i % 4]!
    return itemOf(now, me, 'ca_q4', i + 1, {
      ...{ name: `worker-${String(i).padStart(5, '0')}`, connection: ['orders', 'payments', 'warehouse'][i % 3]! },
      ...(i % 10 === 0 ? { mine: false, reviewers: [rae] } : {}),
      privileged: i % 50 === 1,
      recommendation: { verdict, summary: `${i % 9} of 9 privileges used in 90 days` },
    })
  })
}

const may = (action: string, resource: string, verdict: Permission['verdict'] = 'allow'): Permission => ({
  ...{ connection: 'orders', action, resource, verdict, policies: ['agents.cedar#2'] },
})
const did = (now: number, action: string, kind: string, table: string, allowed: number, more: Partial<AgentUse> = {}) =>
  ({
    ...{ connection: 'orders', action, resource: `orders/public.${table}`, allowed, held: 0, denied: 0 },
    ...{ firstAt: iso(now - 80 * DAY), lastAt: iso(now - 7_200_000), type: 'Table', kind, unbounded: 0, ...more },
  }) as ObservedUse

function evidenceOf(now: number, item: CampaignItem): ItemEvidence {
  const quiet = item.refused + item.held === 0
  const at = iso(now - 7 * DAY)
  const orders = item.connection === 'orders' && item.commands > 1000
  const cited = (n: number, outcome: 'deny' | 'hold', text: string, why: string) => ({
    ...{ session: 'se_d001', command: `c0-${n}`, at: iso(now - (n + 1) * 3_600_000), text, why },
    verdict: { outcome, policies: ['no-bulk-customers'] },
    purpose: 'answer a ticket',
  })
  return {
    ...{ format: 'countersign-evidence/1', campaign: item.campaign, item: item.id, at },
    window: { from: iso(now - 97 * DAY), to: at },
    coverage: { commands: 48_190, unreadable: 0, since: iso(now - 97 * DAY), notes: [] },
    identity: {
      ...{ name: item.name, state: 'active', groups: item.groups, actsFor: [], environment: 'production' },
      ...(item.agent && { agent: item.agent, issuer: machines }),
      ...(item.sponsor && { sponsor: `${people}#noor`, sponsorName: item.sponsor }),
      ...(item.owner && { owner: item.owner }),
      ...(item.orphan && { orphan: item.orphan }),
      purpose: item.orphan ? 'Imports from the old warehouse' : 'weekly revenue report',
      ...(item.commands > 0 && item.lastUsedAt && { lastUsedAt: item.lastUsedAt }),
      firstSeenAt: iso(now - 262 * DAY),
      lastCertified: { campaign: 'ca_q3', at: iso(now - 98 * DAY), by: 'Ben Osei' },
    },
    connection: {
      name: item.connection,
      kind: 'postgres',
      tags: item.connectionTags,
      access: item.access,
      mode: 'enforce',
    },
    permitted: orders
      ? [
          may('sql:connect', 'orders'),
          ...['orders', 'customers', 'payments'].map((table) => may('sql:read', `orders/public.${table}`)),
          ...['orders', 'payments'].map((table) => may('sql:write', `orders/public.${table}`)),
          may('sql:ddl', 'orders', 'deny'),
        ]
      : [may('sql:read', item.connection), may('sql:write', item.connection, 'hold')].map((each) => ({
          ...each,
          connection: item.connection,
        })),
    used: orders
      ? [
          did(now, 'sql:read', 'select', 'orders', 6902),
          did(now, 'sql:read', 'select', 'customers', 1211),
          did(now, 'sql:connect', 'connect', 'x', 412, { resource: 'orders' }),
        ]
      : [],
    through: [
      {
        ...{ policy: 'agents.cedar#2', file: 'agents.cedar', effect: 'permit', group: 'ci-agents' },
        text: 'permit (\n  principal in Group::"ci-agents",\n  action in [Action::"sql:read", Action::"sql:write"],\n  resource in Connection::"orders"\n);',
      },
      {
        ...{ policy: 'no-bulk-customers', file: 'guards.cedar', effect: 'forbid', reason: 'Customers one at a time' },
        text: '@id("no-bulk-customers")\nforbid (principal, action == Action::"sql:read", resource == Table::"orders/public.customers")\nwhen { !context.bounded };',
      },
    ],
    grants: [],
    days: Array.from({ length: 60 }, (_, i) => ({
      ...{ day: iso(now - (67 - i) * DAY).slice(0, 10), allowed: item.commands > 0 ? (i * 37) % 220 : 0 },
      ...{ held: 0, denied: !quiet && i % 9 === 0 ? 2 : 0 },
    })),
    peers: { of: 4, usedByPeers: [{ action: 'sql:read', resource: 'orders/public.orders', peers: 3 }] },
    refused: quiet
      ? []
      : [
          cited(2, 'deny', 'SELECT * FROM customers -- all of \u202e them', 'denied: every customer at once'),
          cited(3, 'deny', 'DELETE FROM payments', 'denied: may not write'),
        ],
    heldCommands: quiet
      ? []
      : [cited(4, 'hold', "UPDATE payments SET status = 'void'", 'held, and refused by Ben Osei')],
    masked: quiet ? [] : [{ class: 'email', commands: 31 }],
    anomalies: quiet
      ? []
      : [
          {
            ...{ kind: 'new-hour', text: 'Used at 03:00, an hour never seen before', at: iso(now - 4 * DAY) },
            session: 'se_d001',
          },
        ],
    ...(item.kind === 'rule' && {
      permitted: [],
      askers: [
        { agent: `${machines}#deploy-bot`, name: 'deploy-bot', verdict: 'hold', grants: 2 },
        { agent: `${machines}#nightly`, name: 'nightly\u202e', verdict: 'allow', grants: 0 },
      ],
      sampled: { of: 61, seed: 'ca_q4', commands: [cited(5, 'hold', 'UPDATE payments SET note = $1', 'drawn')] },
    }),
  }
}

function recommendationOf(item: CampaignItem): Recommendation {
  const { verdict, summary } = item.recommendation
  const takes = verdict === 'reduce' || verdict === 'revoke'
  return {
    ...{ verdict, summary },
    reasons:
      verdict === 'certify'
        ? [{ code: 'used', text: 'Nearly all that it may was used, without a denial.' }]
        : [
            { code: 'unused-actions', text: 'Nothing was inserted, updated or deleted in 90 days.' },
            { code: 'peers', text: '3 of its 4 peers only read, too.' },
          ],
    keeps:
      takes && verdict === 'reduce' ? ['sql:read on public.orders', 'sql:read on public.customers', 'connecting'] : [],
    drops: takes
      ? [
          'sql:write on public.orders: insert, update',
          'sql:write on public.customers: update',
          'all on public.payments',
        ]
      : [],
    ...(takes && {
      policy: `forbid (\n  principal == Agent::"${item.name}",\n  action,\n  resource in Connection::"${item.connection}"\n)${verdict === 'reduce' ? '\nunless {\n  action == Action::"sql:read" &&\n  resource in [Table::"orders/public.orders", Table::"orders/public.customers"]\n}' : ''};\n`,
    }),
  }
}

function campaignOf(now: number, id: string, more: Partial<Campaign>): Campaign {
  return {
    ...{ id, state: 'active', title: 'Q4 recertification', description: '', scope: { tags: ['production'] } },
    window: { days: 90, from: iso(now - 97 * DAY), to: iso(now - 7 * DAY) },
    stages: [{ title: 'Sponsor', reviewers: [{ kind: 'sponsor' }, { kind: 'owner' }, { kind: 'role' }] }],
    ...{ onExpiry: 'revoke', controls: ['soc2:CC6.3', 'iso27001:A.5.18'], trigger: { kind: 'person' }, days: 16 },
    ...{ createdAt: iso(now - 8 * DAY), createdBy: ben, startedAt: iso(now - 7 * DAY), startedBy: ben },
    ...{ snapshotAt: iso(now - 7 * DAY), policy: 'sha256:4f2c88', dueAt: iso(now + 9 * DAY) },
    coverage: {
      commands: 48_190,
      unreadable: 12,
      notes: ['12 commands were erased by retention before the snapshot.'],
    },
    signedOffBy: [],
    counts: {
      ...{ items: 0, undecided: 0, certify: 0, reduce: 0, revoke: 0, abstain: 0, privileged: 0, mine: 0 },
      applications: { pending: 0, applied: 0, verified: 0, failed: 0, 'not-supported': 0 },
    },
    ...more,
  }
}

/** A double of the core's reviews: what is decided while `offline` waits; else it is taken a moment later. */
export function reviewsDouble(options: {
  kind: ReviewsKind
  me: Me
  now: number
  offline: boolean
  emit(event: ConsoleEvent): void
}) {
  const { kind, now, offline, emit } = options
  const role = kind === 'admin' || kind === 'auditor' ? kind : 'reviewer'
  if (options.me.kind !== 'person') throw new Error('an agent reviews nothing')
  const me: Me =
    kind === 'none'
      ? options.me
      : { ...options.me, roles: [...options.me.roles.filter((each) => each !== role), role as 'reviewer'] }
  const mine = ref(options.me.subject, options.me.name)
  const list =
    kind === 'none' || kind === 'empty'
      ? []
      : kind === 'many'
        ? manyItems(now, mine, 10_000)
        : believableItems(now, mine)
  const items = new Map(
    list.map((item) => [item.id, role === 'reviewer' ? item : { ...item, mine: false, reviewers: [ben] }]),
  )
  const pending: PendingReview[] = []
  const comments: CampaignItemPage['comments'] = []
  let made = 0
  const newId = (prefix: string) => {
    made += 1
    return `${prefix}_${String(made).padStart(12, '0')}`
  }
  const state = (): CampaignsState => ({
    ...{ at: iso(offline ? now - 29 * 60_000 : now), whole: true, loading: false, forbidden: kind === 'none' },
    ...(kind === 'failing' && { whole: false, problem: 'gw.prod.example did not answer in time.' }),
  })
  const waits = () => [...items.values()].filter((item) => item.mine && item.verdict === 'undecided').length
  const itemsState = (): ItemsState => ({
    ...{ at: iso(offline ? now - 29 * 60_000 : now), whole: true, loading: false, stored: items.size },
    evidence: { kept: waits(), of: waits() },
  })
  const countsOf = (): Campaign['counts'] => {
    const all = [...items.values()]
    const is = (verdict: CampaignItem['verdict']) => all.filter((item) => item.verdict === verdict).length
    const applied = (application: string) => all.filter((item) => item.application === application).length
    return {
      ...{ items: all.length, undecided: is('undecided'), certify: is('certify'), reduce: is('reduce') },
      ...{ revoke: is('revoke'), abstain: is('abstain'), privileged: all.filter((item) => item.privileged).length },
      mine: waits(),
      applications: {
        ...{ pending: applied('pending'), applied: 0, verified: applied('verified'), failed: applied('failed') },
        'not-supported': 0,
      },
    }
  }
  const campaigns = new Map<string, Campaign>()
  if (kind !== 'none' && kind !== 'empty') {
    campaigns.set('ca_q4', campaignOf(now, 'ca_q4', { counts: countsOf(), createdBy: role === 'auditor' ? ben : mine }))
    campaigns.set(
      'ca_draft',
      campaignOf(now, 'ca_draft', {
        ...{ state: 'draft', title: 'Agents that nobody answers for', scope: { orphans: true }, dueAt: undefined },
        ...(kind === 'starting' && { starting: { done: 120, of: 500, doing: 'reading what was done' } }),
      } as Partial<Campaign>),
    )
    campaigns.set(
      'ca_q3',
      campaignOf(now, 'ca_q3', {
        ...{ state: 'closed', title: 'Q3 recertification', closedAt: iso(now - 90 * DAY), closedBy: rae },
        closedBecause: 'Everything was decided.',
        signedOffBy: [{ person: rae, at: iso(now - 90 * DAY), statement: 'Every item was looked at.' }],
        counts: { ...countsOf(), items: 40, undecided: 0, certify: 31, reduce: 6, revoke: 3, abstain: 0, mine: 0 },
      }),
    )
  }
  const templates = new Map<string, CampaignTemplate>([
    [
      'production',
      {
        ...{ id: 'production', builtIn: true, triggers: [], enabled: false },
        cadence: { every: 'quarter', from: '2027-01-04' },
        plan: planOf('Access to production', { tags: ['production'] }),
      },
    ],
    [
      'sponsor-left',
      {
        ...{ id: 'sponsor-left', builtIn: false, triggers: ['sponsor-left'], enabled: true, by: rae },
        plan: planOf('Agents whose sponsor left', { orphans: true }),
      },
    ],
  ])

  const tellCampaign = (campaign: Campaign) => {
    campaigns.set(campaign.id, campaign)
    emit({ type: 'campaigns', changed: [campaign], removed: [], state: state() })
    return campaign
  }
  const tellItem = (item: CampaignItem) => {
    items.set(item.id, item)
    emit({ type: 'campaign-items', campaign: item.campaign, changed: [item], removed: [], state: itemsState() })
    tellCampaign({ ...campaigns.get(item.campaign)!, counts: countsOf() })
  }
  const tellPending = () => emit({ type: 'pending-reviews', campaign: 'ca_q4', items: [...pending] })
  const drop = (id: string) => {
    const at = pending.findIndex((each) => each.id === id)
    if (at >= 0) pending.splice(at, 1)
    tellPending()
  }
  const settle = (one: PendingReview) => {
    const item = items.get(one.item)!
    if (one.kind === 'comment') {
      comments.push({ id: one.id, item: one.item, by: mine, text: one.text, at: one.at })
      tellItem({ ...item, comments: item.comments + 1 })
    } else
      tellItem({
        ...item,
        ...{ verdict: one.verdict!, decidedBy: mine, decidedAt: iso(Date.now()), how: 'reviewer' },
        revision: item.revision + 1,
        ...((one.verdict === 'reduce' || one.verdict === 'revoke') && { application: 'pending' }),
      })
    drop(one.id)
  }
  const add = (one: Omit<PendingReview, 'state' | 'choices' | 'at' | 'id'>): PendingReview => {
    const entry: PendingReview = {
      ...{ ...one, id: newId(one.kind === 'comment' ? 'co' : 'de'), at: iso(Date.now()) },
      ...{ state: offline ? 'waiting' : 'sending', choices: [] },
    }
    pending.push(entry)
    tellPending()
    if (!offline) setTimeout(() => settle(entry), 30)
    return entry
  }
  if (kind === 'refused') {
    const [, first, second] = [...items.values()]
    const refused = (item: CampaignItem, more: Partial<PendingReview>): PendingReview => ({
      ...{ id: newId('de'), kind: 'decision', campaign: 'ca_q4', item: item.id, verdict: 'revoke', revision: 0 },
      ...{
        text: 'Nobody uses it',
        at: iso(now - 3_600_000),
        state: 'conflict',
        status: 409,
        choices: ['anew', 'discard'],
      },
      ...more,
    })
    items.set(first!.id, {
      ...first!,
      verdict: 'certify',
      decidedBy: ben,
      decidedAt: iso(now - 1_800_000),
      revision: 1,
    })
    items.set(second!.id, { ...second!, revision: 1 })
    pending.push(refused(first!, { problem: 'Somebody decided this first: Ben Osei certified it.' }))
    pending.push(refused(second!, { problem: 'It has changed since you looked at it.' }))
  }

  const need = (id: string) => {
    if (offline)
      throw new ConsoleError('not-connected', 'There is no connection to the gateway. Try again once it is live.')
    const campaign = campaigns.get(id)
    if (!campaign) throw new ConsoleError('not-found', 'There is no such campaign.')
    return campaign
  }
  const answers = {
    campaigns: () => {
      if (kind === 'failing' && campaigns.size === 0) throw new ConsoleError('unreachable', 'The core did not answer.')
      return { items: [...campaigns.values()], state: state(), pending: [...pending] }
    },
    createCampaign: (plan: { title: string; windowDays?: number }) => {
      const id = newId('ca')
      const { windowDays = 90, ...rest } = plan
      return tellCampaign(
        campaignOf(now, id, {
          ...rest,
          window: { days: windowDays },
          state: 'draft',
          createdBy: mine,
        } as Partial<Campaign>),
      )
    },
    changeCampaign: ({ id, plan }: { id: string; plan: object }) => tellCampaign({ ...need(id), ...plan }),
    startCampaign: ({ id }: { id: string }) => {
      setTimeout(() => {
        const { starting: _, ...rest } = campaigns.get(id)!
        tellCampaign({ ...rest, state: 'active' })
      }, 1500)
      return tellCampaign({ ...need(id), starting: { done: 40, of: 100, doing: 'reading what was done' } })
    },
    removeCampaign: ({ id }: { id: string }) => {
      campaigns.delete(id)
      emit({ type: 'campaigns', changed: [], removed: [id], state: state() })
      return {}
    },
    closeCampaign: ({ id, reason }: { id: string; reason: string }) =>
      tellCampaign({ ...need(id), state: 'closed', closedAt: iso(Date.now()), closedBy: mine, closedBecause: reason }),
    signOffCampaign: ({ id, statement }: { id: string; statement: string }) =>
      tellCampaign({ ...need(id), signedOffBy: [{ person: mine, at: iso(Date.now()), statement }] }),
    campaignTemplates: () => {
      if (offline) throw new ConsoleError('not-connected', 'There is no connection to the gateway.')
      return { items: [...templates.values()] }
    },
    saveTemplate: (template: CampaignTemplate) => {
      const saved = { ...template, builtIn: false, by: mine, changedAt: iso(Date.now()) }
      templates.set(template.id, saved)
      return saved
    },
    removeTemplate: ({ id }: { id: string }) => {
      templates.delete(id)
      return {}
    },
    campaignItems: ({ campaign, limit = 1000, after }: { campaign: string; limit?: number; after?: string }) => {
      const all = [...items.values()].filter((item) => item.campaign === campaign)
      const from = Number(after ?? 0)
      const next = from + limit < all.length ? String(from + limit) : null
      return { items: all.slice(from, from + limit), next, state: itemsState() }
    },
    campaignItem: ({ item: id }: { item: string }) => {
      const item = items.get(id)
      const source = offline ? 'local' : 'gateway'
      if (!item || (offline && !item.mine)) return { page: null, source }
      const page: CampaignItemPage = {
        ...{ item, evidence: evidenceOf(now, item), recommendation: recommendationOf(item) },
        decisions: item.decidedBy
          ? [
              {
                ...{ id: `de_${id}`, item: id, stage: 0, verdict: item.verdict as 'certify', by: item.decidedBy },
                ...{ reason: 'Finance confirmed it', at: item.decidedAt ?? iso(now), how: 'reviewer' },
                followed: item.verdict === item.recommendation.verdict,
              },
            ]
          : [],
        comments: [
          ...(item.name === 'report-builder'
            ? [{ id: 'co_x', item: id, by: ben, text: 'Payments moved to the new report.', at: iso(now - DAY) }]
            : []),
          ...comments.filter((each) => each.item === id),
        ],
        moves: [],
      }
      return { page, source }
    },
    decideItem: ({ campaign, item, verdict, reason = '', revision, policy }: ItemDecided) => {
      if (pending.some((each) => each.kind === 'decision' && each.item === item))
        throw new ConsoleError('decided-already', 'You decided this already.')
      return add({ kind: 'decision', campaign, item, verdict, text: reason, revision, ...(policy && { policy }) })
    },
    commentItem: ({ campaign, item, text }: { campaign: string; item: string; text: string }) =>
      add({ kind: 'comment', campaign, item, text }),
    takeBackReview: ({ id }: { id: string }) => {
      drop(id)
      return { taken: true }
    },
    resolveReview: ({ id, choice }: { id: string; choice: string }) => {
      const one = pending.find((each) => each.id === id)!
      if (choice === 'discard') drop(id)
      else settle(one)
      return {}
    },
    moveItem: ({ item, to }: { item: string; to: string }) => {
      const known = items.get(item)!
      setTimeout(() => tellItem({ ...known, mine: false, reviewers: [ref(to, to)], revision: known.revision + 1 }), 30)
      return {}
    },
    decideTogether: (input: { items: { id: string }[]; verdict: BulkPreview['verdict']; preview?: string }) => {
      const all = input.items.map(({ id }) => items.get(id)!)
      const fit = all.filter((item) => !item.privileged)
      if (input.preview)
        for (const item of fit)
          tellItem({ ...item, verdict: input.verdict, decidedBy: mine, bulk: true, revision: item.revision + 1 })
      return {
        ...{ preview: hash, verdict: input.verdict, done: input.preview !== undefined },
        items: fit.map((item) => ({
          ...{ id: item.id, name: item.name, connection: item.connection },
          ...{ recommended: item.recommendation.verdict, followed: item.recommendation.verdict === input.verdict },
        })),
        refused: all
          .filter((item) => item.privileged)
          .map(({ id }) => ({ id, why: 'privileged access is decided by itself' })),
      } satisfies BulkPreview
    },
    reviewSignals: (): ReviewSignals => {
      if (offline) throw new ConsoleError('not-connected', 'There is no connection to the gateway.')
      const of = items.size
      return {
        reviewers: [
          {
            ...{
              person: ben,
              decided: 21,
              certified: 21,
              bulk: 0,
              followed: 12,
              medianSeconds: 3,
              withoutEvidence: 19,
            },
            flags: [
              { code: 'fast', text: 'Half of the decisions took less than 3 s' },
              { code: 'always-certifies', text: 'Certified all 21' },
            ],
          },
          {
            ...{ person: rae, decided: 9, certified: 5, bulk: 2, followed: 8, medianSeconds: 64, withoutEvidence: 0 },
            flags: [],
          },
        ],
        burnDown: Array.from({ length: 8 }, (_, i) => ({
          day: iso(now - (7 - i) * DAY).slice(0, 10),
          open: Math.round(of * (1 - i * 0.045)),
        })),
      }
    },
    checkReduction: ({ policy }: { policy: string }) => ({
      ...{ ok: !policy.includes('oops'), warnings: [], tests: [] },
      problems: policy.includes('oops')
        ? [{ file: 'proposed.cedar', line: 2, message: 'unexpected token `oops`', mend: 'Take it out.' }]
        : [],
    }),
    exportCampaign: async ({ work }: { work: string }) => {
      emit({ type: 'export', work, done: 50_000, total: 100_000 })
      await new Promise((resolve) => setTimeout(resolve, 300))
      return { state: 'written', where: 'countersign-ca_q4.tar' }
    },
    cancelCampaignExport: () => ({}),
  } satisfies Partial<Record<CallName, (input: never) => unknown>>
  return { me, answers, items, campaigns, pending: () => [...pending], settleAll: () => [...pending].forEach(settle) }
}

function planOf(title: string, scope: CampaignTemplate['plan']['scope']): CampaignTemplate['plan'] {
  return {
    ...{ title, description: 'What agents may, beside what they did.', scope, windowDays: 90 },
    stages: [{ title: 'Sponsor', reviewers: [{ kind: 'sponsor' }, { kind: 'role' }] }],
    ...{ days: 14, onExpiry: 'revoke', controls: ['soc2:CC6.3'] },
  }
}
