import { hash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Campaign, CampaignItem } from '@countersign/contract/review'
import Database from 'better-sqlite3'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { GatewayWorld, max, rae, ron, verify } from './testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

let world: GatewayWorld
beforeAll(async () => {
  world = await GatewayWorld.start()
  await world.serve()
  for (const subject of ['deployer', 'reporter', 'sweeper', 'packer']) {
    const client = await world.client(subject)
    await client.query('select * from orders')
    await client.end()
  }
  await review()
  await world.stop()
})
afterAll(() => world?.[Symbol.asyncDispose]())

let data: string
afterEach(() => rmSync(data, { recursive: true, force: true }))

const send = async <T>(as: typeof rae, method: string, path: string, body: object = {}): Promise<T> => {
  const answer = await world.call(`/v1${path}`, as, { method, ...(method !== 'GET' && { body: JSON.stringify(body) }) })
  const came = (await answer.json()) as T
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(came)}`)
  return came
}

/** A campaign from a template's making to its sign-off, with all that people can do in it. */
async function review(): Promise<void> {
  await send(ron, 'GET', '/me')
  const ronsId = (await send<{ id: string }>(ron, 'GET', '/me')).id
  const plan = {
    title: 'Quarter',
    stages: [
      { title: 'Rae', reviewers: [{ kind: 'person', person: (await send<{ id: string }>(rae, 'GET', '/me')).id }] },
      { title: 'All', reviewers: [{ kind: 'role' }] },
    ],
  }
  await send(max, 'PUT', '/campaign-templates/quarter', { plan, cadence: null, triggers: [], enabled: true })
  await send(max, 'PUT', '/campaign-templates/gone', { plan, cadence: null, triggers: [], enabled: true })
  await send(max, 'DELETE', '/campaign-templates/gone')
  const draft = await send<Campaign>(max, 'POST', '/campaigns', plan)
  await send(max, 'DELETE', `/campaigns/${draft.id}`)
  await send(max, 'POST', '/campaigns', { ...plan, title: 'A draft' })
  const { id } = await send<Campaign>(max, 'POST', '/campaigns', { ...plan, title: 'Q' })
  await send(max, 'PATCH', `/campaigns/${id}`, { title: 'Quarter four' })
  // Who has just signed in is written down in a moment.
  for (;;) {
    const { items } = await send<{ items: { id: string }[] }>(max, 'GET', '/people?limit=100')
    if (items.some((one) => one.id === ronsId)) break
  }
  await send(max, 'POST', `/campaigns/${id}/start`)
  for (;;) {
    const { state, problem } = await send<Campaign>(rae, 'GET', `/campaigns/${id}`)
    if (state === 'active') break
    if (problem !== undefined) throw new Error(problem)
  }
  const path = `/campaigns/${id}/items`
  const item = async (name: string) => {
    const { items } = await send<{ items: CampaignItem[] }>(rae, 'GET', `${path}?limit=100`)
    return items.find((one) => one.name === name)!
  }
  let n = 0
  const decide = async (as: typeof rae, name: string, verdict: string) => {
    const { id: one, revision } = await item(name)
    const seen = { seconds: 12.5, evidenceOpened: ['use'], madeAt: new Date().toISOString() }
    await send(as, 'PUT', `${path}/${one}/decisions/decision-${++n}`, { verdict, reason: 'so', revision, ...seen })
  }
  const { id: first } = await item('deployer')
  await send(rae, 'PUT', `${path}/${first}/comments/comment-1`, { text: 'who uses it?' })
  await decide(rae, 'deployer', 'certify')
  await decide(ron, 'deployer', 'revoke')
  const { id: second } = await item('reporter')
  await send(rae, 'POST', `${path}/${second}/reassign`, { to: ronsId, reason: 'I am away' })
  await decide(rae, 'sweeper', 'revoke')
  await decide(ron, 'sweeper', 'revoke')
  // Ron thinks better of it: what was proposed is taken back.
  await decide(ron, 'sweeper', 'certify')
  await send(rae, 'POST', `/campaigns/${id}/close`, { reason: 'enough' })
  await send(rae, 'POST', `/campaigns/${id}/sign-off`, { statement: 'We looked at it.' })
}

it('finds a store whole that nobody touched', async () => {
  data = world.copy()
  expect((await verify(data)).findings).toEqual([])
  const database = new Database(join(data, 'countersign.sqlite'), { readonly: true })
  const rows = database.prepare('select name, verdict, how, application from campaign_items order by name').raw().all()
  database.close()
  expect(rows).toEqual([
    ['deployer', 'revoke', 'reviewer', 'pending'],
    ['packer', 'undecided', 'skipped', null],
    ['reporter', 'undecided', 'skipped', null],
    ['sweeper', 'certify', 'reviewer', null],
  ])
})

const forged = JSON.stringify({ forged: true })
const changes: [what: string, statement: string, says: RegExp][] = [
  // Campaigns.
  ['a title', `update campaigns set title = 'Other' where closed_at is not null`, /title/],
  [
    'a scope',
    `update campaigns set plan = json_set(plan, '$.scope.agents', json('[]')) where closed_at is not null`,
    /plan/,
  ],
  [
    'what becomes of items',
    `update campaigns set plan = json_set(plan, '$.onExpiry', 'keep') where state = 'draft'`,
    /plan/,
  ],
  ['whose it is', `update campaigns set owner = 'x#rae' where closed_at is not null`, /owner/],
  ['when it was due', `update campaigns set due_at = '2030-01-01T00:00:00.000Z' where closed_at is not null`, /due_at/],
  ['that it is closed', `update campaigns set state = 'active' where closed_at is not null`, /state/],
  ['who closed it', `update campaigns set closed_by = null where closed_at is not null`, /closed_by/],
  [
    'what was read',
    `update campaigns set coverage = json_set(coverage, '$.unreadable', 0, '$.commands', 0) where closed_at is not null`,
    /coverage/,
  ],
  ['a draft taken away', `delete from campaigns where state = 'draft'`, /row campaigns\/.* is not there/],
  [
    'a draft made',
    `insert into campaigns select 'ca_new', 'draft', title, plan, trigger, template, created_at, created_by, owner, null, null, null, null, null, null, null, null, null, null, null from campaigns where state = 'draft'`,
    /no entry tells/,
  ],
  // Items.
  [
    'evidence',
    `update campaign_items set evidence = json_set(evidence, '$.identity.sponsor', 'x') where name = 'deployer'`,
    /evidence/,
  ],
  [
    'a recommendation',
    `update campaign_items set recommendation = json_set(recommendation, '$.verdict', 'revoke', '$.summary', 'x') where name = 'deployer'`,
    /recommendation/,
  ],
  [
    'what a list shows',
    `update campaign_items set summary = json_set(summary, '$.sponsor', 'x#rae') where name = 'deployer'`,
    /summary/,
  ],
  [
    'whether it is privileged',
    `update campaign_items set privileged = 1 - privileged where name = 'deployer'`,
    /privileged/,
  ],
  ['a verdict', `update campaign_items set verdict = 'certify' where name = 'deployer'`, /verdict/],
  [
    'a verdict where none was',
    `update campaign_items set verdict = 'certify', how = 'reviewer' where name = 'packer'`,
    /packer|verdict|how/,
  ],
  [
    'what was left undecided',
    `update campaign_items set how = null, decided_at = null where name = 'packer'`,
    /is open, though its campaign was closed/,
  ],
  ['how it was closed', `update campaign_items set how = 'skipped' where name = 'sweeper'`, /how/],
  ['which decision counts', `update campaign_items set decision = 'decision-3' where name = 'deployer'`, /decision/],
  [
    'whether it is enforced',
    `update campaign_items set application = 'verified' where name = 'deployer'`,
    /application/,
  ],
  [
    'that it can’t be enforced',
    `update campaign_items set application = 'not-supported' where name = 'deployer'`,
    /application/,
  ],
  ['its overlay', `update campaign_items set overlay = 'ov_x' where name = 'deployer'`, /overlay/],
  ['its stage', `update campaign_items set stage = 0 where name = 'deployer'`, /stage/],
  ['its revision', `update campaign_items set revision = 0 where name = 'deployer'`, /revision/],
  ['its reviewers', `update campaign_items set reviewers = '[]' where name = 'reporter'`, /reviewers/],
  ['an item less', `delete from campaign_items where name = 'packer'`, /is not there/],
  [
    'who may decide',
    `update item_reviewers set person = 'x#max' where item = (select id from campaign_items where name = 'reporter')`,
    /people/,
  ],
  [
    'one more who may',
    `insert into item_reviewers select item, 'x#max', campaign from item_reviewers limit 1`,
    /people/,
  ],
  [
    'nobody may',
    `delete from item_reviewers where item = (select id from campaign_items where name = 'reporter')`,
    /is not there/,
  ],
  // What was decided, said and handed over.
  ['what somebody decided', `update item_decisions set verdict = 'certify' where id = 'decision-2'`, /verdict/],
  ['why', `update item_decisions set reason = 'because' where id = 'decision-2'`, /reason/],
  ['who', `update item_decisions set by = '${forged}' where id = 'decision-2'`, /by/],
  ['whose it counts as', `update item_decisions set person = 'x#max' where id = 'decision-2'`, /person/],
  ['in whose place', `update item_decisions set in_place_of = '${forged}' where id = 'decision-2'`, /in_place_of/],
  ['how fast', `update item_decisions set seconds = 600 where id = 'decision-1'`, /seconds/],
  ['what was looked at', `update item_decisions set evidence_opened = null where id = 'decision-1'`, /evidence_opened/],
  ['when it was made', `update item_decisions set made_at = null where id = 'decision-1'`, /made_at/],
  ['whether it follows', `update item_decisions set followed = 1 - followed where id = 'decision-1'`, /followed/],
  ['that it was bulk', `update item_decisions set bulk = 'bu_x' where id = 'decision-1'`, /bulk/],
  ['what was asked', `update item_decisions set request_sha256 = 'x' where id = 'decision-1'`, /request_sha256/],
  ['a decision less', `delete from item_decisions where id = 'decision-3'`, /is not there/],
  [
    'a decision more',
    `insert into item_decisions select 'decision-9', campaign, item, stage, verdict, reason, policy, person, by, in_place_of, at, made_at, how, bulk, seconds, evidence_opened, followed, request_sha256 from item_decisions where id = 'decision-1'`,
    /no entry tells/,
  ],
  ['a comment', `update item_comments set text = 'fine'`, /text/],
  ['a comment less', `delete from item_comments`, /is not there/],
  ['to whom it went', `update item_moves set to_ref = '${forged}'`, /to_ref/],
  ['at which stage', `update item_moves set stage = 1`, /stage/],
  ['a sign-off', `update campaign_sign_offs set statement = 'It is perfect.'`, /statement/],
  [
    'a sign-off more',
    `insert into campaign_sign_offs select campaign, 'x#max', by, statement, at from campaign_sign_offs`,
    /no entry tells/,
  ],
  // Templates.
  ['a template', `update campaign_templates set plan = json_set(plan, '$.onExpiry', 'keep')`, /says/],
  ['a template’s triggers', `update campaign_templates set triggers = '["sponsor-left"]'`, /says/],
  ['whether it begins by itself', `update campaign_templates set enabled = 0`, /enabled/],
  [
    'a template put back',
    `insert into campaign_templates select 'gone', plan, cadence, triggers, 0, next_at, last_campaign, by, changed_at from campaign_templates`,
    /taken away|changed/,
  ],
]

/** As many at once as are told apart: changes apart from rows that go or come, and no two that are told alike. */
const batches = changes.reduce<(typeof changes)[]>((all, change) => {
  const of = ([, statement, says]: (typeof changes)[number]) => {
    const [, verb, table] = /^(\w+) (?:into |from )?(\w+)/.exec(statement)!
    return { verb, told: `${table} ${says.source}` }
  }
  const apart = (one: (typeof changes)[number]) => of(one).verb === of(change).verb && of(one).told !== of(change).told
  const fits = all.find((batch) => batch.every(apart))
  if (fits) fits.push(change)
  else all.push([change])
  return all
}, [])

it.each(batches.map((batch) => ({ batch })))('finds what was changed, $batch.length at once', async ({ batch }) => {
  data = world.copy()
  const database = new Database(join(data, 'countersign.sqlite'))
  database.pragma('foreign_keys = OFF')
  for (const [what, statement] of batch)
    expect([what, database.prepare(statement).run().changes > 0]).toEqual([what, true])
  database.close()
  const { outcome, findings } = await verify(data)
  expect(outcome).not.toBe('whole')
  const missed = batch.filter(([, , says]) => !findings.some(({ text }) => says.test(text)))
  expect(missed.map(([what]) => what)).toEqual([])
})

it('finds evidence that was changed together with its digest', async () => {
  data = world.copy()
  const database = new Database(join(data, 'countersign.sqlite'))
  const deployers = `where name = 'deployer'`
  const [[evidence]] = database.prepare(`select evidence from campaign_items ${deployers}`).raw().all() as [[string]]
  const other = evidence.replace('"commands":', '"commands":1')
  expect(other).not.toBe(evidence)
  const set = database.prepare(`update campaign_items set evidence = ?, evidence_sha256 = ? ${deployers}`)
  set.run(other, hash('sha256', other))
  database.close()
  const { findings } = await verify(data)
  expect(findings.map(({ text }) => /its (\w+) is/.exec(text)?.[1])).toEqual(['evidence', 'evidence_sha256'])
})
