import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import Database from 'better-sqlite3'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { appendAudit } from '../../store/audit.ts'
import { LedgerStopped } from '../ledger/ledger.ts'
import { LedgerLog } from '../ledger/log.ts'
import { placeOf } from '../recording.ts'
import { entriesIn } from './testing/read.ts'
import { command, Room } from './testing/room.ts'
import { LedgerWriter } from './writer.ts'

vi.setConfig({ testTimeout: 60_000 })

const rooms: Room[] = []
afterEach(async () => {
  for (const room of rooms.splice(0)) {
    await room.close()
    rmSync(room.folder, { recursive: true, force: true })
  }
})
async function open(...[folder, entry]: Parameters<typeof Room.open>): Promise<Room> {
  const room = await Room.open(folder, entry)
  rooms.push(room)
  return room
}
/** Ends a room, and opens another one on its folder. */
async function again(room: Room): Promise<Room> {
  await room.close()
  rooms.splice(rooms.indexOf(room), 1)
  return open(room.folder)
}
const typesIn = (room: Room) => entriesIn(room.folder).map(({ type }) => type)
/** A copy of the store as it is now. */
function vacuum(room: Room, to: string): void {
  const store = new Database(join(room.folder, 'countersign.sqlite'))
  store.exec(`vacuum into '${to}'`)
  store.close()
}
const note = (room: Room, reason: string) => appendAudit(room.store.db, 'gateway.stopped', { reason })

describe('the ledger of a gateway', () => {
  it('has what was recorded and said before the call, once sync has returned', async () => {
    const room = await open()
    const session = await room.session()
    session.recorder.append(command('a'))
    await note(room, 'one')
    await session.recorder.sync()
    expect(typesIn(room).sort()).toEqual(['command', 'gateway.stopped', 'session.opened'])
    // A held command whose approval comes in a line of its own, as the protocols write it.
    session.recorder.append(command('b', 'hold'))
    session.recorder.append({ type: 'hold', command: 'b', approval: 'ap_1', state: 'approved' })
    await session.recorder.sync()
    expect(entriesIn(room.folder).at(-1)!.payload).toMatchObject({ command: 'b', approval: 'ap_1' })
    // One without such a line is not waited for.
    session.recorder.append(command('c', 'hold'))
    await room.ledger.sync()
    expect(entriesIn(room.folder).at(-1)!.payload).toMatchObject({ command: 'c' })
  })

  it('has commands of a session that stays open, over many checkpoints, and its end', async () => {
    const room = await open()
    const session = await room.session()
    const sizes: number[] = []
    for (let i = 0; i < 5; i++) {
      session.recorder.append(command(`c${i}`), { type: 'note', text: 'x'.repeat(700_000) })
      const { size } = await room.ledger.signed()
      sizes.push(size)
      expect(await room.ledger.head()).toMatchObject({ size })
    }
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b))
    const whole = await room.verify()
    // It looks as if no gateway were at work; nothing else is said.
    expect(whole.findings.map(({ code }) => code)).toEqual(['row-behind'])
    await session.close('closed', 'done')
    expect(typesIn(room).filter((type) => type !== 'recording.chunk')).toEqual([
      'session.opened',
      ...Array(5).fill('command'),
      'session.closed',
    ])
    expect(existsSync(placeOf(room.folder, session.id, new Date().toISOString()).plain)).toBe(false)
  })

  it('answers tiles, checkpoints and its state, and tells of each checkpoint', async () => {
    const room = await open()
    const heads: number[] = []
    const end = room.ledger.onCheckpoint(({ size }) => void heads.push(size))
    await note(room, 'one')
    const head = await room.ledger.signed()
    expect(heads.at(-1)).toBe(head.size)
    expect(await room.ledger.tile(`tile/entries/000.p/${head.size}`)).toBeDefined()
    expect(await room.ledger.tile('tile/0/999')).toBeUndefined()
    await expect(room.ledger.tile('../key')).rejects.toThrow('is no path of a tile')
    expect(await room.ledger.state()).toMatchObject({ origin: 'room.test/ledger', size: head.size, witnesses: [] })
    end()
    await note(room, 'two')
    await room.ledger.signed()
    expect(heads.at(-1)).toBe(head.size)
  })

  it('covers what was recorded with a chunk after half a minute, however little it is', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-chunks-'))
    mkdirSync(join(folder, 'ledger'))
    const { log } = await LedgerLog.open({ folder: join(folder, 'ledger'), crypto: nodeCrypto })
    const writer = new LedgerWriter({ log, crypto: nodeCrypto, say() {}, wake() {}, lives: '1' })
    const plain = join(folder, 'se_a.ndjson')
    writeFileSync(
      plain,
      `${JSON.stringify({ type: 'header', session: 'se_a', startedAt: new Date().toISOString() })}\n`,
    )
    writer.follow([{ session: 'se_a', plain, sealed: `${plain}.zst` }], true)
    const now = performance.now()
    writer.round(now)
    writer.tick(now + 20_000)
    expect(log.tail('se_a')).toMatchObject({ chunks: 0 })
    writer.tick(now + 31_000)
    expect(log.tail('se_a')).toMatchObject({ chunks: 1 })
    expect(log.size).toBe(2)
    writer.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('replaces its key', async () => {
    const room = await open()
    await note(room, 'one')
    const key = await room.ledger.rotateKey('it may be known', { kind: 'gateway' })
    expect((await room.ledger.state()).keys.at(-1)).toBe(key)
    expect(typesIn(room)).toContain('key.rotated')
    expect((await room.verify()).findings).toEqual([])
  })

  it('says why an entry can’t be written, and goes on', async () => {
    const room = await open()
    await note(room, 'a lone \ud800 surrogate')
    await room.store.db
      .insertInto('audit_outbox')
      .values({ at: 'yesterday', type: 'gateway.stopped', payload: '{"reason":"x"}' })
      .execute()
    await note(room, 'after')
    await room.ledger.sync()
    expect(entriesIn(room.folder).map(({ payload }) => payload.reason ?? payload.unwritable)).toEqual([
      'a lone \ufffd surrogate',
      expect.stringContaining('no leaf'),
      'after',
    ])
  })
})

describe('what a gateway left behind', () => {
  it('is read to its end, once, however often it is looked at', async () => {
    let room = await open()
    const session = await room.session()
    session.recorder.append(command('a'), command('b'))
    await session.recorder.sync()
    // As after a kill: the recording has no end, the store knows of none.
    const copy = mkdtempSync(join(tmpdir(), 'countersign-killed-'))
    cpSync(room.folder, copy, { recursive: true })
    room = await open(copy)
    await room.ledger.sync()
    expect(typesIn(room).filter((type) => type !== 'recording.chunk')).toEqual([
      'session.opened',
      'command',
      'command',
      'session.interrupted',
    ])
    // The store forgets that the ledger has it, as one that was put back from a copy.
    await room.store.db.updateTable('sessions').set({ in_ledger: 0 }).execute()
    const before = typesIn(room)
    room = await again(room)
    await room.ledger.sync()
    expect(typesIn(room)).toEqual(before)
    expect((await room.verify()).findings).toEqual([])
    expect(await room.store.db.selectFrom('sessions').select('in_ledger').execute()).toEqual([{ in_ledger: 1 }])
  })

  it('is read from its sealed form, too, also where reading had begun before', async () => {
    const room = await open()
    const session = await room.session()
    session.recorder.append(command('a'), { type: 'note', text: 'x'.repeat(3_000_000) }, command('b'))
    await session.recorder.sync()
    const half = mkdtempSync(join(tmpdir(), 'countersign-half-'))
    await room.ledger.signed()
    cpSync(join(room.folder, 'ledger'), join(half, 'ledger'), { recursive: true })
    session.recorder.append(command('c'))
    await session.close('closed', 'done')
    // The ledger of before, beside recordings and a store of after.
    cpSync(join(room.folder, 'recordings'), join(half, 'recordings'), { recursive: true })
    await room.store.db.updateTable('sessions').set({ in_ledger: 0 }).execute()
    await room.store.db.deleteFrom('audit_outbox').execute()
    vacuum(room, join(half, 'countersign.sqlite'))
    const late = await open(half)
    await late.ledger.sync()
    const of = (room: Room) =>
      entriesIn(room.folder)
        .filter(({ type }) => type !== 'recording.chunk')
        .map(({ type, payload }) => [type, payload.command ?? payload.commands])
    expect(of(late)).toEqual(of(room))
    expect((await late.verify()).findings).toEqual([])
  })

  it('is entered once where a power cut took the end of what the ledger had', async () => {
    const room = await open()
    const session = await room.session()
    session.recorder.append(command('a'))
    await session.recorder.sync()
    const { bytes } = (session as unknown as { file: { bytes: number } }).file
    session.recorder.append(command('b'), command('c'))
    await session.recorder.sync()
    const copy = mkdtempSync(join(tmpdir(), 'countersign-power-'))
    cpSync(room.folder, copy, { recursive: true })
    truncateSync(placeOf(copy, session.id, new Date().toISOString()).plain, bytes + 20)
    const late = await open(copy)
    await late.ledger.sync()
    const all = entriesIn(copy)
    expect(all.flatMap(({ type, payload }) => (type === 'command' ? [payload.command] : []))).toEqual(['a', 'b', 'c'])
    const end = all.at(-1)!
    expect(end).toMatchObject({ type: 'session.interrupted', payload: { commands: 3, recording: { chunks: 1 } } })
    const chunk = all.find(({ type }) => type === 'recording.chunk')!
    expect(chunk.payload).toMatchObject({ offset: 0, length: end.payload.recording.bytes })
    expect(late.complaints).toEqual([])
  })

  it.each([
    ['gone', (files: ReturnType<typeof placeOf>) => rmSync(files.sealed), /no longer there/],
    ['damaged', (files: ReturnType<typeof placeOf>) => writeFileSync(files.sealed, 'oh'), /can't be read/],
  ])('ends in the ledger where its recording is %s', async (_, harm, why) => {
    const room = await open()
    const session = await room.session()
    session.recorder.append(command('a'))
    await session.recorder.sync()
    const copy = mkdtempSync(join(tmpdir(), 'countersign-lost-'))
    cpSync(join(room.folder, 'ledger'), join(copy, 'ledger'), { recursive: true })
    await session.close('closed', 'done')
    cpSync(join(room.folder, 'recordings'), join(copy, 'recordings'), { recursive: true })
    await room.store.db.updateTable('sessions').set({ in_ledger: 0 }).execute()
    vacuum(room, join(copy, 'countersign.sqlite'))
    harm(placeOf(copy, session.id, new Date().toISOString()))
    const late = await open(copy)
    await late.ledger.sync()
    const last = entriesIn(copy).at(-1)!
    expect(last).toMatchObject({ type: 'session.interrupted', payload: { recording: { bytes: 0, chunks: 0 } } })
    expect(last.payload.reason).toMatch(why)
    expect(late.complaints.join()).toMatch(/can’t be read to its end/)
  })

  it('is found to be older than the ledger, or newer', async () => {
    let room = await open()
    await note(room, 'one')
    await room.ledger.sync()
    const copies = mkdtempSync(join(tmpdir(), 'countersign-copies-'))
    const copyOf = (what: string) => join(copies, what)
    const backup = (to: string) => vacuum(room, copyOf(to))
    backup('store')
    await room.ledger.signed()
    cpSync(join(room.folder, 'ledger'), copyOf('ledger'), { recursive: true })
    await note(room, 'two')
    await note(room, 'three')
    await room.ledger.sync()
    // An older store: its numbers go on after the ledger's.
    await room.close()
    rooms.pop()
    const newer = join(copies, 'newer')
    copyFileSync(join(room.folder, 'countersign.sqlite'), newer)
    for (const rest of ['-wal', '-shm']) rmSync(join(room.folder, `countersign.sqlite${rest}`), { force: true })
    copyFileSync(copyOf('store'), join(room.folder, 'countersign.sqlite'))
    room = await open(room.folder)
    expect(room.ledger.found).toEqual([expect.stringMatching(/store is older than the ledger.*number 1.*number 3/)])
    await note(room, 'four')
    await room.ledger.sync()
    const reasons = () => entriesIn(room.folder).map(({ payload }) => payload.reason)
    expect(reasons()).toEqual(['one', 'two', 'three', 'four'])
    // An older ledger.
    await room.close()
    rooms.pop()
    rmSync(join(room.folder, 'ledger'), { recursive: true })
    cpSync(copyOf('ledger'), join(room.folder, 'ledger'), { recursive: true })
    room = await open(room.folder)
    expect(room.ledger.found.join()).toMatch(/ledger is older than the store.*numbers 2 to 4/)
    await note(room, 'five')
    await room.ledger.sync()
    expect(reasons()).toEqual(['one', 'five'])
  })
})

describe('a ledger that can’t be written', () => {
  const mortal = new URL('./testing/mortal.worker.ts', import.meta.url)

  it('is begun anew where its thread dies, and lacks nothing', async () => {
    const room = await open(undefined, mortal)
    const session = await room.session()
    for (let death = 0; death < 3; death++) {
      session.recorder.append(command(`before${death}`))
      await note(room, `before${death}`)
      writeFileSync(join(room.folder, 'ledger', 'die'), '')
      await vi.waitUntil(() => room.ledger.stopped !== undefined, { timeout: 20_000, interval: 1 })
      expect(() => session.recorder.append(command('refused'))).toThrow(LedgerStopped)
      await expect(session.recorder.sync()).rejects.toThrow(LedgerStopped)
      await expect(room.session()).rejects.toThrow(/ledger/)
      // What comes of commands that run is recorded all the same.
      session.recorder.append({ type: 'note', text: 'meanwhile' })
      await note(room, `meanwhile${death}`)
      await vi.waitUntil(() => room.ledger.stopped === undefined, { timeout: 20_000 })
    }
    await session.close('closed', 'done')
    await room.ledger.sync()
    const all = entriesIn(room.folder)
    expect(all.flatMap(({ type, payload }) => (type === 'command' ? [payload.command] : []))).toEqual([
      'before0',
      'before1',
      'before2',
    ])
    expect(all.flatMap(({ type, payload }) => (type === 'gateway.stopped' ? [payload.reason] : []))).toEqual(
      [0, 1, 2].flatMap((death) => [`before${death}`, `meanwhile${death}`]),
    )
    expect((await room.verify()).findings).toEqual([])
  })

  it('refuses in words while its files are taken, and goes on by itself', async () => {
    const room = await open()
    const session = await room.session()
    await session.recorder.sync()
    const other = new Database(join(room.folder, 'ledger', 'entries.sqlite'))
    other.exec('begin immediate')
    session.recorder.append(command('recorded before it was known'))
    await expect(session.recorder.sync()).rejects.toThrow(/ledger can't be written/i)
    expect(room.ledger.stopped).toBeInstanceOf(LedgerStopped)
    expect(() => session.recorder.append(command('refused'))).toThrow(LedgerStopped)
    await note(room, 'meanwhile')
    other.exec('rollback')
    other.close()
    await vi.waitUntil(() => room.ledger.stopped === undefined, { timeout: 30_000 })
    session.recorder.append(command('after'))
    await session.recorder.sync()
    expect(entriesIn(room.folder).flatMap(({ payload }) => payload.command ?? payload.reason ?? [])).toEqual(
      expect.arrayContaining(['recorded before it was known', 'meanwhile', 'after']),
    )
    expect(typesIn(room)).toHaveLength(4)
  })
})
