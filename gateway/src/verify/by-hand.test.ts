import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { aud, GatewayWorld } from './testing/world.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

/** docs/verify.md, "By hand", run as it stands there, on what a real gateway gives out. */
const page = readFileSync(join(import.meta.dirname, '../../../docs/verify.md'), 'utf8')
const steps = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!)

let world: GatewayWorld
let vkey: string
const bundles = new Map<string, Uint8Array>()
beforeAll(async () => {
  world = await GatewayWorld.start()
  await world.serve()
  await world.work()
  const [reporter, deployer] = (await world.sessions()) as [string, string]
  const client = await world.client('still-here')
  await client.query('select 1')
  const [open] = (await world.sessions()) as [string]
  for (const [name, session] of Object.entries({ reporter, deployer, open })) {
    const answer = await world.call(`/v1/sessions/${session}/bundle`, aud)
    expect(answer.status).toBe(200)
    bundles.set(name, new Uint8Array(await answer.arrayBuffer()))
  }
  vkey = readFileSync(join(world.data, 'ledger', 'vkey'), 'utf8').trim()
  await client.end()
})
afterAll(() => world?.[Symbol.asyncDispose]())

function run(name: string, bytes: Uint8Array) {
  const folder = join(world.folder, name)
  mkdirSync(folder)
  const file = join(folder, 'evidence.tar')
  writeFileSync(file, bytes)
  const env = { ...process.env, BUNDLE: file, VKEY: vkey }
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-euc', steps.join('\n')], { cwd: folder, env })
  return { status, said: `${stdout}${stderr}` }
}

it.each(['deployer', 'reporter', 'open'])('the steps find the bundle of a session whole: %s', (name) => {
  expect(steps).toHaveLength(6)
  const { status, said } = run(name, bundles.get(name)!)
  expect(said).toBe(
    [
      'Signature Verified Successfully',
      'Signature Verified Successfully',
      'manifest.json: OK',
      'every file is as the manifest says',
      'every entry is in the log',
      'every chunk of the recording is as it was logged',
      '',
    ].join('\n'),
  )
  expect(status).toBe(0)
})

it('the steps find a person’s decision that was changed', () => {
  const changed = Buffer.from(bundles.get('deployer')!)
  // As the entry has it: canonical JSON, the recording's is not.
  const at = changed.indexOf('"reason":"so it is, deny","session"') + 10
  expect(at).toBeGreaterThan(10)
  changed.write('so it was', at)
  const { status, said } = run('changed', changed)
  expect(status).not.toBe(0)
  expect(said).toMatch(/entries\/\d+\.opening: FAILED/)
})
