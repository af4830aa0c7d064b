import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  Campaign,
  type CampaignItem,
  CampaignItemPage,
  ItemEvidence,
  Recommendation,
} from '@countersign/contract/review'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { AccessWorld } from '../../access/testing/world.ts'
import { openRegistry } from '../../identity/registry/registry.ts'
import { loadPolicies } from '../../policy/policy.ts'
import { openUsed } from '../../sessions/ledger/used.ts'
import { Psql, stored } from '../apply/testing/world.ts'
import { createEvidence, type Evidence, type Found, type Observed } from './evidence.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 })

/** What psql did through a real gateway: what is said of it, and the same again under the policy that was generated. */

let world: AccessWorld
const tokens: Record<'worker' | 'granted', string> = { worker: '', granted: '' }
/** Each statement of the worker, with what psql printed. */
const script = [
  '\\d items',
  'select count(*) from items where id = 1;',
  "insert into items values (1, 'one'), (2, 'two');",
  "update items set what = 'eins' where id = 1 returning what;",
  'begin;',
  'explain (costs off) select * from items;',
  'copy (select id from items order by id) to stdout;',
  'rollback;',
  'show server_version_num;',
  'select count(*) from pg_class where relname = $$items$$;',
]
let before: string[]
let again: string[]

async function printed(connection: string, token: string, statements: readonly string[]): Promise<string[]> {
  await using psql = new Psql(world.port, connection, token)
  const said: string[] = []
  for (const statement of statements) said.push(await psql.ask(statement))
  return said
}

/** Evidence by the store and the ledger of a gateway that has stopped. */
async function examined<T>(work: (evidence: Evidence, observed: Observed) => Promise<T>): Promise<T> {
  return stored(world, async (store) => {
    using used = openUsed(join(world.data, 'ledger'))
    await using registry = await openRegistry({
      store,
      used,
      settings: () => ({ leftAfter: 1e12, sponsorFrom: 'registry', agentIssuers: new Set() }),
      log: { warn() {}, error() {} },
    })
    const loaded = await loadPolicies(join(world.folder, 'policy'))
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const connection = { kind: 'postgres', tags: ['production'], mode: 'enforce' as const }
    await using evidence = createEvidence({
      store,
      folder: world.data,
      registry,
      policies: () => loaded.policies,
      connections: () => [
        { ...connection, name: 'files', access: 'standing' },
        { ...connection, name: 'masked', access: 'standing' },
        { ...connection, name: 'orders', access: 'jit' },
      ],
      log: { warn() {} },
    })
    const now = Date.now()
    const told: string[] = []
    const observed = await evidence.observe({
      from: new Date(now - 90 * 86_400_000).toISOString(),
      to: new Date(now + 60_000).toISOString(),
      onProgress: ({ doing }) => void told.push(doing),
    })
    expect(new Set(told)).toEqual(new Set(['commands', 'texts']))
    return work(evidence, observed)
  })
}
const access = (subject: 'worker' | 'granted', connection: string) =>
  ({ kind: 'access', agent: world.agent(subject), connection }) as const
const sound = ({ evidence, recommendation }: Found) => {
  ItemEvidence.parse(evidence)
  Recommendation.parse(recommendation)
}

beforeAll(async () => {
  world = await AccessWorld.start()
  for (const subject of ['worker', 'granted'] as const) tokens[subject] = await world.jwt(subject)
  before = await printed('files', tokens.worker, script)
  await using psql = new Psql(world.port, 'files', tokens.worker)
  const held = psql.ask('delete from items where id = 2;')
  const [approval] = await vi.waitFor(
    async () => {
      const waiting = await world.approvals('&state=pending')
      expect(waiting).toHaveLength(1)
      return waiting
    },
    { timeout: 30_000, interval: 100 },
  )
  await world.as('ada', `/v1/approvals/${approval!.id}/decisions`, {
    verdict: 'approve',
    reason: 'one row',
    digest: approval!.command.digest,
  })
  expect(await held).not.toContain('ERROR')
  await printed('masked', tokens.worker, ['select email from customers;'])
  await world.call('/v1/me', tokens.granted)
  await world.grant(tokens.granted, { actions: ['sql:read'], resources: ['orders/public.items'], purpose: 'to look' })
  await printed('orders', tokens.granted, ['select count(*) from items;', 'select * from customers;'])
  await world.stop()
})
afterAll(() => world?.[Symbol.asyncDispose]())

test('an item shows what was done, by whom, through what, and what was refused', async () => {
  await examined(async (evidence, observed) => {
    expect(observed.coverage).toMatchObject({ unreadable: 0, notes: [expect.stringContaining('recorded since')] })
    const found = await evidence.of(access('worker', 'files'), observed, { campaign: 'ca_1', item: 'it_1' })
    sound(found)
    const { used, refused, heldCommands, through, identity, permitted, days } = found.evidence
    const use = (action: string, kind: string) => used.find((one) => one.action === action && one.kind === kind)
    expect(use('sql:read', 'select')).toMatchObject({ resource: 'files/public.items', type: 'Table', denied: 0 })
    expect(use('sql:write', 'insert')).toMatchObject({ allowed: 1, unbounded: 0 })
    expect(use('sql:write', 'delete')).toMatchObject({ held: 1, approved: 1, allowed: 0 })
    expect(heldCommands).toMatchObject([
      {
        text: 'delete from items where id = 2;',
        why: 'held, and let run by people',
        verdict: { policies: ['deletes'] },
      },
    ])
    expect(refused).toEqual([])
    expect(through.map(({ policy }) => policy)).toEqual(expect.arrayContaining(['base.cedar#1', 'deletes']))
    expect(through.find(({ policy }) => policy === 'deletes')).toMatchObject({
      reason: 'Deletes rows',
      effect: 'forbid',
    })
    expect(identity).toMatchObject({ state: 'active', orphan: 'no-sponsor', groups: ['ci'] })
    expect(identity.lastUsedAt! >= identity.firstSeenAt!).toBe(true)
    expect(permitted.find(({ action, resource }) => action === 'sql:ddl' && resource === 'files')?.verdict).toBe(
      'allow',
    )
    expect(days).toHaveLength(1)
    expect(found.privilegedBecause.join()).toMatch(/sql:admin.*production/)
    // It came a moment ago: nothing is taken from it.
    expect(found.recommendation).toMatchObject({ verdict: 'certify' })
    expect(found.recommendation.reasons.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['orphan', 'privileged', 'thin-coverage', 'young', 'unused-actions']),
    )
    expect(found.recommendation.drops).toContain('sql:ddl on everything')
  })
})

test('what is masked, what was done under a grant, and the rule that gave it', async () => {
  await examined(async (evidence, observed) => {
    const masked = await evidence.of(access('worker', 'masked'), observed)
    sound(masked)
    expect(masked.evidence.masked).toEqual([{ class: 'email', commands: 1 }])
    const jit = await evidence.of(access('granted', 'orders'), observed)
    sound(jit)
    expect(jit.evidence.grants).toMatchObject([{ state: 'active', purpose: 'to look', actions: ['sql:read'] }])
    expect(jit.evidence.refused).toMatchObject([
      { text: 'select * from customers;', why: expect.stringContaining('no live grant covers') },
    ])
    const rule = await evidence.of({ kind: 'rule', policy: 'base.cedar#2', connection: 'orders' }, observed)
    sound(rule)
    expect(rule.evidence.askers).toMatchObject([
      { agent: world.agent('granted'), grants: 1 },
      { agent: world.agent('worker'), grants: 0 },
    ])
    expect(rule.evidence.sampled).toMatchObject({ of: 3, seed: expect.stringMatching(/^[0-9a-f]{16}$/) })
    expect(rule.evidence.sampled!.commands.map(({ text }) => text)).toContain('select count(*) from items;')
    expect(rule.recommendation).toMatchObject({ verdict: 'certify', summary: expect.stringContaining('1 grant to 1') })
  })
})

test('under the generated policy psql does the same again, and nothing else', async () => {
  const policies = await examined(async (evidence, observed) => {
    const of = async (subject: 'worker' | 'granted', connection: string) => {
      const asked = access(subject, connection)
      return evidence.tighter(asked, (await evidence.of(asked, observed)).evidence).policy
    }
    return [await of('worker', 'files'), await of('worker', 'masked'), await of('granted', 'orders')]
  })
  writeFileSync(join(world.folder, 'policy', 'reduced.cedar'), policies.join('\n'))
  await world.serve()
  await world.server.query('truncate items')
  again = await printed('files', tokens.worker, script)
  expect(again).toEqual(before)
  const denied = expect.stringMatching(/^ERROR: {2}42501: denied by policy reduced\.cedar#1/)
  expect(
    await printed('files', tokens.worker, [
      'create table more (id int);',
      'select * from customers;',
      'truncate items;',
      "update items set what = 'all';",
      'grant select on items to public;',
    ]),
  ).toEqual([denied, denied, denied, denied, denied])
  expect(await printed('orders', tokens.granted, ['select count(*) from items;', 'delete from items;'])).toEqual([
    '2',
    expect.stringContaining('42501'),
  ])
  const more = { connection: 'orders', duration: '30m', purpose: 'again' }
  const asked = (actions: string[]) => world.call('/v1/grants', tokens.granted, { ...more, actions })
  expect((await asked(['sql:read'])).status).toBe(201)
  expect((await asked(['sql:write'])).status).toBe(403)
})

test('a campaign’s items are made of it', async () => {
  const plan = { title: 'All of it', scope: { rules: true } }
  const { id } = Campaign.parse(await world.as('rae', '/v1/campaigns', plan))
  await world.as('rae', `/v1/campaigns/${id}/start`, {})
  const begun = await vi.waitFor(
    async () => {
      const campaign = Campaign.parse(await world.as('rae', `/v1/campaigns/${id}`))
      expect([campaign.state, campaign.problem]).toEqual(['active', undefined])
      return campaign
    },
    { timeout: 60_000, interval: 200 },
  )
  expect(begun.coverage!.commands).toBeGreaterThan(20)
  const { items } = await world.as<{ items: CampaignItem[] }>('rae', `/v1/campaigns/${id}/items`)
  const item = (connection: string, kind = 'access') =>
    items.find(
      (one) => one.connection === connection && one.kind === kind && (kind === 'rule' || one.name.includes('worker')),
    )!
  expect(item('files')).toMatchObject({ privileged: false, orphan: 'no-sponsor', refused: 5 })
  expect(item('orders', 'rule')).toMatchObject({ name: 'base.cedar#2' })
  const page = CampaignItemPage.parse(await world.as('rae', `/v1/campaigns/${id}/items/${item('files').id}`))
  expect(page.evidence).toMatchObject({ campaign: id, item: item('files').id, at: begun.snapshotAt })
  expect(page.evidence.refused.map(({ text }) => text)).toContain('truncate items;')
})
