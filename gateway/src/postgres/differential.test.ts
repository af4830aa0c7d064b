import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { conversation, schema, type Unit } from './testing/conversations.ts'
import { converse, difference } from './testing/differential.ts'
import { RawClient } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'

/** More runs: COUNTERSIGN_FUZZ_RUNS=5000 COUNTERSIGN_FUZZ_SECONDS=600 [COUNTERSIGN_FUZZ_SEED=n] vitest run differential */
const runs = Number(process.env.COUNTERSIGN_FUZZ_RUNS ?? 300)
const seconds = Number(process.env.COUNTERSIGN_FUZZ_SECONDS ?? 40)
const seed = Number(process.env.COUNTERSIGN_FUZZ_SEED ?? 20_261_121)

/** Two servers made alike, so that the same commands make the same OIDs: one is spoken to directly. */
let plain: RunningPostgres
let behind: RunningPostgres
/** Connections of our own, to make both afresh and to look at what is left. */
let admins: { plain: pg.Client; behind: pg.Client }
let world: World
beforeAll(async () => {
  const config = { autovacuum: 'off', max_prepared_transactions: '0' }
  ;[plain, behind] = await Promise.all([
    startPostgres({ auth: 'trust', config }),
    startPostgres({ auth: 'trust', config }),
  ])
  world = await startWorld(behind)
  const admin = async ({ host, port, user, password }: RunningPostgres) => {
    const client = new pg.Client({ host, port, user, password, database: 'postgres' })
    await client.connect()
    return client
  }
  admins = { plain: await admin(plain), behind: await admin(behind) }
  await Promise.all([plain, behind].map(temporarySchemas))
})

/**
 * The first temporary table of each of a server's slots makes two schemas, and so takes two OIDs. Slots are given in turn:
 * whoever comes that often has had them all.
 */
async function temporarySchemas({ host, port, user, password }: RunningPostgres): Promise<void> {
  for (let slot = 0, slots = 1; slot < slots; slot++) {
    const client = new pg.Client({ host, port, user, password, database: 'postgres' })
    await client.connect()
    slots = Number((await client.query('SHOW max_connections')).rows[0].max_connections) * 2
    await client.query('CREATE TEMP TABLE made_before_all_else ()')
    await client.end()
  }
}
afterAll(async () => {
  await underWay // the one that the end of the time has cut off
  await Promise.all([admins.plain.end(), admins.behind.end()])
  await world[Symbol.asyncDispose]()
  await Promise.all([plain.stop(), behind.stop()])
})

it(`random conversations of ${runs} clients sound the same directly and through the gateway`, {
  timeout: (seconds + 120) * 1000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      conversation,
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      async (units, cuts) => {
        const found = await compare(units, () => cuts.next().value!)
        if (found) throw new Error(`${found}\n\nThe client says:\n${script(units)}`)
      },
    ),
    { seed, numRuns: runs, interruptAfterTimeLimit: seconds * 1000, reporter: report },
  )
})

let underWay: Promise<unknown> | undefined

function compare(units: Unit[], cut: () => number): Promise<string | undefined> {
  const compared = compareOnce(units, cut)
  underWay = compared.catch(() => {})
  return compared
}

async function compareOnce(units: Unit[], cut: () => number): Promise<string | undefined> {
  await alike()
  await Promise.all([admins.plain.query(schema), admins.behind.query(schema)])
  const options = '-c search_path=fuzz,public'
  const [direct, relayed] = await Promise.all([
    RawClient.start(plain.port, { database: 'postgres', user: 'postgres', options }),
    RawClient.start(world.port, { options }),
  ])
  try {
    const heard = await converse(direct, relayed, units, cut)
    const complaints = world.complaints.splice(0)
    const found = difference(heard.direct, heard.relayed)
    if (found || complaints.length > 0) return found ?? complaints.join('\n')
    const [a, b] = await Promise.all([left(admins.plain), left(admins.behind)])
    return a === b ? undefined : `left behind, directly: ${a}, through the gateway: ${b}`
  } catch (error) {
    return (error as Error).message
  } finally {
    direct.socket.destroy()
    relayed.socket.destroy()
  }
}

/** Both servers give the same OID next, also after a conversation that failed on one side only. */
async function alike(): Promise<void> {
  const next = async (admin: pg.Client) => Number((await admin.query('SELECT lo_creat(-1) AS oid')).rows[0].oid)
  const [a, b] = await Promise.all([next(admins.plain), next(admins.behind)])
  const behindBy = `SELECT lo_creat(-1) FROM generate_series(1, ${Math.abs(a - b)})`
  if (a !== b) await (a < b ? admins.plain : admins.behind).query(behindBy)
}

/** What a conversation has left in the tables, and how many objects were made. */
async function left(admin: pg.Client): Promise<string> {
  const { rows } = await admin.query(`
    SELECT lo_creat(-1) AS oid, (SELECT md5(string_agg(i::text, ',' ORDER BY i::text)) FROM fuzz.item i) AS item,
      (SELECT md5(string_agg(l::text, ',' ORDER BY l::text)) FROM fuzz.line l) AS line`)
  return JSON.stringify(rows)
}

const script = (units: Unit[]) => units.map(({ says, waits }) => `  ${says}${waits ? '  (waits)' : ''}`).join('\n')

function report(details: fc.RunDetails<[Unit[], fc.Stream<number>]>): void {
  console.log(`${details.numRuns} conversations compared, seed ${details.seed}`)
  if (!details.failed) return
  expect.fail(
    `seed ${details.seed}, path ${details.counterexamplePath}\n${(details.errorInstance as Error | undefined)?.message ?? 'interrupted'}`,
  )
}
