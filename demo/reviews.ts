import { randomUUID } from 'node:crypto'
import type { Campaign, CampaignItem, CampaignItemPage, CampaignPlanInput, Overlay } from '@countersign/contract/review'
import pg from 'pg'
import type { World } from './world.ts'

const plan: CampaignPlanInput = {
  title: 'Access to production, autumn',
  description: 'Every agent that may do something on production, beside what it did there.',
  scope: { tags: ['production'], rules: true },
  windowDays: 90,
  stages: [{ title: 'Security', reviewers: [{ kind: 'role' }] }],
  days: 14,
  onExpiry: 'revoke',
  controls: ['soc2:CC6.3', 'iso27001:A.5.18', 'nist-800-53:AC-2(j)', 'pci-dss:7.2.4'],
}

/**
 * Gives the sample world a campaign that is half done: Rae has certified one agent, reduced another to what it does, which
 * Max has put in force, and revoked one that does nothing, which waits for him; the rest waits for her.
 * All of it by the gateway's own API, on what agents really did.
 */
export async function makeReviews(world: World): Promise<void> {
  // Who is asked about, and who is asked, is known once it came.
  for (const agent of ['report-builder', 'schema-bot', 'planner'])
    await call(world, await world.agents.clientCredentials(agent), '/v1/me')
  await syncCatalog(world, `SELECT id, name, price FROM products ORDER BY id`)
  await syncCatalog(world, `UPDATE products SET price = price WHERE id = 3`)
  const rae = await world.people.personToken({ subject: 'rae' })
  const max = await world.people.personToken({ subject: 'admin' })
  await call(world, rae, '/v1/me')
  const { id } = await call<Campaign>(world, rae, '/v1/campaigns', { body: plan })
  await call(world, rae, `/v1/campaigns/${id}/start`, { body: {} })
  await started(world, rae, id)

  const { items } = await call<{ items: CampaignItem[] }>(world, rae, `/v1/campaigns/${id}/items?limit=1000`)
  const of = (agent: string) => {
    const item = items.find(
      (one) => one.agent === `${world.agents.url}#${agent}` && one.connection === 'orders' && one.kind === 'access',
    )
    if (!item) throw new Error(`the sample world’s campaign has no item of ${agent}`)
    return item
  }
  const decide = (item: CampaignItem, verdict: string, reason: string) =>
    call<CampaignItem>(world, rae, `/v1/campaigns/${id}/items/${item.id}/decisions/${randomUUID()}`, {
      method: 'PUT',
      body: { verdict, reason, revision: item.revision, seconds: 40, evidenceOpened: ['used', 'permitted'] },
    })
  await decide(of('report-builder'), 'certify', 'reads what its reports need; Ben confirmed them')
  await decide(of('catalog-sync'), 'reduce', 'it keeps prices in step, nothing else')
  await decide(of('planner'), 'revoke', 'it plans for others and never opened the database')
  await call(world, rae, `/v1/campaigns/${id}/items/${of('schema-bot').id}/comments/${randomUUID()}`, {
    method: 'PUT',
    body: { text: 'Asked Max on Monday what else it is for. Its tickets name one import only.' },
  })

  const reduced = await call<CampaignItemPage>(world, rae, `/v1/campaigns/${id}/items/${of('catalog-sync').id}`)
  const overlay = await call<Overlay>(world, max, `/v1/overlays/${reduced.item.overlay}`)
  await call(world, max, `/v1/overlays/${overlay.id}/apply`, {
    body: { reason: 'agreed with Rae', digest: overlay.digest },
  })
  // What it may no longer: denied, and recorded, so that there is something to see.
  await syncCatalog(world, `DELETE FROM products WHERE id = 12`).then(
    () => {
      throw new Error('the sample world’s reduce denies nothing')
    },
    () => {},
  )
}

/** Waits until the snapshot is taken. */
async function started(world: World, token: string, id: string): Promise<void> {
  const { default: WebSocket } = await import('ws')
  const headers = { authorization: `Bearer ${token}` }
  const feed = new WebSocket(`${world.api.replace('http', 'ws')}/v1/feed`, { headers })
  try {
    await new Promise<void>((resolve, reject) => {
      const look = async () => {
        const { state, problem } = await call<Campaign>(world, token, `/v1/campaigns/${id}`)
        if (state === 'active') resolve()
        else if (problem !== undefined) reject(new Error(`the sample world’s campaign did not start: ${problem}`))
      }
      feed.on('message', (text) => {
        if ((JSON.parse(String(text)) as { type: string }).type.startsWith('campaign.')) look().catch(reject)
      })
      feed.on('error', reject)
      feed.on('open', () => look().catch(reject))
    })
  } finally {
    feed.terminate()
  }
}

/** One statement of an agent that keeps prices in step. */
async function syncCatalog(world: World, sql: string): Promise<void> {
  const client = new pg.Client({
    host: world.postgres.host,
    port: world.postgres.port,
    database: 'orders',
    user: 'catalog-sync',
    password: await world.agents.clientCredentials('catalog-sync'),
    application_name: 'catalog-sync',
    options: '-c countersign.purpose=keep\\ prices\\ in\\ step',
  })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

async function call<T>(
  world: World,
  token: string,
  path: string,
  { method = 'POST', body }: { method?: string; body?: unknown } = {},
): Promise<T> {
  const answer = await fetch(`${world.api}${path}`, {
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method, body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`the gateway refused ${path} of the sample world: ${await answer.text()}`)
  return (await answer.json()) as T
}
