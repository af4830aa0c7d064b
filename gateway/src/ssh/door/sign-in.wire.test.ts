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

/** What the gateway itself said on stderr. */
const byGateway = ({ said }: Ran) =>
  said
    .split('\n')
    .filter((line) => line.startsWith('countersign: '))
    .join('\n')

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
    expect(byGateway(ran)).toBe(onStderr(noConnection).trimEnd())
  }
  expect((await world.sessions()).filter(({ connection }) => connection !== 'web-1')).toEqual([])
})

describe('a connection that takes a grant', () => {
  beforeAll(async () => {
    const { host, port, user, fingerprint } = world.sshd
    const there = { kind: 'ssh', host, port, user, private_key: { file: './identity' }, host_key: fingerprint }
    world.configure({ connections: { jit: { ...there, access: 'jit' }, other: { ...there, access: 'jit' } } })
    await world.reload()
  })
  const call = async (token: string, path: string, body: object) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await fetch(`${world.api}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as { id: string; expiresAt: string }
  }
  const grant = (token: string, more: object = {}) =>
    call(token, '/v1/grants', { connection: 'jit', actions: ['ssh'], duration: '1h', purpose: 'to see', ...more })
  const revoke = ({ id }: { id: string }) => world.as('max', `/v1/grants/${id}/revoke`, { reason: 'done' })
  const frozen = async <T>(path: string, within: () => Promise<T>): Promise<T> => {
    await world.as('max', `/v1/${path}freeze`, { reason: 'odd' })
    try {
      return await within()
    } finally {
      await world.as('max', `/v1/${path}unfreeze`, { reason: 'fine' })
    }
  }
  const hereBy = async (password: string) => hello(await world.through({ connection: 'jit', password }))

  test('lets in who has one, and who a token of it', async () => {
    const jwt = await world.token('g0')
    const { id } = await grant(jwt)
    expect(await hereBy(jwt)).toMatchObject(letIn)
    expect(await hereBy((await world.exchange(jwt, 'jit', { grant: id })).access_token)).toMatchObject(letIn)
  })

  /** As the same ones are refused by PostgreSQL (access/entrance.wire.test.ts). */
  const wrong: Record<string, () => Promise<Ran>> = {
    'no grant': async () => hereBy(await world.token('g1')),
    'one that was revoked': async () => {
      const jwt = await world.token('g2')
      await revoke(await grant(jwt))
      return hereBy(jwt)
    },
    'one that is over': async () => {
      const jwt = await world.token('g3')
      const feed = await world.feed('max')
      const { id } = await grant(jwt, { duration: '1s' })
      await feed.until((all) =>
        all.some(({ type, data }) => type === 'grant.expired' && (data as { id: string }).id === id),
      )
      await feed.close()
      return hereBy(jwt)
    },
    'one of the same agent on behalf of another one': async () => {
      await grant(await world.token('g4'))
      return hereBy(await world.token('bob', { claims: { act: { sub: 'g4', groups: ['ci'] } } }))
    },
    'one of another agent': async () => {
      await grant(await world.token('g5'))
      return hereBy(await world.token('g6'))
    },
    'one on another connection': async () => {
      const jwt = await world.token('g7')
      await grant(jwt, { connection: 'other' })
      return hereBy(jwt)
    },
    'a gateway token of another connection': async () => {
      const jwt = await world.token('g8')
      await grant(jwt)
      return hereBy((await world.exchange(jwt, 'web-1')).access_token)
    },
    'a gateway token of a grant that was revoked': async () => {
      const jwt = await world.token('g9')
      const [one] = [await grant(jwt), await grant(jwt)]
      const { access_token } = await world.exchange(jwt, 'jit', { grant: one.id })
      await revoke(one)
      return hereBy(access_token)
    },
    'a disabled agent, enabled again': async () => {
      const jwt = await world.token('g10')
      await grant(jwt)
      const path = `/v1/agents/${encodeURIComponent(await agentOf('g10'))}`
      for (const disabled of [true, false]) await world.as('max', path, { disabled, reason: 'odd' }, 'PATCH')
      return hereBy(jwt)
    },
    'one, where the connection is frozen': async () => {
      const jwt = await world.token('g11')
      await grant(jwt)
      return frozen('connections/jit/', () => hereBy(jwt))
    },
    'one, where everything is frozen': async () => {
      const jwt = await world.token('g12')
      await grant(jwt)
      return frozen('', () => hereBy(jwt))
    },
    'one that policy lets do nothing': async () => {
      const jwt = await world.issuers.agents.agentToken({ subject: 'g13', groups: ['others'] })
      await grant(jwt)
      return hereBy(jwt)
    },
  }
  test.each(Object.keys(wrong))('%s lets nobody in, in the words of a connection that isn’t there', async (what) => {
    const ran = await wrong[what]!()
    expect(ran).toMatchObject({ code: 126, stdout: Buffer.from('') })
    expect(byGateway(ran)).toBe(onStderr(noConnection).trimEnd())
  })

  test.each<[what: string, grant: object, run: (way: Way) => Promise<Ran>, says: RegExp]>([
    [
      'a command by one for files',
      { actions: ['sftp:read'] },
      (way) => run(way, 'ssh', [HOST, 'echo hello']),
      /no live grant covers ssh:exec on jit/,
    ],
    [
      'a shell by one for commands',
      { actions: ['ssh:exec'] },
      (way) => run(way, 'ssh', ['-tt', HOST]),
      /no live grant covers ssh:shell on jit/,
    ],
    [
      'a file outside the path of one',
      { actions: ['sftp:read'], resources: ['jit//nowhere/*'] },
      (way) => run(way, 'scp', [`${HOST}:/etc/hostname`, '/dev/null']),
      /no live grant covers sftp:read on jit\/\/etc\/hostname/,
    ],
  ])('%s is refused', async (what, asked, runs, says) => {
    const jwt = await world.token(`h-${what.length}`)
    await grant(jwt, asked)
    const ran = await runs(await world.through({ connection: 'jit', password: jwt }))
    expect(ran.code).not.toBe(0)
    expect(ran.said).toMatch(says)
  })

  test.each(['ssh:exec', 'ssh:shell'])('%s is not asked for on a part of it', async (action) => {
    const asked = grant(await world.token('i1'), { actions: [action], resources: ['jit/uptime'] })
    await expect(asked).rejects.toThrow(/400 .*is done on jit itself/)
  })
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
