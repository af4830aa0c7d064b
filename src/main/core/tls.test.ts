import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { selfSignedPair } from '../../../gateway/src/config/tls.ts'
import { openFeed } from './feed.ts'
import { gatewayApi } from './gateway-api.ts'
import { temporaryFolder } from './testing/console.ts'

const folder = temporaryFolder()
const server = createServer()
let base: URL
let ca: string
let other: string

beforeAll(async () => {
  const { pair } = await selfSignedPair(folder.path, ['127.0.0.1'])
  ca = String(pair.cert)
  other = String((await selfSignedPair(`${folder.path}/other`, ['127.0.0.1'])).pair.cert)
  server.setSecureContext({ cert: pair.cert, key: pair.key })
  server.on('request', (_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ issuer: 'https://idp.example', client_id: 'c', scopes: [] }))
  })
  new WebSocketServer({ server })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  base = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  folder[Symbol.dispose]()
})

const feedWith = (trusted: string | undefined) =>
  openFeed({ base, ca: trusted, token: 't', after: 0, signal: new AbortController().signal, onMessage() {} })

test('a self-signed gateway is trusted by its certificate alone', async () => {
  using api = gatewayApi(base, ca)
  expect((await api.signIn()).client_id).toBe('c')
  const feed = await feedWith(ca)
  feed.close()
  await feed.closed
})

test.each([
  ['without its certificate', () => undefined],
  ['with another one’s', () => other],
])('%s nothing is sent, and the way to trust it is said', async (_what, trusted) => {
  using api = gatewayApi(base, trusted())
  await expect(api.signIn()).rejects.toMatchObject({
    name: 'Unreachable',
    message: expect.stringContaining('--ca FILE'),
  })
  await expect(feedWith(trusted())).rejects.toMatchObject({ message: expect.stringContaining('not trusted') })
})
