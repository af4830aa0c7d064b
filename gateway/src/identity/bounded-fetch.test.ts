import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { selfSignedPair } from '../config/tls.ts'
import { fetchJson, fetchText, type Lookup } from './bounded-fetch.ts'
import { type Reach, reachFor } from './reach.ts'
import { entry, identityOf, outcome, type Served, serve, signed, signingKey } from './testing/providers.ts'

const bounds = { bytes: 1000, timeout: 2000 }
const publicly: ReadonlySet<Reach> = new Set<Reach>(['public'])
const at =
  (...addresses: string[]): Lookup =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

describe('where an issuer’s documents may lead', () => {
  const refused: [name: string, url: string, lookup: Lookup, words: RegExp][] = [
    ['a private address', 'https://10.0.0.5/jwks', at(), /private address 10\.0\.0\.5.*network: private/],
    ['a metadata service', 'https://169.254.169.254/latest/', at(), /link-local address/],
    ['loopback', 'https://127.0.0.1/jwks', at(), /loopback address/],
    ['loopback in IPv6', 'https://[::1]/jwks', at(), /loopback address/],
    ['loopback as a number', 'https://2130706433/', at(), /loopback address/],
    ['a private address within IPv6', 'https://[::ffff:10.0.0.5]/', at(), /private address/],
    ['a name that is private', 'https://idp.example.com/', at('192.168.0.2'), /idp\.example\.com is at the private/],
    [
      'a name that is private, too',
      'https://idp.example.com/',
      at('93.184.216.34', 'fd00::1'),
      /private address fd00::1/,
    ],
    ['a name that is link-local', 'https://idp.example.com/', at('fe80::1'), /link-local/],
    ['a name that is this machine', 'https://idp.example.com/', at('127.0.0.1'), /loopback/],
    ['localhost', 'https://localhost/', at('127.0.0.1'), /loopback/],
    ['localhost that is elsewhere', 'https://localhost/', at('93.184.216.34'), /is at the/],
    ['nowhere', 'https://idp.example.com/', at(), /no address/],
    ['plain http', 'http://idp.example.com/', at('93.184.216.34'), /is not https/],
    ['a file', 'file:///etc/passwd', at(), /is not https/],
  ]
  test.each(refused)('not to %s', async (_name, url, lookup, words) => {
    await expect(fetchText(new URL(url), bounds, { reach: publicly, lookup })).rejects.toThrow(words)
  })

  test('to a private address where the configuration has the issuer there', async () => {
    const reach = reachFor(['https://idp.corp.example.com'], 'private')
    const url = new URL('https://idp.corp.example.com/')
    const work = fetchText(url, { ...bounds, timeout: 100 }, { reach, lookup: at('10.255.255.1') })
    await expect(work).rejects.toThrow(/did not answer|can't be reached/)
  })

  test('not by what its metadata says', async () => {
    await using server = await serve()
    const key = await signingKey('k')
    for (const jwks_uri of [
      'https://10.0.0.5/jwks',
      'https://169.254.169.254/jwks',
      'http://10.0.0.5/jwks',
      'https://internal.example.com/jwks',
    ]) {
      server.documents.set('/.well-known/openid-configuration', { issuer: server.url, jwks_uri })
      const warned: object[] = []
      const identity = identityOf([entry({ issuer: server.url })], {
        lookup: at('10.0.0.5'),
        log: { info() {}, warn: (details) => warned.push(details) },
      })
      const exp = Math.floor(Date.now() / 1000) + 60
      const token = await signed(key, { iss: server.url, aud: 'countersign', sub: 'x', exp })
      expect(await outcome(identity.authenticate(token))).toBe('issuer-unreachable')
      expect(JSON.stringify(warned)).toMatch(/address|https/)
    }
  })
})

describe('what is answered', () => {
  let server: Served
  const get = (path: string) =>
    fetchJson(new URL(`${server.url}${path}`), bounds, { reach: new Set<Reach>(['loopback']) })
  beforeAll(async () => {
    server = await serve()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  test('is an object of JSON, asked for uncompressed and without anything that tells of us', async () => {
    let headers: object = {}
    server.documents.set('/', (req, res) => {
      headers = req.headers
      res.end('{"a":1}')
    })
    expect(await get('/')).toEqual({ a: 1 })
    expect(headers).toEqual({
      accept: 'application/json',
      'accept-encoding': 'identity',
      connection: 'close',
      host: expect.any(String),
    })
  })

  const answers: [name: string, words: RegExp, answer: Parameters<Served['documents']['set']>[1]][] = [
    ['a list', /no.*JSON object|did not answer a JSON object/, '[1]'],
    ['null', /JSON object/, 'null'],
    ['text', /did not answer JSON/, 'hello'],
    ['more than may be', /more than 1000 bytes/, JSON.stringify({ a: 'x'.repeat(1000) })],
    ['compressed', /compressed/, (_req, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}'))],
    ['a redirect', /redirects/, (_req, res) => res.writeHead(307, { location: '/other' }).end()],
    ['nothing', /204/, (_req, res) => res.writeHead(204).end()],
    [
      'half of it',
      /can't be reached/,
      (_req, res) => {
        res.writeHead(200, { 'content-length': 100 })
        res.write('{', () => res.destroy())
      },
    ],
    ['no text', /UTF-8/, (_req, res) => res.end(Buffer.from([0x7b, 0xff, 0x7d]))],
  ]
  test.each(answers)('%s is refused', async (_name, words, answer) => {
    server.documents.set('/', answer)
    await expect(get('/')).rejects.toThrow(words)
  })

  test('what never ends, ends', async () => {
    server.documents.set('/', (_req, res) => void res.write('{'))
    const work = fetchJson(new URL(server.url), { bytes: 1000, timeout: 100 }, { reach: new Set<Reach>(['loopback']) })
    await expect(work).rejects.toThrow('did not answer within 100 ms')
  })
})

test('an authority of its own is trusted for its issuer alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'issuer-'))
  try {
    const { pair } = await selfSignedPair(folder, ['localhost'])
    const server = createServer(pair, (_req, res) => res.end('{"ok":true}')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const reach = new Set<Reach>(['loopback'])
    const url = new URL(`https://localhost:${port}/`)
    expect(await fetchJson(url, bounds, { reach, ca: pair.cert, lookup: at('127.0.0.1') })).toEqual({ ok: true })
    await expect(fetchJson(url, bounds, { reach, lookup: at('127.0.0.1') })).rejects.toThrow(/SELF_SIGNED|self.signed/)
    const named = new URL(`https://other.localhost:${port}/`)
    await expect(fetchJson(named, bounds, { reach, ca: pair.cert, lookup: at('127.0.0.1') })).rejects.toThrow(/ALTNAME/)
    server.close().closeAllConnections()
  } finally {
    await rm(folder, { recursive: true })
  }
})
