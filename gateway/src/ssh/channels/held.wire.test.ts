import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { run, start, type Way } from '../testing/clients.ts'
import { eventsOf as of, type SshWorld, startSshWorld } from '../testing/world.ts'
import { Client, type ClientChannel } from '../transport/ssh2.ts'

let world: SshWorld
let way: Way
beforeAll(async () => {
  world = await startSshWorld()
  way = await world.through()
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** Who waits after a test has failed is sent away. */
let going = new AbortController()
afterEach(() => {
  going.abort()
  going = new AbortController()
})

const ssh = (args: string[], options: Parameters<typeof run>[3] = {}) =>
  run(way, 'ssh', ['host', ...args], { signal: going.signal, ...options }).catch(() => {
    throw new Error('it was still waiting')
  })
/** The way with another line of ssh_config. */
function config(line: string): string {
  const file = join(world.folder, `${randomUUID()}.config`)
  writeFileSync(file, `Host host\n  ${line}\nInclude ${way.config}\n`)
  return file
}
const idOf = (data: unknown) => (data as { id?: string }).id

async function rawClient(): Promise<Client> {
  const client = new Client()
  const { access_token: password } = await world.exchange(await world.token())
  client.connect({ host: '127.0.0.1', port: world.port, username: 'web-1', password, hostVerifier: () => true })
  await once(client, 'ready')
  return client
}

/** Runs a command of any bytes. */
async function execRaw(client: Client, command: string | Buffer) {
  const channel = await new Promise<ClientChannel>((resolve, reject) =>
    client.exec(command as string, (error, channel) => (error ? reject(error) : resolve(channel))),
  )
  const said: Buffer[] = []
  channel.resume()
  channel.stderr.on('data', (chunk: Buffer) => said.push(chunk))
  const [code] = await once(channel, 'close')
  client.end()
  return { code, stderr: Buffer.concat(said).toString() }
}

const recorded = () => world.lastRecorded()
describe('a held command', () => {
  test('is told at once, runs once it is approved, and not before', async () => {
    const file = join(world.sshd.folder, 'made')
    const running = ssh([`touch ${file}; echo held; exit 5`])
    const held = await world.held()
    expect(held).toMatchObject({
      protocol: 'ssh',
      command: { text: `touch ${file}; echo held; exit 5`, kind: 'exec', input: 'whole', parameters: [''] },
    })
    expect(existsSync(file)).toBe(false)
    await world.decide('approve')
    const { code, stdout, said } = await running
    expect({ code, stdout: stdout.toString() }).toEqual({ code: 5, stdout: 'held\n' })
    expect(said).toMatch(/^countersign: held for approval ap_\w+ \(oncall, expires \S+Z\)\n$/)
    expect(existsSync(file)).toBe(true)
    const events = await recorded()
    const command = of(events, 'command').find(({ kind }) => kind === 'exec')!
    expect(of(events, 'hold').map(({ state }) => state)).toEqual(['pending', 'approved', 'used'])
    expect(of(events, 'channel')).toMatchObject([{ command: command.command, kind: 'exec' }])
    expect(of(events, 'output').map(({ stream, data, notice }) => ({ stream, data, notice }))).toEqual([
      { stream: 'stderr', data: said, notice: true },
      { stream: 'stdout', data: 'held\n', notice: undefined },
    ])
    expect(of(events, 'exit')).toMatchObject([{ code: 5 }])
    expect(of(events, 'result').at(-1)).toMatchObject({ command: command.command, status: 'failed', tag: 'exit 5' })
  })

  test('what it is sent is shown whole, and is what it gets', async () => {
    const script = 'echo $((6 * 7))\n# held\n'
    const running = ssh(['sh -s -- held'], { input: script })
    expect((await world.held()).command).toMatchObject({ input: 'whole', parameters: [script] })
    await world.decide('approve')
    expect((await running).stdout.toString()).toBe('42\n')
  })

  test('the variables that it runs with are shown', async () => {
    const environment = { TERM: 'xterm-256color', LANG: 'de_DE.UTF-8', LC_ALL: 'C\nrm -rf /' }
    const running = ssh(['-tt', '-oSendEnv=LANG', '-oSendEnv=LC_ALL', 'env; : held'], { environment })
    const { command } = await world.held()
    const [input, lang, all, term] = command.parameters
    expect([input, lang, all, term]).toEqual(['', 'LANG=de_DE.UTF-8', 'LC_ALL=C\nrm -rf /', 'TERM=xterm-256color'])
    await world.decide('approve')
    const { stdout } = await running
    expect(stdout.toString().split('\r\n')).toEqual(expect.arrayContaining(['LANG=de_DE.UTF-8', term]))
  })

  test('bytes that are no text are shown as bytes', async () => {
    const bytes = Buffer.from([0xff, 0, 1, 0xfe])
    const running = ssh(['xxd -p; : held'], { input: bytes })
    expect((await world.held()).command.parameters).toEqual([{ base64: bytes.toString('base64') }])
    await world.decide('approve')
    expect((await running).stdout.toString()).toBe('ff0001fe\n')
  })

  test.each([
    ['an end that doesn’t come', Buffer.from('first\n')],
    ['more than a card shows', Buffer.alloc(3_000_000, 'x')],
  ])('with %s it is not shown, loses nothing, and is approved for once only', async (_, first) => {
    const input = new PassThrough()
    const running = ssh(['sha256sum; : held'], { input })
    input.write(first)
    const held = await world.held()
    expect(held.command).toMatchObject({ input: 'not-shown', parameters: [] })
    await expect(world.decide('approve', 'session')).rejects.toThrow('not shown')
    await world.decide('approve')
    input.end('last')
    const sum = createHash('sha256').update(first).update('last').digest('hex')
    expect((await running).stdout.toString()).toBe(`${sum}  -\n`)
  })

  test('approved for a session, it runs again in the same one without a question', async () => {
    const control = join(world.folder, 'master')
    const options = ['-o', 'ControlMaster=auto', '-o', `ControlPath=${control}`, '-o', 'ControlPersist=yes']
    const once = () => run(way, 'ssh', [...options, 'host', 'echo held in a window'], { signal: going.signal })
    try {
      const first = once()
      await world.decide('approve', 'session')
      expect((await first).stdout.toString()).toBe('held in a window\n')
      expect(await once()).toMatchObject({ code: 0, said: '' })
    } finally {
      await run(way, 'ssh', [...options, '-O', 'exit', 'host'])
    }
  })

  test('denied by a person, it says by whom and why, ends with 126, and never ran', async () => {
    const file = join(world.sshd.folder, 'denied')
    const running = ssh([`touch ${file}; : held`])
    await world.decide('deny')
    expect(await running).toMatchObject({ code: 126, said: expect.stringContaining('denied by Ada: so it is, deny\n') })
    expect(existsSync(file)).toBe(false)
  })

  test('whoever goes cancels it', async () => {
    const child = start(way, 'ssh', ['host', 'echo held'])
    const { id } = await world.held()
    const feed = await world.feed()
    child.kill()
    await feed.until((messages) => messages.some(({ type, data }) => type === 'approval.closed' && idOf(data) === id))
    await feed.close()
    expect(await world.as('ada', `/v1/approvals/${id}`)).toMatchObject({ state: 'cancelled' })
  })

  test('^C in its terminal gives it up', async () => {
    const input = new PassThrough()
    const running = run(way, 'ssh', ['-tt', 'host', 'echo held'], { input, signal: going.signal })
    await world.held()
    input.write('\u0003')
    expect(await running).toMatchObject({
      code: 126,
      said: expect.stringMatching(/^countersign: held for .*\r\ncountersign: not run: the client typed \^C\r\n$/),
    })
    input.end()
  })

  test('with hold=fail it ends at once, and runs once when it is sent again', async () => {
    const failing = { ...way, config: config('SetEnv COUNTERSIGN_HOLD=fail COUNTERSIGN_PURPOSE=trial') }
    const once = (input?: string) =>
      run(failing, 'ssh', ['host', 'cat; echo held, then run'], {
        signal: going.signal,
        ...(input !== undefined && { input }),
      })
    const said = /held for approval (ap_\w+) /
    const first = await once('in\n')
    expect(first).toMatchObject({ code: 126, said: expect.stringMatching(said) })
    const again = await once('in\n')
    expect(again.said.match(said)?.[1]).toBe(first.said.match(said)?.[1])
    const held = await world.decide('approve')
    expect(held).toMatchObject({ purpose: 'trial', command: { parameters: ['in\n'] } })
    // Other input is another command.
    const other = await once('other\n')
    expect(other.code).toBe(126)
    expect(other.said.match(said)?.[1]).not.toBe(held.id)
    expect((await once('in\n')).stdout.toString()).toBe('in\nheld, then run\n')
    expect((await once('in\n')).code).toBe(126)
    for (const _ of [1, 2]) await world.decide('deny')
  })
})

describe('what is not run', () => {
  test('what policy denies', async () => {
    expect(await ssh(['echo forbidden'])).toMatchObject({
      code: 126,
      said: expect.stringMatching(/^countersign: denied by policy forbidden\ncountersign: .*\n$/),
    })
  })

  test.each([
    ['NUL', 'echo a\0b'],
    ['no UTF-8', Buffer.from('echo \xff', 'latin1')],
  ])('a command with %s', async (_, command) => {
    // No program passes such words, so the client is our own.
    const said = await execRaw(await rawClient(), command)
    expect(said).toMatchObject({ code: 126, stderr: expect.stringContaining('not run: it ') })
    const events = await recorded()
    expect(of(events, 'command').at(-1)).toMatchObject({ kind: 'exec', verdict: { outcome: 'deny' } })
  })

  test.each([
    ['COUNTERSIGN_HOLD=never', 'COUNTERSIGN_HOLD is `wait` or `fail`'],
    ['COUNTERSIGN_PUPROSE=x', 'there is no COUNTERSIGN_PUPROSE'],
  ])('where %s was said', async (variable, words) => {
    expect(await run({ ...way, config: config(`SetEnv ${variable}`) }, 'ssh', ['host', 'true'])).toMatchObject({
      code: 126,
      said: expect.stringContaining(words),
    })
  })

  test('a subsystem that nobody knows', async () => {
    expect(await run(way, 'ssh', ['-s', 'host', 'netconf'])).toMatchObject({
      code: 126,
      said: expect.stringContaining('not served'),
    })
  })
})
