import { hash } from 'node:crypto'
import { unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PolicyInForce } from '@countersign/contract/api'
import type { Overlay } from '@countersign/contract/review'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { AccessWorld } from '../../access/testing/world.ts'
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
  const done = await answer(world, 'mia', id, 'roll-back', { reason: 'so it does' })
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

test('the store is whole at the end', async () => {
  await world.stop()
  const { findings } = await verify(world.data)
  await world.serve()
  expect(findings).toEqual([])
})
