import type { Grant } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import pg from 'pg'
import type { World, WorldOptions } from './world.ts'

/** What `npm start` has beside the shop's database: one that takes a grant, and people who may act in an emergency. */
export const sampleAccess = {
  connections: (orders) => ({ payments: { ...orders, tags: ['production', 'finance'], access: 'jit' } }),
  approvals: { expires: '10m', break_glass: { groups: ['oncall-dba'], max: '1h', unreviewed: 3 } },
} satisfies Pick<WorldOptions, 'connections' | 'approvals'>

/**
 * Gives the sample world grants of every kind, by its own API: one that policy gave at once, one that Ben approved and
 * that is in use, one that he denied, one that came back early; a plan of three steps waits for whoever opens the console.
 * Sponsors are known of some agents, of one nobody knows who he is, and some have none.
 */
export async function makeAccess(world: World): Promise<void> {
  await sponsors(world)
  const read = { actions: ['sql:read'], connection: 'payments' }
  const report = await ask(world, 'report-builder', {
    ...read,
    resources: ['payments/public.payments', 'payments/public.orders'],
    duration: '15m',
    purpose: 'weekly revenue report',
  })
  await use(world, 'report-builder', `SELECT status, count(*) FROM payments GROUP BY status`)
  const early = await ask(world, 'support-copilot', {
    ...read,
    duration: '10m',
    purpose: 'ticket 8790: refund asked for',
  })
  await call(world, await world.agents.clientCredentials('support-copilot'), `/v1/grants/${early.id}/revoke`, {
    reason: 'found in the orders already',
  })
  if (report.state !== 'active') throw new Error('the sample world’s first grant is not active')

  const purge = await ask(world, 'billing-cleanup', {
    connection: 'payments',
    actions: ['sql:read', 'sql:write'],
    resources: ['payments/public.payments'],
    duration: '2h',
    purpose: 'monthly purge, ticket FIN-2209',
  })
  await decide(world, purge, { verdict: 'approve', reason: 'FIN-2209 is signed off', window: '1h' })
  await use(world, 'billing-cleanup', `SELECT count(*) FROM payments WHERE status = 'abandoned'`)
  const wide = await ask(world, 'schema-bot', {
    connection: 'payments',
    actions: ['sql'],
    duration: '8h',
    purpose: 'clean up after the import of 31 September',
  })
  await decide(world, wide, { verdict: 'deny', reason: 'name the tables, and an hour will do' })

  await call(world, await world.agents.clientCredentials('planner'), '/v1/plans', {
    title: 'Close the books of October',
    purpose: 'month end, ticket FIN-2240',
    steps: [
      {
        title: 'Count what is unsettled',
        agent: `${world.agents.url}#report-builder`,
        ...read,
        resources: ['payments/public.payments'],
        duration: '15m',
      },
      {
        title: 'Settle what was paid',
        agent: `${world.agents.url}#billing-cleanup`,
        connection: 'payments',
        actions: ['sql:read', 'sql:write'],
        resources: ['payments/public.payments'],
        duration: '30m',
      },
      {
        title: 'Compare with the orders',
        agent: `${world.agents.url}#report-builder`,
        ...read,
        resources: ['payments/public.payments', 'payments/public.orders'],
        duration: '15m',
      },
    ],
  })
}

async function sponsors(world: World): Promise<void> {
  const admin = await world.people.personToken({ subject: 'admin' })
  // People are known once they came: the two who answer for agents, and the one who is on call.
  for (const subject of ['ada', 'ben', 'rae', 'aud'])
    await call(world, await world.people.personToken({ subject }), '/v1/me')
  const known: [string, Record<string, string>][] = [
    [
      'report-builder',
      { sponsor: 'ben@shop.example', purpose: 'Weekly figures for the shop', environment: 'production' },
    ],
    [
      'billing-cleanup',
      { sponsor: 'admin@shop.example', purpose: 'Purges abandoned payments', environment: 'production' },
    ],
    [
      'support-copilot',
      { sponsor: 'lea@shop.example', purpose: 'Helps support with tickets', environment: 'production' },
    ],
    [
      'planner',
      { sponsor: 'ben@shop.example', purpose: 'Plans month ends for other agents', environment: 'production' },
    ],
  ]
  for (const [subject, what] of known)
    await call(world, admin, '/v1/agents', { issuer: world.agents.url, subject, ...what })
}

/** An agent asks for a grant. */
async function ask(world: World, agent: string, request: Record<string, unknown>): Promise<Grant> {
  return call<Grant>(world, await world.agents.clientCredentials(agent), '/v1/grants', request)
}

/** Ben decides a request. */
async function decide(world: World, grant: Grant, decision: Record<string, string>): Promise<void> {
  const ben = await world.people.personToken({ subject: 'ben' })
  const { command } = await call<Approval>(world, ben, `/v1/approvals/${grant.approval}`)
  await call(world, ben, `/v1/approvals/${grant.approval}/decisions`, { ...decision, digest: command.digest })
}

/** One statement on the database that takes a grant. */
async function use(world: World, agent: string, sql: string): Promise<void> {
  const client = new pg.Client({
    host: world.postgres.host,
    port: world.postgres.port,
    database: 'payments',
    user: agent,
    password: await world.agents.clientCredentials(agent),
    application_name: agent,
  })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

async function call<T>(world: World, token: string, path: string, body?: unknown): Promise<T> {
  const answer = await fetch(`${world.api}${path}`, {
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`the gateway refused ${path} of the sample world: ${await answer.text()}`)
  return (await answer.json()) as T
}
