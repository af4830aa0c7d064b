import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Input } from './input.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const never = new AbortController().signal
const within = { bytes: 10, quiet: 500, most: 3000 }
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('whole input', () => {
  test.each([
    ['nothing', [], ''],
    ['one piece', ['abc'], 'abc'],
    ['several', ['ab', 'cd', 'efghij'], 'abcdefghij'],
    ['more than may be', ['abcdefghijk'], undefined],
  ])('%s', async (_, pieces, whole) => {
    const stream = new PassThrough()
    const input = new Input(stream, 100)
    const found = input.whole(within, never)
    for (const piece of pieces) stream.write(piece)
    stream.end()
    expect((await found)?.toString()).toBe(whole)
  })

  test('is not waited for where nothing comes, or it comes without an end', async () => {
    const silent = new Input(new PassThrough(), 100).whole(within, never)
    await vi.advanceTimersByTimeAsync(500)
    expect(await silent).toBeUndefined()

    const stream = new PassThrough()
    const trickling = new Input(stream, 100).whole({ ...within, bytes: 100 }, never)
    let done = false
    void trickling.then(() => {
      done = true
    })
    for (let ms = 0; ms < 2900; ms += 400) {
      stream.write('x')
      await turn()
      expect(done).toBe(false)
      await vi.advanceTimersByTimeAsync(400)
    }
    expect(await trickling).toBeUndefined()
  })

  test('is given up where the client has gone', async () => {
    const gone = new AbortController()
    const found = new Input(new PassThrough(), 100).whole(within, gone.signal)
    gone.abort()
    expect(await found).toBeUndefined()
  })
})

test('nothing is lost or changes its order, whatever comes when, and however slow it is taken', async () => {
  vi.useRealTimers()
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 12 }),
      fc.nat(12),
      fc.integer({ min: 1, max: 1000 }),
      fc.boolean(),
      async (chunks, after, bound, slow) => {
        const stream = new PassThrough()
        const input = new Input(stream, bound)
        const got: Buffer[] = []
        let ended = 0
        const done = Promise.withResolvers<void>()
        const flow = () =>
          input.flow(
            (chunk) => {
              expect(ended).toBe(0)
              got.push(chunk)
              if (slow) setImmediate(() => input.resume())
              return !slow
            },
            () => {
              ended++
              done.resolve()
            },
          )
        for (const [n, chunk] of chunks.entries()) {
          if (n === after) flow()
          stream.write(chunk)
          if (n % 3 === 0) await turn()
        }
        stream.end()
        await turn()
        if (after >= chunks.length) flow()
        if (slow) input.resume()
        await done.promise
        expect(Buffer.concat(got)).toEqual(Buffer.concat(chunks))
        expect(ended).toBe(1)
      },
    ),
    { seed: 22, numRuns: 150 },
  )
})

test('beyond its bound nothing is read until it is known where it goes', async () => {
  vi.useRealTimers()
  const stream = new PassThrough({ highWaterMark: 1 })
  const input = new Input(stream, 1000)
  for (let n = 0; n < 50; n++) stream.write(Buffer.alloc(100))
  await turn()
  expect(stream.isPaused()).toBe(true)
  expect(stream.readableLength + stream.writableLength).toBeGreaterThanOrEqual(3900)
  input.discard()
  await turn()
  stream.end()
  await new Promise((resolve) => stream.once('end', resolve))
})
