import { isIP } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Reach, reachFor, reachOf } from './reach.ts'

const addresses: [address: string, reach: Reach][] = [
  ['127.0.0.1', 'loopback'],
  ['127.255.0.9', 'loopback'],
  ['::1', 'loopback'],
  ['[::1]', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['10.0.0.5', 'private'],
  ['172.16.0.1', 'private'],
  ['172.31.255.255', 'private'],
  ['172.32.0.1', 'public'],
  ['192.168.1.1', 'private'],
  ['100.64.0.1', 'private'],
  ['100.128.0.1', 'public'],
  ['::ffff:10.0.0.5', 'private'],
  ['::10.0.0.5', 'private'],
  ['64:ff9b::10.0.0.5', 'private'],
  ['64:ff9b::a9fe:a9fe', 'link-local'],
  ['2002:a00:5::', 'private'],
  ['2002:808:808::1', 'public'],
  ['fc00::1', 'private'],
  ['fd12:3456::1', 'private'],
  ['169.254.169.254', 'link-local'],
  ['fe80::1', 'link-local'],
  ['fe80::1%eth0', 'link-local'],
  ['::ffff:169.254.169.254', 'link-local'],
  ['0.0.0.0', 'reserved'],
  ['::', 'reserved'],
  ['224.0.0.1', 'reserved'],
  ['255.255.255.255', 'reserved'],
  ['192.0.2.1', 'reserved'],
  ['198.18.0.1', 'reserved'],
  ['ff02::1', 'reserved'],
  ['2001:db8::1', 'reserved'],
  ['2001::1', 'reserved'],
  ['100::1', 'reserved'],
  ['64:ff9b:1::1', 'reserved'],
  ['8.8.8.8', 'public'],
  ['2606:4700::1111', 'public'],
  ['2a00:1450:4001::', 'public'],
  ['idp.example.com', 'reserved'],
  ['0x7f000001', 'reserved'],
  ['', 'reserved'],
]
test.each(addresses)('%s is %s', (address, reach) => {
  expect(reachOf(address)).toBe(reach)
})

test('an IPv4 address is the same within an IPv6 one, however that is written', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const [a, b, c, d] = address.split('.').map(Number) as [number, number, number, number]
      const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
      return [`::ffff:${address}`, `::ffff:${hex}`, `0:0:0:0:0:ffff:${hex}`, `64:ff9b::${hex}`, `2002:${hex}::`].every(
        (form) => reachOf(form) === reachOf(address),
      )
    }),
    { seed: 4, numRuns: 300 },
  )
})

test('every address leads somewhere', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => isIP(address) === 6 && typeof reachOf(address) === 'string'),
    { seed: 6, numRuns: 500 },
  )
})

test.each<[name: string, configured: string[], network: 'public' | 'private' | undefined, reach: Reach[]]>([
  ['a name', ['https://idp.example.com'], undefined, ['public']],
  ['a name, in a private network', ['https://idp.corp.example.com'], 'private', ['public', 'private']],
  ['a private address', ['https://10.0.0.5/'], undefined, ['public', 'private']],
  ['a loopback address', ['http://127.0.0.1:8080'], undefined, ['public', 'loopback']],
  ['localhost', ['http://localhost:8080'], undefined, ['public', 'loopback']],
  ['IPv6 loopback', ['http://[::1]:8080'], undefined, ['public', 'loopback']],
  ['a number that is an address', ['https://2130706433/'], undefined, ['public', 'loopback']],
  ['a link-local address', ['https://169.254.1.1/'], undefined, ['public', 'link-local']],
  ['one of several', ['https://idp.example.com', 'https://192.168.0.2/jwks'], undefined, ['public', 'private']],
  ['no URL', ['urn:example:idp'], undefined, ['public']],
])('%s may lead there', (_name, configured, network, reach) => {
  expect([...reachFor(configured, network)]).toEqual(reach)
})
