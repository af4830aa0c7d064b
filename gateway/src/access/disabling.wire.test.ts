import type { Grant, Plan, TokenRecord } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { Q, type RawClient, told } from '../postgres/testing/raw.ts'
import { verify } from '../verify/testing/world.ts'
import { AccessWorld, policy } from './testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

let world: AccessWorld
beforeAll(async () => {
  world = await AccessWorld.start()
  world.write(`${policy}@id("asked") @hold("dba") forbid (principal, action == Action::"access:request", resource)
    when { context.purpose == "held" } unless { context has approval };`)
  await world.reload()
})
afterAll(() => world?.[Symbol.asyncDispose]())

let open: RawClient[] = []
afterEach(() => {
  for (const client of open) client.socket.destroy()
  open = []
})

const connected = async (password: string, database: string, more: Record<string, string> = {}) => {
  const client = await world.client(password, database, more)
  open.push(client)
  return client
}
const disable = (subject: string, disabled: boolean) =>
  world.as('max', `/v1/agents/${encodeURIComponent(world.agent(subject))}`, { disabled, reason: 'odd' }, 'PATCH')
const grantOf = ({ id }: Grant) => world.as<Grant>('max', `/v1/grants/${id}`)
const ZA001 = expect.stringMatching(/^E ZA001 /)

/** Comes back for what is held, as `hold=fail` does. @returns the approval, where there is one, and what it was told */
async function run(jwt: string, sql: string) {
  const client = await connected(jwt, 'files', { options: '-c countersign.hold=fail' })
  client.send(Q(sql))
  const said = told(await client.ready())
  const text = sql.split(' --')[1]
  const found = (await world.approvals()).filter(({ command }) => command.text.endsWith(` --${text}`))
  return { said, all: found, newest: found[0] as Approval }
}
const approve = ({ id, command: { digest } }: Approval, window = 'once') =>
  world.as('ada', `/v1/approvals/${id}/decisions`, { verdict: 'approve', reason: 'fine', digest, window })

test('disabling an agent ends all that it has, and enabling it gives none of it back', async () => {
  const [jwt, executor] = [await world.jwt('off'), await world.jwt('executor')]
  const was = 'agent off was disabled by Max: odd'
  const live = await world.grant(jwt)
  const asked = (await (
    await world.call('/v1/grants', jwt, { connection: 'orders', actions: ['sql'], duration: '1h', purpose: 'held' })
  ).json()) as Grant
  expect([live.state, asked.state]).toEqual(['active', 'requested'])
  await connected(executor, 'files')
  await vi.waitFor(() => world.as('max', `/v1/agents/${encodeURIComponent(world.agent('executor'))}`), 20_000)
  const step = { title: 'look', connection: 'orders', actions: ['sql:read'], duration: '1h' }
  const planned = await world.call('/v1/plans', jwt, {
    title: 'two',
    purpose: 'month end',
    steps: [step, { ...step, agent: world.agent('executor') }],
  })
  const plan = (await planned.json()) as Plan
  const own = await world.grant(executor)
  const token = await world.exchange(jwt, 'files')

  // Held: one waits, one was approved and waits to be used, one was approved for an hour.
  const pending = await run(jwt, 'delete from items --pending')
  const approved = await run(jwt, 'delete from items --approved')
  await approve(approved.newest)
  const again = await run(jwt, 'delete from items --again')
  await approve(again.newest, '1h')
  for (const time of [1, 2])
    expect([time, (await run(jwt, 'delete from items --again')).said]).toEqual([
      time,
      expect.arrayContaining(['C DELETE 0']),
    ])
  expect(pending.said).toContainEqual(ZA001)
  const [session, byToken] = [await connected(jwt, 'orders'), await connected(token.access_token, 'files')]

  await disable('off', true)
  for (const client of [session, byToken])
    expect(told(await client.closed()).at(-1)).toBe(`E 57P01 access ended: ${was}`)
  for (const grant of [live, asked, ...plan.grants])
    expect(await grantOf(grant)).toMatchObject({
      state: 'revoked',
      endedBy: { name: 'Max' },
      endedBecause: `revoked since ${was}`,
    })
  expect(await grantOf(own)).toMatchObject({ state: 'active' })
  expect(await world.as<Approval>('ada', `/v1/approvals/${asked.approval}`)).toMatchObject({
    state: 'cancelled',
    closedBecause: was,
  })
  for (const { newest } of [pending, approved])
    expect(await world.as<Approval>('ada', `/v1/approvals/${newest.id}`)).toMatchObject({
      state: 'cancelled',
      closedBecause: was,
    })
  expect(await world.as<TokenRecord>('max', `/v1/tokens/${token.token_id}`)).toMatchObject({
    revoked: { by: 'Max', reason: was },
  })

  await disable('off', false)
  expect(told((await connected(jwt, 'orders')).frames)).toContainEqual(expect.stringMatching(/^E 42501/))
  expect(told((await connected(token.access_token, 'files')).frames)).toContainEqual(expect.stringMatching(/^E 28P01/))
  for (const what of ['pending', 'approved', 'again']) {
    const now = await run(jwt, `delete from items --${what}`)
    expect([what, now.said, now.all.length]).toEqual([what, expect.arrayContaining([ZA001]), 2])
  }
})

test('what is asked for while an agent is being disabled is not given', async () => {
  const jwt = await world.jwt('hasty')
  await connected(jwt, 'files')
  await vi.waitFor(() => world.as('max', `/v1/agents/${encodeURIComponent(world.agent('hasty'))}`), 20_000)
  const ask = () =>
    world.call('/v1/grants', jwt, { connection: 'orders', actions: ['sql'], duration: '1h', purpose: 'quick' })
  const exchange = () => world.exchange(jwt, 'files').catch((error: Error) => error)
  const before = [ask(), exchange(), ask(), exchange()]
  const disabling = disable('hasty', true)
  await Promise.all([...before, ask(), exchange(), disabling, ask(), exchange()])
  const mine = `agent=${encodeURIComponent(world.agent('hasty'))}&limit=1000`
  const grants = await world.as<{ items: Grant[] }>('max', `/v1/grants?${mine}`)
  const tokens = await world.as<{ items: TokenRecord[] }>('max', `/v1/tokens?${mine}&live=true`)
  expect(grants.items.filter(({ state }) => state === 'active' || state === 'requested')).toEqual([])
  expect(tokens.items).toEqual([])
})

test('of all of this the ledger tells the same as the store', async () => {
  await world.stop()
  expect((await verify(world.data)).findings).toEqual([])
  await world.serve()
})
