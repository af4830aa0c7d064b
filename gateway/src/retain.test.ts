import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { parseVerifierKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { type LoadedConfig, loadConfig } from './config/config.ts'
import { runsOn } from './retain.ts'
import { dryRunOf } from './sessions/retention/dry.ts'
import { aud, GatewayWorld, verify } from './verify/testing/world.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

const day = 86_400_000
const canary = 'kanarienvogel4711'
const bin = join(import.meta.dirname, '..', 'bin', 'countersign-gateway.js')

let world: GatewayWorld
/** A data folder for each test. */
let data: string
let tests = 0
beforeAll(async () => {
  world = await GatewayWorld.start()
})
afterAll(() => world?.[Symbol.asyncDispose]())
beforeEach(() => {
  data = join(world.folder, `data-${tests++}`)
})
afterEach(() => world.stop())

/** A day at work with a canary in a command that is held, in one that isn't, in a result, and in an error. */
async function worked(retention: object, dataClasses: object = {}): Promise<LoadedConfig> {
  const config = JSON.parse(readFileSync(world.config, 'utf8'))
  config.data = data
  config.retention = retention
  config.connections.orders.data_classes = dataClasses
  writeFileSync(world.config, JSON.stringify(config))
  await world.serve()
  await world.work()
  const client = await world.client('canary')
  await client.query(`select '${canary}' as v, $1::text as w`, [canary])
  await client.query(`select '${canary}'::int`).catch(() => {})
  const held = client.query(`delete from orders where what = '${canary}'`)
  await world.decide('approve')
  await held
  await client.end()
  await world.stop()
  const loaded = await loadConfig(world.config)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.config
}

async function after(days: number, config: LoadedConfig) {
  const now = Date.now() + days * day
  const dry = await dryRunOf(config.data, config.retention, now)
  const runs = []
  for await (const run of runsOn(config, () => now)) runs.push(run)
  expect(runs).toHaveLength(1)
  const { id: _, dry: isDry, at: __, done, ...would } = dry
  expect([isDry, done]).toEqual([true, false])
  expect(runs[0]).toMatchObject(would)
  return runs[0]!
}

function whereabouts(bytes: string): string[] {
  return readdirSync(data, { recursive: true, encoding: 'utf8' }).filter(
    (name) => statSync(join(data, name)).isFile() && readFileSync(join(data, name)).includes(bytes),
  )
}

async function cli(...args: string[]) {
  const child = spawn(process.execPath, [bin, ...args, '--config', world.config], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { stdout, stderr, code: code as number }
}

test('recordings that a real gateway made go without a trace of what they said, and everything verifies', async () => {
  const config = await worked({ recordings: '90d' })
  expect(whereabouts(canary).length).toBeGreaterThan(0)
  expect(await after(89, config)).toMatchObject({ recordings: 0, entries: 0 })
  expect(await after(91, config)).toMatchObject({ recordings: 3, kept: 0 })
  expect(whereabouts(canary)).toEqual([])
  const report = await verify(data)
  expect(report.findings).toEqual([])
  expect(report).toMatchObject({ outcome: 'whole', erasedRecordings: 3 })

  // The gateway goes on with it: sessions say that they were erased, and their bundles still verify.
  await world.serve()
  const sessions = await world.sessions()
  expect(sessions).toHaveLength(3)
  const key = parseVerifierKey(nodeCrypto.sha256, readFileSync(join(data, 'ledger', 'vkey'), 'utf8').trimEnd())
  for (const id of sessions) {
    const session = (await (await world.call(`/v1/sessions/${id}`, aud)).json()) as { retention: object }
    expect(session.retention).toEqual({ heldBy: [], erasedAt: expect.any(String) })
    expect((await world.call(`/v1/sessions/${id}/recording`, aud)).status).toBe(404)
    const bundle = await world.call(`/v1/sessions/${id}/bundle`, aud)
    expect(bundle.status).toBe(200)
    const verified = await verifyBundle(nodeCrypto, new Uint8Array(await bundle.arrayBuffer()), { keys: [key] })
    expect(verified.outcome).toBe('whole')
  }
})

test('what approvals say may go before the recording, and what touched a class before all else', async () => {
  const retention = { recordings: '400d', approvals: '10d', classes: { thing: '20d' } }
  const config = await worked(retention, { 'public.orders.what': 'thing' })
  // One of the three had nothing held.
  const texts = { takes: ['approvals'], rule: 'approvals 10d' }
  expect(await after(11, config)).toMatchObject({ recordings: 0, items: [texts, texts] })
  const early = await verify(data)
  expect(early.findings).toEqual([])
  expect(early.outcome).toBe('whole')
  const later = await after(21, config)
  expect(later.recordings).toBe(3)
  expect(whereabouts(canary)).toEqual([])
  const report = await verify(data)
  expect(report.findings).toEqual([])
  expect(report).toMatchObject({ outcome: 'whole', erasedRecordings: 3 })
})

test('all that is left of entries may go, too', async () => {
  const config = await worked({ recordings: '90d', entries: '400d', annotations: '400d' })
  await after(91, config)
  const { entries } = await after(401, config)
  expect(entries).toBeGreaterThan(0)
  for (const said of [canary, 'cleaning', 'so it is']) expect([said, whereabouts(said)]).toEqual([said, []])
  const report = await verify(data)
  expect(report.findings).toEqual([])
  expect(report.outcome).toBe('whole')
})

test('the command shows what would go beside a running gateway, and takes it where none runs', async () => {
  await worked({ recordings: '90d' })
  await world.serve()
  const dry = await cli('retention', '--dry-run', '--json')
  expect([dry.code, dry.stderr]).toEqual([0, ''])
  expect(JSON.parse(dry.stdout)).toMatchObject({ dry: true, recordings: 0, items: [] })
  const taken = await cli('retention')
  expect(taken.code).toBe(1)
  expect(taken.stderr).toMatch(/a gateway runs on this data folder/)
  await world.stop()
  const ran = await cli('retention')
  expect(ran.stdout).toMatch(/^erased, by entry \d+, 0 recordings \(0 kB\), payloads of 0 entries\n$/)
  expect(ran.code).toBe(0)
  writeFileSync(world.config, '{ "retention": { "recordings": 1 } }')
  const refused = await cli('retention', '--dry-run')
  expect(refused.code).toBe(2)
  expect(refused.stderr).toMatch(/gateway\.json:1: retention\.recordings/)
})
