import type { Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../testing/clients.ts'
import { letIn, type MadeUpHost, startMadeUpHost, startRawHost } from '../testing/hosts.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'

const bad: Record<string, { start: () => Promise<MadeUpHost>; said: RegExp; hostKeys?: string[] }> = {
  resets: {
    start: () => startRawHost((socket) => socket.resetAndDestroy()),
    said: /the host behind this connection can’t be used/,
  },
  nonsense: {
    start: () =>
      startRawHost((socket) => void socket.write('SSH-2.0-x\r\n', () => socket.write(Buffer.alloc(100_000, 7)))),
    said: /the host behind this connection can’t be used: it doesn’t agree on a secure connection/,
  },
  refuses: {
    start: () => startMadeUpHost((client) => client.on('authentication', (attempt) => attempt.reject())),
    said: /it accepts neither the key nor the password/,
  },
  changed: {
    start: () => startMadeUpHost(letIn),
    said: /its host key is not the one that is pinned/,
    hostKeys: [`SHA256:${'A'.repeat(43)}`],
  },
  gone: {
    start: () =>
      startMadeUpHost((client) => {
        letIn(client).on('session', (accept) => {
          accept().on('exec', (accept) => {
            accept().write('some', () => (client as unknown as { _sock: Socket })._sock.resetAndDestroy())
          })
        })
      }),
    said: /the host closed the connection: .*ECONNRESET/,
  },
}

let world: SshWorld
const hosts: MadeUpHost[] = []
beforeAll(async () => {
  const connections: Record<string, Record<string, unknown>> = {}
  process.env.UPSTREAM_TEST_PASSWORD = 'secret'
  for (const [name, { start, hostKeys }] of Object.entries(bad)) {
    const made = await start()
    hosts.push(made)
    const { host, port, user, hostKeys: pinned } = made.target
    const password = { env: 'UPSTREAM_TEST_PASSWORD' }
    connections[name] = { kind: 'ssh', host, port, user, password, host_key: hostKeys ?? [...pinned] }
  }
  world = await startSshWorld({ connections })
})
afterAll(async () => {
  delete process.env.UPSTREAM_TEST_PASSWORD
  await world?.[Symbol.asyncDispose]()
  await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()))
})

test('who has a bad host is told, the log says it, and others go on', async () => {
  const well = run(await world.through(), 'ssh', ['host', 'for n in 1 2 3 4 5 6 7 8; do sleep 0.1; echo $n; done'])
  await Promise.all(
    Object.entries(bad).map(async ([connection, { said }]) => {
      const told = await run(await world.through({ connection }), 'ssh', ['host', 'uptime'])
      expect(told.said).toMatch(said)
      expect(told.code).not.toBe(0)
      await world.logged(
        (line) =>
          (line.level === 'warn' && line.connection === connection) ||
          (line.level === 'error' && line.connection === connection),
      )
    }),
  )
  expect((await well).stdout.toString()).toBe('1\n2\n3\n4\n5\n6\n7\n8\n')
  const changed = await world.logged((line) => line.connection === 'changed' && line.level === 'error')
  expect(changed).toMatchObject({ shown: [{ type: 'ssh-ed25519', fingerprint: expect.stringMatching(/^SHA256:/) }] })
  expect((await run(await world.through(), 'ssh', ['host', 'echo still there'])).stdout.toString()).toBe(
    'still there\n',
  )
})
