import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stopwatch } from '../../access/testing/stopwatch.ts'
import { HOST, run, start } from '../testing/clients.ts'
import { policy, type SshWorld, startSshWorld } from '../testing/world.ts'
import { Client, type ClientChannel } from '../transport/ssh2.ts'

let world: SshWorld
beforeAll(async () => {
  world = await startSshWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

/** Something that runs, and is said to by the host. */
async function runs(subject: string, options: { password?: string; terminal?: boolean; held?: boolean } = {}) {
  const { password, terminal, held } = options
  const way = await world.through({ subject, ...(password !== undefined && { password }) })
  const child = start(way, 'ssh', [
    ...(terminal ? ['-tt'] : []),
    HOST,
    `echo up; exec sleep 60${held ? ' # held' : ''}`,
  ])
  let said = ''
  child.stderr!.on('data', (chunk) => {
    said += chunk
  })
  const closed = once(child, 'close')
  if (held) await world.decide('approve')
  await up(child)
  const session = (await world.sessions()).find((one) => one.identity.subject === subject && one.state === 'open')!
  return {
    session,
    closed,
    said: () => said,
    /** How it ended, how long that took from now on (ms), and what its session says. */
    async ended() {
      const since = stopwatch()
      const [code] = await closed
      const ms = since()
      const after = await closedOf(session.id)
      return { code, said, ms, state: after.state, because: after.closedBecause }
    },
  }
}

function up(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let out = ''
    child.stdout!.on('data', (chunk) => {
      out += chunk
      if (out.includes('up')) resolve()
    })
    child.once('close', (code) => reject(new Error(`it ended with ${code} before it ran`)))
  })
}

async function closedOf(id: string): Promise<{ state: string; closedBecause?: string }> {
  const feed = await world.feed('aud')
  try {
    for (let told = 0; ; ) {
      const is = await world.as<{ state: string }>('aud', `/v1/sessions/${id}`)
      if (is.state !== 'open') return is
      await feed.until((messages) => messages.length > told)
      told = feed.messages.length
    }
  } finally {
    await feed.close()
  }
}

test.each<[string, (it: { session: { id: string; agent: string }; token: string }) => Promise<unknown>, RegExp]>([
  [
    'its session is terminated',
    ({ session }) => world.as('ada', `/v1/sessions/${session.id}/terminate`, { reason: 'enough of it' }),
    /enough of it/,
  ],
  [
    'its connection is frozen',
    () => world.as('max', '/v1/connections/web-1/freeze', { reason: 'fire' }),
    /access ended: .*fire/,
  ],
  [
    'its token is revoked',
    ({ token }) => fetch(`${world.api}/v1/token/revoke`, { method: 'POST', body: new URLSearchParams({ token }) }),
    /access ended: .*revoked/,
  ],
  [
    'its agent is disabled',
    ({ session }) =>
      world.as('max', `/v1/agents/${encodeURIComponent(session.agent)}`, { disabled: true, reason: 'odd' }, 'PATCH'),
    /access ended: .*disabled.*odd/,
  ],
  [
    'policy lets it in no more',
    async () => {
      world.writePolicy(policy.replace('Group::"ci"', 'Group::"nobody"'))
      await world.reload()
    },
    /access ended: policy was changed/,
  ],
  [
    'its connection is configured otherwise',
    async () => {
      world.configure({ connection: { tags: ['moved'] } })
      await world.reload()
    },
    /access ended: connection web-1 was configured otherwise/,
  ],
])('what runs ends within a second, and is told why, when %s', async (when, end, words) => {
  for (const terminal of [false, true]) {
    const subject = `runs-${terminal}-${when.replaceAll(' ', '-')}`
    const token = (await world.exchange(await world.token(subject))).access_token
    const held = when.includes('terminated')
    const it = await runs(subject, { password: token, terminal, held })
    await end({ session: it.session, token })
    const ended = await it.ended()
    expect(ended.said).toMatch(words)
    expect(ended).toMatchObject({ code: 126 })
    expect(ended.ms).toBeLessThan(1000)
    expect(ended.because).toMatch(words)
    await world.as('max', '/v1/connections/web-1/unfreeze', { reason: 'out' }).catch(() => {})
    world.writePolicy(policy)
    world.configure({ connection: {} })
    await world.reload()
  }
})

test('what runs ends when its token does', async () => {
  const token = await world.exchange(await world.token('short'), 'web-1', { requested_token_lifetime: '2' })
  const it = await runs('short', { password: token.access_token })
  expect(await it.ended()).toMatchObject({
    code: 126,
    said: expect.stringContaining('access ended: its token has expired'),
    state: 'closed',
  })
})

test('who opens a thousand channels and forwards besides gets some of them, and is recorded; others are served', async () => {
  const client = new Client()
  client.on('error', () => {})
  const password = (await world.exchange(await world.token('greedy'))).access_token
  client.connect({ host: '127.0.0.1', port: world.port, username: 'web-1', password })
  await once(client, 'ready')
  let [open, refused] = [0, 0]
  await new Promise<void>((resolve) => {
    for (let n = 0; n < 1000; n++)
      client.exec(`echo held ${n}`, (error) => {
        if (error) refused++
        else open++
        if (open + refused === 1000) resolve()
      })
  })
  expect(open).toBe(100)
  const way = await world.through({ subject: 'modest' })
  expect(await run(way, 'ssh', [HOST, 'echo fine'])).toMatchObject({ code: 0, stdout: Buffer.from('fine\n') })
  const { id } = (await world.sessions()).find(({ identity }) => identity.subject === 'greedy')!
  await new Promise((resolve) => client.forwardOut('127.0.0.1', 1, '10.0.0.1', 5432, resolve))
  client.end()
  await closedOf(id)
  const forwards = (await world.recorded(id)).filter((event) => event.type === 'command' && event.kind === 'forward')
  expect(forwards).toMatchObject([
    { text: 'forward 10.0.0.1:5432', effects: [{ action: 'ssh:forward' }], verdict: { outcome: 'deny' } },
  ])
}, 30_000)

test('a stopping gateway lets what runs finish for as long as it may, and takes nothing new', async () => {
  const long = await runs('long')
  const way = await world.through({ subject: 'brief' })
  const brief = start(way, 'ssh', [HOST, 'echo up; read line; echo $line; exit 7'], { input: new PassThrough() })
  let out = ''
  brief.stdout!.on('data', (chunk) => {
    out += chunk
  })
  await up(brief)
  const late = await world.through({ subject: 'late' })
  const stopping = world.stop()
  brief.stdin!.end('done\n')
  expect(await once(brief, 'close')).toEqual([7, null])
  expect(out).toBe('up\ndone\n')
  expect(await run(late, 'ssh', [HOST, 'true'])).toMatchObject({ code: 255 })
  expect(await long.closed).toEqual([126, null])
  expect(long.said()).toContain('countersign: the gateway is stopping\n')
  await stopping
  await world.serve()
  const sessions = await world.sessions()
  const states = sessions.slice(0, 2).map(({ state, closedBecause }) => ({ state, closedBecause }))
  expect(states).toEqual([
    { state: 'closed', closedBecause: 'the gateway is stopping' },
    { state: 'closed', closedBecause: 'the gateway stopped' },
  ])
})

/** What of ssh2's client lets a channel be asked for, run and closed in one packet, as no client of its API does. */
interface Raw {
  _protocol: {
    _handlers: { CHANNEL_OPEN_CONFIRMATION: unknown }
    session(id: number, window: number, packetSize: number): void
    exec(id: number, command: string, wantReply: boolean): void
    channelClose(id: number): void
  }
}

async function rawClient(subject: string): Promise<Client & Raw> {
  const client = new Client() as Client & Raw
  const { access_token: password } = await world.exchange(await world.token(subject))
  client.connect({ host: '127.0.0.1', port: world.port, username: 'web-1', password, hostVerifier: () => true })
  await once(client, 'ready')
  return client
}

/** Asks for a command, and gives it up before anything could be answered. */
function givesUp(client: Raw, then: () => void): void {
  const { _protocol: protocol } = client
  const { CHANNEL_OPEN_CONFIRMATION: before } = protocol._handlers
  protocol._handlers.CHANNEL_OPEN_CONFIRMATION = (_: unknown, { sender }: { sender: number }) => {
    protocol._handlers.CHANNEL_OPEN_CONFIRMATION = before
    protocol.exec(sender, 'true', false)
    protocol.channelClose(sender)
    then()
  }
  protocol.session(99, 65_536, 32_768)
}

test('a session that is still being opened when its client goes is left by nobody', async () => {
  const client = await rawClient('hasty')
  givesUp(client, () => client.end())
  await once(client, 'close')
  const feed = await world.feed('aud')
  const { id } = await (async () => {
    for (;;) {
      const found = (await world.sessions()).find(({ identity }) => identity.subject === 'hasty')
      if (found) return found
      const { length } = feed.messages
      await feed.until((messages) => messages.length > length)
    }
  })()
  await feed.close()
  expect(await closedOf(id)).toMatchObject({ state: 'closed' })
})

test('a command that comes while the one before is given up runs nevertheless', async () => {
  const client = await rawClient('changing')
  const code = await new Promise((resolve, reject) =>
    givesUp(client, () =>
      client.exec('exit 7', (error, channel) => {
        if (error) reject(error)
        else channel.resume().once('exit', resolve)
      }),
    ),
  )
  expect(code).toBe(7)
  client.end()
})

test('who gives up by a signal what has not begun is told so, and the next command runs', async () => {
  const client = await rawClient('signalling')
  const run = (command: string, at?: (channel: ClientChannel) => void) =>
    new Promise<{ code: number; said: string }>((resolve, reject) =>
      client.exec(command, (error, channel) => {
        if (error) return reject(error)
        let said = ''
        channel.stderr.on('data', (chunk) => {
          said += chunk
        })
        channel.resume().once('close', (code: number) => resolve({ code, said }))
        at?.(channel)
      }),
    )
  const held = run('echo held', (channel) => channel.signal('TERM'))
  expect(await held).toMatchObject({ code: 126, said: expect.stringContaining('not run: the client sent SIGTERM\n') })
  expect(await run('exit 3')).toMatchObject({ code: 3 })
  client.end()
})
