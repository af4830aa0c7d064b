import { once } from 'node:events'
import { userInfo } from 'node:os'
import type { Approval } from '@countersign/contract/approval'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { HOST, run } from '../testing/clients.ts'
import { policy, type SshWorld, startSshWorld } from '../testing/world.ts'
import { Client, type ClientChannel } from '../transport/ssh2.ts'

let world: SshWorld
const clients = new Set<Client>()
beforeAll(async () => {
  const user = userInfo().username
  world = await startSshWorld({
    policy: `${policy}
@id("held-connect") @hold("oncall") @reason("Somebody looks at it")
forbid (principal, action == Action::"ssh:connect", resource == Connection::"web-2") unless { context has approval };`,
    config: { limits: { sessions_per_agent: 2, drain: '1s' } },
  })
  const { host, port, fingerprint } = world.sshd
  const way = { kind: 'ssh', host, user, private_key: { file: './identity' }, host_key: fingerprint }
  world.configure({ connections: { 'web-2': { ...way, port }, down: { ...way, port: 1 } } })
  await world.reload()
})
afterEach(() => {
  for (const client of clients) client.destroy()
  clients.clear()
})
afterAll(() => world[Symbol.asyncDispose]())

/** A client with several channels at a time, as with ControlMaster. */
const signedIn = async (subject: string, connection: string) => {
  const client = new Client()
  clients.add(client)
  client.on('error', () => {})
  const password = (await world.exchange(await world.token(subject), connection)).access_token
  client.connect({ host: '127.0.0.1', port: world.port, username: connection, password })
  await once(client, 'ready')
  return client
}
/** Listened to from the first byte on: what is refused at once comes with the answer that it is opened. */
const exec = (client: Client, command: string, env: Record<string, string> = {}) =>
  new Promise<ReturnType<typeof heard>>((resolve, reject) =>
    client.exec(command, { env }, (error, channel) => (error ? reject(error) : resolve(heard(channel)))),
  )
const heard = (channel: ClientChannel) => {
  let [out, said] = ['', '']
  let code: number | null = null
  channel.on('data', (chunk: Buffer) => {
    out += chunk
  })
  const told = new Promise<void>((resolve) =>
    channel.stderr.on('data', (chunk) => {
      said += chunk
      resolve()
    }),
  )
  channel.on('exit', (status) => {
    code = status
  })
  const ended = new Promise<{ code: number | null; out: string; said: string }>((resolve) => {
    channel.on('close', () => resolve({ code, out, said }))
  })
  return { channel, told, ended }
}

test('a held connection waits, tells so on every channel, and opens once for all of them', async () => {
  const client = await signedIn('patient', 'web-2')
  const one = await exec(client, 'echo one')
  const two = await exec(client, 'echo two', { COUNTERSIGN_PURPOSE: '' })
  await one.told
  const held = await world.held()
  expect(held.command).toMatchObject({ text: 'connect', kind: 'connect', effects: [{ action: 'ssh:connect' }] })
  await world.decide('approve')
  const ends = await Promise.all([one.ended, two.ended])
  expect(ends.map(({ code, out }) => ({ code, out }))).toEqual([
    { code: 0, out: 'one\n' },
    { code: 0, out: 'two\n' },
  ])
  expect(ends[0].said).toMatch(/^countersign: held for approval \S+ \(oncall, expires \S+\)\n$/)
  const sessions = (await world.sessions()).filter(({ identity }) => identity.subject === 'patient')
  expect(sessions).toHaveLength(1)
})

test('a held connection that people deny says who and why, with 126, and the connection goes', async () => {
  const way = await world.through({ subject: 'denied', connection: 'web-2' })
  const ran = run(way, 'ssh', [HOST, 'echo never'])
  await world.decide('deny')
  expect(await ran).toMatchObject({ code: 126, stdout: Buffer.from('') })
  expect((await ran).said).toContain('countersign: denied by Ada: so it is, deny\n')
})

test('with hold=fail it answers at once, and lets in once it is approved', async () => {
  const lines = ['SetEnv COUNTERSIGN_HOLD=fail']
  const way = await world.through({ subject: 'hasty', connection: 'web-2', lines })
  const first = await run(way, 'ssh', [HOST, 'echo in'])
  expect(first).toMatchObject({ code: 126 })
  expect(first.said).toMatch(/held for approval/)
  await world.decide('approve')
  expect(await run(way, 'ssh', [HOST, 'echo in'])).toMatchObject({ code: 0, stdout: Buffer.from('in\n') })
})

test('who goes while it waits has asked for nothing: the approval is cancelled, the session is closed', async () => {
  const client = await signedIn('gone', 'web-2')
  const one = await exec(client, 'echo one')
  const two = await exec(client, 'echo two')
  await one.told
  const { id } = await world.held()
  one.channel.close()
  two.channel.close()
  const feed = await world.feed()
  const state = () => world.as<Approval>('ada', `/v1/approvals/${id}`)
  for (let told = 0; (await state()).state === 'pending'; told = feed.messages.length)
    await feed.until((messages) => messages.length > told)
  await feed.close()
  expect((await state()).state).toBe('cancelled')
})

test('another purpose in a later channel is refused there, and nowhere else', async () => {
  const client = await signedIn('purposeful', 'web-1')
  const purposes = ['month end', 'something else', 'month end']
  const ends = []
  for (const COUNTERSIGN_PURPOSE of purposes)
    ends.push(await (await exec(client, 'echo done', { COUNTERSIGN_PURPOSE })).ended)
  expect(ends.map(({ code }) => code)).toEqual([0, 126, 0])
  expect(ends[1]!.said).toContain('this connection began with another purpose')
  const [session] = (await world.sessions()).filter(({ identity }) => identity.subject === 'purposeful')
  expect(session).toMatchObject({ purpose: 'month end', protocol: 'ssh', client: { application: expect.any(String) } })
})

test('more sessions than an agent may have are refused in words, and so is a host that is down', async () => {
  const all = [await signedIn('many', 'web-1'), await signedIn('many', 'web-1'), await signedIn('many', 'web-1')]
  const running = [await exec(all[0]!, 'echo up; cat'), await exec(all[1]!, 'echo up; cat')]
  await Promise.all(running.map(({ channel }) => once(channel, 'data')))
  const refused = await exec(all[2]!, 'true')
  expect(await refused.ended).toMatchObject({ code: 126, said: expect.stringContaining('limits.sessions_per_agent') })
  await once(all[2]!, 'close')
  const down = await (await exec(await signedIn('down', 'down'), 'true')).ended
  expect(down).toMatchObject({
    code: 126,
    said: expect.stringContaining('the host behind this connection can’t be used'),
  })
})
