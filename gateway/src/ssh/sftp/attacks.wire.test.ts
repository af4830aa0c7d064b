import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { duplexPair, PassThrough } from 'node:stream'
import type { RecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SshSession } from '../session.ts'
import { HOST, run, start, type Way } from '../testing/clients.ts'
import { policy, type SshWorld, startSshWorld } from '../testing/world.ts'
import { Client } from '../transport/ssh2.ts'
import { Tally } from './files.ts'
import { Passage } from './passage.ts'
import { ATTR, Fields, Framer, FX, FXF, FXP, greeting, packet, packetWith } from './wire.ts'

const revealing = 'permit (principal, action == Action::"data:reveal", resource == DataClass::"card");\n'
let world: SshWorld
let through: Way
let home: string
let nth = 0
beforeAll(async () => {
  world = await startSshWorld({ policy: policy + revealing, connection: { masking: { detect: ['card'] } } })
  through = await world.through()
  home = world.sshd.folder
})
afterAll(() => world?.[Symbol.asyncDispose]())

function fresh(): string {
  const folder = join(home, `folder-${++nth}`)
  mkdirSync(folder)
  return folder
}

/** A client that sends what it likes, and waits for each answer. */
class Raw {
  readonly child = start(through, 'ssh', ['-s', HOST, 'sftp'], { input: new PassThrough() })
  said = ''
  readonly #answers = new Map<number, (answer: Buffer) => void>()
  #id = 0

  constructor() {
    const framer = new Framer()
    this.child.stderr!.on('data', (chunk) => {
      this.said += chunk
    })
    this.child.stdout!.on('data', (chunk) =>
      framer.push(chunk, (each) => this.#answers.get(each[4] === FXP.VERSION ? 0 : each.readUInt32BE(5))?.(each)),
    )
  }

  send(bytes: Buffer, id = ++this.#id): Promise<Buffer> {
    if (bytes[4] !== FXP.INIT) bytes.writeUInt32BE(id, 5)
    return new Promise((resolve) => {
      this.#answers.set(id, resolve)
      this.child.stdin!.write(bytes)
    })
  }

  static async begin(): Promise<Raw> {
    const raw = new Raw()
    await raw.send(greeting(FXP.INIT, 3), 0)
    return raw
  }

  async open(path: string, flags: number): Promise<Buffer> {
    const answer = await this.send(packetWith(FXP.OPEN, 0, [path, flags], Buffer.alloc(4)))
    expect(answer[4]).toBe(FXP.HANDLE)
    return new Fields(answer, 9).bytes()
  }

  write(handle: Buffer, offset: number, text: string): Promise<Buffer> {
    const rest = Buffer.alloc(12)
    rest.writeBigUInt64BE(BigInt(offset))
    rest.writeUInt32BE(text.length, 8)
    return this.send(packetWith(FXP.WRITE, 0, [handle], Buffer.concat([rest, Buffer.from(text)])))
  }

  read(handle: Buffer, offset: number): Promise<Buffer> {
    const rest = Buffer.alloc(12)
    rest.writeBigUInt64BE(BigInt(offset))
    rest.writeUInt32BE(1000, 8)
    return this.send(packetWith(FXP.READ, 0, [handle], rest))
  }

  cut(handle: Buffer, size: number): Promise<Buffer> {
    const rest = Buffer.alloc(12)
    rest.writeUInt32BE(ATTR.SIZE)
    rest.writeBigUInt64BE(BigInt(size), 4)
    return this.send(packetWith(FXP.FSETSTAT, 0, [handle], rest))
  }

  async leave(): Promise<void> {
    const closed = once(this.child, 'close')
    this.child.stdin!.end()
    await closed
  }
}

const codeOf = (answer: Buffer) => (answer[4] === FXP.STATUS ? answer.readUInt32BE(9) : FX.OK)

const recorded = () => world.lastRecorded()
async function resultOf(kind: string): Promise<Extract<RecordingEvent, { type: 'result' }>> {
  const events = await recorded()
  const command = events.findLast((event) => event.type === 'command' && event.kind === kind)
  const result = events.find(
    (event) => event.type === 'result' && command?.type === 'command' && event.command === command.command,
  )
  if (result?.type !== 'result') throw new Error(`no result of ${kind}`)
  return result
}

const { WRITE, APPEND, CREAT, TRUNC, EXCL } = FXF
test.each<[what: string, flags: number, cut: number | undefined, whole: boolean]>([
  ['a new file', WRITE | CREAT | EXCL, undefined, true],
  ['one that is emptied', WRITE | CREAT | TRUNC, undefined, true],
  ['one that is there already, though EXCL is said', WRITE | EXCL, undefined, false],
  ['the beginning of one', WRITE, undefined, false],
  ['the beginning of one that is cut off behind it', WRITE, 3, true],
  ['the end of one', WRITE | APPEND, undefined, false],
  ['the end of one that is cut off before it', WRITE | APPEND, 3, false],
])('a sum is that of the whole file, or is not told: %s', async (_, flags, cut, whole) => {
  const file = join(fresh(), 'file')
  if ((flags & CREAT) === 0 || (flags & TRUNC) !== 0) writeFileSync(file, 'what was there')
  const raw = await Raw.begin()
  const handle = await raw.open(file, flags)
  expect(codeOf(await raw.write(handle, 0, 'new'))).toBe(FX.OK)
  if (cut !== undefined) expect(codeOf(await raw.cut(handle, cut))).toBe(FX.OK)
  expect(codeOf(await raw.send(packet(FXP.CLOSE, 0, handle)))).toBe(FX.OK)
  await raw.leave()
  const { transferred } = await resultOf('put')
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
  expect(transferred).toEqual({ read: 0, written: 3, ...(whole && { sha256 }) })
})

test('what the host has yet to answer is in no sum, and so there is none', () => {
  const tally = new Tally('empty')
  tally.writing(0, Buffer.from('abc'))
  tally.written(3)
  tally.writing(3, Buffer.from('def'))
  expect(tally.transferred()).toEqual({ read: 0, written: 3 })
})

test('what policy stops letting be seen is not read on, in a file that is open', async () => {
  const file = join(fresh(), 'card')
  writeFileSync(file, '4111 1111 1111 1111\n')
  const raw = await Raw.begin()
  const handle = await raw.open(file, FXF.READ)
  expect((await raw.read(handle, 0))[4]).toBe(FXP.DATA)
  try {
    world.writePolicy(policy)
    await world.reload()
    expect(codeOf(await raw.read(handle, 0))).toBe(FX.PERMISSION_DENIED)
    expect(codeOf(await raw.read(handle, 0))).toBe(FX.PERMISSION_DENIED)
  } finally {
    world.writePolicy(policy + revealing)
    await world.reload()
  }
  await raw.leave()
  expect(raw.said.match(/policy does not allow it any more/g)).toHaveLength(1)
})

test('a refusal does not tell where a link leads', async () => {
  const folder = fresh()
  mkdirSync(join(folder, 'forbidden'))
  symlinkSync('hidden-name', join(folder, 'forbidden', 'now'))
  symlinkSync('forbidden', join(folder, 'way'))
  const raw = await Raw.begin()
  expect(codeOf(await raw.send(packet(FXP.STAT, 0, `${folder}/way/now`)))).toBe(FX.PERMISSION_DENIED)
  await raw.leave()
  expect(raw.said).toContain(`stat ${folder}/way/now: denied by policy forbidden-files`)
  expect(raw.said).not.toContain('hidden-name')
  expect(JSON.stringify(await recorded())).toContain('hidden-name')
})

test('scp of what is forbidden is refused in one line', async () => {
  const local = join(world.folder, 'local')
  writeFileSync(local, 'x')
  const ran = await run(through, 'scp', ['-q', local, `${HOST}:${home}/forbidden`])
  expect(ran.code).not.toBe(0)
  const lines = ran.said.split('\n').filter((line) => line.includes('denied by policy'))
  expect(new Set(lines).size).toBe(lines.length)
  expect(lines.some((line) => line.includes(`stat ${home}/forbidden`))).toBe(true)
})

test.each<[how: string, leave: (client: Client, channel: { close(): void }) => void]>([
  ['closes its channel', (_, channel) => channel.close()],
  ['closes its connection', (client) => client.end()],
])('a client that %s has left: nothing failed', async (_, leave) => {
  const { access_token } = await world.exchange(await world.token())
  const client = new Client()
  client.connect({ host: '127.0.0.1', port: world.port, username: 'web-1', password: access_token })
  await once(client, 'ready')
  const channel = await new Promise<import('ssh2').ClientChannel>((resolve, reject) =>
    client.subsys('sftp', (error, channel) => (error ? reject(error) : resolve(channel))),
  )
  channel.write(greeting(FXP.INIT, 3))
  await once(channel, 'data')
  const closed = once(client, 'close')
  channel.once('close', () => client.end())
  leave(client, channel)
  await closed
  const result = await resultOf('sftp')
  expect(result).toMatchObject({ status: 'completed' })
  expect(result.tag).toBeUndefined()
})

test('who asks and doesn’t read the answers is not asked for more; nothing is lost', async () => {
  const [client, ours] = duplexPair()
  const [host, theirs] = duplexPair()
  const closed = Promise.withResolvers<{ code: number }>()
  const session = { target: { detect: [] }, live: {}, log: world } as unknown as SshSession
  const stdio = Object.assign(theirs, {})
  const passage = new Passage(
    session,
    ours,
    { stdio, stderr: new PassThrough(), closed: closed.promise, close: () => closed.resolve({ code: 0 }) } as never,
    { environment: {}, signal: new AbortController().signal, tell: () => {}, begins: () => true, hold: () => 'wait' },
  )
  const ran = passage.run()
  const asked = new Framer()
  host.on('data', (chunk) =>
    asked.push(chunk, (each) => {
      if (each[4] === FXP.INIT) host.write(greeting(FXP.VERSION, 3))
      else host.write(packetWith(FXP.NAME, each.readUInt32BE(5), [1, '/', '/'], Buffer.alloc(4)))
    }),
  )
  client.write(greeting(FXP.INIT, 3))
  const many = 50_000
  const request = packetWith(FXP.READ, 0, ['none'], Buffer.alloc(12))
  client.write(Buffer.concat(Array.from({ length: many }, () => request)))
  await new Promise((resolve) => setImmediate(resolve))
  let answers = 0
  const told = new Framer()
  const all = Promise.withResolvers<void>()
  let most = 0
  client.on('data', (chunk) => {
    most = Math.max(most, ours.writableLength)
    told.push(chunk, () => {
      if (++answers === many + 1) all.resolve()
    })
  })
  await all.promise
  expect(most).toBeLessThan(256 * 1024)
  closed.resolve({ code: 0 })
  expect(await ran).toEqual({ code: 0 })
})
