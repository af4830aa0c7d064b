import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { selfSignedPair } from './tls.ts'

let data: string
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'countersign-tls-'))
})
afterEach(() => rmSync(data, { recursive: true, force: true }))

const day = 86_400_000
const later = (days: number) => new Date(Date.now() + days * day)

test('it is made once, and used again', async () => {
  const first = await selfSignedPair(data, ['127.0.0.1'])
  expect(first.made).toBe('first')
  expect(statSync(join(data, 'tls', 'gw.key')).mode & 0o777).toBe(0o600)
  const second = await selfSignedPair(data, ['127.0.0.1'])
  expect(second.made).toBeUndefined()
  expect(second.pair).toEqual(first.pair)
})

test('it names what clients use, and localhost', async () => {
  const { pair } = await selfSignedPair(data, ['10.0.0.9', '[2001:db8::1]', 'GW.example.com', '0.0.0.0', '::'])
  const certificate = new X509Certificate(pair.cert)
  for (const name of ['gw.example.com', 'localhost', hostname().toLowerCase()])
    expect(certificate.checkHost(name)).toBeDefined()
  for (const address of ['10.0.0.9', '2001:db8::1', '127.0.0.1', '::1'])
    expect(certificate.checkIP(address)).toBe(address)
  expect(certificate.checkIP('0.0.0.0')).toBeUndefined()
})

test.each<[string, (first: string) => Promise<Date | undefined>, string | undefined]>([
  ['29 days before its end', async () => later(820 - 29), 'renewed'],
  ['31 days before its end', async () => later(820 - 31), undefined],
  ['after its end', async () => later(900), 'renewed'],
  ['with a damaged certificate', async () => void writeFileSync(join(data, 'tls', 'gw.crt'), 'x'), 'unusable'],
  ['with a damaged key', async () => void writeFileSync(join(data, 'tls', 'gw.key'), 'x'), 'unusable'],
  ['without its key', async () => rmSync(join(data, 'tls', 'gw.key')) as undefined, 'first'],
  [
    "with another's key, as a crash while renewing leaves it",
    async () => {
      await selfSignedPair(join(data, 'other'), [])
      copyFileSync(join(data, 'other', 'tls', 'gw.key'), join(data, 'tls', 'gw.key'))
      return undefined
    },
    'unusable',
  ],
])('%s', async (_name, change, made) => {
  const before = await selfSignedPair(data, [])
  const now = await change(before.pair.cert)
  const after = await selfSignedPair(data, [], now)
  expect(after.made).toBe(made)
  expect(after.pair.cert === before.pair.cert).toBe(made === undefined)
  expect(readFileSync(after.certFile, 'utf8')).toBe(after.pair.cert)
})

test('another name is a new pair', async () => {
  await selfSignedPair(data, ['a.example.com'])
  expect((await selfSignedPair(data, ['b.example.com'])).made).toBe('other-names')
})

test('a client that trusts the certificate verifies it, one that does not refuses', async () => {
  const { pair } = await selfSignedPair(data, [])
  const server = createServer(pair, (socket) => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const socket = connect({ port, host: '127.0.0.1', ca: pair.cert })
  await once(socket, 'secureConnect')
  expect(socket.authorized).toBe(true)
  socket.destroy()
  await expect(once(connect({ port, host: '127.0.0.1' }), 'secureConnect')).rejects.toMatchObject({
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  })
  server.close()
})
