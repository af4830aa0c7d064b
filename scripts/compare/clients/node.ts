import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import postgres from 'postgres'
import type { Side } from '../sides.ts'

/** What node-postgres gets, as lines. */
export async function nodePostgres(side: Side): Promise<string[]> {
  const said: string[] = []
  const say = (what: unknown) => void said.push(JSON.stringify(what))
  const { host, port, database, user, password } = side
  const client = new pg.Client({ host, port, database, user, password })
  client.on('notice', ({ code, message }) => say(['notice', code, message]))
  await client.connect()
  try {
    const failing = async (text: string, values?: unknown[]) =>
      client.query(text, values).catch((error) => say([error.code, error.message, error.position, error.routine]))
    const { rows, fields } = await client.query('SELECT * FROM person WHERE id < $1 ORDER BY id', [4])
    say([rows, fields.map(({ name, dataTypeID, columnID }) => [name, dataTypeID, columnID])])
    for (let n = 0; n < 4; n++) {
      const prepared = { name: 'by-id', text: 'SELECT name, $2::text AS said FROM person WHERE id = $1' }
      say((await client.query({ ...prepared, values: [n + 1, 'ü'] })).rows)
    }
    say((await client.query({ text: 'SELECT id, score FROM person LIMIT 2', rowMode: 'array' })).rows)
    say((await client.query({ text: 'SELECT 1, $1::int4', values: [5], binary: true } as pg.QueryConfig)).rows)
    await failing('SELECT 1/0')
    await failing('SELECT $1::int', ['word'])
    await failing('SELECT nope')
    say(await Promise.all([1, 2, 3].map((n) => client.query('SELECT shout($1)', [`n${n}`]).then(({ rows }) => rows))))
    say(((await client.query('SELECT 1; SELECT 2, 3')) as unknown as pg.QueryResult[]).map(({ rows }) => rows))
    await client.query('BEGIN')
    say((await client.query('INSERT INTO note (person, body) VALUES ($1, $2) RETURNING body', [1, 'node'])).rows)
    await failing('INSERT INTO note (person) VALUES ($1)', [-1])
    await failing('SELECT 1')
    say((await client.query('COMMIT')).command)
    await client.query('LISTEN ear')
    const heard = once(client, 'notification')
    await client.query("NOTIFY ear, 'word'")
    const [{ channel, payload }] = await heard
    say([channel, payload])
  } finally {
    await client.end()
  }
  return said
}

/** What postgres.js gets, as lines: pipelines, cursors, COPY streams, transactions. */
export async function postgresJs(side: Side): Promise<string[]> {
  const said: string[] = []
  const say = (what: unknown) => void said.push(JSON.stringify(what))
  const { host, port, database, user, password } = side
  const sql = postgres({
    host,
    port,
    database,
    user,
    password,
    max: 1,
    onnotice: ({ code, message }) => say([code, message]),
  })
  try {
    say(await sql`SELECT id, name, born, score, tags, extra FROM person WHERE id < ${4} ORDER BY id`)
    say(await Promise.all(Array.from({ length: 30 }, (_, n) => sql`SELECT ${n}::int + 1 AS n`)))
    say(await sql`SELECT 1/0`.catch(({ code, message, routine }) => [code, message, routine]))
    for await (const rows of sql`SELECT id FROM person ORDER BY id LIMIT 25`.cursor(6)) say(rows)
    say(await sql`SELECT shout(${'x'})`.describe().then(({ columns, types }) => [columns, types]))
    say(await sql.unsafe('SELECT 1 AS a; SELECT 2 AS b'))
    say(
      await sql`INSERT INTO note ${sql([
        { person: 1, body: 'a' },
        { person: 2, body: 'b' },
      ])} RETURNING body`,
    )
    await sql
      .begin(async (tx) => {
        await tx`INSERT INTO note (person, body) VALUES (1, 'gone')`
        await tx.savepoint((inner) => inner`SELECT nope`).catch(({ code }) => say(code))
        say(await tx`SELECT count(*) FROM note WHERE body = 'gone'`)
        throw new Error('rolled back')
      })
      .catch(({ message }) => say(message))
    const into = await sql`COPY part FROM STDIN`.writable()
    await pipeline(Readable.from(['800\ta\n', '801\tzz\n']), into)
    const chunks: Buffer[] = []
    for await (const chunk of await sql`COPY (SELECT * FROM part ORDER BY 1, 2) TO STDOUT`.readable())
      chunks.push(chunk)
    say(Buffer.concat(chunks).toString())
    say(await sql`SELECT ${sql.array([1, 2])}::int[] AS a, ${sql.json({ a: 1 })}::jsonb AS j`)
  } finally {
    await sql.end()
  }
  return said
}
