import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { appendAudit } from '../../store/audit.ts'
import { openEntries } from '../ledger/entries.ts'
import { day, person, rules, World } from './testing/world.ts'

vi.setConfig({ testTimeout: 60_000 })

let world: World
beforeEach(async () => {
  world = await World.open()
})
afterEach(() => world[Symbol.asyncDispose]())

const signIn = (subject: string) => {
  const who = { kind: 'agent', id: `https://idp#${subject}`, issuer: 'https://idp', subject, name: subject, groups: [] }
  const at = new Date(world.now - 100 * day)
  return appendAudit(world.store.db, 'sign-in', { outcome: 'ok', via: 'postgres', who: who as never }, at)
}
const signIns = () => {
  using entries = openEntries(join(world.folder, 'ledger'))
  return [...entries.byType('sign-in')].map(({ payload }) =>
    payload ? (JSON.parse(Buffer.from(payload).toString()) as { who: { subject: string } }).who.subject : null,
  )
}

test('a hold that comes while a run is planned keeps sign-ins, too', async () => {
  world.rules = rules({ entries: 30 * day })
  await signIn('ci')
  await signIn('bot')
  await world.ended(91)
  let held: Promise<unknown> | undefined
  const retention = world.retentionWith({
    // Asked while it plans, of each session whose time is over.
    live: () => {
      held ??= retention.hold(person, { reason: 'a case', sessions: [], connections: [], agents: ['https://idp#bot'] })
      return false
    },
  })
  await retention.run({ dry: false, by: { kind: 'gateway' } })
  await held
  expect(signIns()).toEqual([null, 'bot'])
  expect(await world.verified()).toMatchObject({ outcome: 'whole', findings: [] })
})
