import { writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { placeOf } from '../recording.ts'
import { BadHoldCursor, HoldRefused } from './retention.ts'
import { day, forever, Killed, person, rules, World } from './testing/world.ts'

vi.setConfig({ testTimeout: 120_000 })

let world: World
beforeEach(async () => {
  world = await World.open()
})
afterEach(() => world[Symbol.asyncDispose]())

const by = { kind: 'gateway' } as const
const run = () => world.retention.run({ dry: false, by })
const hold = (asked: { sessions?: string[]; connections?: string[]; agents?: string[] }, reason = 'a case') =>
  world.retention.hold(person, { reason, sessions: [], connections: [], agents: [], ...asked })

describe('a run', () => {
  test('takes recordings whose time is over, and says so in an entry that verifies', async () => {
    const old = await world.ended(91, { events: [world.command('select 1')] })
    const young = await world.ended(89, { events: [world.command('select 2')] })
    const done = await run()
    expect(done).toMatchObject({ dry: false, recordings: 1, kept: 0, more: false, done: true, by: 'the gateway' })
    expect(done.items).toMatchObject([
      { session: old, rule: 'recordings 90d', takes: ['recording', 'approvals'], heldBy: [] },
    ])
    expect(world.filesOf(old)).toEqual([])
    expect(world.filesOf(young)).toHaveLength(1)
    expect(await world.sessions.events(old, 0, 10)).toBeUndefined()
    const gone = world.payloads(old).filter(({ payload }) => payload === null)
    expect(gone.map(({ type }) => type).sort()).toEqual(['command', 'recording.chunk'])
    expect(await world.verified()).toMatchObject({ outcome: 'whole', erased: 2, erasedRecordings: 1, findings: [] })
    expect((await world.sessions.get(old))!.retention?.erasedAt).toBe(new Date(world.now).toISOString())
    expect(await world.retention.one(done.id)).toMatchObject({ ...done, items: [{ session: old }] })
  })

  test('never takes one that is open, being sealed, or of which an approval may still be decided', async () => {
    const live = await world.open()
    world.now += 1000 * day
    await run()
    expect(world.filesOf(live.id)).toHaveLength(1)
    await live.close('closed', 'done')
    expect((await run()).recordings).toBe(0) // still live to the room
    const waits = await world.ended(91)
    await world.store.db
      .insertInto('approvals')
      .values({
        ...{
          id: 'ap_1',
          state: 'pending',
          hold: 'fail',
          connection: 'orders',
          connection_tags: '[]',
          protocol: 'postgres',
        },
        ...{
          agent: 'a',
          identity: '{}',
          session: waits,
          text: 'delete',
          parameters: '[]',
          kind: 'delete',
          effects: '[]',
        },
        ...{ digest: 'd', requirements: '[]', requested_at: '2026', expires_at: '2027' },
      } as never)
      .execute()
    expect((await run()).recordings).toBe(0)
    expect(world.filesOf(waits)).toHaveLength(1)
  })

  test('waits for what the ledger has not got', async () => {
    const id = await world.ended(91)
    const retention = world.retentionWith({ ledger: { ...world.ledger, sync: async () => {} } })
    expect((await retention.run({ dry: false, by })).recordings).toBe(0)
    expect((await retention.state()).waiting).toBe(1)
    expect((await run()).recordings).toBe(1)
    expect((await retention.state()).waiting).toBe(0)
    expect(world.filesOf(id)).toEqual([])
  })

  test('takes what a crash has left of a recording beside it', async () => {
    const id = await world.ended(91)
    const { opened_at } = await world.store.db
      .selectFrom('sessions')
      .select('opened_at')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    const { plain, sealed } = placeOf(world.folder, id, opened_at)
    for (const left of [plain, `${sealed}.tmp`, `${plain}.cut`]) writeFileSync(left, 'canary')
    await run()
    expect(world.filesOf(id)).toEqual([])
  })

  test('takes so much at a time; the next one goes on', async () => {
    for (let i = 0; i < 5; i++) await world.ended(91 + i)
    const retention = world.retentionWith({ bounds: { sessions: 2 } })
    const took = []
    for (let i = 0; i < 4; i++) {
      const { recordings, more } = await retention.run({ dry: false, by })
      took.push([recordings, more])
    }
    expect(took).toEqual([
      [2, true],
      [2, true],
      [1, false],
      [0, false],
    ])
    expect(await world.verified()).toMatchObject({ outcome: 'whole', erasedRecordings: 5 })
  })

  test('goes by what a session touched: what was noted when it ended, or else what its recording says', async () => {
    world.rules = rules({ classes: new Map([['ssn', 7 * day]]) })
    const touched = await world.ended(8, { events: [world.command('select ssn', ['ssn'])] })
    const result = await world.ended(8, {
      events: [
        {
          type: 'rows',
          command: 'c',
          columns: [{ name: 'ssn', type: 25, masked: [{ class: 'ssn', style: 'redact', revealed: true }] }],
          rows: [['[masked: ssn]']],
        },
      ],
    })
    const other = await world.ended(8, { events: [world.command('select email', ['email'])] })
    await world.store.db.updateTable('sessions').set({ classes: null }).where('id', 'in', [result, other]).execute()
    const { items } = await run()
    expect(items.map(({ session, rule }) => [session, rule]).sort()).toEqual(
      [touched, result].map((id) => [id, 'class ssn 7d']).sort(),
    )
    const noted = await world.store.db
      .selectFrom('sessions')
      .select('classes')
      .where('id', '=', other)
      .executeTakeFirst()
    expect(noted).toEqual({ classes: '["email"]' })
  })

  test('leaves who decided in the log, but no digest by which a value of a class could be guessed', async () => {
    world.rules = rules({ classes: new Map([['ssn', 7 * day]]) })
    const classed = await world.ended(8, { hold: 'delete ssn', events: [world.command('x', ['ssn'])] })
    const plain = await world.ended(91, { hold: 'delete other' })
    await run()
    const left = (id: string) =>
      world
        .payloads(id)
        .filter(({ payload }) => payload !== null)
        .map(({ type }) => type)
    expect(left(classed)).toEqual(['session.opened', 'session.closed', 'approval.closed'])
    expect(left(plain)).toEqual(['session.opened', 'session.closed', 'approval.opened', 'approval.closed'])
    const rows = await world.store.db.selectFrom('approvals').select(['session', 'text', 'digest']).execute()
    expect(rows.find(({ session }) => session === classed)).toMatchObject({ text: '', digest: '' })
    expect(rows.find(({ session }) => session === plain)).toMatchObject({
      text: '',
      digest: expect.stringMatching(/^sha/),
    })
    expect(await world.verified()).toMatchObject({ outcome: 'whole' })
  })

  test('takes all payloads of a session where entries have a time, and what the store has of them', async () => {
    world.rules = rules({ entries: 400 * day, annotations: 500 * day })
    const id = await world.ended(401, { hold: 'delete x' })
    await run()
    expect(world.payloads(id).every(({ payload }) => payload === null)).toBe(true)
    expect(await world.store.db.selectFrom('approvals').selectAll().execute()).toEqual([])
    const session = (await world.sessions.get(id))!
    expect(session).toMatchObject({ client: { address: '' }, identity: { groups: [] }, closedBecause: '' })
    expect(await world.verified()).toMatchObject({ outcome: 'whole' })
  })

  test('with nothing to do is an entry, too', async () => {
    const { entry, recordings } = await run()
    expect([entry, recordings]).toEqual([0, 0])
    expect((await world.retention.state()).runs).toMatchObject([{ entry: 0, done: true }])
  })

  test('is told to consoles: the session says when it was erased, approvals say nothing of what was asked for', async () => {
    const held = await world.ended(92, { hold: 'delete all' })
    const first = await world.store.feed.newest()
    await run()
    const told = await world.store.feed.since(first)
    expect(told).toMatchObject({
      messages: [
        { type: 'approval.closed', data: { session: held, state: 'cancelled', command: { text: '', parameters: [] } } },
        { type: 'session.closed', data: { id: held } },
      ],
    })
    const id = await world.ended(91)
    const seq = await world.store.feed.newest()
    await run()
    const page = await world.store.feed.since(seq)
    expect(page).toMatchObject({
      messages: [{ type: 'session.closed', data: { id, retention: { erasedAt: expect.any(String) } } }],
    })
  })
})

test('nothing of a command or a result is left in any byte of the data folder', async () => {
  world.rules = rules({ classes: new Map([['ssn', 7 * day]]) })
  const canary = 'kanarienvogel4711'
  const columns = [{ name: 'v', type: 25 }]
  const row = { type: 'rows' as const, command: 'c', columns, rows: [[canary]] }
  const ids = []
  for (let i = 0; i < 40; i++)
    ids.push(
      await world.ended(i % 2 ? 91 : 8, {
        hold: `delete from t where v = '${canary}' and n = ${i}`,
        events: [world.command(`select '${canary}', ${i}`, ['ssn']), row],
      }),
    )
  await world.ledger.sync()
  expect(world.whereabouts(canary).length).toBeGreaterThan(0)
  await run()
  expect(world.whereabouts(canary)).toEqual([])
  expect(world.forgotten.sort()).toEqual(ids.sort())
  expect(await world.verified()).toMatchObject({ outcome: 'whole', erasedRecordings: 40 })
})

describe('a legal hold', () => {
  test('by session, by connection, by agent, then and later, wins over every rule until it is lifted', async () => {
    world.rules = rules({ recordings: 1 * day, entries: 1 * day, annotations: 1 * day })
    const one = await world.ended(91)
    const holds = [
      await hold({ sessions: [one] }),
      await hold({ connections: ['billing'] }),
      await hold({ agents: ['https://agents#robot'] }),
    ]
    const billed = await world.ended(50, { connection: 'billing' })
    const robots = await world.ended(50, { subject: 'robot' })
    const free = await world.ended(50)
    const taken = await run()
    expect(taken.items.filter(({ heldBy }) => heldBy.length === 0).map(({ session }) => session)).toEqual([free])
    expect(taken).toMatchObject({ kept: 3, recordings: 1 })
    const described = await world.retention.described([(await world.sessions.get(billed))!])
    expect(described[0]!.retention).toEqual({ heldBy: [holds[1]!.id], until: expect.any(String) })
    for (const { id } of holds) await world.retention.lift(id, person, 'over')
    expect((await run()).items.map(({ session }) => session).sort()).toEqual([one, billed, robots].sort())
  })

  test('says who and why in the log, when it is placed and when it is lifted', async () => {
    const { id } = await hold({ connections: ['orders'] }, 'case 7')
    await world.retention.lift(id, { ...person, name: 'Max' }, 'case closed')
    const told = await world.store.db.selectFrom('audit_outbox').selectAll().orderBy('id').execute()
    expect(told.map(({ type, payload }) => [type, JSON.parse(payload)])).toMatchObject([
      ['legal-hold.placed', { hold: id, by: { name: 'Aud' }, reason: 'case 7', connections: ['orders'] }],
      ['legal-hold.lifted', { hold: id, by: { name: 'Max' }, reason: 'case closed' }],
    ])
  })

  test('that would hold nothing is refused', async () => {
    const refused = (asked: Parameters<typeof hold>[0]) => expect(hold(asked)).rejects
    await refused({ sessions: ['se_nobody'] }).toMatchObject({ code: 'unknown' })
    await refused({ connections: ['odrers'] }).toMatchObject({ code: 'unknown' })
    await refused({ agents: ['robot'] }).toMatchObject({ code: 'unknown' })
    const id = await world.ended(91)
    await run()
    await refused({ sessions: [id] }).toMatchObject({ code: 'erased' })
    expect(await world.store.db.selectFrom('audit_outbox').selectAll().execute()).toEqual([])
  })

  test('is lifted once', async () => {
    const { id } = await hold({ connections: ['orders'] })
    await world.retention.lift(id, person, 'over')
    await expect(world.retention.lift(id, person, 'over')).rejects.toMatchObject({ code: 'lifted' })
    await expect(world.retention.lift('lh_none', person, 'over')).rejects.toBeInstanceOf(HoldRefused)
  })

  test('counts what it keeps, and is listed newest first, page by page', async () => {
    await world.ended(1)
    await world.ended(1)
    const ids = []
    for (let i = 0; i < 5; i++) {
      world.now += 1000
      const { id, covers } = await hold({ connections: ['orders'] })
      expect(covers).toBe(2)
      ids.unshift(id)
    }
    const first = await world.retention.holds({ limit: 3 })
    const second = await world.retention.holds({ limit: 3, after: first.next! })
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids)
    expect(second.next).toBeNull()
    await expect(world.retention.holds({ limit: 3, after: 'x' })).rejects.toBeInstanceOf(BadHoldCursor)
  })

  test('that is placed while a run is about to take it comes first, or is told that it comes too late', async () => {
    const id = await world.ended(91)
    let placing: Promise<unknown> | undefined
    const retention = world.retentionWith({
      ledger: {
        sync: async () => {
          await world.ledger.sync()
        },
        erase: (erasure) => {
          // The run has looked at the holds, and nothing is written yet: who comes now waits.
          placing = retention.hold(person, { reason: 'late', sessions: [id], connections: [], agents: [] })
          placing.catch(() => {})
          return world.ledger.erase(erasure)
        },
      },
    })
    expect((await retention.run({ dry: false, by })).recordings).toBe(1)
    await expect(placing).rejects.toMatchObject({ code: 'erased' })
  })
})

describe('a dry run', () => {
  test('takes what a run at that moment takes, and touches nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            daysAgo: fc.integer({ min: 0, max: 20 }),
            connection: fc.constantFrom('orders', 'billing'),
            subject: fc.constantFrom('ci', 'robot'),
            classes: fc.subarray(['ssn', 'email']),
            held: fc.boolean(),
          }),
          { maxLength: 8 },
        ),
        fc.record({
          recordings: fc.constantFrom(5, 12, forever),
          approvals: fc.constantFrom(undefined, 3, 15),
          entries: fc.constantFrom(8, 18, forever),
          annotations: fc.constantFrom(10, forever),
          ssn: fc.constantFrom(undefined, 2, 9),
        }),
        fc.constantFrom('none', 'billing', 'robot'),
        async (sessions, times, held) => {
          await using own = await World.open()
          const { ssn, ...rest } = times
          const ms = Object.fromEntries(
            Object.entries(rest).map(([name, days]) => [name, days === undefined ? undefined : days * day]),
          )
          own.rules = rules({ ...ms, classes: new Map(ssn === undefined ? [] : [['ssn', ssn * day]]) })
          for (const { daysAgo, connection, subject, classes, held } of sessions)
            await own.ended(daysAgo, {
              connection,
              subject,
              ...(held && { hold: 'delete all' }),
              events: [own.command('select', classes.length > 0 ? classes : undefined)],
            })
          if (held !== 'none')
            await own.retention.hold(person, {
              reason: 'r',
              sessions: [],
              connections: held === 'billing' ? ['billing'] : [],
              agents: held === 'robot' ? ['https://agents#robot'] : [],
            })
          const before = own.files().filter((file) => file.includes('recordings'))
          const would = await own.retention.run({ dry: true, by })
          expect(own.files().filter((file) => file.includes('recordings'))).toEqual(before)
          const did = await own.retention.run({ dry: false, by })
          const facts = ({ items, recordings, bytes, entries, kept, more }: typeof did) => ({
            ...{ items, recordings, bytes, entries, kept, more },
          })
          expect(facts(would)).toEqual(facts(did))
          // What was taken is gone, and nothing else is due.
          const again = await own.retention.run({ dry: true, by })
          expect(again.items.filter(({ heldBy }) => heldBy.length === 0)).toEqual([])
          expect((await own.verified()).outcome).toBe('whole')
        },
      ),
      { seed: 20261121, numRuns: 15 },
    )
  })
})

describe('killed at any point', () => {
  // Of a session all of whose entries are erased, nothing in the log says that there was a recording.
  const verified = { outcome: 'whole', erasedRecordings: 2, findings: [] }

  test('the next start ends it: nothing goes that no entry explains, and nothing stays that one does', async () => {
    let last = false
    let killed = 0
    for (let killAt = 0; !last; killAt++) {
      await using own = await World.open()
      own.rules = rules({ classes: new Map([['ssn', 7 * day]]), entries: 200 * day })
      const held = await own.ended(91)
      await own.retention.hold(person, { reason: 'r', sessions: [held], connections: [], agents: [] })
      const canary = 'kanarienvogel0815'
      const ids = [
        await own.ended(91, { events: [own.command(canary)] }),
        await own.ended(8, { hold: canary, events: [own.command(canary, ['ssn'])] }),
        await own.ended(201, { hold: canary }),
      ]
      const young = await own.ended(1)
      own.steps = []
      own.killAt = killAt
      const end = await own.retention.run({ dry: false, by }).catch((error: unknown) => {
        expect(error).toBeInstanceOf(Killed)
        return undefined
      })
      last = end !== undefined
      if (!end) killed++
      await own.reopened()
      await own.retention.recover()

      const { runs } = await own.retention.state()
      const explained = runs.length > 0
      if (!explained) {
        for (const id of ids) expect(own.filesOf(id)).toHaveLength(1)
        expect(own.log.size).toBeGreaterThan(0)
        expect(await own.verified()).toMatchObject({ erased: 0, erasedRecordings: 0 })
      } else {
        expect(runs).toMatchObject([{ done: true, recordings: 3, kept: 1 }])
        expect(own.whereabouts(canary)).toEqual([])
        expect(await own.verified()).toMatchObject({ ...verified })
      }
      for (const id of [held, young]) expect(own.filesOf(id)).toHaveLength(1)
      // Whatever happened, another run brings the same.
      await own.retention.run({ dry: false, by })
      expect(own.whereabouts(canary)).toEqual([])
      expect(await own.verified()).toMatchObject({ ...verified })
      const told = await own.store.db.selectFrom('feed').select('data').where('type', '=', 'session.closed').execute()
      const erased = told.map(({ data }) => JSON.parse(data)).filter(({ retention }) => retention?.erasedAt)
      expect(erased.map(({ id }) => id).sort()).toEqual(ids.sort())
    }
    expect(killed).toBeGreaterThan(6)
  })
})
