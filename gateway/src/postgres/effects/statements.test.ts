import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { neverParsed, statements } from './statements.ts'

const require = createRequire(import.meta.url)

test('every statement node that the parser can print has a row', () => {
  // The names with which its C code prints nodes as JSON.
  const binary = readFileSync(join(dirname(require.resolve('libpg-query')), 'libpg-query.wasm')).toString('latin1')
  const printed = new Set([...binary.matchAll(/"([A-Z][A-Za-z]*Stmt)":\{/g)].map((match) => match[1]!))
  expect(printed.size).toBeGreaterThan(100)
  expect([...Object.keys(statements), ...neverParsed].sort()).toEqual([...printed].sort())
})
