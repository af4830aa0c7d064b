import { afterAll, beforeAll, expect, test } from 'vitest'
import { bypasses } from './bypass.corpus.ts'
import { short, startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

test.each(bypasses)('$sql', ({ sql, must }) => {
  const analysis = world.analyse(sql)
  if (must === 'unreadable') {
    expect(analysis.parseError).toBeDefined()
    expect(short(analysis)).toEqual(['unknown . unknown'])
    return
  }
  expect(analysis.parseError).toBeUndefined()
  if (must === 'refused') expect(analysis.refused).toMatchObject({ sqlstate: '42501' })
  else expect(short(analysis)).toEqual(expect.arrayContaining(must))
})
