import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Gate } from '../../gate/command.ts'
import { MOST_OPENINGS } from '../../gate/openings.ts'
import type { AgentPrincipal } from '../../identity/principal.ts'
import { TokenError } from '../../identity/principal.ts'
import type { Sessions } from '../../sessions/session.ts'
import { listenSsh, type SshListener, type SshOptions } from '../ssh.ts'
import { Client, type ConnectConfig, utils } from '../transport/ssh2.ts'
import { noConnection } from '../words.ts'
import { MOST_REQUESTS, TRIES } from './sign-in.ts'

const { private: hostKey } = utils.generateKeyPairSync('ed25519')
const agent: AgentPrincipal = {
  kind: 'agent',
  ...{ id: 'i#a', issuer: 'i', subject: 'a', name: 'A', groups: [], expiresAt: new Date(Date.now() + 3_600_000) },
}

let listener: SshListener
let tried: string[]
let noted: { reason: string }[]
let log: { msg: string; why?: string }[]
const sockets = new Set<Socket | Client>()

const serve = async (bounds: SshOptions['bounds']) => {
  tried = []
  noted = []
  log = []
  listener = await listenSsh({
    listen: { host: '127.0.0.1', port: 0 },
    hostKey,
    identity: {
      async authenticate(token) {
        tried.push(token)
        if (token === 'good') return agent
        throw new TokenError('unknown', 'none of ours')
      },
    },
    keys: { agentOf: () => undefined, knows: () => false },
    signIns: { refused: (one) => noted.push(one) },
    // Nobody gets as far as a session here: there is no connection.
    target: () => undefined,
    entrance: {} as SshOptions['entrance'],
    sessions: {} as Sessions,
    gate: {} as Gate,
    approvals: () => ({ hold: 'wait' }),
    log: pino({ level: 'debug' }, { write: (line: string) => void log.push(JSON.parse(line)) }),
    ...(bounds && { bounds }),
  })
}
beforeEach(() => serve({ loginMs: 60_000, wrongAfterMs: 1 }))
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  await listener[Symbol.asyncDispose]()
})

/** Whatever went wrong on the way. */
const closed = (one: Socket | Client) => new Promise<void>((resolve) => one.once('close', () => resolve()))
const dial = () => {
  const socket = connect(listener.address.port, '127.0.0.1')
  socket.on('error', () => {})
  sockets.add(socket)
  return socket
}
const client = (config: ConnectConfig) => {
  const one = new Client()
  sockets.add(one)
  one.on('error', () => {})
  one.connect({ host: '127.0.0.1', port: listener.address.port, username: 'x', strictVendor: false, ...config })
  return one
}
const signedIn = async () => {
  const one = client({ password: 'good' })
  await once(one, 'ready')
  return one
}
/** What somebody else gets, whatever goes on: an answer. */
const othersAreServed = async () => {
  const one = await signedIn()
  const said = await new Promise<string>((resolve, reject) =>
    one.exec('true', (error, stream) => {
      if (error) return reject(error)
      let text = ''
      stream.stderr.on('data', (chunk) => {
        text += chunk
      })
      stream.resume()
      stream.on('close', () => resolve(text))
    }),
  )
  expect(said).toContain(noConnection.message)
}

describe('who doesn’t sign in', () => {
  test.each<[string, (socket: Socket) => void]>([
    ['says nothing', () => {}],
    ['says half a name', (socket) => socket.write('SSH-2.0-half')],
    ['says a name and no more', (socket) => socket.write('SSH-2.0-x\r\n')],
    ['half-closes', (socket) => socket.end('SSH-2.0-x\r\n')],
    ['goes on with lines that are no name', (socket) => socket.write('x\r\n'.repeat(100))],
    ['sends what is no packet', (socket) => socket.write(`SSH-2.0-x\r\n${'\xff'.repeat(40_000)}`)],
  ])('is gone in time where it %s', async (_, does) => {
    await listener[Symbol.asyncDispose]()
    await serve({ loginMs: 300, wrongAfterMs: 1 })
    const socket = dial()
    does(socket)
    socket.resume()
    await closed(socket)
    await othersAreServed()
  })

  test('may try some tokens by one connection, and then is sent away', async () => {
    const one = client({
      password: 'bad',
      authHandler: () => ({ type: 'password', username: 'x', password: 'bad' }) as never,
    })
    await closed(one)
    expect(tried).toHaveLength(TRIES)
    expect(log.some(({ why }) => why === 'it has tried too often')).toBe(true)
    await othersAreServed()
  })

  test('may ask for ways to sign in so often', async () => {
    let asked = 0
    const one = client({
      authHandler: () => {
        asked++
        return { type: 'none', username: 'x' } as never
      },
    })
    await closed(one)
    expect(asked).toBeLessThanOrEqual(MOST_REQUESTS + 1)
    await othersAreServed()
  })

  test('tries a thousand passwords by many connections: each is refused, and told of', async () => {
    const all = Array.from({ length: 200 }, async () => {
      const one = client({ authHandler: () => ({ type: 'password', username: 'x', password: 'bad' }) as never })
      await closed(one)
    })
    await othersAreServed()
    await Promise.all(all)
    expect(tried.filter((token) => token === 'bad')).toHaveLength(200 * TRIES)
    expect(noted.filter(({ reason }) => reason === 'the token is none of this gateway’s')).toHaveLength(200 * TRIES)
  }, 60_000)

  test('keeps so many connections open at most', async () => {
    const all = Array.from({ length: MOST_OPENINGS.address + 50 }, dial)
    const shut = new Set<Socket>()
    await new Promise<void>((resolve) => {
      for (const socket of all)
        socket.resume().once('close', () => {
          shut.add(socket)
          if (shut.size >= 50) resolve()
        })
    })
    const kept = all.find((socket) => !shut.has(socket))!
    const gone = closed(kept)
    kept.destroy()
    await gone
    await othersAreServed()
  })
})

describe('who has signed in', () => {
  test('gets no forwarding, and goes on', async () => {
    const one = await signedIn()
    const refusal = await new Promise<Error | undefined>((resolve) =>
      one.forwardOut('127.0.0.1', 1, '10.0.0.1', 5432, resolve),
    )
    expect(refusal).toMatchObject({
      message: expect.stringContaining('the gateway forwards no connections'),
      reason: 1,
    })
    const listening = await new Promise<Error | undefined>((resolve) => one.forwardIn('127.0.0.1', 0, resolve))
    expect(listening).toBeInstanceOf(Error)
    const local = await new Promise<Error | undefined>((resolve) =>
      one.openssh_forwardOutStreamLocal('/var/run/docker.sock', resolve),
    )
    expect(local).toMatchObject({ reason: 1 })
    const what = log.filter(({ msg }) => msg === 'what nobody may do was refused')
    expect(what).toMatchObject([
      { what: 'forward 10.0.0.1:5432' },
      { what: 'listen 127.0.0.1:0' },
      { what: 'forward /var/run/docker.sock' },
    ])
    await othersAreServed()
  })

  test('is told of once however often it asks for what nobody may do', async () => {
    const one = await signedIn()
    for (let n = 0; n < 300; n++)
      await new Promise<void>((resolve) => one.forwardOut('127.0.0.1', 1, '10.0.0.1', n, () => resolve()))
    expect(log.filter(({ msg }) => msg === 'what nobody may do was refused')).toHaveLength(50)
  })

  test('and asks for nothing is let go', async () => {
    await listener[Symbol.asyncDispose]()
    await serve({ idleMs: 50 })
    await closed(await signedIn())
    await othersAreServed()
  })

  test('is let go by another configuration where it has begun nothing', async () => {
    const one = await signedIn()
    listener.reconfigured([])
    await closed(one)
    await othersAreServed()
  })
})
