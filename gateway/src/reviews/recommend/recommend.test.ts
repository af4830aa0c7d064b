import type { Permission } from '@countersign/contract/access'
import type { ItemEvidence, ObservedUse, Recommendation } from '@countersign/contract/review'
import { expect, test } from 'vitest'
import { bot, orders } from '../../policy/testing/policies.ts'
import { privilegedOf } from '../evidence/privileged.ts'
import { recommend } from './recommend.ts'
import { createRecommending } from './recommending.ts'
import { evidenceOf, window } from './testing/observing.ts'

const subject = { kind: 'access', agent: bot.id, connection: 'orders' } as const
const rule = { kind: 'rule', policy: 'ask', connection: 'orders' } as const
const line = (action: string, verdict: Permission['verdict'] = 'allow', resource = 'orders'): Permission => ({
  connection: 'orders',
  action,
  resource,
  verdict,
  policies: ['p'],
})
const use = (action: string, kind: string, more: Partial<ObservedUse> = {}): ObservedUse => ({
  ...{ connection: 'orders', action, kind, type: 'Table', resource: 'orders/public.customers' },
  ...{ allowed: 5, held: 0, denied: 0, unbounded: 0 },
  ...{ firstAt: '2026-08-05T00:00:00.000Z', lastAt: '2026-10-30T00:00:00.000Z' },
  ...more,
})
const base = evidenceOf(undefined, { agent: bot, connection: orders })
const evidence = (more: Partial<ItemEvidence> = {}): ItemEvidence => ({
  ...base,
  permitted: [line('sql:connect'), line('sql:read')],
  used: [use('sql:read', 'select')],
  ...more,
})
const identity = (more: Partial<ItemEvidence['identity']>) => ({ identity: { ...base.identity, ...more } })
const coverage = (more: Partial<ItemEvidence['coverage']>) => ({ coverage: { ...base.coverage, ...more } })
const onlyCustomers = [line('sql:connect'), line('sql:read', 'allow', 'orders/public.customers')]
const asking = (more: Partial<ItemEvidence>): ItemEvidence => ({
  ...base,
  through: [
    {
      ...{ policy: 'ask', file: 'a.cedar', effect: 'permit' },
      text: '@id("ask") permit (principal in Group::"g", action == Action::"access:request", resource);',
    },
  ],
  askers: [{ agent: bot.id, name: 'Bot', verdict: 'hold', grants: 0 }],
  ...more,
})
const grant = { grant: 'gr_1', state: 'expired', actions: ['sql:read'], at: window.from, purpose: 'p', approvedBy: [] }
const idle = { grants: 0, verdict: 'hold' as const, name: 'x' }

const cases: [
  string,
  Recommendation['verdict'],
  Recommendation['reasons'][number]['code'][],
  ItemEvidence,
  facts?: number,
][] = [
  ['all that it may was used', 'certify', ['used'], evidence({ permitted: onlyCustomers })],
  [
    'some of what it may was used',
    'reduce',
    ['unused-actions'],
    evidence({ permitted: [...onlyCustomers, line('sql:ddl')] }),
  ],
  ['one table of all was used', 'reduce', ['unused-resources'], evidence()],
  [
    'only some rows were written',
    'reduce',
    ['unused-resources'],
    evidence({
      permitted: [...onlyCustomers, line('sql:write', 'allow', 'orders/public.customers')],
      used: [use('sql:read', 'select'), use('sql:write', 'update')],
    }),
  ],
  [
    'only some verbs of what it may were used',
    'reduce',
    ['unused-resources'],
    evidence({
      permitted: [...onlyCustomers, line('sql:write', 'allow', 'orders/public.customers')],
      used: [use('sql:read', 'select'), use('sql:write', 'update', { unbounded: 1 })],
    }),
  ],
  ['nothing was used', 'revoke', ['never-used'], evidence({ used: [] })],
  [
    'all that was tried was refused',
    'revoke',
    ['never-used', 'refused-often'],
    evidence({
      used: [use('sql:read', 'select', { allowed: 0, denied: 40 })],
      anomalies: [{ kind: 'refused-often', text: '40 of its 40 commands were denied' }],
    }),
  ],
  [
    'what was held was never approved',
    'revoke',
    ['never-used'],
    evidence({ used: [use('sql:write', 'delete', { allowed: 0, held: 3 })] }),
  ],
  [
    'what was held was approved',
    'reduce',
    ['unused-actions'],
    evidence({ used: [use('sql:write', 'delete', { allowed: 0, held: 3, approved: 3 })] }),
  ],
  [
    'it was used long ago',
    'revoke',
    ['idle'],
    evidence({ used: [use('sql:read', 'select', { lastAt: '2026-08-20T00:00:00.000Z' })] }),
  ],
  ['nobody answers for it', 'reduce', ['orphan'], evidence({ ...identity({ orphan: 'sponsor-left' }) })],
  [
    'nobody answers for it, and it is not used',
    'revoke',
    ['orphan', 'never-used'],
    evidence({ ...identity({ orphan: 'no-sponsor' }), used: [] }),
  ],
  [
    'it came a week ago, and uses some of it',
    'certify',
    ['young', 'used'],
    evidence(identity({ firstSeenAt: '2026-10-25T00:00:00.000Z' })),
  ],
  [
    'it came a week ago, and used nothing',
    'abstain',
    ['young', 'never-used'],
    evidence({ ...identity({ firstSeenAt: '2026-10-25T00:00:00.000Z' }), used: [] }),
  ],
  [
    'it never came',
    'abstain',
    ['young', 'never-used'],
    evidence({ identity: { ...base.identity, firstSeenAt: undefined } as never, used: [] }),
  ],
  [
    'a week of the window is recorded',
    'certify',
    ['thin-coverage'],
    evidence(coverage({ since: '2026-10-25T00:00:00.000Z' })),
  ],
  [
    'a week is recorded, and nothing was used in it',
    'abstain',
    ['thin-coverage', 'never-used'],
    evidence({ ...coverage({ since: '2026-10-25T00:00:00.000Z' }), used: [] }),
  ],
  [
    'nothing is recorded',
    'abstain',
    ['thin-coverage'],
    evidence({ coverage: { commands: 0, unreadable: 0, notes: [] }, used: [] }),
  ],
  [
    'a tenth was erased',
    'abstain',
    ['thin-coverage'],
    evidence({ ...coverage({ commands: 900, unreadable: 100 }), used: [] }),
  ],
  [
    'the connection only observes',
    'reduce',
    ['observed-only'],
    evidence({ connection: { ...base.connection, mode: 'observe' } }),
  ],
  ['what ran was against policy, while it was only observed', 'reduce', ['observed-only'], evidence(), 7],
  [
    'it is disabled, and was not used',
    'revoke',
    ['other', 'never-used'],
    evidence({ ...identity({ state: 'disabled' }), used: [] }),
  ],
  [
    'others of its groups use it',
    'revoke',
    ['peers', 'never-used'],
    evidence({
      used: [],
      peers: { of: 3, usedByPeers: [{ action: 'sql:read', resource: 'orders/public.customers', peers: 3 }] },
    }),
  ],
  ['none of its groups does what it does', 'reduce', ['peers'], evidence({ peers: { of: 3, usedByPeers: [] } })],
  ['a rule by which nothing was given', 'revoke', ['never-used'], asking({})],
  [
    'a rule by which something was given',
    'certify',
    ['used'],
    asking({ grants: [grant], askers: [{ ...idle, agent: bot.id, grants: 1 }] }),
  ],
  [
    'a rule that lets many ask of whom one does',
    'reduce',
    ['used', 'unused-resources'],
    asking({
      grants: [grant],
      askers: ['a', 'b', 'c', 'd', 'e'].map((agent) => ({ ...idle, agent, grants: agent === 'a' ? 1 : 0 })),
    }),
  ],
  [
    'a rule that only has people asked',
    'certify',
    ['used'],
    asking({ through: [{ policy: 'ask', file: 'a', effect: 'forbid', text: '' }] }),
  ],
  [
    'a rule of a week',
    'abstain',
    ['thin-coverage', 'never-used'],
    asking(coverage({ since: '2026-10-25T00:00:00.000Z' })),
  ],
]

test.each(cases)('%s: %s', (_, verdict, codes, evidence, observed = 0) => {
  const of = evidence.askers ? rule : subject
  const asked = { subject: of, evidence, privilegedBecause: [], facts: { observed, folded: false } }
  const found = recommend(asked)
  expect([found.verdict, found.reasons.map(({ code }) => code)]).toEqual([verdict, expect.arrayContaining(codes)])
  expect(found.summary).toMatch(/^[A-Z\d].*\.$/s)
  // Also where it isn't recommended, for whoever decides to reduce; not where nothing can be.
  if (!evidence.askers) expect(found.policy === undefined).toBe(verdict === 'abstain')
  if (verdict === 'reduce') expect(found.drops.length).toBeGreaterThan(0)
  if (verdict === 'certify' && !codes.includes('young') && !codes.includes('thin-coverage'))
    expect(found.drops).toEqual([])
  // The same evidence, the same answer.
  expect(recommend(structuredClone(asked))).toEqual(found)
})

test.each<[string, RegExp | undefined, Partial<ItemEvidence>]>([
  ['reads production', undefined, { permitted: [line('sql:read'), line('sql:write', 'deny')] }],
  ['administers', /administer.*sql:admin/, { permitted: [line('sql:admin', 'depends')] }],
  ['changes tables, once people let it', /sql:ddl\), once people let it/, { permitted: [line('sql:ddl', 'hold')] }],
  ['writes every row', /every row at once/, { permitted: [line('sql:write')] }],
  [
    'writes one table of production',
    /change something in production/,
    { permitted: [line('sql:write', 'depends', 'orders/public.x')] },
  ],
  ['sees classes', /classified data.*email/, { permitted: [line('data:reveal', 'allow', 'email')] }],
  ['opens shells', /ssh:shell/, { permitted: [line('ssh:shell')] }],
  ['runs programs', /ssh:exec/, { permitted: [line('ssh:exec', 'depends')] }],
  [
    'changes a cluster',
    /k8s:patch, k8s:exec/,
    { permitted: [line('k8s:patch'), line('k8s:exec', 'hold'), line('k8s:get')] },
  ],
  ['may all', /everything/, { permitted: [line('http:read'), line('http:write')] }],
  ['is denied all', undefined, { permitted: [line('sql:admin', 'deny'), line('data:reveal', 'deny')] }],
])('who %s is privileged: %s', (_, because, more) => {
  const found = privilegedOf(subject, evidence(more))
  if (because) expect(found.join('; ')).toMatch(because)
  else expect(found).toEqual([])
})

test('recommends in a thread of its own, and says what went wrong there', async () => {
  await using recommending = createRecommending()
  const asked = { subject, evidence: evidence(), privilegedBecause: [], facts: { observed: 0, folded: false } }
  const [one, other] = await Promise.all([
    recommending.recommend(asked),
    recommending.recommend({ ...asked, evidence: evidence({ used: [] }) }),
  ])
  expect([one.verdict, other.verdict]).toEqual(['reduce', 'revoke'])
  const unknown = evidence({ connection: { ...base.connection, kind: 'telnet' } })
  await expect(recommending.recommend({ ...asked, evidence: unknown })).rejects.toThrow(/telnet can’t be reduced/)
  expect((await recommending.recommend(asked)).verdict).toBe('reduce')
})
