import fc from 'fast-check'
import { expect, it } from 'vitest'
import { targetOf } from './target.ts'

const listeners = {
  postgres: { host: 'gw.example.com', port: 7432 },
  ssh: { host: 'gw.example.com', port: 22 },
  http: { host: 'gw.example.com', port: 7443 },
}
const local = { postgres: { host: '127.0.0.1', port: 7432 } }
/** Others come by another name, or by this machine's. */
const behind = (bound: string) => ({ postgres: { host: 'gw.example.com', port: 7432, bound } })

it.each<[given: Parameters<typeof targetOf>[0], name: string, from?: Parameters<typeof targetOf>[1]]>([
  [{ audience: 'orders' }, 'orders'],
  [{ audience: 'orders' }, 'orders', {}],
  [{ resource: 'postgres://gw.example.com:7432/orders' }, 'orders'],
  [{ resource: 'postgresql://any@GW.example.com:7432/orders?sslmode=require' }, 'orders'],
  [{ audience: 'orders', resource: 'postgres://gw.example.com:7432/orders' }, 'orders'],
  [{ resource: 'ssh://web-1@gw.example.com' }, 'web-1'],
  [{ resource: 'ssh://web-1@gw.example.com:22/' }, 'web-1'],
  [{ resource: 'https://gw.example.com:7443/tools' }, 'tools'],
  [{ resource: 'https://gw.example.com:7443/prod-k8s/api/v1/pods' }, 'prod-k8s'],
  [{ resource: 'postgres://localhost:7432/orders' }, 'orders', local],
  [{ resource: 'postgres://[::1]:7432/orders' }, 'orders', local],
  [{ resource: 'postgres://gw.example.com:7432/orders' }, 'orders', behind('127.0.0.1')],
  [{ resource: 'postgres://localhost:7432/orders' }, 'orders', behind('127.0.0.1')],
  [{ resource: 'postgres://127.0.0.1:7432/orders' }, 'orders', behind('0.0.0.0')],
  [{ resource: 'postgres://10.0.0.3:7432/orders' }, 'orders', behind('10.0.0.3')],
])('%o is %s', (given, name, from = listeners) => {
  expect(targetOf(given, from)?.name).toBe(name)
})

it.each<[what: string, given: Parameters<typeof targetOf>[0], from?: Parameters<typeof targetOf>[1]]>([
  ['another host', { resource: 'postgres://evil.example.com:7432/orders' }],
  ['our name in theirs', { resource: 'postgres://gw.example.com.evil.example:7432/orders' }],
  ['our host as their user', { resource: 'postgres://gw.example.com:7432@evil.example/orders' }],
  ['another port', { resource: 'postgres://gw.example.com:5432/orders' }],
  ['another port by default', { resource: 'postgres://gw.example.com/orders' }],
  ['another protocol', { resource: 'http://gw.example.com:7443/orders' }],
  ['a protocol that nobody listens for', { resource: 'ssh://web-1@127.0.0.1:22' }, local],
  ['loopback, from elsewhere', { resource: 'postgres://127.0.0.1:7432/orders' }],
  [
    'loopback, where another address is listened on',
    { resource: 'postgres://127.0.0.1:7432/orders' },
    behind('10.0.0.3'),
  ],
  ['an address of the unspecified', { resource: 'postgres://0.0.0.0:7432/orders' }, behind('0.0.0.0')],
  ['another name than the audience', { audience: 'vault', resource: 'postgres://gw.example.com:7432/orders' }],
  ['no name', { resource: 'postgres://gw.example.com:7432' }],
  ['no name for ssh', { resource: 'ssh://gw.example.com' }],
  ['a name that can be none', { resource: 'postgres://gw.example.com:7432/Orders' }],
  ['a name behind an escape', { resource: 'postgres://gw.example.com:7432/%6frders' }],
  ['a fragment', { resource: 'postgres://gw.example.com:7432/orders#x' }],
  ['no URL', { resource: 'orders' }],
  ['one too long', { resource: `https://gw.example.com:7443/tools/${'x'.repeat(2000)}` }],
  ['an audience that can be none', { audience: '../orders' }],
  ['everything', { audience: '*' }],
  ['nothing', {}],
])('%s is no target', (_what, given, from = listeners) => {
  expect(targetOf(given, from)).toBeUndefined()
})

it('is ours, whatever is written, or none', () => {
  const part = fc.oneof(
    fc.constantFrom(
      'gw.example.com',
      'evil.example',
      ':7432',
      ':7443',
      '@',
      '/',
      '//',
      '\\',
      '%2f',
      'orders',
      '.',
      '[::1]',
    ),
    fc.string({ maxLength: 4 }),
  )
  const resources = fc.tuple(fc.constantFrom('postgres://', 'ssh://', 'https://', ''), fc.array(part, { maxLength: 8 }))
  fc.assert(
    fc.property(resources, ([scheme, parts]) => {
      const resource = scheme + parts.join('')
      const target = targetOf({ resource }, listeners)
      if (target)
        expect([URL.parse(resource)?.hostname, target.name]).toEqual([
          'gw.example.com',
          expect.stringMatching(/^[a-z0-9][a-z0-9-]*$/),
        ])
    }),
    { seed: 8707, numRuns: 300 },
  )
})

it('says of which kinds a URL can be', () => {
  expect(targetOf({ resource: 'ssh://orders@gw.example.com' }, listeners)).toEqual({ name: 'orders', kinds: ['ssh'] })
})
