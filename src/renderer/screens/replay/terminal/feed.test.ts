import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { TerminalFrame } from '../../../../terminal-api.ts'
import { Feed, type Shown } from './feed.ts'

/** Frames at these times, `page` of them an answer; a keyframe every `apart` frames. Answers come when they are let go. */
function channel(times: readonly number[], page = 4, apart = 5) {
  const frames = times.map((t, i): TerminalFrame => ({ type: 'output', t, seq: i, stream: 'stdout', text: `${i} ` }))
  let there = frames.length
  const waiting: (() => void)[] = []
  const asked: string[] = []
  const answer = <T>(what: string, value: () => T) => {
    asked.push(what)
    return new Promise<T>((resolve) => waiting.push(() => resolve(value())))
  }
  let drawn = ''
  const failures: unknown[] = []
  const textOf = (some: readonly TerminalFrame[]) =>
    some.map((frame) => (frame.type === 'output' ? frame.text : '')).join('')
  const feed = new Feed({
    source: {
      at: (t) =>
        answer(`at ${t}`, (): Shown => {
          const upTo = frames.slice(0, there).filter((frame) => frame.t <= t).length
          const key = Math.floor(upTo / apart) * apart
          const some = frames.slice(key, Math.min(there, Math.max(upTo, key + page)))
          return {
            ...{ columns: 80, rows: 24, screen: textOf(frames.slice(0, key)), shown: upTo - key },
            ...{ at: key, frames: some, next: key + some.length, count: there, ended: false },
          }
        }),
      frames: (from) =>
        answer(`from ${from}`, () => {
          const some = frames.slice(from, Math.min(there, from + page))
          return { at: from, frames: some, next: from + some.length, count: there, ended: false }
        }),
    },
    drawing: {
      restore: ({ screen, frames: some, shown }) => {
        drawn = screen + textOf(some.slice(0, shown))
      },
      draw: (some) => {
        drawn += textOf(some)
      },
    },
    onFailed: (problem) => failures.push(problem),
  })
  /** Lets answers go until nothing is asked any more. */
  const settle = async () => {
    while (waiting.length > 0) {
      waiting.shift()!()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return {
    ...{ feed, asked, settle, failures },
    drawn: () => drawn,
    expected: (t: number) => textOf(frames.slice(0, there).filter((frame) => frame.t <= t)),
    have: (count: number) => {
      there = count
    },
  }
}

test('wherever the player went, what is drawn is what was said until then', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 4000 }), { maxLength: 60 }),
      fc.array(fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.constant('settle' as const)), {
        minLength: 1,
        maxLength: 20,
      }),
      async (gaps, moves) => {
        let t = 0
        const times = gaps.map((gap) => (t += gap))
        const { feed, settle, drawn, expected, failures } = channel(times)
        let last = 0
        feed.goTo(0)
        for (const move of moves) {
          if (move === 'settle') await settle()
          else {
            feed.goTo(move)
            last = move
          }
        }
        await settle()
        expect(drawn()).toBe(expected(last))
        expect(failures).toEqual([])
      },
    ),
    { numRuns: 300, seed: 3 },
  )
})

test('played through, it asks for what follows before it is needed, and seeks once', async () => {
  const times = Array.from({ length: 200 }, (_, i) => i * 500)
  const { feed, settle, drawn, expected, asked } = channel(times)
  feed.goTo(0)
  await settle()
  for (let t = 0; t <= 100_000; t += 200) {
    feed.goTo(t)
    expect(drawn()).toBe(expected(t))
    await settle()
  }
  expect(asked.filter((question) => question.startsWith('at '))).toEqual(['at 0'])
})

test('while somebody drags, only the last place is drawn; while it only plays, nothing is asked twice', async () => {
  const times = Array.from({ length: 100 }, (_, i) => i * 1000)
  const { feed, settle, drawn, expected, asked } = channel(times)
  feed.goTo(0)
  for (const t of [20_000, 20_016, 20_032, 60_000, 40_000]) feed.goTo(t)
  expect(asked).toEqual(['at 0', 'at 20000', 'at 60000', 'at 40000'])
  await settle()
  expect(drawn()).toBe(expected(40_000))
})

test('of a session that goes on what is new is drawn when it comes, also while an answer is awaited', async () => {
  const { feed, settle, drawn, expected, have } = channel([0, 100, 200, 300, 400, 500])
  have(2)
  feed.goTo(Number.POSITIVE_INFINITY)
  await settle()
  expect(drawn()).toBe('0 1 ')
  have(3)
  feed.grew()
  have(6)
  feed.grew()
  await settle()
  expect(drawn()).toBe(expected(1e9))
})

test('what can’t be had is told once, and asked for again when somebody moves', async () => {
  let asked = 0
  const failures: unknown[] = []
  const no = () => {
    asked += 1
    return Promise.reject(new Error('gone'))
  }
  const feed = new Feed({
    source: { at: no, frames: no },
    drawing: { restore: () => {}, draw: () => {} },
    onFailed: (problem) => failures.push(problem),
  })
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  feed.goTo(5)
  await turn()
  feed.goTo(5)
  await turn()
  expect([asked, failures.length]).toEqual([1, 1])
  feed.goTo(6)
  await turn()
  expect([asked, failures.length]).toEqual([2, 2])
  feed.stop()
  feed.goTo(7)
  expect(asked).toBe(2)
})
