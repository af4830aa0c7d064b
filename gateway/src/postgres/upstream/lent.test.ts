import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { take } from '../wire/take.ts'
import { borrow, connectLending } from './lent.ts'

/** Sends each connection what `script` says, as fast as it is taken. */
const server = createServer((socket) => {
  socket.on('error', () => {})
  for (const part of script) socket.write(part)
  socket.end()
})
let script: Buffer[] = []
beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'))
afterAll(() => void server.close())
const open = () => connectLending({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' })

it('before anybody borrows, it is read like any stream', async () => {
  script = [Buffer.from('hello'), Buffer.alloc(300_000, 'x')]
  const socket = open()
  expect((await take(socket, 3))?.toString()).toBe('hel')
  expect((await take(socket, 2))?.toString()).toBe('lo')
  expect((await take(socket, 300_000))?.equals(script[1]!)).toBe(true)
  expect(await take(socket, 1)).toBe(undefined)
})

it('what was kept because it was said to be needed stays as it was; all arrives in order, paused or not', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 1, maxLength: 6 }),
      fc.infiniteStream(fc.constantFrom('free', 'needed', 'paused')),
      fc.integer({ min: 0, max: 10 }),
      async (sizes, answers, head) => {
        script = sizes.map((size, at) => Buffer.alloc(size, `${at} of what was sent, `))
        const sent = Buffer.concat(script)
        const socket = open()
        const first = (await take(socket, Math.min(head, sent.length))) ?? Buffer.alloc(0)
        const got: Buffer[] = [first]
        expect(
          borrow(socket, (bytes) => {
            const answer = answers.next().value
            if (answer === 'paused') {
              socket.pause()
              setImmediate(() => socket.resume())
            }
            got.push(answer === 'free' ? Buffer.from(bytes) : bytes)
            return answer === 'free'
          }),
        ).toBe(true)
        socket.resume()
        await once(socket, 'end')
        expect(Buffer.concat(got).equals(sent)).toBe(true)
      },
    ),
    { numRuns: 20, seed: 7 },
  )
})

it('an idle connection holds a small buffer, also after it has brought much', async () => {
  const sizes = new Set<number>()
  script = [Buffer.alloc(4 << 20)]
  const socket = open()
  borrow(socket, (bytes) => {
    sizes.add(bytes.buffer.byteLength)
    return true
  })
  socket.resume()
  await once(socket, 'end')
  expect([...sizes].sort((a, b) => a - b)).toEqual([4 << 10, 256 << 10])
})

it('of large buffers that nobody reads into any more, eight are kept', async () => {
  script = [Buffer.alloc(2 << 20)]
  const seen = async (connections: number) => {
    const large = new Set<ArrayBufferLike>()
    const sockets = Array.from({ length: connections }, open)
    const inUse = Promise.all(sockets.map((socket) => once(socket, 'end')))
    for (const socket of sockets) {
      borrow(socket, (bytes) => {
        if (bytes.buffer.byteLength > 4 << 10) large.add(bytes.buffer)
        return true
      })
      socket.resume()
    }
    await inUse
    return large
  }
  const before = await seen(24)
  const again = await seen(24)
  expect(before.size).toBeGreaterThan(0)
  expect([...again].filter((buffer) => before.has(buffer)).length).toBeLessThanOrEqual(8)
})
