import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Approval } from '@countersign/contract/approval'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type ada, bea, GatewayWorld, max } from './verify/testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

const told: { headers: IncomingHttpHeaders; body: string }[] = []
let wake = () => {}
const receiver = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    told.push({ headers: request.headers, body: Buffer.concat(chunks).toString() })
    response.writeHead(204).end()
    wake()
  })
})
const events = () =>
  told.map(({ body }) => JSON.parse(body) as { type: string; subject: string; data: { message: string } })
async function until(type: string): Promise<void> {
  while (!events().some((event) => event.type === `countersign.${type}`))
    await new Promise<void>((resolve) => {
      wake = resolve
    })
}

let world: GatewayWorld
let secret: string
beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  world = await GatewayWorld.start()
  const config = JSON.parse(readFileSync(world.config, 'utf8'))
  config.approvals.webhooks = [`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`]
  config.approvals.escalate = [{ after: '1s', groups: ['leads'] }]
  writeFileSync(world.config, JSON.stringify(config))
  // Before the gateway has ever run: whoever sets up the receiver needs it.
  const bin = join(import.meta.dirname, '../bin/countersign-gateway.js')
  secret = execFileSync(process.execPath, [bin, 'webhook-secret', '--config', world.config], {
    encoding: 'utf8',
  }).trim()
  await world.serve()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  receiver.closeAllConnections()
  await new Promise((resolve) => receiver.close(resolve))
})

test('what nobody answers is told to a webhook, and decided by those who are asked then', async () => {
  const client = await world.client()
  const held = client.query('delete from orders where id = 4711')
  await until('approval.escalated')
  // Who owns the agent may not, whoever is asked.
  const agents = (await (await world.call('/v1/agents?text=deployer', max)).json()) as { items: { id: string }[] }
  const path = `/v1/agents/${encodeURIComponent(agents.items[0]!.id)}`
  const sponsored = (sponsor: string) => world.call(path, max, { method: 'PATCH', body: JSON.stringify({ sponsor }) })
  const seen = async (as: typeof ada) =>
    ((await (await world.call('/v1/approvals?state=pending', as)).json()) as { items: Approval[] }).items[0]!
  expect(await seen(bea)).toMatchObject({ mayDecide: true, requirements: [{ escalatedTo: ['leads'] }] })
  expect((await sponsored('bea')).status).toBe(200)
  expect(await seen(bea)).toMatchObject({
    mayDecide: false,
    mayNotDecideBecause: expect.stringMatching(/nobody decides their own request.*sponsor/),
  })
  await expect(world.decide('approve', 'once', bea)).rejects.toThrow(/nobody decides their own/i)
  expect((await sponsored('ada@example.com')).status).toBe(200)
  const id = await world.decide('approve', 'once', bea)
  await held
  await client.end()
  await until('approval.closed')
  expect(events().map(({ type, subject }) => [type.slice(12), subject])).toEqual(
    ['opened', 'escalated', 'decided', 'closed'].map((what) => [`approval.${what}`, id]),
  )
  for (const { headers, body } of told) {
    expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({ specversion: '1.0' })
    expect(body).not.toContain('4711')
  }
})
