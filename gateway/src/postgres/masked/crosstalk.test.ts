import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../../demo/postgres.ts'
import { B, E, P, Q, RawClient, S } from '../testing/raw.ts'
import { agent, startPostgres, startWorld, type World } from '../testing/world.ts'
import { cstring, int16, message, T } from '../wire/messages.ts'

let server: RunningPostgres
let world: World

beforeAll(async () => {
  server = await startPostgres({ auth: 'trust' })
  // Rows of all lengths: some end where a chunk does, some are larger than any buffer.
  await server.query(`CREATE TABLE person (id int, secret text, plain text);
    INSERT INTO person SELECT n, repeat('hidden-', 1 + n * n % 997), repeat('open-', n * 7 % 1201) FROM generate_series(1, 600) n;
    INSERT INTO person SELECT n, repeat('hidden-', 90000), repeat('open-', 90000) FROM generate_series(601, 603) n;
    CREATE TABLE notes AS SELECT id, repeat('note-', id * 11 % 3001) AS plain FROM person`)
  const who = (name: string) => ({ ...agent, id: `https://idp.test#${name}`, subject: name, name })
  world = await startWorld(server, { identity: { authenticate: async (token) => who(token) } })
  world.target.masking = {
    key: Buffer.alloc(32, 7),
    styleOf: () => 'redact',
    dataClasses: { 'public.person.secret': 'secret' },
    detect: [],
  }
  // Policy tells by who asks.
  world.gate.reveals = (one) => (one as { agent: { subject: string } }).agent.subject === 'sees'
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  await server?.stop()
})

const inBinary = message(T.Bind, cstring(''), cstring(''), int16(0), int16(0), int16(1), int16(1))
const asked: ((mark: string) => Buffer[])[] = [
  (mark) => [Q(`SELECT id, secret, plain, '${mark}' FROM person`)],
  (mark) => [P('', `SELECT secret, '${mark}'::text, plain FROM person ORDER BY id DESC`), B('', ''), E(''), S],
  (mark) => [P('', `SELECT secret, '${mark}'::text FROM person`), inBinary, E(''), S],
  () => [Q('COPY person TO STDOUT')],
  () => [Q('COPY person (plain, secret) TO STDOUT (FORMAT csv, FORCE_QUOTE *)')],
  () => [Q('COPY person TO STDOUT (FORMAT binary)')],
  (mark) => [Q(`SELECT plain, '${mark}' FROM notes; SELECT secret FROM person; SELECT '${mark}'`)],
  (mark) => [Q(`SELECT id, repeat('${mark}', 20000) FROM notes WHERE id < 20`)],
]

/** What a session is told of every question, and the client reading in fits and starts where `slow`. */
async function session(token: string, mark: string, from: number, slow: boolean): Promise<Buffer[]> {
  const client = await RawClient.start(world.port, { password: token })
  if (slow) {
    client.socket.on('data', () => {
      client.socket.pause()
      setImmediate(() => setImmediate(() => client.socket.resume()))
    })
  }
  const answers: Buffer[] = []
  for (let n = 0; n < asked.length; n++) {
    client.send(...asked[(from + n) % asked.length]!(mark))
    answers[(from + n) % asked.length] = Buffer.concat(await client.ready())
  }
  client.socket.destroy()
  return answers
}

test('sessions at the same time get what each gets alone, and nothing of another', async () => {
  const kinds = [
    ['sees', 'mark-of-who-sees'],
    ['blind', 'mark-of-the-blind'],
  ] as const
  const alone = new Map<string, Buffer[]>()
  for (const [token, mark] of kinds) alone.set(token, await session(token, mark, 0, false))
  for (const one of alone.get('blind')!) expect(one.includes('hidden-')).toBe(false)
  expect(alone.get('sees')!.filter((one) => one.includes('hidden-')).length).toBe(7)

  const all = kinds.flatMap(([token, mark]) =>
    [0, 3, 5].map(async (from, n) => ({ token, answers: await session(token, mark, from, n === 1) })),
  )
  for (const { token, answers } of await Promise.all(all)) {
    const others = token === 'sees' ? 'mark-of-the-blind' : 'mark-of-who-sees'
    answers.forEach((answer, at) => {
      expect([token, at, answer.includes(others)]).toEqual([token, at, false])
      expect([token, at, answer.equals(alone.get(token)![at]!)]).toEqual([token, at, true])
    })
  }
  for (const live of world.sessions.all) expect(JSON.stringify(live.events).includes('hidden-')).toBe(false)
  expect(world.complaints).toEqual([])
}, 60_000)
