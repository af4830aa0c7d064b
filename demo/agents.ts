import pg from 'pg'
import type { World } from './world.ts'

/** What an agent of the sample world does in one run: opens a session, works, leaves. */
interface Work {
  agent: string
  purpose: string
  /** Seconds to the next run, after one has ended. */
  every: number
  run(query: Query, round: number): Promise<void>
}

type Query = (text: string, values?: unknown[]) => Promise<pg.QueryResult>

const works: Work[] = [
  {
    agent: 'billing-cleanup',
    purpose: 'monthly purge, ticket FIN-2209',
    every: 90,
    async run(query, round) {
      await query(`SELECT count(*) FROM payments WHERE status = 'abandoned'`)
      await query(`SELECT id, order_id, amount FROM payments WHERE status = 'abandoned' ORDER BY created_at LIMIT 20`)
      const before = new Date(Date.UTC(2026, 4 + (round % 6), 1)).toISOString().slice(0, 10)
      await query(`DELETE FROM payments\nWHERE  status = 'abandoned'\n  AND  created_at < $1`, [before])
    },
  },
  {
    agent: 'support-copilot',
    purpose: 'ticket 8812: customer asks for her gold tier back',
    every: 75,
    async run(query, round) {
      const id = 17 + round
      await query('SELECT id, name, email, phone, tier FROM customers WHERE id = $1', [id])
      await query('SELECT body, opened_at FROM tickets WHERE customer_id = $1 ORDER BY opened_at', [id])
      await query('SELECT id, status, placed_at FROM orders WHERE customer_id = $1 ORDER BY placed_at DESC LIMIT 5', [
        id,
      ])
      // What a copilot tries when a page told it to: denied by policy, and the connection lives on.
      if (round % 2 === 1) await query('SELECT name, secret FROM internal.api_keys').catch(() => {})
      await query(`UPDATE customers SET tier = 'gold' WHERE id = $1`, [id])
    },
  },
  {
    agent: 'schema-bot',
    purpose: 'clean up after the import of 31 September',
    every: 120,
    async run(query) {
      await query('SELECT count(*) FROM tmp_import_0931')
      await query('DELETE FROM tmp_import_0931')
    },
  },
  {
    agent: 'report-builder',
    purpose: 'weekly revenue report',
    every: 25,
    async run(query, round) {
      await query('BEGIN READ ONLY')
      await query(
        `SELECT p.name, sum(o.quantity) AS sold, sum(pay.amount) AS revenue
FROM   orders AS o
JOIN   products AS p ON p.id = o.product_id
JOIN   payments AS pay ON pay.order_id = o.id AND pay.status = 'settled'
WHERE  o.placed_at >= $1
GROUP  BY p.name
ORDER  BY revenue DESC`,
        [`2026-${String(5 + (round % 6)).padStart(2, '0')}-01`],
      )
      await query('SELECT status, count(*) FROM orders GROUP BY status ORDER BY 2 DESC')
      await query('COMMIT')
    },
  },
]

/**
 * Sets the sample world's agents to work: each gets a token from its issuer, connects to the gateway by an ordinary
 * PostgreSQL client, and does what its job is, again and again until the signal says stop.
 */
export async function runAgents(world: World, signal: AbortSignal, log: (line: string) => void): Promise<void> {
  await Promise.all(works.map((work) => runAgent(world, work, signal, log)))
}

async function runAgent(world: World, work: Work, signal: AbortSignal, log: (line: string) => void): Promise<void> {
  for (let round = 0; !signal.aborted; round++) {
    try {
      await runOnce(world, work, round, signal)
    } catch (error) {
      // A refusal is an everyday thing in an agent's life; it tries again later.
      if (!signal.aborted) log(`${work.agent}: ${(error as Error).message}`)
    }
    await pause(work.every * 1000, signal)
  }
}

/** One run of an agent's work. */
async function runOnce(world: World, work: Work, round: number, signal: AbortSignal): Promise<void> {
  const client = new pg.Client({
    host: world.postgres.host,
    port: world.postgres.port,
    database: 'orders',
    user: work.agent,
    password: await world.agents.clientCredentials(work.agent),
    application_name: work.agent,
    options: `-c countersign.purpose=${work.purpose.replaceAll(' ', '\\ ')}`,
  })
  client.on('error', () => {}) // the connection went: the query in flight rejects, and says so
  const leave = () => void client.end().catch(() => {})
  signal.addEventListener('abort', leave)
  try {
    await client.connect()
    await work.run((text, values) => client.query(text, values), round)
  } finally {
    signal.removeEventListener('abort', leave)
    await client.end().catch(() => {})
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
