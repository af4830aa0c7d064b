import { closeSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type NewRecordingEvent, RecordingLine } from '@countersign/contract/recording'
import { Session } from '@countersign/contract/session'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Backing, Entry, OpenedSession } from '../gate/entrance.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import type { Store } from '../store/store.ts'
import { openFreshStore } from '../store/testing/fresh.ts'
import { placeOf } from './recording.ts'
import { openLedger, type ScribeLedger } from './scribe/scribe.ts'
import { createFinder, type Finder } from './search/finder.ts'
import { EndReason, type OpenRequest, RecordingError, SessionRefused } from './session.ts'
import { createSessions, type SessionsOptions, type SessionsRoom } from './sessions.ts'

const silent = { info() {}, warn() {}, error() {} }
let folder: string
let store: Store
let room: SessionsRoom

const roomWith = (options: Partial<SessionsOptions> = {}) =>
  createSessions({
    store,
    folder,
    limits: () => ({ sessions_per_agent: 3, recorded_rows: 10, recorded_bytes: 1000 }),
    log: silent,
    ...options,
  })

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sessions-'))
  store = await openFreshStore(join(folder, 'store.db'))
  room = roomWith()
})
afterEach(async () => {
  vi.useRealTimers()
  await room[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function agent(subject = 'ci', expiresIn = 3_600_000): AgentPrincipal {
  return {
    kind: 'agent',
    id: `https://idp#${subject}`,
    issuer: 'https://idp',
    subject,
    name: subject,
    groups: ['ci-agents'],
    expiresAt: new Date(Date.now() + expiresIn),
  }
}
function request(changes: Partial<OpenRequest> = {}): OpenRequest {
  return {
    connection: { name: 'orders', kind: 'postgres', tags: ['production'], mode: 'enforce' },
    protocol: 'postgres',
    agent: agent(),
    purpose: 'nightly tidy',
    client: { address: '127.0.0.1', application: 'psql' },
    ...changes,
  }
}
const command = (id: string, text: string, outcome: 'allow' | 'deny' | 'hold' = 'allow'): NewRecordingEvent => ({
  type: 'command',
  command: id,
  text,
  parameters: [],
  kind: 'select',
  effects: [],
  digest: 'sha256:00',
  verdict: { outcome, policies: ['p'] },
})

async function linesOf(id: string) {
  const chunks: Buffer[] = []
  for await (const chunk of room.recordingStream(id)) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  expect(text.endsWith('\n')).toBe(true)
  return text
    .trimEnd()
    .split('\n')
    .map((line) => RecordingLine.parse(JSON.parse(line)))
}
function filesIn(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
}

describe('the life of a session', () => {
  it('is open, recorded, closed, and then sealed', async () => {
    const session = await room.open(request())
    expect(session.id).toMatch(/^se_[a-z2-7]{24}$/)
    const opened = Session.parse(await room.get(session.id))
    expect(opened).toMatchObject({ state: 'open', connection: 'orders', purpose: 'nightly tidy' })

    session.recorder.append(command('c1', 'select 1'))
    session.recorder.append({ type: 'result', command: 'c1', status: 'failed', sqlstate: '42P01', ms: 1 })
    session.recorder.append(command('c2', 'drop table orders', 'deny'))
    expect((await room.get(session.id))?.counts).toEqual({ commands: 2, held: 0, denied: 1, errors: 1 })
    const plain = filesIn(join(folder, 'recordings'))
    expect(plain).toEqual([`${session.id}.ndjson`])
    await session.close('closed', 'the client disconnected')

    const closed = Session.parse(await room.get(session.id))
    expect(closed).toMatchObject({
      state: 'closed',
      closedBecause: 'the client disconnected',
      counts: { commands: 2, held: 0, denied: 1, errors: 1 },
      recording: { complete: true },
    })
    expect(filesIn(join(folder, 'recordings'))).toEqual([`${session.id}.ndjson.zst`])
    const lines = await linesOf(session.id)
    expect(lines.map((line) => line.type)).toEqual(['header', 'command', 'result', 'command', 'end'])
    expect(lines.slice(1).map((line) => 'seq' in line && line.seq)).toEqual([1, 2, 3, 4])
  })

  it('keeps recordings from others’ eyes', async () => {
    const session = await room.open(request())
    const [year] = readdirSync(join(folder, 'recordings'))
    const day = session.id && join(folder, 'recordings', year!)
    expect(statSync(day).mode & 0o777).toBe(0o700)
    const entry = readdirSync(join(folder, 'recordings'), { recursive: true, withFileTypes: true }).find((e) =>
      e.isFile(),
    )!
    expect(statSync(join(entry.parentPath, entry.name)).mode & 0o777).toBe(0o600)
    await session.close('closed', '')
    const sealed = readdirSync(join(folder, 'recordings'), { recursive: true, withFileTypes: true }).find((e) =>
      e.isFile(),
    )!
    expect(statSync(join(sealed.parentPath, sealed.name)).mode & 0o777).toBe(0o600)
  })

  it('tells the feed when it opens and when it closes', async () => {
    const session = await room.open(request())
    await session.close('closed', 'bye')
    const page = await store.feed.since(0)
    expect(page.reset).toBe(false)
    const messages = page.reset ? [] : page.messages
    expect(messages.map(({ type, data }) => [type, (data as Session).state])).toEqual([
      ['session.opened', 'open'],
      ['session.closed', 'closed'],
    ])
  })

  it('ends when a person terminates it, with their name, whatever its owner then says', async () => {
    const session = await room.open(request())
    expect(await room.terminate(session.id, 'Ada', 'that is not what was agreed')).toBe(true)
    expect(session.ended.reason).toBeInstanceOf(EndReason)
    expect(session.ended.reason).toMatchObject({
      cause_: 'terminated',
      message: 'terminated by Ada: that is not what was agreed',
    })
    expect(await room.terminate(session.id, 'Ben', '')).toBe(false)
    await session.close('closed', 'socket closed')
    expect(await room.get(session.id)).toMatchObject({
      state: 'terminated',
      closedBecause: 'terminated by Ada: that is not what was agreed',
    })
    expect(await room.terminate(session.id, 'Ada', 'again')).toBe(false)
    expect(await room.terminate('se_nobody', 'Ada', '')).toBe(false)
  })

  it('is closed all the same when its owner doesn’t', async () => {
    await room[Symbol.asyncDispose]()
    room = roomWith({ graceMs: 5 })
    const closed = new Promise<void>((resolve) => {
      const stop = store.feed.subscribe((message) => {
        if (message.type !== 'session.closed') return
        stop()
        resolve()
      })
    })
    const session = await room.open(request())
    await room.terminate(session.id, 'Ada', 'now')
    await closed
    expect(await room.get(session.id)).toMatchObject({ state: 'terminated' })
    expect(() => session.recorder.append(command('c1', 'select 1'))).toThrow(/closed/)
  })

  describe('by the entrance', () => {
    const backing: Backing = { needed: true, grants: [{ id: 'gr_1', actions: ['sql'], endsAt: 0 }] }
    const connect = { action: 'sql:connect', resource: { type: 'Connection' as const, id: 'orders' }, command: {} }
    /** A way in that keeps what it is told. */
    const entering = () => {
      const told: string[] = []
      let session: OpenedSession | undefined
      const entry: Entry = {
        backing,
        opened(opened) {
          told.push(`opened ${opened.id} for ${opened.purpose}`)
          session = opened
        },
        left: () => void told.push('left'),
      }
      return { told, entrance: { entry, connect }, session: () => session! }
    }

    it('is told to it, has its grants, ends by it, and leaves', async () => {
      const { told, entrance, session: known } = entering()
      const session = await room.open(request({ entrance }))
      expect(told).toEqual([`opened ${session.id} for nightly tidy`])
      expect(session.backing).toBe(backing)
      expect(known().connect).toBe(connect)
      expect(await room.get(session.id)).toMatchObject({ grants: ['gr_1'] })
      const lessened: EndReason[] = []
      session.onLessened((reason) => void lessened.push(reason))
      const less = new EndReason('grant-ended', 'access ended: less')
      known().lessened(less)
      expect(lessened).toEqual([less])
      known().end(new EndReason('frozen', 'access ended: so it is'))
      expect(session.ended.reason).toMatchObject({ cause_: 'frozen', message: 'access ended: so it is' })
      known().lessened(less)
      expect(lessened).toHaveLength(1)
      expect(told).toHaveLength(1)
      await session.close('terminated', 'access ended: so it is')
      expect(told).toEqual([`opened ${session.id} for nightly tidy`, 'left'])
      expect((await linesOf(session.id))[0]).toMatchObject({ type: 'header', grants: ['gr_1'] })
    })

    it('leaves where it can’t be opened, whyever', async () => {
      const expired = entering()
      const refused = room.open(request({ agent: agent('ci', -1), entrance: expired.entrance }))
      await expect(refused).rejects.toThrow(SessionRefused)
      const unstored = entering()
      await store.db.schema.dropTable('feed').execute()
      await expect(room.open(request({ entrance: unstored.entrance }))).rejects.toThrow()
      const draining = entering()
      const empty = room.drain()
      await expect(room.open(request({ entrance: draining.entrance }))).rejects.toThrow(SessionRefused)
      await empty
      expect([expired.told, unstored.told, draining.told]).toEqual([['left'], ['left'], ['left']])
    })
  })

  it.each([
    ['in an hour', 3_600_000],
    ['in 60 days, further than a timer reaches', 60 * 86_400_000],
  ])('ends when its token does: %s', async (_, expiresIn) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    await room[Symbol.asyncDispose]()
    room = roomWith({ clock: () => Date.now() })
    const session = await room.open(request({ agent: agent('ci', expiresIn) }))
    vi.advanceTimersByTime(expiresIn - 1000)
    expect(session.ended.aborted).toBe(false)
    vi.advanceTimersByTime(1000)
    expect(session.ended.reason).toMatchObject({ cause_: 'token-expired' })
    await session.close('closed', 'token expired')
  })

  it('is refused with an expired token', async () => {
    await expect(room.open(request({ agent: agent('ci', -1) }))).rejects.toThrow(SessionRefused)
  })

  it('is refused beyond the agent’s limit, which counts per agent and what is being opened', async () => {
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => room.open(request())))
    const opened = tries.flatMap((t) => (t.status === 'fulfilled' ? [t.value] : []))
    expect(opened).toHaveLength(3)
    const refused = tries.find((t) => t.status === 'rejected') as PromiseRejectedResult
    expect(refused.reason).toBeInstanceOf(SessionRefused)
    expect(refused.reason.message).toContain('limits.sessions_per_agent')
    const other = await room.open(request({ agent: agent('other') }))
    await opened[0]!.close('closed', '')
    const again = await room.open(request())
    await Promise.all([other, again, ...opened].map((s) => s.close('closed', '')))
  })

  it('whose recording broke records nothing more, is closed, and its recording gets an end', async () => {
    const session = await room.open(request())
    session.recorder.append(command('c1', 'select 1'))
    const fd = readdirSync('/proc/self/fd').find((each) => {
      try {
        return readlinkSync(`/proc/self/fd/${each}`).endsWith(`${session.id}.ndjson`)
      } catch {
        return false
      }
    })
    closeSync(Number(fd))
    expect(() => session.recorder.append(command('c2', 'select 2'))).toThrow(RecordingError)
    await session.close('terminated', 'its recording could not be written')
    expect(await room.get(session.id)).toMatchObject({
      state: 'terminated',
      counts: { commands: 1 },
      recording: { complete: true },
    })
    expect((await linesOf(session.id)).map((line) => line.type)).toEqual(['header', 'command', 'end'])
  })

  it('closes once, however often it is told to', async () => {
    const session = await room.open(request())
    await Promise.all([session.close('closed', 'a'), session.close('interrupted', 'b')])
    expect(await room.get(session.id)).toMatchObject({ state: 'closed', closedBecause: 'a' })
  })

  it('drains: no new ones, the others may go on', async () => {
    const session = await room.open(request())
    let drained = false
    const drain = room.drain().then(() => {
      drained = true
    })
    await expect(room.open(request())).rejects.toThrow(/stopping/)
    expect(drained).toBe(false)
    expect(session.ended.aborted).toBe(false)
    session.recorder.append(command('c1', 'select 1'))
    room.endAll('the gateway is stopping')
    expect(session.ended.reason).toMatchObject({ cause_: 'shutdown' })
    await session.close('closed', 'gateway stopped')
    await drain
  })
})

describe('finding sessions', () => {
  const openAndClose = async (connection: string, who: string, texts: string[]) => {
    const session = await room.open(
      request({ agent: agent(who), connection: { name: connection, kind: 'postgres', tags: [], mode: 'enforce' } }),
    )
    for (const [i, text] of texts.entries()) session.recorder.append(command(`c${i}`, text))
    await session.close('closed', '')
    return session.id
  }

  it('lists newest first, filters, and pages without losing or repeating one', async () => {
    let time = Date.now()
    await room[Symbol.asyncDispose]()
    room = roomWith({ clock: () => ++time })
    const ids: string[] = []
    for (let i = 0; i < 7; i++) ids.push(await openAndClose(i % 2 ? 'odd' : 'even', `a${i % 3}`, []))
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await room.list({ limit: 3, ...(after && { after }) })
      seen.push(...page.items.map((s) => s.id))
      after = page.next ?? undefined
    } while (after)
    expect(seen).toEqual(ids.toReversed())
    const odd = await room.list({ limit: 10, connection: 'odd' })
    expect(odd.items.map((s) => s.id)).toEqual([ids[5], ids[3], ids[1]])
    expect((await room.list({ limit: 10, agent: 'https://idp#a1' })).items.map((s) => s.id)).toEqual([ids[4], ids[1]])
    expect((await room.list({ limit: 10, state: 'open' })).items).toEqual([])
    const third = (await room.get(ids[3]!))!
    const until = await room.list({ limit: 10, to: third.openedAt })
    expect(until.items.map((s) => s.id)).toEqual(ids.slice(0, 4).toReversed())
    const since = await room.list({ limit: 10, from: third.closedAt! })
    expect(since.items.map((s) => s.id)).toEqual(ids.slice(3).toReversed())
    await expect(room.list({ limit: 1, after: 'bm9uc2Vuc2U' })).rejects.toThrow(/next/)
  })

  describe('by words', () => {
    let ledger: ScribeLedger
    let search: Finder
    beforeEach(async () => {
      await room[Symbol.asyncDispose]()
      const filesOf = (session: string, openedAt: string) => placeOf(folder, session, openedAt)
      ledger = await openLedger({ folder: join(folder, 'ledger'), store, filesOf, search: folder, log: silent })
      search = createFinder({ folder, index: ledger.index, log: silent })
      room = roomWith({ ledger, search })
    })
    afterEach(async () => {
      await room[Symbol.asyncDispose]()
      await search[Symbol.asyncDispose]()
      await ledger[Symbol.asyncDispose]()
    })

    it('of one command', async () => {
      const ids: Record<string, string> = {
        a: await openAndClose('x', 'a', ['select * from public.customers', 'select 2']),
        b: await openAndClose('x', 'b', ['DELETE FROM customers', 'select * from payments']),
        c: await openAndClose('x', 'c', ['select 1; drop table größe', 'select \0 1']),
      }
      for (const [text, expected] of [
        ['customers', ['a', 'b']],
        ['CUSTOM', ['a', 'b']],
        ['delete customers', ['b']],
        ['public.customers', ['a']],
        ['"; drop', ['c']],
        ['name OR 1', []],
        ['NEAR(customers', []],
        ['***', []],
        ['größe', ['c']],
        ['customers payments', []],
        ['  ', ['a', 'b', 'c']],
      ] as const) {
        const found = (await room.list({ limit: 10, text })).items.map((s) => s.id)
        expect([text, found.toSorted()]).toEqual([text, expected.map((name) => ids[name]!).toSorted()])
      }
    })

    it('of a session that goes on', async () => {
      const session = await room.open(request())
      for (let i = 0; i < 20; i++) {
        session.recorder.append(command(`c${i}`, `select zebra${i} from stable`))
        expect((await room.list({ limit: 1, text: `zebra${i}` })).items[0]?.id).toBe(session.id)
        expect((await room.commands({ limit: 1, text: `stable zebra${i}` })).items[0]).toMatchObject({ seq: i + 1 })
      }
      await session.close('closed', '')
    })

    it('of very many commands: page by page, without losing or repeating one', async () => {
      let time = Date.now()
      await room[Symbol.asyncDispose]()
      room = roomWith({ ledger, search, clock: () => ++time })
      const ids: string[] = []
      for (let i = 0; i < 12; i++) {
        const texts = Array.from({ length: 500 }, (_, n) => (i % 3 === 0 ? `select ${n}` : `delete where id = ${n}`))
        ids.push(await openAndClose('x', 'a', texts))
      }
      const seen: string[] = []
      let after: string | undefined
      do {
        const page = await room.list({ limit: 3, text: 'delete where', ...(after && { after }) })
        seen.push(...page.items.map(({ id }) => id))
        after = page.next ?? undefined
      } while (after)
      expect(seen).toEqual(ids.filter((_, i) => i % 3 !== 0).reverse())
    })
  })
})

describe('playing back', () => {
  it('gives events after a number, of a live and of a sealed recording', async () => {
    const session = await room.open(request())
    for (let i = 1; i <= 1000; i++) session.recorder.append(command(`c${i}`, `select ${i}`))
    for (const after of [0, 1, 255, 256, 257, 700, 998]) {
      const page = (await room.events(session.id, after, 5))!
      expect(page.live).toBe(true)
      const expected = [1, 2, 3, 4, 5].map((n) => after + n).filter((n) => n <= 1000)
      expect(page.events.map((e) => e.seq)).toEqual(expected)
      expect(page.more).toBe(after + 5 < 1000)
    }
    expect(await room.events(session.id, 1000, 5)).toEqual({ events: [], more: false, live: true })
    await session.close('closed', 'bye')
    const page = (await room.events(session.id, 999, 5))!
    expect(page).toMatchObject({ more: false, live: false })
    expect(page.events.map((e) => [e.seq, e.type])).toEqual([
      [1000, 'command'],
      [1001, 'end'],
    ])
    expect(await room.events('se_nobody', 0, 5)).toBeUndefined()
  })

  it('bounds a page by bytes too, and still gets on', async () => {
    const session = await room.open(request())
    const big = 'x'.repeat(5 * 1024 * 1024)
    for (let i = 1; i <= 3; i++) session.recorder.append({ type: 'note', text: big })
    let after = 0
    for (const expected of [1, 2, 3]) {
      const page = (await room.events(session.id, after, 1000))!
      expect(page.events.map((e) => e.seq)).toEqual([expected])
      after = page.events[0]!.seq
    }
    await session.close('closed', '')
  })

  it('reads a live recording as far as it is written', async () => {
    const session = await room.open(request())
    session.recorder.append(command('c1', 'select 1'))
    expect((await linesOf(session.id)).map((l) => l.type)).toEqual(['header', 'command'])
    await session.close('closed', '')
  })

  it('errs where there is no recording', async () => {
    await expect(async () => {
      for await (const _ of room.recordingStream('se_nobody')) throw new Error('unexpected')
    }).rejects.toThrow(/no recording/)
  })
})
