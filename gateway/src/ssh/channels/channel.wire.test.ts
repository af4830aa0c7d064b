import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { RecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run, type Way } from '../testing/clients.ts'
import { letIn, type MadeUpHost, startMadeUpHost } from '../testing/hosts.ts'
import { eventsOf as of, type SshWorld, startSshWorld } from '../testing/world.ts'
import { Client, type ClientChannel, type ServerChannel } from '../transport/ssh2.ts'
import { type Saying, tellUnread } from '../upstream/requests.ts'

let world: SshWorld
let way: Way
beforeAll(async () => {
  world = await startSshWorld({
    connection: { masking: { detect: ['card', 'email'] } },
    policy: `permit (principal in Group::"ci", action in Action::"ssh", resource);
permit (principal in Group::"ci", action == Action::"data:reveal", resource == DataClass::"email");`,
  })
  way = await world.through()
})
afterAll(() => world?.[Symbol.asyncDispose]())

async function client(connection = 'web-1'): Promise<Client> {
  const made = new Client()
  const { access_token: password } = await world.exchange(await world.token(), connection)
  made.connect({ host: '127.0.0.1', port: world.port, username: connection, password, hostVerifier: () => true })
  await once(made, 'ready')
  return made
}

/** Makes a connection `made-up` of it. */
async function leadsTo({ target: { port, hostKeys } }: MadeUpHost): Promise<void> {
  writeFileSync(join(world.folder, 'password'), 'secret')
  const [host_key] = hostKeys
  const password = { file: './password' }
  const made = { kind: 'ssh', host: '127.0.0.1', port, user: 'deploy', host_key, password }
  world.configure({ connections: { 'made-up': made } })
  await world.reload()
}

const exec = (client: Client, command: string, options = {}) =>
  new Promise<ClientChannel>((resolve, reject) =>
    client.exec(command, options, (error, channel) => (error ? reject(error) : resolve(channel))),
  )

const inside = (client: Client) =>
  (client as unknown as { _protocol: Record<'exec' | 'signal', (id: number, ...rest: unknown[]) => void> })._protocol
const idOf = (channel: ClientChannel) => (channel.outgoing as { id: number }).id

/** All that a channel says, until it closes; `at` is called once its output has come to hold a text. */
async function told(channel: ClientChannel, at: { [text: string]: () => void } = {}) {
  let [stdout, stderr] = ['', '']
  let exit: unknown[] = []
  channel.on('data', (chunk: Buffer) => {
    stdout += chunk
    for (const [text, act] of Object.entries(at))
      if (stdout.includes(text)) {
        delete at[text]
        act()
      }
  })
  channel.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  channel.on('exit', (...how: unknown[]) => {
    exit = how
  })
  await once(channel, 'close')
  return { stdout, stderr, exit }
}

const recorded = () => world.lastRecorded()
const textOf = (events: RecordingEvent[], stream: string) =>
  of(events, 'output')
    .filter((event) => event.stream === stream)
    .map(({ data }) => data)
    .join('')

describe('what comes while something runs', () => {
  test('signals reach the host, and are recorded, after the end of the input too', async () => {
    // OpenSSH's sshd passes none on where it runs without privilege separation, as it does for root.
    await using host = await startMadeUpHost((client) => {
      letIn(client).on('session', (accept) => {
        let channel: ServerChannel
        accept()
          .on('exec', (accept) => {
            channel = accept()
            channel.write('ready\n')
            channel.once('end', () => channel.write('ended\n')).resume()
          })
          .on('signal', (_accept, _reject, { name }) => {
            channel.write(`caught ${name}\n`)
          })
      })
    })
    await leadsTo(host)
    const one = await client('made-up')
    const channel = await exec(one, 'work')
    const ends = told(channel, {
      ready: () => channel.signal('USR1'),
      'caught USR1': () => channel.end(),
      ended: () => {
        // By ssh2's inside: its client sends none once its side has ended.
        inside(one).signal(idOf(channel), 'TERM')
        channel.close()
      },
    })
    expect((await ends).stdout).toBe('ready\ncaught USR1\nended\n')
    one.end()
    expect(of(await recorded(), 'signal').map(({ signal }) => signal)).toEqual(['USR1', 'TERM'])
  })

  test.each([
    ['one of RFC 4254', 'TERM', { exit: [null, 'SIGTERM', false, ''], recorded: { signal: 'TERM' } }],
    [
      'one of its own',
      'BUS@example.com',
      { exit: [null, 'SIGBUS@example.com', false, ''], recorded: { signal: 'BUS@example.com' } },
    ],
    ['nothing', '', { exit: [], recorded: {} }],
    ['what a terminal obeys', '\u001b[2J', { exit: [], recorded: {} }],
    ['too much', 'X'.repeat(100_000), { exit: [], recorded: {} }],
  ])(
    'a host that names %s as the signal that ended it ends nothing else',
    async (_, signal, { exit, recorded: kept }) => {
      await using host = await startMadeUpHost((client) => {
        letIn(client).on('session', (accept) => {
          accept().on('exec', (accept) => {
            const channel: ServerChannel = accept()
            channel.write('out\n')
            channel.exit(signal, false, 'card 4111111111111111')
            channel.end()
          })
        })
      })
      await leadsTo(host)
      const one = await client('made-up')
      expect(await told(await exec(one, 'work'))).toEqual({ stdout: 'out\n', stderr: '', exit })
      one.end()
      const events = await recorded()
      const { code, signal: by } = of(events, 'exit')[0]!
      expect({ code, signal: by }).toEqual({ code: undefined, signal: undefined, ...kept })
    },
  )

  test('sizes of the terminal reach it and are recorded', async () => {
    const one = await client()
    const command = 'stty size; trap "stty size; exit 0" WINCH; echo ready; for n in $(seq 400); do sleep 0.05; done'
    const channel = await exec(one, command, { pty: { term: 'xterm', cols: 80, rows: 24 } })
    const { stdout } = await told(channel, { ready: () => channel.setWindow(40, 132, 0, 0) })
    expect(stdout).toBe('24 80\r\nready\r\n40 132\r\n')
    one.end()
    const events = await recorded()
    expect(of(events, 'channel')[0]).toMatchObject({ terminal: { type: 'xterm', columns: 80, rows: 24 } })
    expect(of(events, 'resize')).toMatchObject([{ columns: 132, rows: 40 }])
  })
})

describe('what is recorded of a command', () => {
  test('its input and output, what it ended with, and how much of all passed', async () => {
    await run(way, 'ssh', ['host', 'cat; echo err >&2; exit 3'], { input: 'in é\n' })
    const events = await recorded()
    const [channel] = of(events, 'channel')
    const command = of(events, 'command').find(({ kind }) => kind === 'exec')!
    expect(command).toMatchObject({ text: 'cat; echo err >&2; exit 3', verdict: { outcome: 'allow' }, parameters: [] })
    expect(channel).toMatchObject({ command: command.command, kind: 'exec' })
    expect(of(events, 'input').map(({ data }) => data)).toEqual(['in é\n'])
    expect([textOf(events, 'stdout'), textOf(events, 'stderr')]).toEqual(['in é\n', 'err\n'])
    expect(of(events, 'exit')).toMatchObject([{ code: 3, bytes: { stdin: 6, stdout: 6, stderr: 4 } }])
    const order = events.map(({ type }) => type)
    expect(order.indexOf('command')).toBeLessThan(order.indexOf('channel'))
    expect(order.at(-1)).toBe('end')
  })

  test('what was masked is masked for the client, and what may be revealed in the recording alone', async () => {
    const said = await run(way, 'ssh', [
      'host',
      'printf "4111 1111 "; printf "1111 1111\\njane@example.com\\n" | tee /dev/stderr',
    ])
    expect(said).toMatchObject({ code: 0, said: '1111 1111\njane@example.com\n' })
    expect(said.stdout.toString()).toBe('[masked: card]\njane@example.com\n')
    const events = await recorded()
    expect(textOf(events, 'stdout')).toBe('[masked: card]\n[masked: email]\n')
    expect(textOf(events, 'stderr')).toBe('1111 1111\n[masked: email]\n')
    expect(new Set(of(events, 'output').flatMap(({ masked }) => masked ?? []))).toEqual(new Set(['card', 'email']))
  })
})

describe('ends', () => {
  test('a client that goes ends what it began', async () => {
    const one = await client()
    const channel = await exec(one, 'trap "" HUP; echo $$; exec sleep 40')
    const [pid] = (await once(channel, 'data')) as [Buffer]
    one.end()
    const events = await recorded()
    expect(of(events, 'result').at(-1)).toMatchObject({ status: 'failed', message: expect.stringContaining('client') })
    process.kill(Number(pid), 'SIGKILL')
  })

  test('a second command in the same channel is refused, and the first goes on', async () => {
    const one = await client()
    const channel = await exec(one, 'read line; echo "$line"')
    const answered = new Promise((resolve) =>
      (channel as unknown as { _callbacks: ((failed: boolean) => void)[] })._callbacks.push(resolve),
    )
    inside(one).exec(idOf(channel), 'echo second', true)
    expect(await answered).toBe(true)
    channel.end('first\n')
    expect(await told(channel)).toEqual({ stdout: 'first\n', stderr: '', exit: [0] })
    one.end()
    expect(of(await recorded(), 'command').filter(({ kind }) => kind === 'exec')).toHaveLength(1)
  })

  test('where the host is gone, it says so', async () => {
    const one = await client()
    const channel = await exec(one, 'echo $PPID; exec sleep 40')
    const ends = told(channel)
    const [parent] = (await once(channel, 'data')) as [Buffer]
    process.kill(Number(parent), 'SIGKILL')
    expect((await ends).stderr).toContain('countersign: the host closed the connection')
    one.end()
  })
})

test('who reads no more hears how it ended, whatever is on its way', async () => {
  const reader = await client()
  const channel = await exec(reader, 'yes')
  const { incoming } = channel as unknown as { incoming: { window: number } }
  const { _sock: socket } = reader as unknown as { _sock: Socket }
  while (incoming.window > 0) await once(socket, 'data')
  // As OpenSSH's client does it, which may give back nothing of its window from then on.
  tellUnread((reader as unknown as { _protocol: Saying })._protocol, idOf(channel))
  expect(await once(channel, 'exit')).toEqual([null, 'SIGPIPE', false, ''])
  reader.end()
})
