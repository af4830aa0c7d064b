import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HOST, type Ran, run, type Way } from '../testing/clients.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'
import { noConnection, onStderr } from '../words.ts'

let world: SshWorld
beforeAll(async () => {
  world = await startSshWorld({
    connections: {
      'not-for-ci': {
        ...{ kind: 'ssh', host: '127.0.0.1', port: 1, user: 'u', private_key: { file: './identity' } },
        ...{ host_key: `SHA256:${'x'.repeat(43)}`, access: 'jit' },
      },
    },
  })
})
afterAll(() => world[Symbol.asyncDispose]())

/** An agent's id, once the registry has written down that it came. */
const agentOf = async (subject: string) => {
  const feed = await world.feed('max')
  try {
    for (let told = 0; ; ) {
      const { items } = await world.as<{ items: { id: string; subject: string }[] }>(
        'max',
        `/v1/agents?text=${subject}`,
      )
      const found = items.find((one) => one.subject === subject)
      if (found) return found.id
      await feed.until((messages) => messages.length > told)
      told = feed.messages.length
    }
  } finally {
    await feed.close()
  }
}
const hello = (way: Way) => run(way, 'ssh', [HOST, 'echo hello; echo there >&2; exit 3'])
const letIn = { code: 3, said: 'there\n', stdout: Buffer.from('hello\n') }
const refusedBy = (ran: Ran) => ({ code: ran.code, said: ran.said.replace(/^\S+@/, '') })

describe('a token', () => {
  test.each(['password', 'keyboard-interactive'])('by %s', async (method) => {
    const way = await world.through({ lines: [`PreferredAuthentications ${method}`] })
    expect(await hello(way)).toMatchObject(letIn)
  })

  test('of an issuer itself', async () => {
    const password = await world.token()
    expect(password.length).toBeLessThan(1023)
    expect(await hello(await world.through({ password }))).toMatchObject(letIn)
  })

  test.each<[string, () => Promise<string>]>([
    ['one that is none', async () => 'hunter2'],
    ['an empty one', async () => ''],
    ['one with NUL', async () => 'a\\0b'],
    ['a person’s', () => world.person('ada')],
    ['one that is over', () => world.token('ci', { expiresIn: -10 })],
    [
      'one that is revoked',
      async () => {
        const { access_token, token_id } = await world.exchange(await world.token())
        await world.as('max', `/v1/tokens/${token_id}`, undefined, 'DELETE').catch(() => {})
        await fetch(`${world.api}/v1/token/revoke`, {
          method: 'POST',
          body: new URLSearchParams({ token: access_token }),
        })
        return access_token
      },
    ],
  ])('%s lets nobody in, whatever it is to be for', async (_, token) => {
    const password = await token()
    const [known, unknown] = await Promise.all(
      ['web-1', 'nowhere'].map(async (connection) => hello(await world.through({ connection, password }))),
    )
    expect(known).toMatchObject({ code: 255, stdout: Buffer.from('') })
    expect(known!.said).toContain('Permission denied (publickey,password,keyboard-interactive).')
    expect(refusedBy(unknown!)).toEqual(refusedBy(known!))
  })

  test('that askpass has cut says what to do', async () => {
    const password = `eyJ${'x'.repeat(2000)}`
    const lines = ['LogLevel INFO', 'PreferredAuthentications keyboard-interactive', 'NumberOfPasswordPrompts 3']
    const ran = await hello(await world.through({ password, lines }))
    expect(ran).toMatchObject({ code: 255 })
    expect(ran.said).toContain('The token was cut at 1,023 bytes')
    expect(ran.said).toContain('exchange it for a gateway token')
  })
})

test('without access a good token learns nothing of which connections there are', async () => {
  const password = await world.token()
  const disabled = await world.token('off')
  await hello(await world.through({ password: disabled }))
  const off = encodeURIComponent(await agentOf('off'))
  await world.as('max', `/v1/agents/${off}`, { disabled: true, reason: 'gone' }, 'PATCH')
  const other = (await world.exchange(password)).access_token
  const all: { connection: string; password: string }[] = [
    { connection: 'nowhere', password },
    { connection: 'not-for-ci', password },
    { connection: '-', password },
    { connection: 'web-1', password: disabled },
    { connection: 'not-for-ci', password: other },
    { connection: 'web-1', password: await world.issuers.agents.agentToken({ subject: 'x', groups: ['others'] }) },
  ]
  for (const one of all) {
    const ran = await hello(await world.through(one))
    expect(ran, `${one.connection}: ${ran.said}`).toMatchObject({ code: 126, stdout: Buffer.from('') })
    expect(
      ran.said
        .split('\n')
        .filter((line) => line.startsWith('countersign: '))
        .join('\n'),
    ).toBe(onStderr(noConnection).trimEnd())
  }
  expect((await world.sessions()).filter(({ connection }) => connection !== 'web-1')).toEqual([])
})

describe('a public key', () => {
  const keyOf = (name: string, ...how: string[]) => {
    const file = join(world.folder, name)
    execFileSync('ssh-keygen', ['-q', '-N', '', '-C', name, '-f', file, ...how])
    return { file, text: readFileSync(`${file}.pub`, 'utf8') }
  }
  const byKey = (file: string, connection = 'web-1') =>
    world.through({
      connection,
      password: 'none',
      lines: [
        'PubkeyAuthentication yes',
        `IdentityFile ${file}`,
        'IdentitiesOnly yes',
        'PasswordAuthentication no',
        'KbdInteractiveAuthentication no',
      ],
    })
  const give = (id: string, keys: string[]) =>
    world.as('max', `/v1/agents/${encodeURIComponent(id)}`, { keys }, 'PATCH')

  test.each([
    ['ed25519', ['-t', 'ed25519']],
    ['ecdsa', ['-t', 'ecdsa', '-b', '384']],
    ['rsa', ['-t', 'rsa', '-b', '2048']],
  ])(
    'of kind %s lets in the agent that it is registered to, and ends what came by it when it is taken away',
    async (kind, how) => {
      const subject = `keyed-${kind}`
      await world.through({ subject })
      const { file, text } = keyOf(subject, ...how)
      const before = await hello(await byKey(file))
      expect(before).toMatchObject({ code: 255 })
      const id = await agentOf(subject)
      await give(id, [text])
      expect(await hello(await byKey(file))).toMatchObject(letIn)
      expect(await hello(await byKey(file, 'nowhere'))).toMatchObject({ code: 126 })
      const [session] = await world.sessions()
      expect(session).toMatchObject({ agent: id, identity: { groups: ['ci'] } })

      const running = run(await byKey(file), 'ssh', [HOST, 'echo up; sleep 60'])
      await world.logged((line) => line.msg === 'session opened' && line.agent === id && line.session !== session!.id)
      await give(id, [])
      expect(await running).toMatchObject({
        code: 126,
        said: expect.stringContaining('the key that it came with was taken'),
      })
      expect(await hello(await byKey(file))).toMatchObject({ code: 255 })
    },
  )

  test('of an agent that has never come with a token lets nobody in', async () => {
    const { file, text } = keyOf('never')
    const declared = { issuer: world.issuers.agents.url, subject: 'never', keys: [text] }
    await world.as('max', '/v1/agents', declared)
    expect(await hello(await byKey(file))).toMatchObject({ code: 255 })
    const told = await world.logged(({ msg, why }) => msg === 'sign-in refused' && String(why).includes('never come'))
    expect(told.key).toMatch(/^SHA256:/)
  })
})
