import type { ConnectionRecord, Freeze } from '@countersign/contract/access'
import { expect, test } from 'vitest'
import { openStore } from '../store/store.ts'
import { temporaryFolder } from '../testing/console.ts'
import { createConnections } from './connections.ts'

const orders: ConnectionRecord = {
  ...{ name: 'orders', kind: 'postgres', tags: [], access: 'standing', mode: 'enforce' },
  ...{ openSessions: 0, liveGrants: 0 },
}
const by = { id: 'i#a', issuer: 'i', subject: 'a', name: 'Admin' }
const freeze: Freeze = { id: 'fr_1', connection: 'orders', by, reason: 'leak', at: '2026-11-21T12:00:00.000Z' }

test('an answer that was on its way when something was frozen doesn’t say that it isn’t', async () => {
  using folder = temporaryFolder()
  using store = openStore(folder.path)
  const answers: ((items: ConnectionRecord[]) => void)[] = []
  const api = { connections: () => new Promise<ConnectionRecord[]>((resolve) => void answers.push(resolve)) }
  const connections = createConnections({
    store,
    clock: { now: () => 0 } as never,
    log: { warn: () => {} } as never,
    asking: async () => ({ api, token: '' }) as never,
    say: () => {},
  })
  const first = connections.look()
  await expect.poll(() => answers.length).toBe(1)
  answers[0]!([orders])
  await first
  const second = connections.look()
  await expect.poll(() => answers.length).toBe(2)
  connections.heard(freeze)
  answers[1]!([orders])
  await expect.poll(() => answers.length).toBe(3)
  expect(connections.known().items).toMatchObject([{ freeze }])
  answers[2]!([{ ...orders, freeze }])
  expect((await second).items).toMatchObject([{ freeze }])
})
