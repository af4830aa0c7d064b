import { Problem } from '@countersign/contract/api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Buckets, callBounds } from './call-bounds.ts'
import { type Person, startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const as = async (person: Person) => ({ headers: { authorization: `Bearer ${await world.token(person)}` } })

describe('calls of one person', () => {
  it('are refused past the bound, with when to come back; others go on, and so do open paths', async () => {
    await using api = await world.serve({ callBounds: { burst: 3, perSecond: 0.5 } })
    const get = async (path: string, person: Person) => fetch(`http://${api.address}${path}`, await as(person))
    for (let i = 0; i < 3; i++) expect((await get('/v1/me', 'rae')).status).toBe(200)
    const refused = await get('/v1/approvals', 'rae')
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Problem.parse(await refused.json()).detail).toMatch(/3 at once and 0.5 a second.*Wait/)
    expect((await get('/v1/me', 'aud')).status).toBe(200)
    expect((await get('/v1/sign-in', 'rae')).status).toBe(200)
  })

  it('come back with time, no more of them than fit, and who called longest ago makes room', () => {
    let now = 0
    const buckets = new Buckets({ ...callBounds, perSecond: 2, burst: 4, callers: 2 }, () => now)
    const takes = (who: string, times: number) => Array.from({ length: times }, () => buckets.take(who))
    expect(takes('a', 5)).toEqual([0, 0, 0, 0, 1])
    now += 500
    expect(takes('a', 2)).toEqual([0, 1])
    now += 3_600_000
    expect(takes('a', 5)).toEqual([0, 0, 0, 0, 1])
    expect([buckets.take('b'), buckets.take('c'), buckets.size]).toEqual([0, 0, 2])
    // A clock that goes back gives nothing.
    now -= 10_000
    expect(takes('c', 5)).toEqual([0, 0, 0, 1, 1])
  })
})

describe('searches of one person', () => {
  it('run two at a time; one more waits for its turn, and is refused where none comes', async () => {
    const running: (() => void)[] = []
    let began = () => {}
    const api = await world.serve({
      callBounds: { waiting: 1, waitMs: 30_000 },
      sessions: {
        ...world.sessions,
        commands: () =>
          new Promise((resolve) => {
            running.push(() => resolve({ items: [], next: null }))
            began()
          }),
      },
    })
    await using _ = api
    const until = (many: number) =>
      new Promise<void>((resolve) => {
        began = () => running.length >= many && resolve()
        began()
      })
    const get = async (path: string, person: Person, signal: AbortSignal | null = null) =>
      fetch(`http://${api.address}${path}`, { ...(await as(person)), signal })
    const leaving = new AbortController()
    const left = get('/v1/commands', 'rae', leaving.signal).catch(() => 'left')
    const first = get('/v1/commands', 'rae')
    await until(2)
    // Of two more one waits, and the other is refused, whichever comes first.
    const more = [get('/v1/commands', 'rae'), get('/v1/sessions?text=x', 'rae')]
    const refused = await Promise.race(more)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(Problem.parse(await refused.json()).detail).toMatch(/searches.*wait/)
    expect((await get('/v1/sessions', 'rae')).status).toBe(200)
    const other = get('/v1/commands', 'aud')
    await until(3)
    // Who goes away makes room.
    leaving.abort()
    expect(await left).toBe('left')
    const all = Promise.all([first, other, ...more])
    for (let done = false; !done; ) {
      for (const end of running.splice(0)) end()
      done = await Promise.race([all.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))])
    }
    expect((await all).map(({ status }) => status).toSorted()).toEqual([200, 200, 200, 429])
  })

  it('are refused where no turn comes in time', async () => {
    let end = () => {}
    const running = new Promise<void>((resolve) => {
      end = resolve
    })
    await using api = await world.serve({
      callBounds: { costly: 1, waitMs: 1 },
      sessions: { ...world.sessions, commands: () => running.then(() => ({ items: [], next: null })) },
    })
    const get = async () => fetch(`http://${api.address}/v1/commands`, await as('rae'))
    const both = [get(), get()]
    expect((await Promise.race(both)).status).toBe(429)
    end()
    expect((await Promise.all(both)).map(({ status }) => status).toSorted()).toEqual([200, 429])
  })
})
