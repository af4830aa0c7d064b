import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, hex, utf8 } from './encoding.ts'
import { GrowingLog, restoreLog } from './growth.ts'
import {
  CompactTree,
  consistencyProof,
  inclusionProof,
  leafHash,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts'
import { crypto } from './testing/world.ts'
import {
  changedTiles,
  decodeEntries,
  encodeEntries,
  hashReader,
  parseTilePath,
  type Tile,
  type TileReader,
  tileOfHash,
  tilePath,
  tilesOf,
} from './tiles.ts'

const { sha256 } = crypto
const entry = (i: number) => utf8(`entry ${i}`)
const paths = (tiles: Iterable<Tile>) => [...tiles].map(tilePath)

describe('tile paths', () => {
  it.each<[string, Tile]>([
    ['tile/0/000', { kind: 'hashes', level: 0, index: 0, width: 256 }],
    ['tile/0/x001/x234/067', { kind: 'hashes', level: 0, index: 1_234_067, width: 256 }],
    ['tile/5/x123/x456/078.p/2', { kind: 'hashes', level: 5, index: 123_456_078, width: 2 }],
    ['tile/63/001.p/255', { kind: 'hashes', level: 63, index: 1, width: 255 }],
    ['tile/entries/x003/x057/500', { kind: 'entries', index: 3_057_500, width: 256 }],
    ['tile/entries/999.p/1', { kind: 'entries', index: 999, width: 1 }],
  ])('%s', (path, tile) => {
    expect(tilePath(tile)).toBe(path)
    expect(parseTilePath(path)).toEqual(tile)
  })

  it.each([
    'tile/64/000',
    'tile/00/000',
    'tile/01/000',
    'tile/-1/000',
    'tile/0/0',
    'tile/0/0000',
    'tile/0/123/456/078',
    'tile/0/x000/001',
    'tile/0/x001/x002',
    'tile/0/001.p/0',
    'tile/0/001.p/256',
    'tile/0/001.p/05',
    'tile/0/001.p/',
    'tile/0/001/',
    '/tile/0/001',
    'tile/0/001\n',
    'tile/0/../0/001',
    'tile/data/001',
    'tile/0/x999/x999/x999/x999/x999/999',
    'tile/0/٠٠١',
  ])('%s is refused', (path) => expect(parseTilePath(path)).toBeUndefined())

  it('are read back, and no other text is taken', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 2 ** 40 }),
        fc.integer({ min: 1, max: 256 }),
        fc.integer({ min: -1, max: 63 }),
        (index, width, level) => {
          const tile: Tile = level < 0 ? { kind: 'entries', index, width } : { kind: 'hashes', level, index, width }
          expect(parseTilePath(tilePath(tile))).toEqual(tile)
        },
      ),
      { numRuns: 300, seed: 1 },
    )
    const soup = fc.array(fc.constantFrom('tile', '/', 'x', 'entries', '.p', '0', '001', '12', '-', '+', ' '), {
      maxLength: 9,
    })
    fc.assert(
      fc.property(soup, (parts) => {
        const tile = parseTilePath(parts.join(''))
        if (tile) expect(tilePath(tile)).toBe(parts.join(''))
      }),
      { numRuns: 2000, seed: 2 },
    )
  })
})

describe('which tiles a log has', () => {
  it('is as in the example of the specification: 70,000 entries', () => {
    const tiles = [...tilesOf(70_000)].filter((tile) => tile.kind === 'hashes')
    const at = (level: number) => tiles.filter((tile) => tile.level === level)
    expect(at(0).filter(({ width }) => width === 256)).toHaveLength(273)
    expect(paths(at(0)).at(-1)).toBe('tile/0/273.p/112')
    expect(paths(at(1))).toEqual(['tile/1/000', 'tile/1/001.p/17'])
    expect(paths(at(2))).toEqual(['tile/2/000.p/1'])
    expect(paths(tilesOf(256))).toEqual(['tile/entries/000', 'tile/0/000', 'tile/1/000.p/1'])
    expect(paths(tilesOf(0))).toEqual([])
  })

  it('changes by exactly those that the smaller log had not', () => {
    fc.assert(
      fc.property(fc.nat({ max: 140_000 }), fc.nat({ max: 70_000 }), (from, more) => {
        const before = new Set(paths(tilesOf(from)))
        const after = paths(tilesOf(from + more))
        expect(paths(changedTiles(from, from + more))).toEqual(after.filter((path) => !before.has(path)))
      }),
      { numRuns: 40, seed: 3 },
    )
  })

  it('says in which tile a hash is', () => {
    expect(tilePath(tileOfHash(0, 300, 70_000))).toBe('tile/0/001')
    expect(tilePath(tileOfHash(6, 1092, 70_000))).toBe('tile/0/273.p/112')
    expect(tilePath(tileOfHash(8, 272, 70_000))).toBe('tile/1/001.p/17')
    expect(tilePath(tileOfHash(16, 0, 70_000))).toBe('tile/2/000.p/1')
    expect(() => tileOfHash(16, 1, 70_000)).toThrow(/no complete subtree/)
  })
})

describe('bundles of entries', () => {
  it('are big-endian uint16 lengths and entries', () => {
    expect(hex(encodeEntries([utf8('a'), new Uint8Array(0), new Uint8Array(258)])).slice(0, 14)).toBe('00016100000102')
    expect(() => encodeEntries([new Uint8Array(65_536)])).toThrow(/65535 bytes/)
    expect(decodeEntries(encodeEntries([new Uint8Array(65_535)]), 1).whole).toBe(true)
  })

  it('are read back, and cut or longer ones are told', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 400 }), { minLength: 1, maxLength: 20 }),
        fc.nat(),
        (entries, cut) => {
          const bytes = encodeEntries(entries)
          expect(decodeEntries(bytes, entries.length)).toEqual({ entries, whole: true })
          expect(decodeEntries(concat(bytes, Uint8Array.of(0)), entries.length).whole).toBe(false)
          const short = decodeEntries(bytes.subarray(0, cut % bytes.length), entries.length)
          expect(short.whole).toBe(false)
          expect(short.entries).toEqual(entries.slice(0, short.entries.length))
        },
      ),
      { numRuns: 100, seed: 4 },
    )
  })
})

describe('a growing log', () => {
  it('writes, whatever the sizes of its steps, the tiles that the specification defines, and goes on after a restart', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 6 }), async (steps) => {
        const store = new Map<string, Uint8Array>()
        const read: TileReader = async (tile) => store.get(tilePath(tile))
        const tree = new CompactTree(sha256)
        let log = new GrowingLog(sha256)
        let size = 0
        for (const step of steps) {
          const expected = paths(changedTiles(size, size + step)).sort()
          for (let i = 0; i < step; i++) {
            expect(log.append(entry(size))).toBe(size)
            tree.append(leafHash(sha256, entry(size++)))
          }
          const changed = log.changed()
          expect(changed.map(({ tile }) => tilePath(tile)).sort()).toEqual(expected)
          for (const { tile, bytes } of changed) store.set(tilePath(tile), bytes)
          expect(log.changed()).toEqual([])
          expect(hex(log.root())).toBe(hex(tree.root()))
          log = await restoreLog(sha256, size, read)
          expect([log.size, hex(log.root())]).toEqual([size, hex(tree.root())])
        }
        expect([...tilesOf(size)].every((tile) => store.has(tilePath(tile)))).toBe(true)
      }),
      { numRuns: 12, seed: 5 },
    )
  })

  it('gives proofs from its tiles, also across levels of tiles', async () => {
    const store = new Map<string, Uint8Array>()
    const log = new GrowingLog(sha256)
    const roots = new Map<number, Uint8Array>()
    const sizes = [1, 255, 256, 257, 511, 65_535, 65_536, 65_537, 66_000]
    for (let i = 0; i < 66_000; i++) {
      log.append(entry(i))
      if (sizes.includes(i + 1)) {
        for (const { tile, bytes } of log.changed()) store.set(tilePath(tile), bytes)
        roots.set(i + 1, log.root())
      }
    }
    const read: TileReader = async (tile) => store.get(tilePath(tile))
    const size = 66_000
    const root = log.root()
    const hashes = hashReader(sha256, size, read)
    for (const index of [0, 255, 256, 32_767, 65_535, 65_536, 65_999]) {
      const proof = await inclusionProof(sha256, index, size, hashes)
      expect(verifyInclusion(sha256, { index, size, root, leaf: leafHash(sha256, entry(index)), proof })).toBe(true)
    }
    for (const from of sizes) {
      const proof = await consistencyProof(sha256, from, size, hashes)
      const claim = { from: { size: from, root: roots.get(from)! }, to: { size, root }, proof }
      expect(verifyConsistency(sha256, claim)).toBe(true)
    }
    store.delete('tile/1/000')
    await expect(inclusionProof(sha256, 0, size, hashReader(sha256, size, read))).rejects.toThrow(
      'tile/1/000 is missing',
    )
    await expect(restoreLog(sha256, 257, async () => undefined)).rejects.toThrow(/is missing/)
  })

  it('does not go on where the last entries are not those of the last tile', async () => {
    const store = new Map<string, Uint8Array>()
    const log = new GrowingLog(sha256)
    for (let i = 0; i < 5; i++) log.append(entry(i))
    for (const { tile, bytes } of log.changed()) store.set(tilePath(tile), bytes)
    store.get('tile/entries/000.p/5')![3]! ^= 1
    await expect(restoreLog(sha256, 5, async (tile) => store.get(tilePath(tile)))).rejects.toThrow(
      /not those of its last tile/,
    )
  })
})
