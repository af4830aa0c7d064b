import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SshTarget } from '../target.ts'
import { startMadeUpHost } from '../testing/hosts.ts'
import { type RunningSshd, startSshd } from '../testing/sshd.ts'
import type { AuthContext } from '../transport/ssh2.ts'
import { connectHost } from './connect.ts'
import type { ChannelRequest, Host, HostChannel } from './host.ts'

const logged: Record<string, unknown>[] = []
const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
const never = new AbortController().signal
const terminal = { type: 'xterm', columns: 80, rows: 24, width: 0, height: 0, modes: Buffer.alloc(0) }

let sshd: RunningSshd
beforeAll(async () => {
  sshd = await startSshd()
})
afterAll(() => sshd?.stop())

const target = (change: Partial<SshTarget> = {}): SshTarget => ({
  ref: { name: 'web-1', kind: 'ssh', tags: [], mode: 'enforce', access: 'standing' },
  host: sshd.host,
  port: sshd.port,
  user: sshd.user,
  privateKey: sshd.privateKey,
  hostKeys: [sshd.fingerprint],
  env: [],
  detect: [],
  ...change,
})

const exec = (text: string, more: Partial<ChannelRequest> = {}): ChannelRequest => ({
  kind: 'exec',
  text,
  environment: {},
  ...more,
})

async function all(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function outcome(channel: HostChannel) {
  const [stdout, stderr, exit] = await Promise.all([all(channel.stdio), all(channel.stderr), channel.closed])
  return { stdout: stdout.toString(), stderr: stderr.toString(), exit }
}

describe('a host that is well', () => {
  let host: Host
  beforeEach(async () => {
    host = await connectHost(target(), never, log)
  })
  afterEach(async () => {
    host.close()
    await host.closed
  })

  test.each([
    ['exit 0', { code: 0 }],
    ['exit 255', { code: 255 }],
    ['kill -TERM $$', { signal: 'TERM', coreDumped: false }],
    ['kill -KILL $$', { signal: 'KILL', coreDumped: false }],
  ])('%s is told as it was', async (text, exit) => {
    const channel = await host.open(exec(`echo out; echo err >&2; ${text}`), never)
    expect(await outcome(channel)).toMatchObject({ stdout: 'out\n', stderr: 'err\n', exit })
  })

  test('input passes both ways, of any bytes', async () => {
    const sent = randomBytes(5_000_000)
    const channel = await host.open(exec('cat'), never)
    channel.stdio.end(sent)
    const [got] = await Promise.all([all(channel.stdio), all(channel.stderr)])
    expect(got.equals(sent)).toBe(true)
    expect(await channel.closed).toEqual({ code: 0 })
  })

  test('environment, terminal and its sizes', async () => {
    const environment = { LANG: 'C', COLOUR: 'a b"c' }
    const channel = await host.open(
      exec(
        'echo "$COLOUR:$TERM"; stty size; trap "stty size; exit 3" WINCH; echo ready; for n in $(seq 200); do sleep 0.1; done',
        {
          environment,
          terminal: { ...terminal, modes: Buffer.from([53, 0, 0, 0, 0, 0]) },
        },
      ),
      never,
    )
    const chunks: string[] = []
    channel.stdio.setEncoding('utf8').on('data', (chunk: string) => {
      chunks.push(chunk)
      if (chunks.join('') === 'a b"c:xterm\r\n24 80\r\nready\r\n') channel.resize(100, 30, 0, 0)
    })
    channel.stderr.resume()
    expect(await channel.closed).toEqual({ code: 3 })
    expect(chunks.join('')).toBe('a b"c:xterm\r\n24 80\r\nready\r\n30 100\r\n')
  })

  test('a terminal without a type is one without a type', async () => {
    const channel = await host.open(exec('echo "[$TERM]"', { terminal: { ...terminal, type: '' } }), never)
    expect((await outcome(channel)).stdout).toMatch(/^\[(dumb)?\]\r\n$/)
  })

  test('a shell', async () => {
    const channel = await host.open({ kind: 'shell', text: '', environment: { GREETING: 'hi' } }, never)
    channel.stdio.end('echo $GREETING; exit 4\n')
    expect(await outcome(channel)).toMatchObject({ stdout: expect.stringContaining('hi\n'), exit: { code: 4 } })
  })

  test('a subsystem', async () => {
    const channel = await host.open({ kind: 'subsystem', text: 'sftp', environment: { LANG: 'C' } }, never)
    // SSH_FXP_INIT of version 3 (draft-ietf-secsh-filexfer-02, section 4)
    channel.stdio.write(Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3]))
    const [first] = (await once(channel.stdio, 'data')) as [Buffer]
    expect([...first.subarray(4, 9)]).toEqual([2, 0, 0, 0, 3])
    channel.stdio.end()
    await outcome(channel)
  })

  test('what it refuses leaves nothing behind', async () => {
    await expect(host.open({ kind: 'subsystem', text: 'nothing', environment: {} }, never)).rejects.toThrow(
      'it doesn’t start this subsystem',
    )
    const given = new AbortController()
    const giving = host.open(exec('echo hi'), given.signal)
    given.abort(new Error('gone'))
    await expect(giving).rejects.toThrow('given up')
    expect(await outcome(await host.open(exec('echo one'), never))).toMatchObject({ stdout: 'one\n' })
  })

  test('the end of the connection ends its channels', async () => {
    const channel = await host.open(exec('echo one; sleep 40'), never)
    await once(channel.stdio, 'data')
    host.close()
    expect(await outcome(channel)).toMatchObject({ exit: {} })
    expect(await host.closed).toBe('the gateway closed the connection')
    await expect(host.open(exec('true'), never)).rejects.toThrow('the connection to it has ended')
  })
})

describe('who it is', () => {
  test('a changed host key is refused, and the log says which it is now', async () => {
    const pinned = `SHA256:${'A'.repeat(43)}`
    await expect(connectHost(target({ hostKeys: [pinned] }), never, log)).rejects.toThrow(
      'its host key is not the one that is pinned',
    )
    expect(logged.at(-1)).toMatchObject({
      connection: 'web-1',
      shown: [{ type: 'ssh-ed25519', fingerprint: sshd.fingerprint }],
      pinned: [pinned],
      msg: expect.stringContaining('host_key'),
    })
    expect(sshd.log.join('\n')).not.toMatch(/Accepted.*\n.*changed/)
  })

  test.each(['ecdsa', 'rsa'] as const)('of several keys the pinned one counts: %s', async (hostKeyType) => {
    await using other = await startSshd({ hostKeyType, lines: [`HostKey ${join(sshd.folder, '../host_key')}`] })
    const { port, privateKey, fingerprint } = other
    for (let n = 0; n < 2; n++) {
      const host = await connectHost(target({ port, privateKey, hostKeys: [fingerprint] }), never, log)
      host.close()
      await host.closed
    }
    // The first time it was shown another key before; the second time the right one is asked for at once.
    expect(other.log.filter((line) => line.includes('Accepted publickey'))).toHaveLength(2)
    expect(other.log.filter((line) => line.startsWith('Connection from'))).toHaveLength(3)
  })
})

describe('signing in', () => {
  test.each([
    ['rsa', 'PEM'],
    ['rsa', 'RFC4716'],
    ['ecdsa', 'PEM'],
    ['rsa', 'PKCS8'],
    ['ecdsa', 'PKCS8'],
  ])('by a key of %s in %s', async (type, format) => {
    const file = join(sshd.folder, `${type}-${format}`)
    execFileSync('ssh-keygen', [
      '-q',
      '-t',
      type,
      ...(type === 'rsa' ? ['-b', '2048'] : []),
      '-m',
      format,
      '-N',
      '',
      '-f',
      file,
    ])
    appendFileSync(`${sshd.identity}.pub`, readFileSync(`${file}.pub`))
    const host = await connectHost(target({ privateKey: readFileSync(file, 'utf8') }), never, log)
    expect(await outcome(await host.open(exec('echo in'), never))).toMatchObject({ stdout: 'in\n' })
    host.close()
  })

  test('by a password, also where it is asked for', async () => {
    const heard: unknown[] = []
    const start = (serve: (attempt: AuthContext) => void) =>
      startMadeUpHost((client) => client.on('authentication', serve as never))
    await using plain = await start((attempt) => {
      heard.push(attempt.method)
      if (attempt.method !== 'password') return attempt.reject(['password'])
      heard.push(attempt.password)
      attempt.accept()
    })
    await using asking = await start((attempt) => {
      heard.push(attempt.method)
      if (attempt.method !== 'keyboard-interactive') return attempt.reject(['keyboard-interactive'])
      const prompt = (text: string, echo: boolean) => ({ prompt: text, echo })
      attempt.prompt([prompt('Your favourite colour?', true)], (colours) => {
        attempt.prompt([prompt('Password:', false)], (passwords) => {
          heard.push(colours, passwords)
          attempt.accept()
        })
      })
    })
    for (const { target } of [plain, asking]) (await connectHost(target, never, log)).close()
    expect(heard).toEqual(['password', 'secret', 'password', 'keyboard-interactive', [''], ['secret']])
  })

  test('a key that the host doesn’t know', async () => {
    const privateKey = readFileSync(join(sshd.folder, '../host_key'), 'utf8')
    await expect(connectHost(target({ privateKey }), never, log)).rejects.toThrow('accepts neither the key nor')
  })

  test('a key that is none', async () => {
    const privateKey = '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n'
    await expect(connectHost(target({ privateKey }), never, log)).rejects.toThrow('the private key of this connection')
  })

  test('nobody listens there', async () => {
    await expect(connectHost(target({ port: 1 }), never, log)).rejects.toThrow('it can’t be reached (ECONNREFUSED)')
  })
})
