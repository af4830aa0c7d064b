import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { describe, expect, test } from 'vitest'
import { tooDeep } from './cedar-text.ts'
import { readPolicyTexts } from './load.ts'
import { readOverlay } from './overlay-text.ts'
import { bot } from './testing/policies.ts'

const scope = `principal == Agent::"${bot.id}", action, resource in Connection::"orders"`
const when = (condition: string) => `forbid (${scope}) when { ${condition} };`

/** Each of them, large enough, breaks Cedar for the whole process: its stack overflows. */
const bombs: [what: string, text: (n: number) => string][] = [
  ['brackets', (n) => when(`${'('.repeat(n)}true${')'.repeat(n)}`)],
  ['sets', (n) => when(`${'['.repeat(n)}1${']'.repeat(n)} == [1]`)],
  ['records', (n) => when(`${'{a:'.repeat(n)}1${'}'.repeat(n)} == {a:1}`)],
  ['alternatives', (n) => when(Array(n).fill('true').join(' || '))],
  ['conditions', (n) => when(Array(n).fill('true').join(' && '))],
  ['sums', (n) => when(`${Array(n).fill('1').join(' + ')} == 1`)],
  ['attributes', (n) => when(`context${'.a'.repeat(n)}`)],
  ['attributes in brackets', (n) => when(`context${'["a"]'.repeat(n)}`)],
  ['calls', (n) => when(`[1]${'.contains(1)'.repeat(n)}`)],
  ['ifs', (n) => when(`${'if true then '.repeat(n)}true${' else true'.repeat(n)}`)],
  ['else ifs', (n) => when(`${'if true then true else '.repeat(n)}true`)],
  ['negated brackets', (n) => when(`${'!!('.repeat(n)}true${')'.repeat(n)}`)],
  ['brackets of alternatives', (n) => when(`${'(true || true || '.repeat(n)}true${')'.repeat(n)}`)],
  ['whens', (n) => `forbid (${scope}) ${'when { true } '.repeat(n)};`],
]

describe('what is nested so deep that Cedar would never answer again', () => {
  test.each(bombs)('%s', (_, text) => {
    for (const n of [600, 2000]) {
      expect(readOverlay(text(n), { agent: bot.id, connection: 'orders' })).toEqual({
        ok: false,
        problems: ['it is nested too deep'],
      })
      expect(readPolicyTexts([{ file: 'deep.cedar', text: text(n) }])).toMatchObject({
        ok: false,
        problems: [{ file: 'deep.cedar', message: expect.stringMatching(/nested too deep/) }],
      })
    }
  })

  test.each(bombs)('%s: what is let through is answered, and so is what comes after it', (_, text) => {
    let n = 1
    while (tooDeep(text(n + 1)) === undefined) n++
    expect(n).toBeGreaterThan(20)
    expect(readOverlay(text(n), { agent: bot.id, connection: 'orders' })).toMatchObject({ ok: true })
    readPolicyTexts([{ file: 'deep.cedar', text: text(n) }])
    expect(cedar.policyToJson(when('true'))).toMatchObject({ type: 'success' })
  })
})

test('what stands side by side, and in strings and comments, is not deep', () => {
  const many = Array.from({ length: 2000 }, (_, at) => `Table::"orders/public.t${at}"`)
  expect(tooDeep(when(`resource in [${many.join(', ')}]`))).toBeUndefined()
  expect(tooDeep(when(`context.command.kind == "${'('.repeat(5000)}"`))).toBeUndefined()
  expect(tooDeep(when('true || (1 == 2)').repeat(500))).toBeUndefined()
  expect(tooDeep(when(Array(250).fill('(resource.schema == "a" && resource.name like "b*")').join(' || ')))).toBe(
    undefined,
  )
})
