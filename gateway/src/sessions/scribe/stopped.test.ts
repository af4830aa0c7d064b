import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { RunningGateway } from '../../gateway.ts'
import { GatewayWorld, verify } from '../../verify/testing/world.ts'
import { entriesIn } from './testing/read.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

let world: GatewayWorld
let gateway: RunningGateway
beforeAll(async () => {
  world = await GatewayWorld.start()
  gateway = await world.serve()
})
afterAll(() => world?.[Symbol.asyncDispose]())

const get = (path: string) => fetch(`http://${gateway.addresses.api}${path}`)
const told = (doing: Promise<unknown>) =>
  doing.then(
    () => ({ code: 'none', message: '', detail: '' }),
    (error) => error as { code: string; message: string; detail: string },
  )

it('while the ledger can’t be written nothing runs, which is said everywhere; then it goes on', async () => {
  const client = await world.client()
  await client.query("insert into orders values (10, 'before')")
  const other = new Database(join(world.data, 'ledger', 'entries.sqlite'))
  other.exec('begin immediate')
  try {
    await client.query("insert into orders values (11, 'not known to have stopped')")
    await vi.waitUntil(async () => (await get('/readyz')).status === 503, { timeout: 30_000 })
    expect(await (await get('/readyz')).json()).toEqual({ ready: false, reasons: [expect.stringMatching(/ledger/)] })
    expect(await (await get('/metrics')).text()).toContain('countersign_ledger_stopped 1')

    const refused = await told(client.query("insert into orders values (12, 'while stopped')"))
    expect(refused).toMatchObject({ code: '58030', message: expect.stringContaining('ledger') })
    expect(refused.detail).toMatch(/ledger can't be written/i)
    expect(await told(world.client())).toMatchObject({ code: '58030', message: expect.stringContaining('ledger') })
  } finally {
    other.exec('rollback')
    other.close()
  }
  await vi.waitUntil(async () => (await get('/readyz')).status === 200, { timeout: 30_000 })
  // The session has lived on, and nothing of what was refused was run.
  const { rows } = await client.query('select id from orders where id >= 10 order by id')
  expect(rows.map(({ id }) => id)).toEqual([10, 11])
  await client.end()
  await world.stop()
  const report = await verify(world.data)
  expect(report.findings).toEqual([])
  const verdicts = entriesIn(world.data).flatMap(({ type, payload }) =>
    type === 'command' && payload.kind === 'insert' ? [payload.verdict.outcome] : [],
  )
  expect(verdicts).toEqual(['allow', 'allow', 'deny'])
})
