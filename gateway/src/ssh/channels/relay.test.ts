import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { RecordingError } from '../../sessions/session.ts'
import { ChannelRecord } from '../record/record.ts'
import type { ServerChannel } from '../transport/ssh2.ts'
import type { HostChannel, RemoteExit } from '../upstream/host.ts'
import { Input } from './input.ts'
import { relay } from './relay.ts'

/** Both ends of a channel, and a recorder that takes so many events. */
function channel(events: number) {
  const stdin = new PassThrough()
  const toClient = Object.assign(new PassThrough(), { stderr: new PassThrough(), eof: () => {} })
  const fromHost = new PassThrough()
  const toHost: Buffer[] = []
  const stdio = Object.assign(fromHost, {
    write: (chunk: Buffer) => toHost.push(chunk) > 0,
    end: () => fromHost,
  })
  const closed = Promise.withResolvers<RemoteExit>()
  const host = { stdio, stderr: new PassThrough(), closed: closed.promise } as unknown as HostChannel
  const said = new PassThrough()
  let left = events
  const recorder = {
    outputBound: 1000,
    append: () => {
      if (left-- <= 0) throw new RecordingError('the disk is full')
    },
  }
  const errors: Error[] = []
  const gone = new AbortController()
  const done = relay({
    client: toClient as unknown as ServerChannel,
    input: new Input(stdin, 1000),
    host,
    record: new ChannelRecord(recorder, { channel: '1', command: 'c', kind: 'exec' }),
    masking: { detect: [], reveals: () => false, terminal: false },
    unrecorded: (error) => void errors.push(error),
    signal: gone.signal,
  })
  const say = (text: string) => PassThrough.prototype.push.call(fromHost, text)
  return { stdin, toClient, toHost, host, say, said, errors, gone, done, closed }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('what can’t be recorded is not forwarded, and nothing is after it', async () => {
  // The channel, one piece of output and one of input.
  const { stdin, toClient, toHost, say, errors, done, closed } = channel(3)
  say('first')
  await turn()
  stdin.write('typed')
  await turn()
  say('second')
  await turn()
  say('third')
  stdin.write('more')
  await turn()
  expect(toClient.read()?.toString()).toBe('first')
  expect(Buffer.concat(toHost).toString()).toBe('typed')
  expect(errors).toEqual([new RecordingError('the disk is full')])
  closed.resolve({ code: 0 })
  expect(await done).toEqual({ code: 0 })
})

test('a client that has gone stops nobody: what the host still says is thrown away', async () => {
  const { toClient, say, host, gone, done, closed } = channel(1000)
  for (let n = 0; n < 40; n++) say('x'.repeat(10_000))
  await turn()
  expect(host.stdio.isPaused()).toBe(true)
  gone.abort()
  const ended = once(host.stdio, 'end')
  PassThrough.prototype.push.call(host.stdio, null)
  await ended
  expect(toClient.readableLength + toClient.writableLength).toBeLessThan(200_000)
  closed.resolve({})
  expect(await done).toEqual({})
})
