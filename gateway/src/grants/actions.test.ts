import { expect, test } from 'vitest'
import { includes } from '../gate/covering.ts'
import { schema } from '../policy/schema.ts'
import { isAction, isActionOf, kindOf, protocolsOf, spelledOut } from './actions.ts'

/** Every action and group that the schema declares. */
const all = [...schema.matchAll(/^action (.+?)( in | appliesTo|;)/gm)].flatMap(([, names]) =>
  [...names!.matchAll(/"([^"]+)"/g)].map(([, name]) => name!),
)

test('every action of the schema can be asked for but access:request', () => {
  expect(all.length).toBeGreaterThan(35)
  expect(all.filter((name) => !isAction(name))).toEqual(['access:request'])
  for (const name of ['', 'sq', 'sql:', 'sql:*', 'constructor', '__proto__']) expect(isAction(name)).toBe(false)
})

test('what policy is told of a group is what a grant of it covers, no more and no less', () => {
  const single = all.filter((name) => name.includes(':') && !['k8s:read', 'k8s:write'].includes(name))
  for (const name of all.filter(isAction)) {
    const told = spelledOut([name]).filter((action) => single.includes(action))
    expect(told).toEqual(single.filter((action) => includes(name, action)).sort())
  }
})

test.each([
  ['postgres', ['sql', 'sql:read', 'data:reveal'], ['ssh:exec', 'k8s:get', 'http:read', 'mcp']],
  ['ssh', ['ssh', 'ssh:exec', 'sftp:read', 'data:reveal'], ['sql', 'http']],
  ['kubernetes', ['k8s', 'k8s:read', 'k8s:exec'], ['http:read', 'sql']],
  ['http', ['http', 'http:write'], ['mcp:call', 'k8s']],
  ['mcp', ['mcp', 'mcp:call'], ['http', 'sql']],
])('on %s are %j, and not %j', (kind, its, others) => {
  for (const name of its) expect(isActionOf(kind, name)).toBe(true)
  for (const name of others) expect(isActionOf(kind, name)).toBe(false)
  expect(kindOf(its)).toBe(kind)
  expect(protocolsOf(its)).toHaveLength(1)
})

test('a protocol that nobody knows has no actions', () => {
  expect(isActionOf('telnet', 'sql:read')).toBe(false)
  expect(protocolsOf(['data:reveal'])).toEqual([])
})
