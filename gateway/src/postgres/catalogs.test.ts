import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { Catalogs, KEPT_IDLE } from './catalogs.ts'
import type { PostgresTarget } from './target.ts'
import { startPostgres } from './testing/world.ts'

let postgres: RunningPostgres
beforeAll(async () => {
  postgres = await startPostgres({ auth: 'trust' })
})
afterAll(() => postgres.stop())

const to = (database: string): PostgresTarget => ({
  ref: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' },
  host: postgres.host,
  port: postgres.port,
  database,
  user: postgres.user,
})

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
/** What a WeakRef was asked for lives until the end of the turn. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('of databases that no session uses so many are kept; of one that a session uses there is never a second', async () => {
  const catalogs = new Catalogs(pino({ level: 'silent' }), new AbortController().signal)
  const session = to('postgres')
  const snapshot = await catalogs.refresh(session)
  for (let n = 0; n < 4 * KEPT_IDLE; n++) {
    catalogs.current(to(`gone_${n}`))
    expect(catalogs.sizes.kept).toBeLessThanOrEqual(KEPT_IDLE)
  }
  await turn()
  collect()
  await turn()
  // Whoever comes for it later finds the same, and hears of the other's DDL.
  const later = to('postgres')
  expect(catalogs.current(later)).toBe(snapshot)
  catalogs.outdate(session)
  expect(catalogs.current(later)?.age).toBe(Number.POSITIVE_INFINITY)
  catalogs.current(to('one more'))
  expect(catalogs.sizes.kept).toBe(KEPT_IDLE)
  expect(catalogs.sizes.known).toBeLessThanOrEqual(2 * KEPT_IDLE)
  expect(catalogs.current(session)).toBe(snapshot)
})
