import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashOf, parseRoute, type Route } from '../../app/route.ts'
import { differences } from './difference.ts'
import { fitting, outline, outlineOf } from './outline.ts'

const shop = join(import.meta.dirname, '../../../../demo/policy')
const texts = readdirSync(shop)
  .filter((file) => file.endsWith('.cedar'))
  .sort()
  .map((file) => ({ file, text: readFileSync(join(shop, file), 'utf8') }))

test('the policies of the sample world: ids, effects, hold groups, reasons, lines', () => {
  const policies = outline([...texts, { file: 'overlay:ov_1.cedar', text: 'forbid (principal, action, resource);' }])
  const find = (id: string) => policies.find((policy) => policy.id === id)!
  expect(find('every-row')).toMatchObject({ effect: 'forbid', holds: ['oncall-dba'], quorum: 2, file: 'holds.cedar' })
  expect(find('customers-need-a-person').holds).toEqual(['oncall-dba', 'support-leads'])
  expect(find('agents-read-the-shop').scope).toBe(
    'in Group::"shop-agents" · in [sql:connect, sql:read] · in Connection::"orders"',
  )
  expect(policies.at(-1)).toMatchObject({ id: 'overlay/ov_1#1', overlay: 'ov_1', from: 1, to: 1 })
  for (const { file, from, to, text } of policies.slice(0, -1)) {
    const lines = texts.find((one) => one.file === file)!.text.split('\n')
    expect(lines.slice(from - 1, to).join('\n')).toContain(text)
  }
  expect(fitting(policies, 'payments PERSON').map(({ id }) => id)).toContain('payments-need-a-person')
  expect(fitting(policies, 'nobody-says-this')).toEqual([])
})

test('what has no id is FILE#N; what has no end, or no policy in it, does no harm', () => {
  const text = '// first\npermit (principal, action, resource);\n\n@reason("x;y")\nforbid (principal, action, resource'
  expect(outlineOf({ file: 'a.cedar', text }).map(({ id, from, reason }) => [id, from, reason])).toEqual([
    ['a.cedar#1', 2, undefined],
    ['a.cedar#2', 4, 'x;y'],
  ])
  expect(outlineOf({ file: 'a.cedar', text: '// nothing;' })).toEqual([])
})

test('a difference is whole: what was removed and added, with numbers, and words within a line', () => {
  const before = [
    { file: 'a.cedar', text: 'one\ntwo three four\nfive\n' },
    { file: 'gone.cedar', text: 'x\n' },
  ]
  const after = [
    { file: 'a.cedar', text: 'one\ntwo 3 four\nfive\nsix\n' },
    { file: 'new.cedar', text: 'y' },
  ]
  const [changed, gone, fresh] = differences(before, after)
  expect([changed, gone, fresh].map((one) => [one?.file, one?.what, one?.removed, one?.added])).toEqual([
    ['a.cedar', 'changed', 1, 2],
    ['gone.cedar', 'removed', 1, 0],
    ['new.cedar', 'added', 0, 1],
  ])
  const lines = changed!.parts[0]!.lines
  expect(lines.map(({ kind, before, after }) => [kind, before, after])).toEqual([
    ...[
      ['same', 1, 1],
      ['removed', 2, undefined],
      ['added', undefined, 2],
      ['same', 3, 3],
      ['added', undefined, 4],
    ],
  ])
  expect(lines[2]!.pieces.filter(({ changed }) => changed).map(({ text }) => text)).toEqual(['3'])
  expect(differences(before, before)).toEqual([])
})

test('applied by hand, a difference gives what came after', () => {
  const line = fc.constantFrom('permit (', 'forbid (', '  principal,', ');', '', 'when { a }', 'unless { b }')
  const text = fc.array(line, { maxLength: 30 }).map((lines) => lines.map((one) => `${one}\n`).join(''))
  fc.assert(
    fc.property(text, text, (before, after) => {
      const [found] = differences([{ file: 'a', text: before }], [{ file: 'a', text: after }], 1)
      if (!found) return after === before
      const old = before.split('\n')
      const made: string[] = []
      let at = 0
      for (const { skipped, lines } of found.parts) {
        made.push(...old.slice(at, at + skipped))
        at += skipped
        for (const { kind, pieces } of lines) {
          if (kind !== 'added') at += 1
          if (kind !== 'removed') made.push(pieces.map((piece) => piece.text).join(''))
        }
      }
      made.push(...old.slice(at))
      return made.join('\n') === after
    }),
    { seed: 6, numRuns: 200 },
  )
})

test.each([
  { screen: 'policy' },
  { screen: 'policy', part: 'overlays', id: 'ov_1' },
  { screen: 'policy', part: 'in-force', id: 'orders.cedar#2' },
  { screen: 'policy', part: 'in-force', id: 'overlay/ov_1#1' },
  { screen: 'policy', part: 'drafts' },
] satisfies Route[])('%j is a route', (route) => expect(parseRoute(hashOf(route))).toEqual(route))
