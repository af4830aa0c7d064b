import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { SignJWT, UnsecuredJWT } from 'jose'
import pg from 'pg'
import { startChild } from '../demo/child.ts'
import { startIssuer } from '../demo/issuer.ts'
import { samplePolicy, type World } from '../demo/world.ts'
import { expect, startWire, test } from './fixture.ts'

test.use({
  worldOptions: {
    policy: samplePolicy({
      'flaky.cedar': `permit (principal in Group::"flaky-agents", action, resource in Connection::"flaky");`,
    }),
  },
})

// Bad input of every kind against the whole gateway: a clear error, nothing lost, and others go on unaffected.

const bin = join(import.meta.dirname, '..', 'gateway', 'bin', 'countersign-gateway.js')

function clientOf(world: World, password: string, database = 'orders') {
  const client = new pg.Client({ host: world.postgres.host, port: world.postgres.port, database, user: 'x', password })
  client.on('error', () => {})
  return client
}

async function refusal(client: pg.Client): Promise<{ code: string; message: string }> {
  try {
    await client.connect()
    return { code: 'connected', message: '' }
  } catch (error) {
    return error as pg.DatabaseError as { code: string; message: string }
  } finally {
    await client.end().catch(() => {})
  }
}

test('a token of every wrong kind is refused with 28P01', async ({ world }) => {
  await using stranger = await startIssuer()
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
  const claims = { sub: 'bot', groups: ['shop-agents'] }
  const now = Math.floor(Date.now() / 1000)
  const whole = { ...claims, iss: world.agents.url, aud: 'countersign', iat: now, exp: now + 600 }
  const good = await world.agents.agentToken({ subject: 'bot', groups: ['shop-agents'] })
  const wrong: Record<string, string> = {
    empty: ' ',
    'no token at all': 'hunter2',
    expired: await world.agents.agentToken({ subject: 'bot', expiresIn: -120 }),
    'not yet valid': await world.agents.agentToken({ subject: 'bot', claims: { nbf: now + 3600 } }),
    'without exp': await world.agents.agentToken({ subject: 'bot', claims: { exp: undefined } }),
    'without sub': await world.agents.agentToken({ subject: 'bot', claims: { sub: undefined } }),
    'other audience': await world.agents.agentToken({ subject: 'bot', audience: 'someone-else' }),
    'unknown issuer': await stranger.agentToken({ subject: 'bot', groups: ['shop-agents'] }),
    "a person's": await world.people.personToken({ subject: 'ada' }),
    'signed by a stranger': await new SignJWT(whole).setProtectedHeader({ alg: 'RS256' }).sign(privateKey),
    'unknown kid': await new SignJWT(whole).setProtectedHeader({ alg: 'RS256', kid: 'x' }).sign(privateKey),
    'alg none': new UnsecuredJWT(whole).encode(),
    'alg HS256 keyed with a public key': await new SignJWT(whole)
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(pem)),
    'signature cut': good.slice(0, -8),
    'payload altered': good.replace(
      /\.[^.]+\./,
      `.${Buffer.from(JSON.stringify({ ...whole, sub: 'root' })).toString('base64url')}.`,
    ),
    'huge rubbish': 'x'.repeat(20_000),
  }
  for (const [kind, token] of Object.entries(wrong)) {
    expect.soft((await refusal(clientOf(world, token))).code, kind).toBe('28P01')
  }
  expect((await refusal(clientOf(world, good))).code).toBe('connected')
})

test('an unknown connection and a forbidden one are refused with the same words', async ({ world }) => {
  const token = await world.agents.agentToken({ subject: 'nobody', groups: ['no-such-group'] })
  const forbidden = await refusal(clientOf(world, token))
  const unknown = await refusal(clientOf(world, token, 'no-such-connection'))
  expect(forbidden.code).toBe('42501')
  expect(unknown).toMatchObject({ code: '42501' })
  expect(unknown.message.replaceAll('no-such-connection', 'orders')).toBe(forbidden.message)
})

test('garbage, truncated frames and lying lengths end that connection, and no other', async ({ world, agent }) => {
  const bystander = await agent('bot', { groups: ['shop-agents'] })
  const token = await world.agents.agentToken({ subject: 'bot', groups: ['shop-agents'] })
  const length = (n: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(n)
    return bytes
  }
  const startup = (body: Buffer) => Buffer.concat([length(body.length + 4), body])
  const hello = startup(Buffer.concat([length(196608), Buffer.from('user\0x\0database\0orders\0\0')]))
  const password = Buffer.concat([Buffer.from('p'), length(token.length + 5), Buffer.from(`${token}\0`)])

  const atStart: Record<string, Buffer> = {
    'an HTTP request': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    zeros: Buffer.alloc(64),
    'a startup packet of 2 GiB': Buffer.concat([length(0x7fffffff), length(196608)]),
    'a startup packet of no length': Buffer.concat([length(0), length(196608)]),
    'protocol 2': startup(length(131072)),
    'parameters without an end': startup(Buffer.concat([length(196608), Buffer.from('user')])),
    'bytes behind an SSLRequest': Buffer.concat([length(8), length(80877103), hello]),
  }
  for (const [what, bytes] of Object.entries(atStart)) {
    const socket = await dial(world)
    const gone = once(socket, 'close')
    socket.write(bytes)
    await gone.catch(() => {})
    expect(socket.destroyed, what).toBe(true)
  }

  const later: Record<string, Buffer> = {
    'an unknown message': Buffer.concat([Buffer.from('?'), length(4)]),
    'a Query of 100 MB that is announced': Buffer.concat([Buffer.from('Q'), length(100 * 1024 * 1024)]),
    'a Sync of 100 MB': Buffer.concat([Buffer.from('S'), length(100 * 1024 * 1024)]),
    'a length below four': Buffer.concat([Buffer.from('Q'), length(3)]),
    'a Query without its zero': Buffer.concat([Buffer.from('Q'), length(12), Buffer.from('SELECT 1')]),
    'a Bind that lies about its parameters': Buffer.concat([
      Buffer.from('B'),
      length(12),
      Buffer.from('\0\0'),
      Buffer.alloc(6, 0xff),
    ]),
    'a FunctionCall': Buffer.concat([Buffer.from('F'), length(14), Buffer.alloc(10)]),
  }
  for (const [what, bytes] of Object.entries(later)) {
    const socket = await dial(world)
    let received = Buffer.alloc(0)
    const ready = new Promise<void>((resolve) => {
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk])
        if (received.includes(Buffer.from('Z\0\0\0\x05I'))) resolve()
      })
    })
    socket.write(hello)
    socket.write(password)
    await ready
    received = Buffer.alloc(0)
    const answered = new Promise<void>((resolve) => {
      socket.on('data', () => (received.includes('SFATAL') || received.includes('SERROR') ? resolve() : undefined))
      socket.on('close', () => resolve())
    })
    socket.write(bytes)
    await answered
    expect(received.toString('latin1'), what).toMatch(/C(08P01|54000|0A000|42501|22021)/)
    socket.destroy()
  }
  expect((await bystander.query('SELECT count(*) FROM customers')).rows[0].count).toBe('400')
})

test('a second gateway on the same data directory is refused in words', async ({ world }) => {
  const config = JSON.parse(readFileSync(world.configFile, 'utf8'))
  config.api.listen = '127.0.0.1:0'
  config.postgres.listen = '127.0.0.1:0'
  const file = join(world.folder, 'second.yaml')
  writeFileSync(file, JSON.stringify(config))
  const second = startChild([bin, 'serve', '--config', file])
  await expect(second.line(/ready/)).rejects.toThrow(/another gateway uses the data folder/)
  expect(second.process.exitCode).toBe(1)
})

test('with the database down a client is told so, and is served once it is back; others are not affected', async ({
  world,
  agent,
}) => {
  const bystander = await agent('bot', { groups: ['shop-agents'] })
  const wire = await startWire(`http://127.0.0.1:${world.database.port}`)
  const before = readFileSync(world.configFile, 'utf8')
  try {
    const config = JSON.parse(before)
    const through = { ...config.connections.orders, port: Number(new URL(wire.url).port) }
    writeFileSync(
      world.configFile,
      JSON.stringify({ ...config, connections: { ...config.connections, flaky: through } }),
    )
    await world.reload()
    const token = await world.agents.agentToken({ subject: 'bot', groups: ['flaky-agents'] })
    expect((await refusal(clientOf(world, token, 'flaky'))).code).toBe('connected')

    const client = clientOf(world, token, 'flaky')
    await client.connect()
    wire.cut()
    const lost = await client.query('SELECT 1').catch((error: Error) => error)
    expect(lost).toBeInstanceOf(Error)
    const down = await refusal(clientOf(world, token, 'flaky'))
    expect(down.code).toMatch(/^08/)
    expect(down.message).toMatch(/database/)

    wire.mend()
    expect((await refusal(clientOf(world, token, 'flaky'))).code).toBe('connected')
    expect((await bystander.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  } finally {
    writeFileSync(world.configFile, before)
    await wire.stop()
  }
})

test('what is classified goes out masked, by whatever way, and is masked in the recording', async ({
  world,
  agent,
}) => {
  const before = readFileSync(world.configFile, 'utf8')
  const config = JSON.parse(before)
  const orders = { ...config.connections.orders, data_classes: { '*.*.email': 'email' } }
  writeFileSync(world.configFile, JSON.stringify({ ...config, connections: { ...config.connections, orders } }))
  await world.reload()
  const client = await agent('curious', { groups: ['shop-agents'] })
  try {
    const copied: string[] = []
    client.connection.on('copyData', ({ chunk }: { chunk: Buffer }) => copied.push(chunk.toString()))
    const tried = [
      'SELECT id, email FROM customers ORDER BY id LIMIT 3',
      'SELECT lower(c.email) AS tier, c FROM customers AS c LIMIT 3',
      "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'customers'",
      'EXPLAIN ANALYZE SELECT email FROM customers',
      'COPY customers TO STDOUT',
    ]
    const answers: unknown[] = []
    for (const sql of tried) answers.push((await client.query(sql)).rows)
    answers.push((await client.query({ name: 'p', text: tried[0]!.replace('3', '$1'), values: [3] })).rows)
    expect(answers[0]).toEqual([1, 2, 3].map((id) => ({ id, email: '[masked: email]' })))
    expect(answers.at(-1)).toEqual(answers[0])
    expect(copied.join('').match(/\[masked: email\]/g)).toHaveLength(400)
    expect(JSON.stringify([answers, copied])).not.toContain('example.com')
    expect((await client.query('SELECT count(*) FROM orders')).rows).toEqual([{ count: '6000' }])
    const off = client.query('SET standard_conforming_strings = off')
    await expect(off.catch((error) => error.code)).resolves.toBe('42501')

    const headers = { authorization: `Bearer ${await world.people.personToken({ subject: 'aud' })}` }
    const sessions = await (await fetch(`${world.api}/v1/sessions?state=open`, { headers })).json()
    const session = sessions.items.find((one: { identity: { name: string } }) => one.identity.name === 'curious')
    const { items } = await (await fetch(`${world.api}/v1/sessions/${session.id}/events?after=0`, { headers })).json()
    expect(JSON.stringify(items)).toContain('[masked: email]')
    expect(JSON.stringify(items)).not.toContain('example.com')
    const refused = items.filter(
      (event: { type: string; verdict?: { outcome: string } }) => event.verdict?.outcome === 'deny',
    )
    expect(refused.map((event: { text: string }) => event.text)).toEqual(['SET standard_conforming_strings = off'])
  } finally {
    writeFileSync(world.configFile, before)
    await world.reload()
  }
})

async function dial(world: World): Promise<Socket> {
  const socket = connect(world.postgres.port, world.postgres.host)
  socket.on('error', () => {})
  socket.resume() // what comes is read also where nobody listens, else its end is never seen
  await once(socket, 'connect')
  return socket
}
