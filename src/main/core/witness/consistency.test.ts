import { readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { hashReader, tilePath } from '@countersign/contract/ledger/tiles'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ancestry, leadsTo, mostTiles, TooManyTiles, tilesBy } from './consistency.ts'
import { TestLog } from './testing/log-server.ts'

const { sha256 } = nodeCrypto
const most = 700
const whole = new TestLog(most)
const heads = Array.from({ length: most + 1 }, (_, size) =>
  size % 7 === 0 || size > 640 ? new TestLog(size).note : '',
)
const size = fc.constantFrom(...heads.flatMap((note, n) => (note ? [n] : [])))
const head = (n: number) => readCheckpoint(heads[n]!)
const reader = (log: TestLog, tiles = log.tiles) =>
  hashReader(
    sha256,
    log.size,
    tilesBy(async (path) => tiles.get(path) ?? null),
  )
const seeded = { seed: 421, numRuns: 60 }

test('a log that only grew is an ancestor, whatever the sizes', async () => {
  await fc.assert(
    fc.asyncProperty(size, async (from) => {
      expect(await ancestry(sha256, head(from), readCheckpoint(whole.note), reader(whole))).toEqual({ is: 'ancestor' })
    }),
    seeded,
  )
})

test('a log that goes on otherwise from anywhere before is forked, for certain', async () => {
  await fc.assert(
    fc.asyncProperty(size, fc.nat(most), fc.integer({ min: 1, max: 300 }), async (from, at, more) => {
      fc.pre(from > 0 && at < from && at + more >= from)
      const other = whole.fork(at, more)
      const found = await ancestry(sha256, head(from), readCheckpoint(other.note), reader(other))
      expect(found.is).toBe('forked')
    }),
    { ...seeded, numRuns: 25 },
  )
})

test('a changed tile is never taken for a fork: it says nothing of the log', async () => {
  const paths = [...whole.tiles.keys()].filter((path) => !path.includes('entries'))
  await fc.assert(
    fc.asyncProperty(
      size,
      fc.constantFrom(...paths),
      fc.nat(8191),
      fc.integer({ min: 1, max: 255 }),
      async (from, path, at, by) => {
        const bytes = Uint8Array.from(whole.tiles.get(path)!)
        bytes[at % bytes.length]! ^= by
        const tiles = new Map(whole.tiles).set(path, bytes)
        const found = await ancestry(sha256, head(from), readCheckpoint(whole.note), reader(whole, tiles))
        expect(['ancestor', 'wrong-tiles']).toContain(found.is)
        // What the checkpoint's own right edge is read from must be seen to be wrong.
        const edge = await leadsTo(sha256, readCheckpoint(whole.note), reader(whole, tiles))
        if (path === tilePath({ kind: 'hashes', level: 1, index: 0, width: 2 })) expect(edge).toBe(false)
      },
    ),
    seeded,
  )
})

test('no more tiles are asked for than a look may', async () => {
  const read = tilesBy(async () => new Uint8Array(8192))
  for (let index = 0; index < mostTiles; index++) await read({ kind: 'hashes', level: 0, index, width: 256 })
  await expect(read({ kind: 'hashes', level: 0, index: mostTiles, width: 256 })).rejects.toBeInstanceOf(TooManyTiles)
})
