import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { LedgerStopped } from '../ledger/ledger.ts'
import { LedgerLog } from '../ledger/log.ts'
import { placeOf } from '../recording.ts'
import type { RecordingReader } from './line.ts'
import { entriesIn } from './testing/read.ts'
import { command, Room } from './testing/room.ts'
import { LedgerWriter } from './writer.ts'

vi.setConfig({ testTimeout: 60_000 })

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A writer on a log of its own, without a thread. */
async function writing(readers: RecordingReader[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-hostile-'))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'ledger'))
  const { log } = await LedgerLog.open({ folder: join(folder, 'ledger'), crypto: nodeCrypto })
  const said: string[] = []
  const writer = new LedgerWriter({
    log,
    crypto: nodeCrypto,
    say: (message) => void (message.is === 'said' && said.push(message.text)),
    wake() {},
    lives: '1',
    readers,
  })
  ends.push(() => writer.close())
  const record = (session: string, startedAt: string, ...events: object[]) => {
    const plain = join(folder, `${session}.ndjson`)
    const lines = [
      { type: 'header', session, startedAt },
      ...events.map((event, i) => ({ seq: i + 1, t: i, ...event })),
    ]
    writeFileSync(plain, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    writer.follow([{ session, plain, sealed: `${plain}.zst` }], true)
    writer.round(performance.now())
  }
  return { folder, log, writer, said, record, types: () => entriesIn(folder).map(({ type }) => type) }
}

describe('what is odd', () => {
  it('is no reason for the ledger to stand still: times after the year 9999, what is nested without end', async () => {
    const { writer, record, types } = await writing()
    record('se_late', '+012026-01-01T00:00:00.000Z', command('a'))
    const deep = `{"reason":${'['.repeat(50_000)}${']'.repeat(50_000)}}`
    const at = new Date().toISOString()
    writer.outbox([{ id: 1, at, type: 'gateway.stopped', payload: deep }], writer.life)
    writer.outbox([{ id: 2, at, type: 'No Type', payload: '{}' }], writer.life)
    writer.outbox([{ id: 3, at, type: 'gateway.stopped', payload: '{"reason":' }], writer.life)
    writer.outbox([{ id: 4, at, type: 'gateway.stopped', payload: '{"reason":"after"}' }], writer.life)
    writer.round(performance.now())
    expect(writer.committedOutbox).toBe(4)
    expect(types()).toHaveLength(6)
  })
})

describe('who reads recordings along', () => {
  it('keeps nothing from the ledger, whatever becomes of it', async () => {
    const oh = () => {
      throw new Error('the index is damaged')
    }
    const { record, types, said } = await writing([{ placeIn: oh, line: oh, commit: oh }])
    record('se_a', new Date().toISOString(), command('a'), command('b'))
    expect(types()).toEqual(['session.opened', 'command', 'command'])
    expect(said).toHaveLength(1)
  })
})

describe('a live recording that the ledger can’t read on', () => {
  it.each([
    ['is gone', (plain: string) => rmSync(plain)],
    ['holds what no recorder writes', (plain: string) => writeFileSync(plain, 'oh\n', { flag: 'a' })],
  ])('forwards nothing more where it %s', async (_, harm) => {
    const room = await Room.open()
    ends.push(() => room[Symbol.asyncDispose]())
    const [session, other] = [await room.session(), await room.session()]
    session.recorder.append(command('a'))
    await session.recorder.sync()
    harm(placeOf(room.folder, session.id, new Date().toISOString()).plain)
    session.recorder.append(command('b'))
    await vi.waitUntil(() => entriesIn(room.folder).some(({ type }) => type === 'session.interrupted'), {
      timeout: 20_000,
    })
    await vi.waitUntil(() => room.complaints.length > 0, 20_000)
    await expect(session.recorder.sync()).rejects.toThrow(LedgerStopped)
    expect(() => session.recorder.append(command('c'))).toThrow(/recording/)
    other.recorder.append(command('d'))
    await other.recorder.sync()
    expect(entriesIn(room.folder).at(-1)!.payload).toMatchObject({ command: 'd' })
  })

  it.each(['noted at once', 'noted by the next life of the scribe', 'closed before that is noted'])(
    'ends in the store as in the ledger: %s',
    async (when) => {
      const room = await Room.open()
      ends.push(() => room[Symbol.asyncDispose]())
      const session = await room.session()
      session.recorder.append(command('a'))
      await session.recorder.sync()
      const { plain } = placeOf(room.folder, session.id, new Date().toISOString())
      if (when === 'closed before that is noted') {
        rmSync(plain)
        await session.close('closed', 'done')
      } else {
        rmSync(plain)
        room.ledger.poke(session.id)
        await vi.waitUntil(() => room.ledger.lost(session.id), { timeout: 20_000 })
      }
      const row = () => room.store.db.selectFrom('sessions').selectAll().executeTakeFirstOrThrow()
      await vi.waitUntil(async () => (await row()).in_ledger === 1, { timeout: 20_000 })
      let late = room
      if (when === 'noted by the next life of the scribe') {
        // As where the gateway died before it was noted.
        const of = { in_ledger: 0, state: 'open', closed_at: null, closed_because: null } as const
        await room.store.db.updateTable('sessions').set(of).execute()
        const copy = mkdtempSync(join(tmpdir(), 'countersign-lost-'))
        cpSync(room.folder, copy, { recursive: true })
        late = await Room.open(copy)
        ends.push(() => late[Symbol.asyncDispose]())
        await late.ledger.sync()
      } else await session.close('closed', 'done')
      const { at, payload } = entriesIn(late.folder).findLast(({ type }) => type === 'session.interrupted')!
      expect(await late.store.db.selectFrom('sessions').selectAll().executeTakeFirstOrThrow()).toMatchObject({
        state: 'interrupted',
        closed_at: at,
        closed_because: payload.reason,
        recording_bytes: payload.recording.bytes,
        recording_complete: 0,
      })
      const { outcome, findings } = await late.verify()
      expect(findings.map(({ code, text }) => [code, text])).toEqual([
        ['recording-cut', `recording ${session.id} is not there`],
      ])
      expect(outcome).toBe('incomplete')
    },
  )
})

describe('what lies in the folder of recordings', () => {
  const found = 'recordings/2026/11/20'
  const header = (session: string, startedAt: string) => ({
    ...{ type: 'header', version: 1, session, startedAt, connection: 'orders', protocol: 'postgres', mode: 'enforce' },
    ...{ agent: { id: 'a#b', issuer: 'a', subject: 'b', name: 'b', groups: [] }, client: { address: 'x' } },
  })

  it.each(['x', '+012026-01-01T00:00:00.000Z', '2026-11-19T10:00:00.000Z', '../../../../-a-b'])(
    'and says that it began at %s is left, and keeps nothing else from the ledger',
    async (startedAt) => {
      const folder = mkdtempSync(join(tmpdir(), 'countersign-hostile-'))
      mkdirSync(join(folder, found), { recursive: true })
      const [bad, good] = ['a', 'b'].map((letter) => `se_${letter.repeat(24)}`) as [string, string]
      const write = (id: string, at: string) =>
        writeFileSync(join(folder, found, `${id}.ndjson`), `${JSON.stringify(header(id, at))}\n`)
      write(bad, startedAt)
      write(good, '2026-11-20T10:00:00.000Z')
      const room = await Room.open(folder)
      ends.push(() => room[Symbol.asyncDispose]())
      await room.ledger.sync()
      expect(new Set(entriesIn(folder).map(({ payload }) => payload.session))).toEqual(new Set([good]))
    },
  )

  it('of sessions that the store has under no day is left out', async () => {
    let room = await Room.open()
    const session = await room.session()
    await session.close('closed', 'done')
    await room.store.db.updateTable('sessions').set({ in_ledger: 0, opened_at: 'x' }).execute()
    await room.close()
    room = await Room.open(room.folder)
    ends.push(() => room[Symbol.asyncDispose]())
    await room.ledger.sync()
    expect(room.complaints.join()).toMatch(/has no place/)
  })
})
