import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type GatewayApi, gatewayApi, Refused, Unreachable } from './gateway-api.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A gateway that answers so many calls with 429 before it answers one. */
async function busy(times: number, retryAfter: string): Promise<{ api: GatewayApi; calls: string[] }> {
  const calls: string[] = []
  const server = http.createServer(({ method, url }, response) => {
    calls.push(`${method} ${url}`)
    const refused = calls.length <= times
    if (refused) response.setHeader('retry-after', retryAfter)
    const problem = { type: 'about:blank', title: 'Too Many Requests', status: 429, detail: 'Wait a little.' }
    response.writeHead(refused ? 429 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(refused ? problem : { items: [], next: null }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const api = gatewayApi(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), undefined)
  ends.push(() => new Promise((resolve) => server.close(resolve)))
  ends.push(() => api[Symbol.dispose]())
  return { api, calls }
}

describe('a call that comes too soon', () => {
  it('is made again when the gateway says so', async () => {
    const { api, calls } = await busy(2, '0')
    expect(await api.commands('token', {})).toEqual({ items: [], next: null })
    expect(calls).toEqual(Array(3).fill('GET /v1/commands'))
  })

  it('is given up after a few times, in the words of the gateway', async () => {
    const { api, calls } = await busy(100, '0')
    await expect(api.commands('token', {})).rejects.toThrow('Wait a little.')
    expect(calls).toHaveLength(6)
  })

  it.each(['3600', 'soon'])('is not waited for where the gateway says %s', async (retryAfter) => {
    const { api, calls } = await busy(1, retryAfter)
    await expect(api.commands('token', {})).rejects.toBeInstanceOf(Refused)
    expect(calls).toHaveLength(1)
  })

  it('is not made again where it changes something: whoever asks for it decides', async () => {
    const { api, calls } = await busy(1, '0')
    await expect(api.terminate('token', 'se_a', 'enough')).rejects.toMatchObject({ status: 429, retryAfter: 0 })
    expect(calls).toEqual(['POST /v1/sessions/se_a/terminate'])
  })

  it('ends with whoever waits for it', async () => {
    const { api, calls } = await busy(1, '10')
    const gone = new AbortController()
    const answer = api.bundle('token', 'se_a', gone.signal)
    while (calls.length === 0) await new Promise((resolve) => setImmediate(resolve))
    gone.abort()
    await expect(answer).rejects.toBeInstanceOf(Unreachable)
    expect(calls).toHaveLength(1)
  })
})
