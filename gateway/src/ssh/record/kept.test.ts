import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { parseVerifierKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import type { RecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { verify } from '../../verify/testing/world.ts'
import { HOST, run } from '../testing/clients.ts'
import { eventsOf as of, type SshWorld, startSshWorld } from '../testing/world.ts'

/** What is kept of real sessions of SSH: recordings beside ledger, search and database. */

vi.setConfig({ testTimeout: 60_000 })

let world: SshWorld
beforeAll(async () => {
  world = await startSshWorld({ config: { limits: { recorded_output: '2MiB', drain: '1s' } } })
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** Runs a command in a session of its own, and reads what was recorded of it. */
async function recordedOf(command: string, input?: Buffer): Promise<{ id: string; events: RecordingEvent[] }> {
  const way = await world.through()
  await run(way, 'ssh', [HOST, command], input ? { input } : {})
  const { id } = (await world.sessions())[0]!
  return { id, events: await world.recorded(id) }
}
it('keeps what passed up to the bound, whole in ledger, search and bundle', async () => {
  const { id, events } = await recordedOf(
    'cat; echo findme; head -c 3000000 /dev/zero',
    Buffer.alloc(3_000_000, 'abc\n'),
  )
  const [exit] = of(events, 'exit')
  expect(exit).toMatchObject({
    code: 0,
    bytes: { stdin: 3_000_000, stdout: 6_000_007, stderr: 0 },
    truncated: ['stdin', 'stdout'],
  })
  const kept = (stream: RecordingEvent[]) =>
    stream.reduce((sum, event) => {
      const { data } = event as { data?: string | { base64: string } | null }
      return (
        sum + (typeof data === 'string' ? Buffer.byteLength(data) : Buffer.byteLength(data?.base64 ?? '', 'base64'))
      )
    }, 0)
  expect([kept(of(events, 'input')), kept(of(events, 'output'))]).toEqual([2 << 20, 2 << 20])

  const found = await world.as<{ items: { session: string; kind: string }[] }>('aud', '/v1/commands?text=abc')
  expect(found.items).toMatchObject([{ session: id, kind: 'exec' }])

  const headers = { authorization: `Bearer ${await world.person('aud')}` }
  const bundle = await fetch(`${world.api}/v1/sessions/${id}/bundle`, { headers })
  const key = readFileSync(join(world.data, 'ledger', 'vkey'), 'utf8').trim()
  const report = await verifyBundle(nodeCrypto, Buffer.from(await bundle.arrayBuffer()), {
    keys: [parseVerifierKey(nodeCrypto.sha256, key)],
  })
  expect([report.outcome, report.findings]).toEqual(['whole', []])
})

it('is found whole by verify, sessions that were held, refused and signalled among them', async () => {
  await recordedOf('echo forbidden')
  await recordedOf('kill -TERM $$')
  const held = run(await world.through(), 'ssh', [HOST, 'echo held'])
  await world.decide('approve')
  await held
  const { events } = await recordedOf('true')
  expect(of(events, 'exit')).toMatchObject([{ code: 0 }])
  await world.stop()
  const report = await verify(world.data)
  expect([report.outcome, report.findings]).toEqual(['whole', []])
  await world.serve()
})
