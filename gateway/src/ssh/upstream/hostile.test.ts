import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { pino } from 'pino'
import { beforeEach, describe, expect, test } from 'vitest'
import { letIn, type MadeUpHost, startMadeUpHost, startRawHost } from '../testing/hosts.ts'
import { startSshd } from '../testing/sshd.ts'
import type { AuthContext, Connection, ServerChannel } from '../transport/ssh2.ts'
import { connectHost, hostLimits } from './connect.ts'
import type { Host } from './host.ts'

const logged: Record<string, unknown>[] = []
const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
const never = new AbortController().signal
/** As they are, but for what a test would wait for, where it does. */
const patient = { ...hostLimits, goodbye: 100, idlePackets: { burst: 500, perSecond: 1 } }
const impatient = { ...patient, signIn: 400 }
const exec = { kind: 'exec', text: 'true', environment: {} } as const

beforeEach(() => void logged.splice(0))

const IDENTITY = 'SSH-2.0-OpenSSH_9.2\r\n'
/** Says it over and over, as fast as it is taken. */
function flood(socket: Socket, piece: Buffer | string): void {
  const go = () => {
    while (!socket.destroyed && socket.write(piece));
  }
  socket.on('drain', go)
  go()
}

/** What ssh2 keeps to itself. */
interface Inside {
  _sock: Socket
  _protocol: {
    _hostKeys: Record<string, unknown>
    _handlers: Record<string, unknown>
    _packetRW: { write: { allocStart: number; alloc(size: number): Buffer; finalize(packet: Buffer): Buffer } }
    _cipher: { encrypt(packet: Buffer): void }
    channelData(id: number, bytes: Buffer): void
    channelExtData(id: number, bytes: Buffer, type: number): void
    rekey(): void
  }
}
const inside = (client: unknown) => client as Inside
type InsideChannel = ServerChannel & { outgoing: { id: number } }

/** A packet, properly sealed, of any bytes. */
function say(client: Connection, payload: Buffer): void {
  const { _packetRW: packets, _cipher: cipher } = inside(client)._protocol
  const packet = packets.write.alloc(payload.length)
  payload.copy(packet, packets.write.allocStart)
  cipher.encrypt(packets.write.finalize(packet))
}

/** Answers a command by what it is given the channel for. */
const answering = (serve: (channel: InsideChannel, client: Connection) => void) => (client: Connection) => {
  letIn(client).on('session', (accept) => {
    accept().on('exec', (accept) => {
      const channel = accept() as InsideChannel
      channel.on('error', () => {})
      serve(channel, client)
    })
  })
}

async function read(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

describe('nobody is let in', () => {
  const raw: [string, (socket: Socket) => void, RegExp][] = [
    ['hangs at once', () => {}, /took too long/],
    ['says who it is, and nothing else', (socket) => socket.write(IDENTITY), /secure connection \(it took too long/],
    ['resets at once', (socket) => socket.resetAndDestroy(), /ECONNRESET|closed the connection|Connection lost/],
    [
      'resets after it said who it is',
      (socket) => socket.write(IDENTITY, () => socket.resetAndDestroy()),
      /ECONNRESET|closed the connection|Connection lost/,
    ],
    ['ends at once', (socket) => socket.end(), /closed the connection|Connection lost/],
    [
      'is no SSH',
      (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      /closed the connection|lost|no SSH|Invalid/,
    ],
    ['speaks SSH 1', (socket) => socket.write('SSH-1.5-OpenSSH_2.0\r\n'), /[Vv]ersion|Invalid|protocol/],
    [
      'greets without an end',
      (socket) => flood(socket, `${'welcome '.repeat(10)}\r\n`),
      /no SSH version|more than|Exceeded/,
    ],
    ['greets in one line', (socket) => flood(socket, 'welcome '.repeat(1000)), /no SSH version|more than|Exceeded/],
    [
      'says nonsense',
      (socket) =>
        flood(
          socket.on('error', () => {}),
          randomBytes(1000),
        ),
      /no SSH version|more than|Invalid/,
    ],
    [
      'says who it is, then nonsense',
      (socket) => {
        socket.write(IDENTITY)
        flood(socket, randomBytes(1000))
      },
      /secure connection \(/,
    ],
    [
      'begins a packet of 4 GiB',
      (socket) => {
        socket.write(IDENTITY)
        flood(socket, Buffer.alloc(1000, 0xff))
      },
      /secure connection \(.*(length|packet)/i,
    ],
    [
      'says who it is byte by byte',
      (socket) => {
        for (const byte of IDENTITY.repeat(2)) socket.write(byte)
      },
      /secure connection \(/,
    ],
  ]
  const speaking: [string, (client: Connection) => void, RegExp][] = [
    [
      'never answers to a password',
      (client) => client.on('authentication', () => {}),
      /lets nobody in \(it took too long/,
    ],
    ['refuses', (client) => client.on('authentication', (attempt) => attempt.reject()), /neither the key nor/],
    [
      'asks for more, always',
      (client) => client.on('authentication', (attempt) => attempt.reject(['password', 'publickey'], true)),
      /neither the key nor/,
    ],
    [
      'asks for a new password',
      (client) =>
        client.on('authentication', (attempt) => {
          if (attempt.method === 'password') attempt.requestChange('your password has expired', () => {})
        }),
      /asks for a new password/,
    ],
    [
      'asks without an end',
      (client) =>
        client.on('authentication', (attempt: AuthContext) => {
          if (attempt.method !== 'keyboard-interactive') return attempt.reject(['keyboard-interactive'])
          const ask = () => attempt.prompt([], 'again', 'again', ask)
          ask()
        }),
      /lets nobody in \(/,
    ],
    [
      'sends banners without an end',
      (client) =>
        client.on('authentication', () => {
          // SSH_MSG_USERAUTH_BANNER (RFC 4252, section 5.4)
          const text = Buffer.alloc(30_000, 'x')
          const banner = Buffer.concat([Buffer.from([53, 0, 0, 0x75, 0x30]), text, Buffer.alloc(4)])
          const go = () => {
            while (!inside(client)._sock.destroyed && inside(client)._sock.writableLength < 1_000_000)
              say(client, banner)
          }
          inside(client)._sock.on('drain', go)
          go()
        }),
      /says more than a sign-in takes/,
    ],
    [
      'says goodbye in its own way',
      (client) =>
        client.on('authentication', () => {
          // SSH_MSG_DISCONNECT (RFC 4253, section 11.1)
          const text = Buffer.from('\u001b[2J\ncountersign: all is well\u0007')
          say(client, Buffer.concat([Buffer.from([1, 0, 0, 0, 2, 0, 0, 0, text.length]), text, Buffer.alloc(4)]))
        }),
      /lets nobody in \(\[2J countersign: all is well\)/,
    ],
    [
      'lets in before it was asked to',
      (client) => client.once('handshake', () => setImmediate(() => say(client, Buffer.from([52])))),
      /lets nobody in|secure/,
    ],
  ]

  test.each([
    ...raw.map(([what, serve, why]) => [what, () => startRawHost(serve), why] as const),
    ...speaking.map(([what, serve, why]) => [what, () => startMadeUpHost(serve), why] as const),
  ])('a host that %s', async (what, start, why) => {
    await using host = await start()
    const outcome = await connectHost(host.target, never, log, /too long/.test(why.source) ? impatient : patient).then(
      (connected) => {
        connected.close()
        return new Error('connected')
      },
      (error: Error) => error,
    )
    if (what.startsWith('lets in before')) expect(outcome.message).toMatch(/connected|lets nobody in/)
    else expect(outcome).toMatchObject({ name: 'HostError', message: expect.stringMatching(why) })
    if (outcome.name === 'HostError')
      expect(logged).toContainEqual(
        expect.objectContaining({ level: 40, connection: 'web-1', because: outcome.message }),
      )
  })

  test('who gives up need not wait', async () => {
    await using host = await startRawHost(() => {})
    const given = new AbortController()
    const connecting = connectHost(host.target, given.signal, log, patient)
    given.abort(new Error('the client has gone'))
    await expect(connecting).rejects.toThrow('the attempt was given up (the client has gone)')
  })
})

describe('once it stands', () => {
  async function connected(serve: (client: Connection) => void, within = patient): Promise<[MadeUpHost, Host]> {
    const host = await startMadeUpHost(serve)
    return [host, await connectHost(host.target, never, log, within)]
  }

  test.each<[string, (client: Connection) => void, RegExp]>([
    ['never opens a channel', (client) => letIn(client).on('session', () => {}), /too long to open a channel/],
    [
      'never answers what is asked for in it',
      (client) => letIn(client).on('session', (accept) => void accept().on('exec', () => {})),
      /too long to open a channel/,
    ],
    ['opens none', (client) => letIn(client).on('session', (_accept, reject) => reject()), /opens no more channels/],
    [
      'refuses what is asked for',
      (client) => letIn(client).on('session', (accept) => void accept().on('exec', (_accept, reject) => reject())),
      /doesn’t run commands/,
    ],
    [
      'goes away instead',
      (client) => letIn(client).on('session', () => void inside(client)._sock.resetAndDestroy()),
      /connection to it has ended/,
    ],
  ])('a host that %s', async (_what, serve, why) => {
    const [made, host] = await connected(serve, /too long/.test(why.source) ? { ...patient, open: 300 } : patient)
    await using _ = made
    await expect(host.open(exec, never)).rejects.toMatchObject({
      name: 'HostError',
      message: expect.stringMatching(why),
    })
    host.close()
    await host.closed
  })

  test('what opens too late is closed again', async () => {
    const closed: Promise<unknown>[] = []
    const [made, host] = await connected(
      (client) => {
        letIn(client).on('session', (accept) => {
          const session = accept()
          closed.push(once(session, 'close'))
          session.on('exec', () => {})
        })
      },
      { ...patient, open: 300 },
    )
    await using _ = made
    await expect(host.open(exec, never)).rejects.toThrow('too long')
    await Promise.all(closed)
    host.close()
  })

  test('a host that hangs is noticed', async () => {
    const [made, host] = await connected((client) => letIn(client).on('ready', () => inside(client)._sock.pause()), {
      ...patient,
      alive: 100,
      missed: 2,
    })
    await using _ = made
    expect(await host.closed).toMatch(/Keepalive timeout/)
    expect(logged).toContainEqual(
      expect.objectContaining({ level: 40, connection: 'web-1', because: 'Keepalive timeout' }),
    )
  })

  test('a host that doesn’t take a goodbye', async () => {
    const [made, host] = await connected((client) => letIn(client).on('ready', () => inside(client)._sock.pause()), {
      ...patient,
      goodbye: 50,
    })
    await using _ = made
    host.close()
    host.close()
    expect(await host.closed).toBe('the gateway closed the connection')
  })

  test('a host that resets ends what runs, and says no status', async () => {
    const [made, host] = await connected(
      answering((channel, client) => channel.write('some', () => inside(client)._sock.resetAndDestroy())),
    )
    await using _ = made
    const channel = await host.open(exec, never)
    const [exit] = await Promise.all([channel.closed, read(channel.stdio).catch(() => {}), read(channel.stderr)])
    expect(exit).toEqual({})
    expect(await host.closed).toMatch(/ECONNRESET/)
  })

  test.each<[string, (channel: InsideChannel, client: Connection) => void, RegExp]>([
    [
      'sends more than it may',
      ({ outgoing }, client) => {
        for (let n = 0; n < 200; n++) inside(client)._protocol.channelData(outgoing.id, Buffer.alloc(32_000))
      },
      /beyond the window/,
    ],
    [
      'sends more on stderr than it may',
      ({ outgoing }, client) => {
        for (let n = 0; n < 200; n++) inside(client)._protocol.channelExtData(outgoing.id, Buffer.alloc(32_000), 1)
      },
      /beyond the window/,
    ],
    ['sends packets that are none', (_, client) => say(client, Buffer.from([94, 0, 0])), /./],
    [
      'speaks of a channel that isn’t',
      (_, client) => say(client, Buffer.from([97, 255, 255, 255, 255])),
      /Invalid channel/,
    ],
    [
      'asks without an end',
      (_, client) => {
        // SSH_MSG_GLOBAL_REQUEST (RFC 4254, section 4)
        const name = Buffer.from('keepalive@openssh.com')
        const ask = Buffer.concat([Buffer.from([80, 0, 0, 0, name.length]), name, Buffer.from([1])])
        for (let n = 0; n < 600; n++) say(client, ask)
      },
      /too many packets|does not read/,
    ],
    [
      'sends packets that bring nothing',
      (_, client) => {
        for (let n = 0; n < 600; n++) say(client, Buffer.from([2, 0, 0, 0, 0]))
      },
      /too many packets/,
    ],
    [
      'changes its key',
      (_, client) => {
        const { _protocol: protocol } = inside(client)
        const other = protocol._hostKeys['ssh-ed25519'] as { sign(bytes: Buffer): Buffer }
        const { public: wrong } = generated()
        protocol._hostKeys['ssh-ed25519'] = Object.assign(Object.create(other), { getPublicSSH: () => wrong })
        protocol.rekey()
      },
      /verification failed|host key/i,
    ],
  ])('a host that %s is left, and others go on', async (_what, serve, why) => {
    await using well = await startMadeUpHost(
      answering((channel) => {
        channel.write('well')
        channel.exit(0)
        channel.end()
      }),
    )
    const other = await connectHost(well.target, never, log, patient)
    const [made, host] = await connected(answering(serve))
    await using _ = made
    const channel = await host.open(exec, never)
    const because = await host.closed
    expect(because).toMatch(why)
    expect(logged).toContainEqual(expect.objectContaining({ level: 40, connection: 'web-1', because }))
    channel.stdio.resume()
    channel.stderr.resume()
    await channel.closed
    const running = await other.open(exec, never)
    running.stderr.resume()
    expect(String(await read(running.stdio))).toBe('well')
    expect(await running.closed).toEqual({ code: 0 })
    other.close()
  })

  test('it opens no channels to us', async () => {
    const refused: Promise<unknown>[] = []
    const [made, host] = await connected((client) => {
      letIn(client).on('ready', () => {
        const asked = (ask: (done: (error: Error | undefined) => void) => void) =>
          refused.push(new Promise((resolve) => ask(resolve)))
        asked((done) => client.x11('127.0.0.1', 1, done))
        asked((done) => client.forwardOut('127.0.0.1', 1, '127.0.0.1', 2, done))
        asked((done) => client.openssh_forwardOutStreamLocal('/tmp/x', done))
      })
    })
    await using _ = made
    for (const answer of await Promise.all(refused)) expect(answer).toBeInstanceOf(Error)
    expect(refused).toHaveLength(3)
    host.close()
  })

  test('signals and sizes reach a command whose input has ended', async () => {
    const told: unknown[] = []
    const [made, host] = await connected((client) => {
      letIn(client).on('session', (accept) => {
        const session = accept()
        session.on('pty', (accept) => accept?.())
        session.on('exec', (accept) => {
          const channel = accept()
          channel.resume().on('end', () => channel.write('ended'))
          // ssh2 itself tells of none once stdin has ended.
          inside(client)._protocol._handlers.CHANNEL_REQUEST = (
            _: unknown,
            _id: number,
            type: string,
            _reply: boolean,
            body: unknown,
          ) => {
            told.push([type, body])
            if (body !== 'TERM') return
            channel.exit(body as never)
            channel.end()
          }
        })
      })
    })
    await using _ = made
    const terminal = { type: 'xterm', columns: 80, rows: 24, width: 0, height: 0, modes: Buffer.alloc(0) }
    const channel = await host.open({ ...exec, terminal }, never)
    channel.stderr.resume()
    channel.stdio.end()
    await once(channel.stdio, 'data')
    channel.resize(100, 30, 0, 0)
    channel.signal('flush@example.com')
    channel.unread()
    channel.signal('TERM')
    expect(await channel.closed).toMatchObject({ signal: 'TERM' })
    expect(told).toMatchObject([
      ['window-change', { cols: 100, rows: 30 }],
      ['signal', 'flush@example.com'],
      ['eow@openssh.com', null],
      ['signal', 'TERM'],
    ])
    channel.signal('KILL')
    host.close()
  })
})

test('large output on both streams at once comes whole, and waits for its reader', async () => {
  await using sshd = await startSshd()
  await using well = await startMadeUpHost(letIn)
  const target = { ...sshd, privateKey: sshd.privateKey, hostKeys: [sshd.fingerprint], env: [], detect: [] }
  const { ref } = well.target
  const host = await connectHost({ ...target, ref }, never, log)
  const channel = await host.open(
    { ...exec, text: 'head -c 20000000 /dev/zero >&2 & head -c 20000000 /dev/zero; wait' },
    never,
  )
  await once(channel.stderr, 'readable')
  expect(channel.stderr.readableLength + channel.stdio.readableLength).toBeLessThanOrEqual(3 * 1024 * 1024)
  const [stdout, stderr] = await Promise.all([read(channel.stdio), read(channel.stderr)])
  expect([stdout.length, stderr.length]).toEqual([20_000_000, 20_000_000])
  expect(await channel.closed).toEqual({ code: 0 })
  host.close()
})

/** A public key of the right kind that nobody pinned, as it goes over the wire. */
function generated(): { public: Buffer } {
  const type = Buffer.from('ssh-ed25519')
  const size = (n: number) => Buffer.from([0, 0, 0, n])
  return { public: Buffer.concat([size(type.length), type, size(32), randomBytes(32)]) }
}
