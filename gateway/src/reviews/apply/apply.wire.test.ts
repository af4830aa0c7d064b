import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Grant } from '@countersign/contract/access'
import type { PolicyInForce } from '@countersign/contract/api'
import type { Finding } from '@countersign/contract/ledger/findings'
import type { Overlay, OverlayExport, OverlayPage } from '@countersign/contract/review'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { AccessWorld, type Person } from '../../access/testing/world.ts'
import { verify } from '../../verify/testing/world.ts'
import { answer, Psql, personRef, proposing, stored } from './testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

let world: AccessWorld
beforeAll(async () => {
  world = await AccessWorld.start()
})
afterAll(() => world?.[Symbol.asyncDispose]())

let number = 0
async function bot() {
  const subject = `bot-${++number}`
  const token = await world.jwt(subject)
  return { agent: world.agent(subject), psql: new Psql(world.port, 'files', token), token }
}
const reading = (agent: string) => `// What it did in the window.
@id("mine") @reason("Reduced by a review: it reads items")
forbid (principal == Agent::"${agent}", action, resource in Connection::"files")
unless {
  action == Action::"sql:connect" ||
  (action == Action::"sql:read" && resource == Table::"files/public.items")
};
`
const nothing = (agent: string) => `@reason("Revoked by a review")
forbid (principal == Agent::"${agent}", action, resource in Connection::"files");
forbid (principal == Agent::"${agent}", action == Action::"data:reveal", resource)
when { context.connection == Connection::"files" };
`
const rae = () => personRef(world, 'rae', 'Rae')
const reduced = (agent: string) =>
  proposing(world, { kind: 'reduce', agent, connection: 'files', policy: reading(agent), by: rae() })
const policy = () => world.as<PolicyInForce>('aud', '/v1/policy')

describe('a reduce', () => {
  test('applied by another person holds from the next command on, in a session that is open', async () => {
    const one = await bot()
    await using psql = one.psql
    expect(await psql.ask('select count(*) from items; insert into items values (1);')).toBe('0')
    const id = await reduced(one.agent)
    expect(await psql.ask('insert into items values (2);')).toBe('')
    const before = await policy()

    const applied = await answer(world, 'max', id, 'apply', { reason: 'as decided' })
    expect(applied).toMatchObject({ status: 200, overlay: { state: 'verified', inForce: true } })
    expect(applied.overlay.probes.filter(({ ok }) => !ok)).toEqual([])
    expect(applied.overlay.probes.some(({ expect, got }) => expect === 'deny' && got === 'deny')).toBe(true)
    expect(applied.overlay.probes.some(({ expect, agent }) => expect === 'as-before' && agent !== undefined)).toBe(true)

    const said = await psql.ask('insert into items values (3);')
    expect(said).toContain(`ERROR:  42501: denied by policy overlay/${id}#1\n`)
    expect(said).toContain('(Reduced by a review: it reads items): sql:write on files/public.items')
    expect(await psql.ask('select count(*) from items;')).toBe('2')
    const other = await bot()
    await using free = other.psql
    expect(await free.ask('insert into items values (4);')).toBe('')

    const after = await policy()
    expect(after.version).not.toBe(before.version)
    expect(after.version).toBe(applied.overlay.version)
    expect(after.texts.at(-1)).toEqual({ file: `overlay:${id}.cedar`, text: reading(one.agent) })
    const [time] = await stored(world, ({ db }) =>
      db.selectFrom('policy_times').selectAll().orderBy('id', 'desc').limit(1).execute(),
    )
    expect(time).toMatchObject({ version: after.version, reason: `overlay ${id} was applied: as decided` })
    expect(JSON.parse(time!.by!)).toMatchObject({ name: 'Max' })
  })

  test('stays over a reload of the folder, over a broken folder, and over a restart', async () => {
    const one = await bot()
    const denied = /^ERROR: {2}42501: denied by policy overlay/
    {
      await using psql = one.psql
      const id = await reduced(one.agent)
      await answer(world, 'max', id, 'apply')
      writeFileSync(
        join(world.folder, 'policy', 'more.cedar'),
        '@id("more") permit (principal, action == Action::"sql:ddl", resource);',
      )
      await world.reload()
      expect((await policy()).texts.map(({ file }) => file)).toEqual(
        expect.arrayContaining(['base.cedar', 'more.cedar', `overlay:${id}.cedar`]),
      )
      expect(await psql.ask('insert into items values (1);')).toMatch(denied)
      writeFileSync(join(world.folder, 'policy', 'more.cedar'), 'permit (principal, ')
      await expect(world.reload()).rejects.toThrow(/more\.cedar/)
      expect(await psql.ask('insert into items values (1);')).toMatch(denied)
      expect(await psql.ask('select 1;')).toBe('1')
      unlinkSync(join(world.folder, 'policy', 'more.cedar'))
      await world.reload()
    }
    const { version } = await policy()
    await world.stop()
    await world.serve()
    expect((await policy()).version).toBe(version)
    await using again = new Psql(world.port, 'files', one.token)
    expect(await again.ask('insert into items values (1);')).toMatch(denied)
    expect(await again.ask('select 1;')).toBe('1')
  })

  test('an overlay whose text was changed in the store refuses the reload, and the start', async () => {
    const one = await bot()
    await one.psql[Symbol.asyncDispose]()
    const id = await reduced(one.agent)
    await answer(world, 'max', id, 'apply')
    const put = (text: string) =>
      stored(world, ({ db }) => db.updateTable('overlays').set({ policy: text }).where('id', '=', id).execute())
    await put(nothing(one.agent).replace('forbid', 'permit'))
    const { version } = await policy()
    await expect(world.reload()).rejects.toThrow(/its text is not the one that was proposed/)
    expect((await policy()).version).toBe(version)
    await world.stop()
    await expect(world.serve()).rejects.toMatchObject({ problems: [{ file: `overlay:${id}.cedar` }] })
    const wrong = nothing(one.agent).replace('forbid', 'permit')
    await stored(world, ({ db }) =>
      db
        .updateTable('overlays')
        .set({ digest: hash('sha256', wrong) })
        .where('id', '=', id)
        .execute(),
    )
    await expect(world.serve()).rejects.toMatchObject({ problems: [{ file: `overlay:${id}.cedar` }] })
    const right = reading(one.agent)
    await put(right)
    await stored(world, ({ db }) =>
      db
        .updateTable('overlays')
        .set({ digest: hash('sha256', right) })
        .where('id', '=', id)
        .execute(),
    )
    await world.serve()
  })
})

test('a revoke ends the open session, and lets no new one in', async () => {
  const one = await bot()
  await using psql = one.psql
  expect(await psql.ask('select 1;')).toBe('1')
  const id = await proposing(world, {
    ...{ kind: 'revoke', agent: one.agent, connection: 'files', policy: nothing(one.agent), by: rae() },
  })
  expect(await answer(world, 'max', id, 'apply')).toMatchObject({ status: 200, overlay: { state: 'verified' } })
  expect(await psql.ask('select 1;')).toMatch(/57P01: access ended: policy was changed: denied by policy overlay/)
  await using again = new Psql(world.port, 'files', one.token)
  expect(await again.ask('select 1;')).toMatch(/FATAL/)
})

test('a revoke takes live grants, too', async () => {
  const subject = `bot-${++number}`
  const token = await world.jwt(subject)
  const grant = await world.grant(token)
  const agent = world.agent(subject)
  await using psql = new Psql(world.port, 'orders', token)
  expect(await psql.ask('select 1;')).toBe('1')
  const text = nothing(agent).replaceAll('"files"', '"orders"')
  const id = await proposing(world, { kind: 'revoke', agent, connection: 'orders', policy: text, by: rae() })
  expect(await answer(world, 'max', id, 'apply')).toMatchObject({ status: 200, overlay: { state: 'verified' } })
  expect(await psql.ask('select 1;')).toMatch(/57P01/)
  await vi.waitFor(
    async () => {
      const now = await world.as<Grant>('aud', `/v1/grants/${grant.id}`)
      expect(now).toMatchObject({ state: 'revoked', endedBecause: expect.stringMatching(/policy has changed/) })
    },
    { timeout: 30_000, interval: 50 },
  )
  const asked = { connection: 'orders', actions: ['sql'], duration: '1h', purpose: 'again' }
  expect((await world.call('/v1/grants', token, asked)).status).toBe(403)
})

test('applied while the configuration is reloaded, both are in force', async () => {
  const one = await bot()
  await one.psql[Symbol.asyncDispose]()
  const ids = [await reduced(one.agent), await reduced(one.agent)]
  writeFileSync(
    join(world.folder, 'policy', 'race.cedar'),
    '@id("race") permit (principal, action == Action::"sql:ddl", resource);',
  )
  const [first, , second] = await Promise.all([
    answer(world, 'max', ids[0]!, 'apply'),
    world.reload(),
    answer(world, 'mia', ids[1]!, 'apply'),
    world.reload(),
  ])
  expect([first, second]).toMatchObject([{ overlay: { state: 'verified' } }, { overlay: { state: 'verified' } }])
  const files = (await policy()).texts.map(({ file }) => file)
  expect(files).toEqual(expect.arrayContaining(['race.cedar', ...ids.map((id) => `overlay:${id}.cedar`)]))
  unlinkSync(join(world.folder, 'policy', 'race.cedar'))
  await world.reload()
})

test('rolled back by two people, what it took is there again, and all else is as before', async () => {
  const one = await bot()
  await using psql = one.psql
  const before = await policy()
  const id = await reduced(one.agent)
  await answer(world, 'max', id, 'apply')
  expect(await psql.ask('insert into items values (1);')).toMatch(/denied by policy overlay/)
  expect(await answer(world, 'max', id, 'roll-back', {})).toMatchObject({ status: 400 })
  const asked = await answer(world, 'max', id, 'roll-back', { reason: 'the nightly job writes' })
  expect(asked).toMatchObject({ status: 200, overlay: { state: 'verified', rollBack: { by: { name: 'Max' } } } })
  expect(await answer(world, 'max', id, 'roll-back', { reason: 'I said so' })).toMatchObject({ status: 403 })
  expect(await psql.ask('insert into items values (1);')).toMatch(/denied by policy overlay/)
  expect(await answer(world, 'mia', id, 'roll-back', { reason: 'so it does' })).toMatchObject({
    status: 409,
    detail: /Max asked to roll it back \(the nightly job writes\)/,
  })
  const confirms = asked.overlay.rollBack!.at
  const done = await answer(world, 'mia', id, 'roll-back', { reason: 'so it does', confirms })
  expect(done).toMatchObject({ status: 200, overlay: { state: 'rolled-back', inForce: false } })
  expect(done.overlay.probes.filter(({ ok }) => !ok)).toEqual([])
  expect(await psql.ask('insert into items values (1);')).toBe('')
  expect((await policy()).version).toBe(before.version)
})

test('what was put in force as the gateway was killed is in force after the start, and looked at', async () => {
  const one = await bot()
  await using psql = one.psql
  await psql.ask('select 1;')
  const id = await reduced(one.agent)
  await answer(world, 'max', id, 'apply')
  await world.stop()
  await stored(world, ({ db }) =>
    db.updateTable('overlays').set({ state: 'applied', probes: '[]' }).where('id', '=', id).execute(),
  )
  await world.serve()
  const overlay = await world.as<Overlay>('rae', `/v1/overlays/${id}`)
  expect(overlay).toMatchObject({ state: 'verified', inForce: true })
  expect(overlay.probes.length).toBeGreaterThan(10)
})

test('who asks for what, by role and state', async () => {
  const one = await bot()
  {
    await using psql = one.psql
    await psql.ask('select 1;')
  }
  const id = await reduced(one.agent)
  const page = await world.as<OverlayPage>('rae', `/v1/overlays/${id}`)
  const digest = hash('sha256', reading(one.agent))
  expect(page).toMatchObject({
    state: 'proposed',
    inForce: false,
    digest,
    agent: one.agent,
    policy: reading(one.agent),
  })
  // It has not come to anything yet but is known: what it may write goes, what it reads stays.
  const cell = (of: 'before' | 'after', action: string) =>
    page[of]?.find((line) => line.action === action && line.resource === 'files/public.items')?.verdict
  expect([cell('before', 'sql:read'), cell('after', 'sql:read')]).toEqual(['allow', 'allow'])
  expect([cell('before', 'sql:ddl'), cell('after', 'sql:ddl')]).toEqual(['allow', 'deny'])

  const other = await reduced(one.agent)
  const own = await proposing(world, {
    ...{ kind: 'reduce', agent: one.agent, connection: 'files', policy: reading(one.agent) },
    by: personRef(world, 'max', 'Max'),
  })
  type Step = [
    who: Person | 'agent',
    overlay: string,
    what: Parameters<typeof answer>[3],
    body: object,
    status: number,
    words: RegExp,
  ]
  /** When it was asked for last, as the overlay shows it. */
  const ASKED = 'asked'
  let askedAt = ''
  const steps: Step[] = [
    ['agent', id, 'apply', {}, 403, /Campaigns are read by|agent/],
    ['ada', id, 'apply', {}, 403, /reviewers, auditors and admins/],
    ['aud', id, 'apply', {}, 403, /applied by admins/],
    ['rae', id, 'apply', {}, 403, /applied by admins/],
    ['rae', id, 'roll-back', { reason: 'x' }, 403, /rolled back by admins/],
    ['aud', id, 'reject', { reason: 'x' }, 403, /rejected by admins/],
    ['max', 'ov_none', 'apply', {}, 404, /no overlay ov_none/],
    ['max', id, 'apply', { digest: '0'.repeat(64) }, 409, /not the text/],
    ['max', id, 'apply', { digest: 'short' }, 400, /./],
    ['max', id, 'apply', { more: 1 }, 400, /./],
    ['max', own, 'apply', {}, 403, /It takes two people: it was you who proposed it/],
    ['max', id, 'roll-back', { reason: 'x' }, 409, /nothing of it in force/],
    ['max', id, 'retire', {}, 409, /nothing of it in force/],
    ['max', other, 'reject', {}, 400, /Say why/],
    ['max', other, 'reject', { reason: 'it is needed' }, 200, /./],
    ['max', other, 'reject', { reason: 'it is needed' }, 200, /./],
    ['mia', other, 'reject', { reason: 'too' }, 409, /is rejected/],
    ['mia', other, 'apply', {}, 409, /is rejected/],
    ['mia', id, 'apply', { digest, reason: 'as decided' }, 200, /./],
    ['mia', id, 'apply', { digest }, 200, /./],
    ['max', id, 'apply', { digest }, 409, /is verified/],
    ['max', id, 'reject', { reason: 'x' }, 409, /roll it back/],
    ['max', id, 'retire', {}, 409, /has not every policy/],
    ['max', id, 'roll-back', { reason: 'needed' }, 200, /./],
    ['max', id, 'roll-back', { reason: 'needed' }, 200, /./],
    ['max', id, 'roll-back', { reason: 'otherwise' }, 403, /two people/],
    ['mia', id, 'reject', { reason: 'it is not' }, 200, /./],
    ['mia', id, 'roll-back', { reason: 'then I' }, 200, /./],
    ['max', id, 'roll-back', { digest: '0'.repeat(64) }, 409, /not the text/],
    ['max', id, 'roll-back', {}, 409, /Mia asked to roll it back/],
    ['max', id, 'roll-back', { confirms: '2026-11-20T00:00:00.000Z' }, 409, /Mia asked to roll it back/],
    ['max', id, 'roll-back', { confirms: ASKED }, 200, /./],
    ['max', id, 'roll-back', {}, 200, /./],
    ['mia', id, 'apply', {}, 409, /is rolled-back/],
    ['mia', own, 'apply', {}, 200, /./],
  ]
  for (const [who, overlay, what, body, status, words] of steps) {
    const token = who === 'agent' ? one.token : await world.person(who)
    const said = 'confirms' in body && body.confirms === ASKED ? { ...body, confirms: askedAt } : body
    const answered = await world.call(`/v1/overlays/${overlay}/${what}`, token, said)
    const came = (await answered.json()) as { detail?: string; rollBack?: { at: string } }
    askedAt = came.rollBack?.at ?? askedAt
    expect([who, what, body, answered.status, came.detail ?? '']).toEqual([who, what, body, status, came.detail ?? ''])
    expect(came.detail ?? 'ok').toMatch(words)
  }
  for (const [who, status] of [
    ['rae', 200],
    ['aud', 200],
    ['max', 200],
    ['ada', 403],
  ] as const) {
    for (const path of ['', `/${id}`, '/export'])
      expect((await world.call(`/v1/overlays${path}`, await world.person(who))).status).toBe(status)
  }
  expect((await world.call('/v1/overlays', one.token)).status).toBe(403)
  const listed = await world.as<{ items: Overlay[]; next: string | null }>(
    'aud',
    `/v1/overlays?limit=2&agent=${encodeURIComponent(one.agent)}`,
  )
  expect(listed.items.map((overlay) => overlay.id)).toEqual([own, other])
  const rest = await world.as<{ items: Overlay[] }>(
    'aud',
    `/v1/overlays?limit=1&state=rolled-back&agent=${encodeURIComponent(one.agent)}`,
  )
  expect(rest.items).toMatchObject([{ id, rollBack: { by: { name: 'Mia' } }, rolledBack: { by: { name: 'Max' } } }])
  expect((await world.call('/v1/overlays?after=x', await world.person('aud'))).status).toBe(400)
})

test('an export is a patch that git takes; once the folder has it, an overlay is retired and nothing changes', async () => {
  const one = await bot()
  await using psql = one.psql
  await psql.ask('select 1;')
  const id = await proposing(world, {
    ...{ kind: 'reduce', agent: one.agent, connection: 'files', policy: reading(one.agent), by: rae() },
    title: 'Less\u2028permit (principal, action, resource);',
  })
  await answer(world, 'max', id, 'apply')
  const folder = join(world.folder, 'policy')
  // A folder that has the file already, and no line's end behind its last line.
  writeFileSync(
    join(folder, 'reviews.cedar'),
    '// By hand.\n@id("mine") forbid (principal, action == Action::"sql:admin", resource);',
  )
  await world.reload()
  const exported = await world.as<OverlayExport>('aud', '/v1/overlays/export')
  expect(exported.overlays).toContain(id)
  const work = mkdtempSync(join(tmpdir(), 'countersign-export-'))
  cpSync(folder, work, { recursive: true })
  writeFileSync(join(work, 'x.patch'), exported.patch)
  execFileSync('git', ['init', '-q', '.'], { cwd: work })
  execFileSync('git', ['apply', '--check', 'x.patch'], { cwd: work })
  execFileSync('git', ['apply', 'x.patch'], { cwd: work })
  expect(readFileSync(join(work, 'reviews.cedar'), 'utf8')).toBe(exported.files[0]!.text)
  rmSync(join(folder, 'reviews.cedar'))
  await world.reload()
  const fresh = await world.as<OverlayExport>('aud', '/v1/overlays/export')
  rmSync(join(work, 'reviews.cedar'))
  writeFileSync(join(work, 'x.patch'), fresh.patch)
  execFileSync('git', ['apply', 'x.patch'], { cwd: work })
  cpSync(join(work, 'reviews.cedar'), join(folder, 'reviews.cedar'))
  rmSync(work, { recursive: true })
  await world.reload()

  expect((await policy()).texts.find(({ file }) => file === 'reviews.cedar')?.text).toBe(fresh.files[0]!.text)
  const after = await world.as<OverlayExport>('aud', '/v1/overlays/export')
  expect(after).toMatchObject({ overlays: [], files: [], patch: '' })
  expect(after.redundant).toContain(id)
  const retired = await answer(world, 'mia', id, 'retire', { reason: 'the folder has it' })
  expect(retired).toMatchObject({ status: 200, overlay: { state: 'retired', inForce: false } })
  expect(await psql.ask('insert into items values (1);')).toMatch(new RegExp(`denied by policy review-${id}-1`))
  expect(await psql.ask('select 1;')).toBe('1')
  for (const other of after.redundant!.filter((redundant) => redundant !== id))
    expect(await answer(world, 'mia', other, 'retire')).toMatchObject({ status: 200 })
  unlinkSync(join(folder, 'reviews.cedar'))
  await world.reload()
})

test('what was remembered of data:reveal is asked again', async () => {
  const subject = `bot-${++number}`
  writeFileSync(
    join(world.folder, 'policy', 'reveal.cedar'),
    'permit (principal, action == Action::"data:reveal", resource == DataClass::"email");',
  )
  await world.reload()
  await using psql = new Psql(world.port, 'masked', await world.jwt(subject))
  expect(await psql.ask('select email from customers;')).toBe('jane@example.com')
  const policy = nothing(world.agent(subject)).replaceAll('"files"', '"masked"').split(';').slice(1).join(';').trim()
  const id = await proposing(world, {
    kind: 'reduce',
    agent: world.agent(subject),
    connection: 'masked',
    policy,
    by: rae(),
  })
  expect(await answer(world, 'max', id, 'apply')).toMatchObject({ overlay: { state: 'verified' } })
  expect(await psql.ask('select email from customers;')).not.toContain('jane@')
  unlinkSync(join(world.folder, 'policy', 'reveal.cedar'))
  await world.reload()
})

test('metrics count them', async () => {
  const text = await (await fetch(`${world.api}/metrics`)).text()
  expect(text).toMatch(/countersign_overlay_changes_total\{result="verified"\} [1-9]/)
  expect(text).toMatch(/countersign_overlays_in_force [1-9]/)
})

describe('against the ledger', () => {
  let whole: string
  beforeAll(async () => {
    const one = await bot()
    await one.psql[Symbol.asyncDispose]()
    const id = await reduced(one.agent)
    await answer(world, 'max', id, 'apply')
    await answer(world, 'mia', id, 'roll-back', { reason: 'needed' })
    await world.stop()
    whole = mkdtempSync(join(tmpdir(), 'countersign-overlays-'))
    cpSync(world.data, whole, { recursive: true })
    await world.serve()
  })
  afterAll(() => rmSync(whole, { recursive: true, force: true }))

  const after = async (statement: string): Promise<Finding | undefined> => {
    const copy = mkdtempSync(join(tmpdir(), 'countersign-overlays-'))
    try {
      cpSync(whole, copy, { recursive: true })
      const database = new Database(join(copy, 'countersign.sqlite'))
      expect(database.prepare(statement).run().changes).toBeGreaterThan(0)
      database.close()
      return (await verify(copy)).findings[0]
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  }
  test('the store is whole', async () => {
    expect((await verify(whole)).findings).toEqual([])
  })
  const changes = [
    ...["state = 'failed'", 'in_force = 1 - in_force', 'number = number + 1000', "kind = 'revoke'", "title = 'More'"],
    ...["agent = 'https://other'", "connection = 'orders'", "campaign = 'ca_x'", "item = 'it_x'", "decision = 'de_x'"],
    ...["policy = policy || ' '", "digest = 'x'", 'proposed_by = null', "proposed_at = '2026-01-01T00:00:00.000Z'"],
    ...[
      "proposed_because = 'x'",
      "approved_by = '{}'",
      "approved_at = 'x'",
      "approved_because = 'x'",
      "applied_at = 'x'",
    ],
    ...["version = 'sha256:00'", "probes = '[1]'", "failed_because = 'x'", "rejected = '{}'", "roll_back = '{}'"],
    ...["rolled_back = '{}'", "retired = '{}'"],
  ]
  test('each column of an overlay that was changed is found', async () => {
    const ids: string[] = []
    for (const _ of changes) {
      const agent = world.agent('changed')
      ids.push(
        await proposing(world, { kind: 'reduce', agent, connection: 'files', policy: reading(agent), by: rae() }),
      )
    }
    await world.stop()
    try {
      const database = new Database(join(world.data, 'countersign.sqlite'))
      const before = database.prepare('select * from overlays').all() as Record<string, unknown>[]
      for (const [at, set] of changes.entries())
        expect(database.prepare(`update overlays set ${set} where id = ?`).run(ids[at]).changes).toBe(1)
      const { findings } = await verify(world.data)
      const found = findings.filter(({ code }) => code === 'row-changed').map(({ where }) => where.row)
      for (const [at, set] of changes.entries())
        expect([set, found.includes(`overlays/${ids[at]}`)]).toEqual([set, true])
      for (const row of before)
        for (const [column, value] of Object.entries(row))
          database.prepare(`update overlays set ${column} = ? where id = ?`).run(value, row.id)
      database.close()
    } finally {
      await world.serve()
    }
  })
  test.each([
    ['deleted', `delete from overlays where number = (select max(number) from overlays)`, 'row-missing'],
    [
      'added',
      `insert into overlays (id, number, state, kind, title, connection, policy, digest, proposed_at, proposed_because)
       select 'ov_other', number + 1, state, kind, title, connection, policy, digest, proposed_at, proposed_because from overlays where number = (select max(number) from overlays)`,
      'row-unlogged',
    ],
    [
      'one rolled back that is in force again',
      `update overlays set in_force = 1, state = 'verified' where state = 'rolled-back'`,
      'row-changed',
    ],
    ['who put policy in force', `update policy_times set by = null where by is not null`, 'row-changed'],
    ['why policy is in force', `update policy_times set reason = 'x' where by is not null`, 'row-changed'],
    ['no reason why policy is in force', `update policy_times set reason = null`, 'row-changed'],
  ])('%s', async (_what, statement, code) => {
    expect(await after(statement)).toMatchObject({ code })
  })
})
