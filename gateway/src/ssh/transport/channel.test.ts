import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { HOST, run } from '../testing/clients.ts'
import { startSshd } from '../testing/sshd.ts'
import type { ServerChannel } from './ssh2.ts'
import { Client, exec, send, startServer, unpatchedClient } from './testing/server.ts'

const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const large = { out: randomBytes(7_000_001), err: randomBytes(5_000_003) }

/** Writes in pieces of uneven size, waiting where it has to. */
async function write(to: NodeJS.WritableStream, bytes: Buffer): Promise<void> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7 + 11) % 90_001)
    if (!to.write(bytes.subarray(at, at + size))) await once(to, 'drain')
}

test('large stdout and stderr at once arrive whole, each once', async () => {
  await using server = await startServer(async (channel) => {
    await Promise.all([write(channel, large.out), write(channel.stderr, large.err)])
    channel.exit(3)
    channel.end()
  })
  const ran = await run(server.way, 'ssh', [HOST, 'anything'])
  expect(ran.code).toBe(3)
  expect([sha(ran.stdout), sha(ran.stderr)]).toEqual([sha(large.out), sha(large.err)])
})

const endings: Record<string, (channel: ServerChannel) => void> = {
  'exit, end': (channel) => {
    channel.exit(7)
    channel.end()
  },
  'end, exit': (channel) => {
    channel.end()
    channel.exit(7)
  },
  'EOF, exit, end as OpenSSH has it': (channel) => {
    ;(channel as ServerChannel & { eof(): void }).eof()
    channel.exit(7)
    channel.end()
  },
}
test.each(Object.keys(endings))('%s with much still unsent: all of it is sent, and the status said', async (order) => {
  await using server = await startServer((channel) => {
    channel.write(large.out)
    channel.stderr.write(large.err)
    endings[order]!(channel)
  })
  const ran = await run(server.way, 'ssh', [HOST, 'anything'])
  expect(ran.code).toBe(7)
  expect([sha(ran.stdout), sha(ran.stderr)]).toEqual([sha(large.out), sha(large.err)])
})

test('a signal that ended it is said', async () => {
  await using server = await startServer((channel) => {
    channel.write('so far')
    channel.end()
    channel.exit('TERM', true, 'terminated')
  })
  const client = await unpatchedClient(server.port)
  const ended = await new Promise((resolve) =>
    client.exec('anything', (_, channel) => {
      channel.resume().on('exit', (...said) => resolve(said))
    }),
  )
  expect(ended).toEqual([null, 'SIGTERM', true, 'terminated'])
  client.end()
})

test('the exit status of a host counts that comes after EOF of both', async () => {
  await using sshd = await startSshd()
  const client = new Client()
  client.connect({ host: sshd.host, port: sshd.port, username: sshd.user, privateKey: sshd.privateKey })
  await once(client, 'ready')
  const channel = await exec(client, 'exec >&- 2>&-; sleep 0.3; exit 9')
  channel.end()
  channel.resume()
  channel.stderr.resume()
  expect(await once(channel, 'close')).toEqual([9])
  client.end()
})

test('who writes to a channel that has gone is not left waiting', async () => {
  const gone = Promise.withResolvers<ServerChannel>()
  await using server = await startServer((channel) => {
    channel.resume()
    gone.resolve(channel)
  })
  const client = await unpatchedClient(server.port)
  const theirs = await exec(client, 'anything')
  const channel = await gone.promise
  channel.write(Buffer.alloc(6_000_000)) // more than the client's window, and nobody reads it
  theirs.close()
  await new Promise((resolve) => channel.write('more', resolve))
  client.end()
  await once(client, 'close')
  await new Promise((resolve) => channel.stderr.write('more', resolve))
})

test('an identification counts that comes a byte at a time', async () => {
  await using server = await startServer(() => {})
  const socket = connect(server.port, '127.0.0.1').setNoDelay()
  await once(socket, 'data')
  for (const byte of 'SSH-2.0-slow\r\n') {
    socket.write(byte)
    await new Promise(setImmediate)
  }
  const [kexinit] = (await once(socket, 'data')) as [Buffer]
  expect(kexinit[5]).toBe(20)
  expect(server.connections).toHaveLength(1)
  socket.destroy()
})

test('a terminal’s modes are told as they were sent', async () => {
  const modes = Promise.withResolvers<Buffer>()
  await using server = await startServer((channel) => channel.end(), {
    onSession: (session) =>
      session.on('pty', (accept, _, info) => {
        modes.resolve((info as unknown as { encoded: Buffer }).encoded)
        accept()
      }),
  })
  const client = await unpatchedClient(server.port)
  const given = Buffer.from([53, 1, 0, 0, 0, 200, 0, 0, 0, 7, 0]) // ECHO with a large value, one that nobody knows
  client.exec('anything', { pty: { modes: given as never } }, () => {})
  expect(await modes.promise).toEqual(given)
  client.end()
})

test('whoever asks something of a running channel gets an answer', async () => {
  await using server = await startServer((channel) => channel.resume(), {
    onSession: (session) => session.on('window-change', () => {}),
  })
  const client = await unpatchedClient(server.port)
  const channel = (await exec(client, 'anything')) as unknown as {
    outgoing: { id: number }
    _callbacks: ((failed: boolean) => void)[]
    end(): void
  }
  const asked = (type: string, ...fields: (number | bigint | string)[]) =>
    new Promise((resolve) => {
      channel._callbacks.push((failed) => resolve(failed ? 'failure' : 'success'))
      send(client._protocol, 98, BigInt(channel.outgoing.id), type, 1, ...fields)
    })
  expect(await asked('window-change', 80n, 24n, 0n, 0n)).toBe('success')
  expect(await asked('exec', 'another')).toBe('failure')
  expect(await asked('something@example.com')).toBe('failure')
  channel.end()
  expect(await asked('something@example.com')).toBe('failure')
  client.end()
})
