import type { Effect } from '@countersign/contract/approval'
import { expect, test } from 'vitest'
import { effectsOfShape, shapeKey, shapeWords } from './shape.ts'

const effect = (id: string, functions: string[] = []): Effect =>
  ({ action: 'mcp:read', kind: 'read', bounded: true, resource: { type: 'Path', id }, functions }) as Effect

test('of names that an agent has made as long as it could little is kept', () => {
  const long = [effect(`tools/${'😀'.repeat(1_000_000)}`, Array(100).fill('f'.repeat(100_000))), effect('tools/short')]
  const kept = JSON.stringify([effectsOfShape(long), shapeKey(long), shapeWords(long, 'tools')])
  expect(kept.length).toBeLessThan(20_000)
  expect(kept.isWellFormed()).toBe(true)
  expect(effectsOfShape([effect('tools/short', ['f'])])).toEqual([
    {
      action: 'mcp:read',
      kind: 'read',
      bounded: true,
      resource: { type: 'Path', id: 'tools/short' },
      functions: ['f'],
    },
  ])
})

test('long names that differ at their end are shapes of their own', () => {
  const [a, b] = ['a', 'b'].map((end) => shapeKey([effect(`tools/${'x'.repeat(5000)}${end}`)]))
  expect(a).not.toBe(b)
})
