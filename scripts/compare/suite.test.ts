import { expect, it } from 'vitest'
import { fetchRegress } from './regress.ts'
import { compareSuite } from './suite.ts'

/** What says most of the wire in the least time; `npm run suites` runs all. */
const chosen = ['test_setup', 'boolean', 'copyselect', 'portals_p2', 'prepare', 'prepared_xacts', 'limit', 'async']

it('PostgreSQL’s own regression suite, a part of it: psql prints the same through the gateway', {
  timeout: 240_000,
}, async () => {
  const suite = fetchRegress()
  const files = chosen.filter((file) => suite.files.includes(file))
  const { compared, complaints } = await compareSuite(suite, files, () => {})
  expect(compared.map(({ diff }) => diff).join('')).toBe('')
  expect(complaints).toEqual([])
  expect(compared.map(({ file }) => file)).toEqual(chosen)
  for (const { lines } of compared) expect(lines).toBeGreaterThan(10)
})
