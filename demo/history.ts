import pg from 'pg'
import type { World } from './world.ts'

/**
 * Gives the sample world a morning: two held commands that Ben has already decided, so that the console shows from the
 * start what a decided one looks like. Real commands, held by the real gateway, decided over its API.
 */
export async function makeHistory(world: World): Promise<void> {
  await decided(world, 'support-copilot', 'ticket 8790', `UPDATE customers SET tier = 'silver' WHERE id = 5`, {
    verdict: 'approve',
    reason: 'checked with the customer',
  })
  await decided(world, 'schema-bot', 'clean up after the import', 'DROP TABLE tmp_import_0931', {
    verdict: 'deny',
    reason: 'empty it first, we still compare',
  })
}

async function decided(
  world: World,
  agent: string,
  purpose: string,
  sql: string,
  decision: { verdict: 'approve' | 'deny'; reason: string },
): Promise<void> {
  const client = new pg.Client({
    host: world.postgres.host,
    port: world.postgres.port,
    database: 'orders',
    user: agent,
    password: await world.agents.clientCredentials(agent),
    application_name: agent,
    options: `-c countersign.purpose=${purpose.replaceAll(' ', '\\ ')}`,
  })
  await client.connect()
  try {
    const held = new Promise<string>((resolve) => {
      client.on('notice', (notice) => {
        const id = /^held for approval (\S+)/.exec(notice.message ?? '')?.[1]
        if (id) resolve(id)
      })
    })
    const answer = client.query(sql).then(
      () => 'ran',
      (error: Error) => error.message,
    )
    const id = await Promise.race([
      held,
      answer.then((outcome) => Promise.reject(new Error(`not held as the sample world expects: ${outcome}`))),
    ])
    const token = await world.people.personToken({ subject: 'ben' })
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const approval = (await (await fetch(`${world.api}/v1/approvals/${id}`, { headers })).json()) as {
      command: { digest: string }
    }
    const sent = await fetch(`${world.api}/v1/approvals/${id}/decisions`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ ...decision, digest: approval.command.digest }),
    })
    if (!sent.ok) throw new Error(`the gateway refused a decision of the sample world: ${await sent.text()}`)
    await answer
  } finally {
    await client.end()
  }
}
