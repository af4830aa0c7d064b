import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type CommandsAsked, recordedCommands } from './commands.ts'
import { LedgerStopped } from './ledger.ts'
import type { LedgerLog } from './log.ts'
import { EntryRows } from './rows.ts'
import { openLedger, temporaryFolder } from './testing/ledger.ts'

let folder: ReturnType<typeof temporaryFolder>
let log: LedgerLog
beforeEach(async () => {
  folder = temporaryFolder()
  log = (await openLedger(folder.path)).log
})
afterEach(() => {
  log.close()
  folder[Symbol.dispose]()
})

const day = (n: number, minute = 0) => new Date(Date.UTC(2026, 10, n, 10, minute)).toISOString()
const agent = (name: string) => ({ id: `i#${name}`, issuer: 'i', subject: name, name, groups: ['ci'] })
const opened = (session: string, at: string, more: object = {}) => {
  const said = { session, connection: 'orders', protocol: 'postgres', mode: 'enforce', agent: agent('ci'), ...more }
  return log.add({ at, type: 'session.opened', payload: said, session })
}
const command = (session: string, at: string, more: object = {}) => {
  const effects = [
    { action: 'sql:read', resource: { type: 'Table', id: 'orders/public.t' }, kind: 'select', bounded: true },
  ]
  const said = { session, command: `c${log.size}`, kind: 'select', digest: 'd', effects }
  const verdict = { outcome: 'allow', policies: ['p'] }
  return log.add({ at, type: 'command', payload: { ...said, verdict, ...more }, session })
}
const closed = (session: string, at: string) =>
  log.add({ at, type: 'session.closed', payload: { session, state: 'closed', reason: 'gone' }, session })

function read(asked: Partial<CommandsAsked> = {}) {
  let unreadable = 0
  const window = { from: day(1), to: day(30) }
  const found = [
    ...recordedCommands(folder.path, {
      ...window,
      ...asked,
      onUnreadable: (commands) => {
        unreadable += commands
      },
    }),
  ]
  return { found, ids: found.map(({ session, n }) => `${session.id} ${n}`), unreadable }
}

test('commands of a window, with the session that they are of', () => {
  opened('se_a', day(1), { purpose: 'a look', grants: ['gr_1'], grant: 'gr_1', policy: 'sha256:1' })
  const one = command('se_a', day(1, 1), { approval: 'ap_1', verdict: { outcome: 'hold', policies: [] } })
  opened('se_b', day(2), { agent: agent('other'), connection: 'payments', mode: 'observe' })
  const two = command('se_b', day(2, 1))
  closed('se_b', day(2, 2))
  const three = command('se_a', day(3))
  log.commit()
  const { found, unreadable } = read()
  expect(found.map(({ n }) => n)).toEqual([one, two, three])
  expect(found[0]).toEqual({
    ...{ n: one, at: day(1, 1), command: 'c0', kind: 'select', digest: 'd', approval: 'ap_1' },
    effects: [
      { action: 'sql:read', resource: { type: 'Table', id: 'orders/public.t' }, kind: 'select', bounded: true },
    ],
    verdict: { outcome: 'hold', policies: [] },
    session: {
      ...{ id: 'se_a', openedAt: day(1), agent: agent('ci'), connection: 'orders', protocol: 'postgres' },
      ...{ mode: 'enforce', purpose: 'a look', grants: ['gr_1'], grant: 'gr_1', policy: 'sha256:1' },
    },
  })
  expect(found[2]!.session).toBe(found[0]!.session)
  expect(unreadable).toBe(0)
  expect(read({ from: day(1, 1), to: day(2, 1) }).found.map(({ n }) => n)).toEqual([one])
  expect(read({ from: day(2, 1), to: day(3) }).found.map(({ n }) => n)).toEqual([two])
  expect(read({ agents: ['i#other'] }).found.map(({ n }) => n)).toEqual([two])
  expect(read({ connections: ['orders'] }).found.map(({ n }) => n)).toEqual([one, three])
  expect(read({ connections: [] }).found).toEqual([])
})

test('a session that began long before the window, among many that had ended, is not missed', () => {
  opened('se_long', day(1))
  for (let n = 0; n < 1200; n++) {
    opened(`se_${n}`, day(1, 1))
    command(`se_${n}`, day(1, 2))
    closed(`se_${n}`, day(1, 3))
  }
  const late = command('se_long', day(9))
  // What comes into the ledger later than it was: a recording that was caught up with after a crash.
  opened('se_late', day(8))
  const before = command('se_late', day(8, 1))
  log.commit()
  expect(read({ from: day(8), to: day(10) }).found.map(({ n }) => n)).toEqual([late, before])
  closed('se_long', day(9, 1))
  log.commit()
  // Looked at from the first that can have any.
  const looked: number[] = []
  const window = { from: day(9, 30), to: day(10), onRead: (_: number, of: number) => void looked.push(of) }
  expect([...recordedCommands(folder.path, window)]).toEqual([])
  expect(looked).toEqual([expect.toSatisfy((of: number) => of < 10)])
})

test('what was erased, or says nothing that is known, is counted', () => {
  opened('se_a', day(1))
  const erased = command('se_a', day(1, 1))
  const left = command('se_a', day(1, 2))
  command('se_a', day(1, 3), { verdict: { outcome: 'perhaps', policies: [] } })
  command('se_a', day(1, 4), { effects: 'none' })
  const gone = opened('se_b', day(1, 5))
  command('se_b', day(1, 6))
  command('se_b', day(40))
  log.commit()
  log.close()
  const rows = new EntryRows(folder.at('entries.sqlite'), (salt, payload) =>
    nodeCrypto.sha256(new Uint8Array([...salt, ...payload])),
  )
  rows.erase(erased, erased, [])
  rows.erase(gone, gone, [])
  rows.close()
  const { found, unreadable } = read()
  expect(found.map(({ n }) => n)).toEqual([left])
  expect(unreadable).toBe(4)
})

test('what is written while it is read is not waited for, and who stops early holds nothing', () => {
  opened('se_a', day(1))
  for (let n = 0; n < 2500; n++) command('se_a', day(2))
  log.commit()
  let read = 0
  for (const _ of recordedCommands(folder.path, { from: day(1), to: day(30) })) {
    read++
    if (read % 1000 === 0) {
      command('se_a', day(3))
      log.commit()
    }
  }
  expect(read).toBe(2500)
  for (const { n } of recordedCommands(folder.path, { from: day(1), to: day(30) })) if (n > 10) break
  log.close()
})

test('a ledger that can’t be read says so', () => {
  const nowhere = () => [...recordedCommands(folder.at('nowhere'), { from: day(1), to: day(2) })]
  expect(nowhere).toThrow(LedgerStopped)
  expect(nowhere).toThrow(/^Recorded commands can’t be read/)
})
