import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PackItem } from '@countersign/contract/ledger/campaign-item'
import type { PackHead } from '@countersign/contract/ledger/campaign-pack'
import type { Campaign, CampaignItem, CampaignItemPage } from '@countersign/contract/review'
import type { Session } from '@countersign/contract/session'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { AccessWorld, type Person, policy } from '../../access/testing/world.ts'
import { answer, Psql } from '../apply/testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

const root = join(import.meta.dirname, '..', '..', '..', '..')
const gatewayBin = join(root, 'gateway', 'bin', 'countersign-gateway.js')
const cliBin = join(root, 'cli', 'bin', 'countersign.js')
const without = `@id("no-truncate") @reason("Empties a table")
forbid (principal, action == Action::"sql:write", resource) when { context.command.kind == "truncate" };
`

let world: AccessWorld
let campaign: Campaign
let worker: { agent: string; psql: Psql; token: string }
let items: CampaignItem[]
let file: string
let vkey: string
let denied: string
const verified = (bin: string, args: string[], path: string, json = true) => {
  const all = [bin, ...args, path, '--key', vkey, ...(json ? ['--json'] : [])]
  const { status, stdout, stderr } = spawnSync(process.execPath, all, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: world.folder },
  })
  return { status, stdout, stderr }
}
const gatewayVerifies = (path: string, json = true) => verified(gatewayBin, ['verify', '--bundle'], path, json)
const as = async (person: Person, path: string) => world.call(path, await world.person(person))

/** A campaign from its first command to its sign-off, by a real gateway, psql and HTTP. */
beforeAll(async () => {
  world = await AccessWorld.start()
  world.write(policy + without)
  await world.reload()
  worker = await bot('worker')
  const idle = await bot('idle')
  await idle.psql.ask('select 1;')
  await idle.psql[Symbol.asyncDispose]()
  await worker.psql.ask('select count(*) from items;')
  await worker.psql.ask('truncate items;')
  vkey = readFileSync(join(world.data, 'ledger', 'vkey'), 'utf8').trim()
  const feed = await world.listen(await world.person('rae'))
  const draft = await world.as<Campaign>('rae', '/v1/campaigns', {
    title: 'Files, <b>by quarter</b>',
    scope: { connections: ['files'] },
    controls: ['soc2:CC6.3'],
  })
  expect((await as('aud', `/v1/campaigns/${draft.id}/pack`)).status).toBe(409)
  await world.as('rae', `/v1/campaigns/${draft.id}/start`, {})
  await feed.until((messages) => messages.some(({ type }) => type === 'campaign.started'))
  const base = `/v1/campaigns/${draft.id}`
  const listed = async () => (await world.as<{ items: CampaignItem[] }>('rae', `${base}/items`)).items
  for (const one of await listed()) {
    const page = await world.as<CampaignItemPage>('rae', `${base}/items/${one.id}`)
    const reduces = one.agent === worker.agent
    const decision = {
      verdict: reduces ? 'reduce' : 'certify',
      reason: reduces ? '=it reads, "and" no more\nthan that' : 'needed',
      revision: page.item.revision,
      ...(reduces && { policy: reading(worker.agent) }),
      seconds: 30,
      evidenceOpened: ['use'],
    }
    await world.as('rae', `${base}/items/${one.id}/decisions/decision-${one.number}`, decision, 'PUT')
    if (reduces)
      await world.as(
        'rae',
        `${base}/items/${one.id}/comments/comment-${one.number}`,
        { text: 'asked <script> \u202e' },
        'PUT',
      )
  }
  const overlay = (await listed()).find(({ agent }) => agent === worker.agent)!.overlay!
  expect(await worker.psql.ask('insert into items values (1);')).toBe('')
  await answer(world, 'max', overlay, 'apply', { reason: 'as decided' })
  denied = await worker.psql.ask('insert into items values (2);')
  await worker.psql[Symbol.asyncDispose]()
  await feed.until((messages) =>
    messages.some(({ type, data }) => type === 'session.closed' && (data as Session).agent === worker.agent),
  )
  feed.socket.terminate()
  await world.as('rae', `${base}/close`, { reason: 'all decided' })
  await world.as('rae', `${base}/sign-off`, { statement: 'Looked at by me.' })
  campaign = await world.as<Campaign>('rae', base)
  items = await listed()
  file = join(world.folder, 'pack.tar')
  const pack = await as('aud', `${base}/pack?recordings=cited`)
  expect(pack.status).toBe(200)
  expect(pack.headers.get('content-disposition')).toBe(`attachment; filename="${campaign.id}.evidence.tar"`)
  writeFileSync(file, new Uint8Array(await pack.arrayBuffer()))
})
afterAll(() => world?.[Symbol.asyncDispose]())

async function bot(subject: string) {
  const token = await world.jwt(subject)
  return { agent: world.agent(subject), psql: new Psql(world.port, 'files', token), token }
}
const reading = (agent: string) => `@reason("Reduced by a review: it reads items")
forbid (principal == Agent::"${agent}", action, resource in Connection::"files")
unless {
  action == Action::"sql:connect" ||
  (action == Action::"sql:read" && resource == Table::"files/public.items")
};
`

test('a reduce makes the agent’s next command beyond it denied; the pack says so, and verifies', async () => {
  expect(denied).toMatch(/42501: denied by policy overlay/)
  const { status, stdout } = gatewayVerifies(file)
  const report = JSON.parse(stdout)
  expect(report.findings).toEqual([])
  expect([status, report.outcome]).toEqual([0, 'whole'])
  expect(report.about).toMatchObject({ kind: 'campaign', campaign: campaign.id })
  expect(report.parts.map(({ part, state }: { part: string; state: string }) => [part.split(' ')[0], state])).toEqual(
    expect.arrayContaining(['items', 'campaign', 'evidence', 'policies', 'recording'].map((part) => [part, 'whole'])),
  )
  expect(report.campaign).toMatchObject({
    state: 'closed',
    counts: { items: items.length, reduce: 1, undecided: 0, decisions: items.length, applications: { verified: 1 } },
    exceptions: [{ code: 'thin-coverage', count: 2 }],
  })
  const cli = verified(cliBin, ['verify'], file, false)
  expect(cli.stdout).toContain(
    `campaign    ${campaign.title}: ${items.length} items and ${items.length} decisions are as their entries say`,
  )
  expect(cli.status).toBe(0)
})

test('one that was changed, or cut, does not', () => {
  const bytes = readFileSync(file)
  const changed = Buffer.from(bytes)
  const at = changed.indexOf('"verdict":"reduce"', changed.indexOf('countersign-item/1') - 2000)
  changed.write('"verdict":"revoke"', at)
  const path = join(world.folder, 'changed.tar')
  writeFileSync(path, changed)
  expect(gatewayVerifies(path).status).toBe(1)
  expect(verified(cliBin, ['verify'], path, false).status).toBe(1)
  writeFileSync(path, bytes.subarray(0, bytes.length - 2048))
  expect(gatewayVerifies(path, false)).toMatchObject({ status: 1, stdout: expect.stringMatching(/^broken/) })
})

test('what the pack derives from entries is what the API shows', async () => {
  const told = (await (await as('rae', `/v1/campaigns/${campaign.id}/items.json`)).json()) as {
    campaign: PackHead
    items: PackItem[]
  }
  expect(told.items.map(shown)).toEqual(items.map(shown))
  const { applications, undecided, certify, reduce, revoke, abstain, privileged } = campaign.counts
  expect(told.campaign.counts).toMatchObject({ applications, undecided, certify, reduce, revoke, abstain, privileged })
  const [one] = told.items.filter(({ agent }) => agent === worker.agent)
  const page = await world.as<CampaignItemPage>('rae', `/v1/campaigns/${campaign.id}/items/${one!.id}`)
  expect(one!.recommendation).toEqual(page.recommendation)
  expect(one!.decisions).toMatchObject(
    page.decisions.map(({ id, verdict, reason, at, seconds }) => ({ id, verdict, reason, at, seconds })),
  )
  expect(one!.comments).toMatchObject(page.comments.map(({ id, text, at }) => ({ id, text, at })))
  const steps = one!.overlays[0]!.steps
  expect(steps.map(({ what }) => what)).toEqual(['proposed', 'applied', 'verified'])
  expect(steps[2]!.asked!.some(({ expect, got }) => expect === 'deny' && got === 'deny')).toBe(true)
})

const shown = ({
  id,
  number,
  kind,
  name,
  connection,
  privileged,
  verdict,
  how,
  application,
  evidence,
  ...item
}: PackItem | CampaignItem) => ({
  ...{ id, number, kind, name, connection, privileged, verdict, how, application, evidence, agent: item.agent },
  recommended: item.recommendation.verdict,
})

test('stock tools unpack it, and the evidence has the hash of the ledger', () => {
  const names = execFileSync('tar', ['-tf', file], { encoding: 'utf8' }).trim().split('\n')
  const one = items.find(({ agent }) => agent === worker.agent)!
  expect(names).toContain(`evidence/${one.id}.json`)
  const sum = execFileSync('sh', ['-c', `tar -xOf "${file}" evidence/${one.id}.json | sha256sum`], { encoding: 'utf8' })
  expect(sum.slice(0, 64)).toBe(one.evidence)
  expect(names.at(-1)).toMatch(/^recordings\/se_.*\.ndjson$/)
  expect(execFileSync('tar', ['-xOf', file, names.at(-1)!], { encoding: 'utf8' })).toContain('truncate items')
})

test('the report shows what others wrote as text, and nothing in it may run', async () => {
  const answered = await as('rae', `/v1/campaigns/${campaign.id}/report`)
  expect(answered.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(answered.headers.get('content-security-policy')).toMatch(/sandbox/)
  const page = await answered.text()
  expect(page).toContain('Files, &lt;b&gt;by quarter&lt;/b&gt;')
  expect(page).toContain('asked &lt;script&gt; \\u{202e}')
  expect(page).not.toMatch(/<script|<b>by quarter|\u202e|javascript:|<img|<iframe| on\w+=/)
  expect(page).toContain('truncate items')
  expect(page).toContain('in force and verified')
})

test('the table holds texts with breaks, quotes and formulas as they are', async () => {
  const answered = await as('aud', `/v1/campaigns/${campaign.id}/items.csv`)
  expect(answered.headers.get('content-type')).toMatch(/^text\/csv/)
  const csv = await answered.text()
  expect(csv).toContain(`"'=it reads, ""and"" no more\nthan that"`)
  expect(csv.split('\r\n').length).toBe(items.length + 2)
})

describe('who may', () => {
  test.each<[Person | 'agent' | 'nobody', number]>([
    ['rae', 200],
    ['aud', 200],
    ['max', 200],
    ['ada', 403],
    ['agent', 403],
    ['nobody', 401],
  ])('%s: %d', async (who, status) => {
    const token = who === 'agent' ? worker.token : who === 'nobody' ? '' : await world.person(who)
    for (const form of ['pack', 'report', 'items.csv', 'items.json']) {
      const answered = await world.call(`/v1/campaigns/${campaign.id}/${form}`, token)
      expect([form, answered.status]).toEqual([form, status])
      await answered.arrayBuffer()
    }
  })

  test('of a campaign that is none, or of another kind of recordings', async () => {
    expect((await as('aud', '/v1/campaigns/ca_none/pack')).status).toBe(404)
    expect((await as('aud', `/v1/campaigns/${campaign.id}/pack?recordings=all`)).status).toBe(400)
  })
})

test('each that was made is in the ledger, and the store verifies', () => {
  const text = execFileSync(
    process.execPath,
    [gatewayBin, 'verify', '--config', join(world.folder, 'gateway.json'), '--key', vkey, '--json'],
    { encoding: 'utf8' },
  )
  expect(JSON.parse(text)).toMatchObject({ outcome: 'whole', findings: [] })
})

test('by hand, with the steps of docs/verify.md', () => {
  const page = readFileSync(join(root, 'docs', 'verify.md'), 'utf8').split('## Keys')[0]!
  const steps = [...page.matchAll(/```(?:sh|shell)\n([\s\S]*?)```/g)].map((match) => match[1]!)
  const folder = mkdtempSync(join(tmpdir(), 'countersign-by-hand-'))
  const env = { ...process.env, BUNDLE: file, VKEY: vkey }
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-euc', steps.join('\n')], { cwd: folder, env })
  rmSync(folder, { recursive: true })
  expect(`${stdout}${stderr}`).toContain(`the evidence of all ${items.length} items is as it was logged`)
  expect(status).toBe(0)
})
