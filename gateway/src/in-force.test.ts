import { expect, test } from 'vitest'
import type { LoadedConfig } from './config/config.ts'
import { changedConnections } from './in-force.ts'

const web = {
  ...{
    kind: 'ssh',
    name: 'web',
    tags: [],
    mode: 'enforce',
    access: 'standing',
    host: 'h',
    port: 22,
    user: 'u',
    env: [],
  },
  ...{ hostKeys: ['SHA256:x'], privateKey: 'one', password: 'one', masking: { detect: [] } },
}
const orders = { kind: 'postgres', name: 'orders', host: 'h', password: 'one', data_classes: {} }
const of = (...connections: object[]) =>
  ({ connections: new Map(connections.map((one) => [(one as { name: string }).name, one])) }) as unknown as LoadedConfig

test.each<[string, object[], string[]]>([
  ['nothing', [web, orders], []],
  [
    'secrets',
    [
      { ...web, privateKey: 'two', password: 'two' },
      { ...orders, password: 'two' },
    ],
    [],
  ],
  ['a secret that is gone', [{ ...web, password: undefined }, orders], []],
  ['the pinned host key', [{ ...web, hostKeys: ['SHA256:y'] }, orders], ['web']],
  [
    'what may pass, and a host',
    [
      { ...web, env: ['FOO'] },
      { ...orders, host: 'i' },
    ],
    ['web', 'orders'],
  ],
  ['the kind', [{ ...web, kind: 'postgres' }, orders], ['web']],
  ['that it is there', [orders], ['web']],
])('open sessions don’t go on where %s has changed, but for secrets', (_, after, changed) => {
  expect(changedConnections(of(web, orders), of(...after))).toEqual(changed)
})
