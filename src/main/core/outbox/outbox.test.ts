import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Me } from '@countersign/contract/identity'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Caller, startWorld, type World } from '../../../../gateway/src/api/testing/world.ts'
import { createAnnotations } from '../../../../gateway/src/sessions/annotations/annotations.ts'
import { openEntries } from '../../../../gateway/src/sessions/ledger/entries.ts'
import type { ConsoleEvent } from '../../../console-api.ts'
import { type GatewayApi, gatewayApi, Refused, Unreachable } from '../gateway-api.ts'
import type { Clock } from '../ports/clock.ts'
import type { SecureStorage } from '../ports/secure-storage.ts'
import { memoryStorage } from '../ports/secure-storage.ts'
import { listenTo, temporaryFolder, testKeychain } from '../testing/console.ts'
import { type Outbox, openOutbox } from './outbox.ts'

/** The outbox against a real gateway, over HTTP; faults are put between the two. */

let world: World
let base: URL
let session: string

beforeAll(async () => {
  world = await startWorld()
  const annotations = createAnnotations({ store: world.store, bounds: { perMinute: 1e9, playbacksPerMinute: 1e9 } })
  base = new URL(`http://${(await world.serve({ annotations })).address}`)
  session = (await world.session('agent')).id
})
afterAll(() => world[Symbol.asyncDispose]())

/** Waiting is for others: whatever is due happens at once. */
const hurried: Clock = {
  now: () => Date.now(),
  after(_ms, then) {
    const soon = setImmediate(then)
    return () => clearImmediate(soon)
  },
}

const person = async (who: Caller): Promise<Me> => gatewayApi(base, undefined).me(await world.token(who))
const sender = (who: Caller, api: GatewayApi = gatewayApi(base, undefined)) => ({ api, token: () => world.token(who) })
const note = (text: string, from = 1000) => ({ from, text, tags: ['odd'] })

interface Desk extends AsyncDisposable {
  outbox: Outbox
  told: ReturnType<typeof listenTo>
  settled(): Promise<void>
}

async function desk(
  folder: string,
  secrets: SecureStorage,
  options: { who?: Caller; clock?: Clock; gateway?: string } = {},
): Promise<Desk> {
  const listeners = new Set<(event: ConsoleEvent) => void>()
  const told = listenTo({
    on(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  })
  const emit = (event: ConsoleEvent) => {
    for (const listener of listeners) listener(event)
  }
  const outbox = await openOutbox({ folder, secrets, clock: options.clock ?? hurried, emit })
  outbox.belongTo(options.gateway ?? base.origin, await person(options.who ?? 'aud'))
  return {
    outbox,
    told,
    /** Nothing waits, but for what a person has to choose. */
    async settled() {
      for (let from = 0; outbox.state().waiting > 0; from = told.events.length)
        await told.until('outbox', () => true, from)
    },
    [Symbol.asyncDispose]: () => outbox[Symbol.asyncDispose](),
  }
}

/** What the ledger has on disk of what people said and played of a session, in its order. */
const entries = async (of: string) => {
  await world.ledger.sync()
  using read = openEntries(join(world.folder, 'logged', 'ledger'))
  const types = ['annotation', 'annotation.withdrawn', 'playback']
  return [...read.entriesOf(of, { types })].map(({ type, payload }) => ({
    type,
    ...(JSON.parse(String(payload)) as Record<string, unknown>),
  }))
}
const atGateway = async (of: string) => gatewayApi(base, undefined).annotations(await world.token('aud'), of)

test('what was written without a gateway is there after a restart, is sent once in its order, and says how it stands', async () => {
  using folder = temporaryFolder()
  const secrets = testKeychain()
  const { id: of } = await world.session('agent')
  const written: string[] = []
  {
    await using first = await desk(folder.path, secrets)
    for (const text of ['one', 'two', 'three']) {
      const view = await first.outbox.answers.annotate({ session: of, note: note(text) })
      expect(view).toMatchObject({ text, state: 'here', mine: true, by: { name: 'aud' } })
      written.push(view.id)
    }
    first.outbox.played(of)
    first.outbox.played(of)
    expect(first.outbox.state()).toMatchObject({ waiting: 4, notes: 3, conflicts: 0 })
  }
  await using second = await desk(folder.path, secrets)
  expect(second.outbox.annotations(of).map(({ state }) => state)).toEqual(['here', 'here', 'here'])
  second.outbox.connect(sender('aud'))
  await second.settled()
  expect((await entries(of)).filter(({ type }) => type === 'annotation').map((e) => e)).toMatchObject(
    written.map((annotation) => ({ annotation, by: { name: 'aud' } })),
  )
  expect((await entries(of)).filter(({ type }) => type === 'playback')).toMatchObject([{ where: 'offline' }])
  const states = second.outbox.annotations(of).map(({ state }) => state)
  expect(states.every((state) => state === 'sent' || state === 'logged')).toBe(true)
  const head = { origin: 'x', size: 1, note: '' }
  await expect
    .poll(() => {
      second.outbox.heard({ type: 'ledger.checkpoint', seq: 1, at: new Date().toISOString(), data: head })
      return second.outbox.annotations(of).map(({ state }) => state)
    })
    .toEqual(['logged', 'logged', 'logged'])
  const { items, tags, mayAnnotate, source } = await second.outbox.answers.annotations({ session: of })
  expect({ texts: items.map(({ text }) => text), tags, mayAnnotate, source }).toEqual({
    texts: ['one', 'two', 'three'],
    tags: ['odd'],
    mayAnnotate: true,
    source: 'gateway',
  })
})

test('texts can’t be read in the files; without a keychain they can, and it says so', async () => {
  for (const [secrets, readable] of [
    [testKeychain(), false],
    [memoryStorage(), true],
  ] as const) {
    using folder = temporaryFolder()
    await using mine = await desk(folder.path, secrets)
    await mine.outbox.answers.annotate({ session, note: note('quotes 4111 1111 1111 1111') })
    const bytes = Buffer.concat(readdirSync(folder.path).map((file) => readFileSync(join(folder.path, file))))
    expect(bytes.includes('4111 1111')).toBe(readable)
    expect(mine.outbox.state().sealed).toBe(!readable)
  }
})

test('a lost key is said, and nothing else stops because of it', async () => {
  using folder = temporaryFolder()
  {
    await using mine = await desk(folder.path, testKeychain())
    await mine.outbox.answers.annotate({ session, note: note('gone') })
  }
  await using mine = await desk(folder.path, testKeychain())
  const after = await mine.outbox.answers.annotate({ session, note: note('after it') })
  mine.outbox.connect(sender('aud'))
  await mine.settled()
  const { conflicts, items } = mine.outbox.state()
  expect({ conflicts, items }).toMatchObject({
    conflicts: 1,
    items: [{ choices: ['discard'], problem: /key is gone/ }],
  } as never)
  expect((await atGateway(session)).map(({ id }) => id)).toContain(after.id)
  await mine.outbox.answers.resolveConflict({ id: items[0]!.id, choice: 'discard' })
  expect(mine.outbox.state()).toMatchObject({ waiting: 0, conflicts: 0 })
})

test('what one person wrote waits for them, whoever else signs in, and for their gateway', async () => {
  using folder = temporaryFolder()
  const secrets = testKeychain()
  const { id: of } = await world.session('agent')
  await using mine = await desk(folder.path, secrets)
  await mine.outbox.answers.annotate({ session: of, note: note('aud’s') })
  mine.outbox.belongTo(undefined, null)
  mine.outbox.forget()
  expect(mine.outbox.state()).toMatchObject({ waiting: 0, others: 1, items: [] })
  await expect(async () => mine.outbox.answers.annotate({ session: of, note: note('nobody’s') })).rejects.toThrow()
  mine.outbox.belongTo(base.origin, await person('rae'))
  mine.outbox.connect(sender('rae'))
  await mine.outbox.answers.annotate({ session: of, note: note('rae’s') })
  await mine.settled()
  expect(await atGateway(of)).toMatchObject([{ text: 'rae’s', by: { name: 'rae' } }])
  mine.outbox.belongTo('https://another.example', await person('aud'))
  expect(mine.outbox.state()).toMatchObject({ waiting: 0, others: 1 })
  mine.outbox.belongTo(base.origin, await person('aud'))
  mine.outbox.connect(sender('aud'))
  await mine.settled()
  expect(await atGateway(of)).toMatchObject([{ by: { name: 'rae' } }, { text: 'aud’s', by: { name: 'aud' } }])
})

describe('a refusal', () => {
  const refusing = (status: number, times = 1): GatewayApi => {
    const api = gatewayApi(base, undefined)
    let left = times
    const refuse = () => {
      if (left-- > 0) throw new Refused(status, 'The gateway says no, and why.', status === 429 ? 1 : undefined)
    }
    return {
      ...api,
      async putAnnotation(...given) {
        refuse()
        return api.putAnnotation(...given)
      },
      async withdrawAnnotation(...given) {
        refuse()
        return api.withdrawAnnotation(...given)
      },
    }
  }

  test.each<[number, 'keep' | 'edit' | 'again' | 'discard', string[]]>([
    [409, 'keep', ['said']],
    [409, 'edit', ['said better']],
    [409, 'discard', []],
    [403, 'again', ['said']],
    [404, 'again', ['said']],
    [400, 'edit', ['said better']],
    [404, 'discard', []],
  ])('of %i is a choice: %s', async (status, choice, expected) => {
    using folder = temporaryFolder()
    const { id: of } = await world.session('agent')
    await using mine = await desk(folder.path, testKeychain())
    const { id } = await mine.outbox.answers.annotate({ session: of, note: note('said') })
    const other = await mine.outbox.answers.annotate({ session: of, note: note('another', 5000) })
    await mine.outbox.answers.withdrawAnnotation({ session: of, id: other.id, reason: '' })
    mine.outbox.connect(sender('aud', refusing(status)))
    await mine.settled()
    expect(mine.outbox.state()).toMatchObject({
      waiting: 0,
      conflicts: 1,
      items: [{ id, problem: 'The gateway says no, and why.' }],
    })
    expect(mine.outbox.annotations(of)).toMatchObject([
      { id, state: 'conflict', problem: 'The gateway says no, and why.' },
    ])
    expect(await atGateway(of)).toEqual([])
    expect(mine.outbox.state().items[0]!.choices).toContain(choice)
    await mine.outbox.answers.resolveConflict({
      id,
      choice,
      ...(choice === 'edit' && { note: note('said better') }),
    })
    await mine.settled()
    expect(mine.outbox.state()).toMatchObject({ waiting: 0, conflicts: 0 })
    const there = await atGateway(of)
    expect(there.map(({ text }) => text)).toEqual(expected)
    if (choice === 'again') expect(there[0]!.id).toBe(id)
    if (choice === 'keep' || choice === 'edit') expect(there[0]!.id).not.toBe(id)
  })

  test('keeps what is about the same waiting behind it, and lets others pass', async () => {
    using folder = temporaryFolder()
    const { id: of } = await world.session('agent')
    await using mine = await desk(folder.path, testKeychain())
    const { id } = await mine.outbox.answers.annotate({ session: of, note: note('first') })
    // It was on its way once, so that it may be there: its withdrawal can only follow it.
    const lost: GatewayApi = {
      ...gatewayApi(base, undefined),
      putAnnotation: () => Promise.reject(new Unreachable('cut', true)),
    }
    mine.outbox.connect(sender('aud', lost))
    await mine.told.until('outbox', ({ outbox }) => outbox.problem === 'cut')
    mine.outbox.connect(undefined)
    await mine.outbox.answers.withdrawAnnotation({ session: of, id, reason: 'a slip' })
    expect(mine.outbox.annotations(of)).toMatchObject([{ id, withdrawing: { reason: 'a slip', state: 'here' } }])
    await mine.outbox.answers.annotate({ session: of, note: note('third') })
    mine.outbox.connect(sender('aud', refusing(409)))
    await mine.told.until('outbox', ({ outbox }) => outbox.conflicts === 1 && outbox.waiting === 1)
    expect((await atGateway(of)).map(({ text }) => text)).toEqual(['third'])
    await mine.outbox.answers.resolveConflict({ id, choice: 'keep' })
    await mine.settled()
    expect(await atGateway(of)).toMatchObject([{ text: 'third' }, { text: 'first', withdrawn: { reason: 'a slip' } }])
  })

  test('for now is no conflict: it waits as long as it is told to', async () => {
    using folder = temporaryFolder()
    const { id: of } = await world.session('agent')
    const waits: number[] = []
    const clock: Clock = {
      now: () => Date.now(),
      after(ms, then) {
        waits.push(ms)
        return hurried.after(ms, then)
      },
    }
    await using mine = await desk(folder.path, testKeychain(), { clock })
    await mine.outbox.answers.annotate({ session: of, note: note('patience') })
    mine.outbox.connect(sender('aud', refusing(429, 3)))
    await mine.settled()
    expect(mine.outbox.state().conflicts).toBe(0)
    expect(waits.filter((ms) => ms === 1000)).toHaveLength(3)
    expect(await atGateway(of)).toMatchObject([{ text: 'patience' }])
  })
})

test('edited before it is sent; gone without a word where it never was; withdrawn where it may be there', async () => {
  using folder = temporaryFolder()
  const { id: of } = await world.session('agent')
  await using mine = await desk(folder.path, testKeychain())
  const { answers } = mine.outbox
  const one = await answers.annotate({ session: of, note: note('draft') })
  const two = await answers.annotate({ session: of, note: note('never mind') })
  expect(await answers.annotate({ session: of, id: one.id, note: note('final') })).toMatchObject({
    id: one.id,
    text: 'final',
  })
  await answers.withdrawAnnotation({ session: of, id: two.id, reason: '' })
  mine.outbox.connect(sender('aud'))
  await mine.settled()
  expect(await entries(of)).toMatchObject([{ type: 'annotation', text: 'final' }])
  await expect(async () => answers.annotate({ session: of, id: one.id, note: note('too late') })).rejects.toMatchObject(
    { code: 'sent' },
  )
  await answers.withdrawAnnotation({ session: of, id: one.id, reason: 'wrong session' })
  await mine.settled()
  expect(await atGateway(of)).toMatchObject([{ withdrawn: { reason: 'wrong session' } }])
  await expect(async () => answers.withdrawAnnotation({ session: of, id: one.id, reason: '' })).rejects.toMatchObject({
    code: 'withdrawn',
  })
})

test('others’ notes come by the feed; a role that only reads can’t write', async () => {
  using folder = temporaryFolder()
  const held = await world.session('agent')
  await world.hold(held, ['oncall-dba'])
  await using mine = await desk(folder.path, testKeychain(), { who: 'ada' })
  mine.outbox.connect(sender('ada'))
  expect(await mine.outbox.answers.annotations({ session: held.id })).toMatchObject({
    items: [],
    mayAnnotate: false,
    source: 'gateway',
  })
  await expect(async () => mine.outbox.answers.annotate({ session: held.id, note: note('x') })).rejects.toMatchObject({
    code: 'forbidden',
  })
  const id = `an_${'b'.repeat(24)}`
  const api = gatewayApi(base, undefined)
  const made = await api.putAnnotation(await world.token('rae'), held.id, id, {
    ...note('see here'),
    madeAt: new Date().toISOString(),
  })
  const { logged: _, ...data } = made
  mine.outbox.heard({ type: 'annotation.added', seq: 1, at: made.madeAt, data })
  expect(mine.outbox.annotations(held.id)).toMatchObject([{ id, mine: false, state: 'sent' }])
  await expect(async () =>
    mine.outbox.answers.withdrawAnnotation({ session: held.id, id, reason: '' }),
  ).rejects.toMatchObject({ code: 'not-yours' })
  const withdrawn = { at: made.madeAt, reason: 'no' }
  mine.outbox.heard({ type: 'annotation.withdrawn', seq: 2, at: made.madeAt, data: { ...data, withdrawn } })
  mine.outbox.heard({ type: 'annotation.added', seq: 1, at: made.madeAt, data })
  expect(mine.outbox.annotations(held.id)).toMatchObject([{ withdrawn }])
  // After a gap in the feed the gateway is asked, once it can be.
  mine.outbox.connect(undefined)
  mine.outbox.lookAgain()
  const from = mine.told.events.length
  mine.outbox.connect(sender('ada'))
  await mine.told.until('annotations', ({ items }) => items[0]?.withdrawn === undefined, from)
})

/** What can happen to a call on its way, drawn for each in turn. */
const fates = ['ok', 'lost', 'answer lost', 'twice', 'busy', 'crash before', 'crash after'] as const

test('whatever breaks, and whenever: each is in the gateway exactly once, in the order in which it was written', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...fates), { maxLength: 25 }),
      fc.array(
        fc.oneof(
          { weight: 4, arbitrary: fc.record({ deed: fc.constant('annotate' as const) }) },
          { weight: 2, arbitrary: fc.record({ deed: fc.constant('withdraw' as const), which: fc.nat(9) }) },
          { weight: 1, arbitrary: fc.record({ deed: fc.constant('play' as const) }) },
          { weight: 2, arbitrary: fc.record({ deed: fc.constant('cut' as const) }) },
        ),
        { minLength: 1, maxLength: 12 },
      ),
      async (drawn, deeds) => {
        using folder = temporaryFolder()
        const secrets = testKeychain()
        const { id: of } = await world.session('agent')
        const left = [...drawn]
        let crashed = () => {}
        const real = gatewayApi(base, undefined)
        const faulty = (alive: () => boolean): GatewayApi => {
          const through = async <T>(call: () => Promise<T>): Promise<T> => {
            // A console that was killed hears nothing any more.
            const never = new Promise<T>(() => {})
            if (!alive()) return never
            switch (left.shift() ?? 'ok') {
              case 'lost':
                throw new Unreachable('the wire is cut', false)
              case 'answer lost':
                await call()
                throw new Unreachable('the wire was cut', true)
              case 'twice':
                await call()
                return call()
              case 'busy':
                throw new Refused(503, 'not now')
              case 'crash before':
                crashed()
                return never
              case 'crash after':
                await call()
                crashed()
                return never
              default: {
                const answer = await call()
                return alive() ? answer : never
              }
            }
          }
          return {
            ...real,
            annotations: (...given) => real.annotations(...given),
            putAnnotation: (...given) => through(() => real.putAnnotation(...given)),
            withdrawAnnotation: (...given) => through(() => real.withdrawAnnotation(...given)),
            putPlayback: (...given) => through(() => real.putPlayback(...given)),
          }
        }
        let running: Desk
        let generation = 0
        const aliveNow = () => {
          const mine = generation
          return () => generation === mine
        }
        const restart = async () => {
          generation += 1
          running = await desk(folder.path, secrets)
          running.outbox.connect(sender('aud', faulty(aliveNow())))
        }
        let restarting: Promise<void> = restart()
        crashed = () => {
          generation += 1
          restarting = restarting.then(restart)
        }
        await restarting
        const written: { id: string; text: string; withdrawn: boolean; gone: boolean }[] = []
        const played: string[] = []
        for (const [n, deed] of deeds.entries()) {
          await restarting
          const { outbox } = running!
          if (deed.deed === 'cut')
            outbox.connect(
              n % 2
                ? undefined
                : sender(
                    'aud',
                    faulty(() => true),
                  ),
            )
          else if (deed.deed === 'annotate') {
            const text = `note ${n}`
            const { id } = await outbox.answers.annotate({ session: of, note: note(text, n) })
            written.push({ id, text, withdrawn: false, gone: false })
          } else if (deed.deed === 'play') {
            const { id } = await world.session('agent')
            played.push(id)
            outbox.played(id)
          } else {
            const one = written[deed.which % Math.max(1, written.length)]
            if (!one || one.withdrawn || one.gone) continue
            const before = outbox.annotations(of).find(({ id }) => id === one.id)
            await outbox.answers.withdrawAnnotation({ session: of, id: one.id, reason: 'a slip' })
            const after = outbox.annotations(of).find(({ id }) => id === one.id)
            expect(before).toBeDefined()
            if (after) one.withdrawn = true
            else one.gone = true
          }
        }
        left.length = 0
        await restarting
        await restart()
        await running!.settled()
        expect(running!.outbox.state()).toMatchObject({ waiting: 0, conflicts: 0 })
        const told = await entries(of)
        const expected = written.filter(({ gone }) => !gone)
        expect(told.filter(({ type }) => type === 'annotation')).toMatchObject(
          expected.map(({ id, text }) => ({ annotation: id, text })),
        )
        expect(
          new Set(
            told
              .filter(({ type }) => type === 'annotation.withdrawn')
              .map((e) => (e as never as { annotation: string }).annotation),
          ),
        ).toEqual(new Set(expected.filter(({ withdrawn }) => withdrawn).map(({ id }) => id)))
        expect(told.filter(({ type }) => type === 'annotation.withdrawn')).toHaveLength(
          expected.filter(({ withdrawn }) => withdrawn).length,
        )
        const playbacks = (await Promise.all(played.map(entries))).flat().filter(({ type }) => type === 'playback')
        expect(playbacks).toMatchObject(played.map((session) => ({ session, where: 'offline' })))
        await running!.outbox[Symbol.asyncDispose]()
      },
    ),
    { numRuns: 40, seed: 20261121 },
  )
}, 60_000)

test('a token that took so long that it is somebody else’s sends nothing of who was there before', async () => {
  using folder = temporaryFolder()
  const { id: of } = await world.session('agent')
  await using desk1 = await desk(folder.path, testKeychain())
  const { promise, resolve } = Promise.withResolvers<string>()
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>()
  await desk1.outbox.answers.annotate({ session: of, note: note('of aud') })
  desk1.outbox.connect({
    api: gatewayApi(base, undefined),
    token: () => {
      isAsked()
      return promise
    },
  })
  await asked
  desk1.outbox.connect(undefined)
  desk1.outbox.belongTo(base.origin, await person('rae'))
  desk1.outbox.connect(sender('rae'))
  await desk1.outbox.answers.annotate({ session: of, note: note('of rae') })
  resolve(await world.token('rae'))
  await desk1.settled()
  expect(await atGateway(of)).toMatchObject([{ text: 'of rae' }])
  desk1.outbox.connect(undefined)
  desk1.outbox.belongTo(base.origin, await person('aud'))
  expect(desk1.outbox.state()).toMatchObject({ waiting: 1 })
  desk1.outbox.connect(sender('aud'))
  await desk1.settled()
  expect((await atGateway(of)).map(({ text, by }) => [text, by.name]).sort()).toEqual([
    ['of aud', 'aud'],
    ['of rae', 'rae'],
  ])
})
