import { copyFileSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { parseVerifierKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { aud, filesIn, flip, GatewayWorld, verify } from './testing/world.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let world: GatewayWorld
let data: string
let bundle: Uint8Array
let vkey: string
beforeAll(async () => {
  world = await GatewayWorld.start()
  await world.serve()
  await world.work()
  const [session] = await world.sessions()
  const answer = await world.call(`/v1/sessions/${session}/bundle`, aud)
  bundle = new Uint8Array(await answer.arrayBuffer())
  await world.stop()
  data = world.copy()
  vkey = readFileSync(join(data, 'ledger', 'vkey'), 'utf8').trim()
})
afterAll(async () => {
  if (data) rmSync(data, { recursive: true, force: true })
  await world?.[Symbol.asyncDispose]()
})

/** What a database or a sealed recording says, whatever its bytes are. */
function contentOf(file: string): string {
  if (file.endsWith('.zst')) return zstdDecompressSync(readFileSync(file)).toString('latin1')
  const database = new Database(file, { readonly: true })
  try {
    const tables = database
      .prepare("select name from sqlite_master where type = 'table' order by name")
      .pluck()
      .all() as string[]
    const rows = tables.map((name) => [name, database.prepare(`select * from "${name}"`).raw().all() as unknown[][]])
    // When the log was opened last, and who the witnesses are, is the gateway's own note: nothing depends on it.
    return JSON.stringify(rows).replace(/\["(opened|witnesses)",[^\]]*\],?/g, '')
  } finally {
    database.close()
  }
}

/*
 * Bytes that say nothing: of a database those that change no row (free space in its pages, counters and version numbers
 * in its header, the spelling of its schema), and what the gateway notes there for itself; of a sealed recording those by
 * which the same bytes come out of it (how large a window it asks for). The lock's, and SQLite's own -shm, are left out.
 */
it('no flipped bit in log, recordings or store is taken for whole, but for bytes that say nothing', async () => {
  const files = [
    ...filesIn(join(data, 'ledger')).map((name) => `ledger/${name}`),
    ...filesIn(join(data, 'recordings')).map((name) => `recordings/${name}`),
  ].filter((name) => !/\/lock$|-shm$/.test(name) && statSync(join(data, name)).size > 0)
  const sizes = files.map((name) => statSync(join(data, name)).size)
  const before = new Map(
    files.filter((name) => /\.(sqlite|zst)$/.test(name)).map((name) => [name, contentOf(join(data, name))]),
  )
  let meaningless = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(files.length - 1), fc.nat(), async (index, at) => {
      const name = files[index]!
      const file = join(data, name)
      const bit = at % (sizes[index]! * 8)
      flip(file, bit)
      try {
        const { outcome, findings } = await verify(data)
        if (outcome !== 'whole') {
          expect(findings.length).toBeGreaterThan(0)
          expect(findings[0]!.text).toMatch(/\w/)
          return
        }
        expect([name, bit >> 3, before.get(name) === contentOf(file)]).toEqual([name, bit >> 3, true])
        meaningless++
      } finally {
        copyFileSync(join(world.data, name), file)
        for (const rest of ['-wal', '-shm']) rmSync(`${file}${rest}`, { force: true })
      }
    }),
    { seed: 20261121, numRuns: 150, interruptAfterTimeLimit: 100_000 },
  )
  expect(meaningless).toBeGreaterThan(0)
})

it('no flipped bit in a bundle is taken for whole', async () => {
  const keys = [parseVerifierKey(nodeCrypto.sha256, vkey)]
  expect((await verifyBundle(nodeCrypto, bundle, { keys })).outcome).toBe('whole')
  await fc.assert(
    fc.asyncProperty(fc.nat(bundle.length * 8 - 1), async (bit) => {
      const changed = new Uint8Array(bundle)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      const { outcome, findings } = await verifyBundle(nodeCrypto, changed, { keys })
      expect(outcome).not.toBe('whole')
      expect(findings.length).toBeGreaterThan(0)
    }),
    { seed: 20261121, numRuns: 400 },
  )
})
