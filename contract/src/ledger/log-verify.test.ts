import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { cosign, signCheckpoint, withSignature } from './checkpoint.ts'
import { concat, utf8 } from './encoding.ts'
import { type VerifyLogOptions, verifyLog } from './log-verify.ts'
import { leafHash } from './merkle.ts'
import { crypto, key, smallWorld, World } from './testing/world.ts'
import { encodeEntries } from './tiles.ts'

const verify = (world: World, options: Partial<VerifyLogOptions> = {}) =>
  verifyLog(crypto, world.reader(), { keys: [key('first')], ...options })
const flip = (bytes: Uint8Array, at: number, bit = 0) => {
  const copy = new Uint8Array(bytes)
  copy[at]! ^= 1 << bit
  return copy
}
/** What is in the tampered copies as in the original: worlds are made anew, which is quick. */
const fresh = smallWorld

describe('an untouched log', () => {
  it('is whole, and says how much that is', async () => {
    const world = fresh()
    const report = await verify(world)
    expect(report).toMatchObject({
      outcome: 'whole',
      integrity: 'whole',
      completeness: 'complete',
      findings: [],
      entries: world.log.size,
      erased: 0,
      signedBy: [`${key('first').name}+${key('first').id.toString(16).padStart(8, '0')}`],
      recordingBytes: [...world.recordings.values()].reduce((sum, bytes) => sum + bytes.length, 0),
    })
    expect(world.log.size).toBeGreaterThan(700)
  })

  it("can't be told whole without a key, nor with none but a stranger's", async () => {
    const world = fresh()
    expect(await verify(world, { keys: [] })).toMatchObject({ outcome: 'cant-tell', findings: [], signedBy: [] })
    const replaced = await verify(world, { keys: [key('stranger')] })
    expect(replaced).toMatchObject({ outcome: 'broken', findings: [{ code: 'signature' }] })
    expect(replaced.findings[0]!.text).toMatch(/signed by gw\.example\.com\/ledger\+.*none is a key that you trust/)
  })

  it('is whole whatever its size, around every edge of a tile', async () => {
    for (const size of [0, 1, 2, 255, 256, 257, 512, 513]) {
      const world = new World()
      for (let i = 0; i < size; i++) world.append('sign-in', { outcome: 'ok', via: 'api' })
      world.sign()
      expect(await verify(world)).toMatchObject({ outcome: 'whole', entries: size })
    }
  })

  it('may have lost partial tiles whose full ones are there, and be longer than its checkpoint', async () => {
    const world = fresh()
    const { checkpoint } = world
    for (let i = 0; i < 300; i++) world.append('sign-in', { outcome: 'ok', via: 'api' })
    world.sign()
    for (const path of world.tiles.keys())
      if (path.includes('.p/') && path.startsWith('tile/entries/002')) world.tiles.delete(path)
    world.checkpoint = checkpoint
    world.rows = world.rows.slice(0, Number(new TextDecoder().decode(checkpoint).split('\n')[1]))
    const report = await verify(world)
    expect(report.findings.map(({ code }) => code)).toEqual(['unsigned-tail'])
    expect(report).toMatchObject({ outcome: 'incomplete', integrity: 'whole' })
  })

  it('names its witnesses', async () => {
    const world = fresh()
    const witness = key('w', 'w.example.com', 'cosignature')
    world.checkpoint = utf8(withSignature(world.checkpoint, cosign(crypto, world.checkpoint, witness, 1_763_700_000)))
    expect((await verify(world, { keys: [key('first'), witness] })).cosignedBy).toHaveLength(1)
  })

  it('can be stopped', async () => {
    await expect(verify(fresh(), { signal: AbortSignal.abort() })).rejects.toThrow()
  })
})

describe('erasure', () => {
  it('of payloads and recordings leaves the log whole, and says what is gone', async () => {
    const world = fresh()
    const first = world.types.indexOf('session.opened')
    const last = world.types.indexOf('session.closed')
    world.erase([[first, last]], ['se_one'])
    world.sign()
    expect(await verify(world)).toMatchObject({ outcome: 'whole', erased: last - first + 1 })
    // The rows may be gone altogether.
    world.rows = world.rows.filter(({ payload }) => payload)
    expect(await verify(world)).toMatchObject({ outcome: 'whole', erased: last - first + 1 })
  })

  it('that no deletion entry tells is named: payloads and recordings', async () => {
    const world = fresh()
    world.rows[5] = { ...world.rows[5]!, payload: null, salt: null }
    world.rows.splice(7, 1)
    world.recordings.delete('se_two')
    const report = await verify(world)
    expect(report).toMatchObject({ outcome: 'incomplete', integrity: 'whole', erased: 0 })
    expect(report.findings.map(({ code, where }) => [code, where.entry ?? where.recording])).toEqual([
      ['erased-unexplained', 5],
      ['payload-missing', 7],
      ['recording-cut', expect.any(Number)],
    ])
    expect(report.findings[2]!.text).toBe('recording se_two is not there')
  })

  it('of a deletion entry, or before it by number, explains nothing', async () => {
    const world = fresh()
    const n = world.erase(
      [
        [3, 4],
        [world.log.size + 1, world.log.size + 5],
      ],
      [],
    )
    world.append('sign-in', { outcome: 'ok', via: 'api' })
    world.rows = world.rows.filter(({ entry }) => entry !== n + 1)
    world.sign()
    expect((await verify(world)).findings.map(({ code, where }) => [code, where.entry])).toEqual([
      ['payload-missing', n + 1],
    ])
    world.rows = world.rows.filter(({ entry }) => entry !== n)
    expect((await verify(world)).findings.map(({ code }) => code)).toContain('never-erased')
  })
})

describe('a rotated key', () => {
  it('leads from the pinned one to the one that signs now', async () => {
    const world = fresh()
    world.rotate(key('second'))
    world.append('sign-in', { outcome: 'ok', via: 'api' })
    world.rotate(key('third'))
    world.append('sign-in', { outcome: 'ok', via: 'api' })
    world.sign()
    for (const pinned of ['first', 'second', 'third'])
      expect((await verify(world, { keys: [key(pinned)] })).outcome).toBe('whole')
    world.sign([key('first')])
    expect((await verify(world)).findings[0]).toMatchObject({
      code: 'signature',
      text: expect.stringContaining('had been replaced'),
    })
  })

  it('is not believed without its handover, nor with one of another log', async () => {
    const world = fresh()
    world.rotate(key('second'))
    const other = fresh()
    // The newest checkpoint, signed by both, is a handover itself: a writer that has ended here has written no other.
    const [handover] = world.handovers.splice(0)
    expect((await verify(world)).outcome).toBe('whole')
    world.handovers.push(handover!)
    world.sign()
    other.append('sign-in', { outcome: 'ok', via: 'ssh' })
    other.sign([key('first'), key('second')])
    world.handovers[0] = other.checkpoint
    expect((await verify(world)).findings.map(({ code }) => code)).toEqual(['handover', 'key-rotation', 'signature'])
    world.handovers.length = 0
    expect((await verify(world)).findings.map(({ code }) => code)).toEqual(['key-rotation', 'signature'])
  })
})

describe('a witness', () => {
  it('finds a log that grew as it should', async () => {
    const world = fresh()
    expect((await verify(world, { seen: world.checkpoints })).outcome).toBe('whole')
  })
  it('finds a fork and a roll-back', async () => {
    const world = fresh()
    const forked = new World()
    for (let i = 0; i < world.log.size; i++) forked.append('sign-in', { outcome: 'ok', via: 'api' })
    forked.sign()
    const fork = await verify(forked, { seen: [world.checkpoint] })
    expect(fork.findings.map(({ code, where }) => [code, where.entry])).toEqual([['forked', world.log.size]])
    world.checkpoint = world.checkpoints[0]!
    const rolled = await verify(world, { seen: [world.checkpoints[1]!] })
    expect(rolled.findings.map(({ code }) => code)).toContain('rolled-back')
    const own = (await verify(world)).findings
    expect(own.map(({ code }) => code)).toContain('row-beyond')
  })
})

describe('tampering is found and named', () => {
  let entryAt: number
  beforeAll(() => {
    entryAt = fresh().types.indexOf('command')
  })
  const reencode = (world: World, change: (leaves: Uint8Array[]) => Uint8Array[], rehash: boolean) => {
    const leaves = change([...world.leaves])
    const tiles = [...world.tiles.keys()].filter(
      (path) => !path.includes('.p/') || path.endsWith(`.p/${world.log.size % 256}`),
    )
    for (const path of tiles) {
      const match = /^tile\/(entries|0)\/(\d{3})/.exec(path)
      if (!match) continue
      const part = leaves.slice(Number(match[2]) * 256, (Number(match[2]) + 1) * 256)
      if (match[1] === 'entries') world.tiles.set(path, encodeEntries(part))
      else if (rehash) world.tiles.set(path, concat(...part.map((leaf) => leafHash(crypto.sha256, leaf))))
    }
  }

  it.each<[string, (world: World) => void, string, object, RegExp]>([
    [
      'a bit of an entry',
      (world) => world.tiles.set('tile/entries/001', flip(world.tiles.get('tile/entries/001')!, 2 + 30)),
      'entry-hash',
      { tile: 'tile/entries/001', entry: 256 },
      /^entry 256 in tile\/entries\/001 was changed/,
    ],
    [
      'a bit of a tile of hashes',
      (world) => world.tiles.set('tile/0/001', flip(world.tiles.get('tile/0/001')!, 5 * 32 + 3)),
      'tile-hash',
      { tile: 'tile/0/001', entry: 261, offset: 160 },
      /^tile\/0\/001 was changed at byte 160/,
    ],
    [
      'a bit of a tile further up',
      (world) => world.tiles.set('tile/1/000.p/2', flip(world.tiles.get('tile/1/000.p/2')!, 40)),
      'tile-hash',
      { tile: 'tile/1/000.p/2', entry: 256, offset: 32 },
      /^tile\/1\/000\.p\/2 was changed at byte 32/,
    ],
    [
      'two entries in another order, with all tiles made anew',
      (world) => reencode(world, (leaves) => leaves.with(10, leaves[11]!).with(11, leaves[10]!), true),
      'entry-number',
      { tile: 'tile/entries/000', entry: 10 },
      /^entry 10 says that it is entry 11/,
    ],
    [
      'an entry dropped and another added at the end, with all tiles made anew',
      (world) => reencode(world, (leaves) => [...leaves.toSpliced(20, 1), leaves[0]!], true),
      'entry-number',
      { tile: 'tile/entries/000', entry: 20 },
      /^entry 20 says that it is entry 21: one before it was dropped/,
    ],
    [
      'an entry dropped, tiles left',
      (world) => reencode(world, (leaves) => [...leaves.toSpliced(20, 1), leaves[0]!], false),
      'entry-hash',
      { tile: 'tile/entries/000', entry: 20 },
      /^entry 20 in tile\/entries\/000 was changed/,
    ],
    [
      'a truncated tail',
      (world) => {
        const last = [...world.tiles.keys()].filter((path) => path.startsWith('tile/entries/002')).at(-1)!
        world.tiles.set(last, world.tiles.get(last)!.subarray(0, -10))
      },
      'entries-cut',
      {},
      /ends in the middle: entries \d+ to \d+ are lost$/,
    ],
    [
      'a bundle of entries gone',
      (world) => void world.tiles.delete('tile/entries/001'),
      'entries-missing',
      { tile: 'tile/entries/001', entry: 256 },
      /entries 256 to 511 are lost/,
    ],
    [
      'a tile gone',
      (world) => void world.tiles.delete('tile/0/000'),
      'tile-missing',
      { tile: 'tile/0/000', entry: 0 },
      /is not there/,
    ],
    [
      'bytes after a bundle',
      (world) => world.tiles.set('tile/entries/000', concat(world.tiles.get('tile/entries/000')!, Uint8Array.of(0, 0))),
      'entries-longer',
      { tile: 'tile/entries/000' },
      /goes on after its last entry/,
    ],
    [
      'a signature of the checkpoint',
      (world) => {
        world.checkpoint = flip(world.checkpoint, world.checkpoint.length - 20)
      },
      'signature',
      {},
      /^the checkpoint was changed: the signature by/,
    ],
    [
      'a payload',
      (world) => {
        world.rows[entryAt] = { ...world.rows[entryAt]!, payload: flip(world.rows[entryAt]!.payload!, 12) }
      },
      'commitment',
      { row: expect.stringMatching(/^audit\/\d+$/) },
      /^row audit\/\d+ was changed: entry \d+ \(command\) commits to another payload/,
    ],
    [
      'a salt',
      (world) => {
        world.rows[0] = { ...world.rows[0]!, salt: flip(world.rows[0]!.salt!, 0) }
      },
      'commitment',
      { row: 'audit/0', entry: 0 },
      /row audit\/0/,
    ],
    [
      "a row's own columns",
      (world) => {
        world.rows[3] = { ...world.rows[3]!, type: 'sign-in' }
      },
      'row-leaf',
      { row: 'audit/3', entry: 3 },
      /row audit\/3 says sign-in/,
    ],
    [
      'a row twice',
      (world) => void world.rows.splice(4, 0, { ...world.rows[3]!, row: 'audit/3b' }),
      'row-order',
      { row: 'audit/3b', entry: 3 },
      /has a row already/,
    ],
    [
      'a row too many',
      (world) => void world.rows.push({ ...world.rows[3]!, row: 'audit/x', entry: 5000 }),
      'row-beyond',
      { row: 'audit/x', entry: 5000 },
      /the log ends before/,
    ],
    [
      'a recording',
      (world) => void world.recordings.set('se_one', flip(world.recordings.get('se_one')!, 1500)),
      'chunk-hash',
      { recording: 'se_one', offset: 1400, entry: expect.any(Number) },
      /recording se_one was changed between byte 1400 and byte 2099/,
    ],
    [
      'a recording cut short',
      (world) => void world.recordings.set('se_two', world.recordings.get('se_two')!.subarray(0, 1000)),
      'recording-cut',
      { recording: 'se_two', offset: 1000 },
      /recording se_two ends at byte 1000/,
    ],
    [
      'a recording gone on with',
      (world) => void world.recordings.set('se_two', concat(world.recordings.get('se_two')!, utf8('more\n'))),
      'recording-longer',
      { recording: 'se_two' },
      /goes on from byte/,
    ],
    [
      'a recording too many',
      (world) => void world.recordings.set('se_x', utf8('x')),
      'recording-unknown',
      { recording: 'se_x' },
      /that the log does not know/,
    ],
  ])('%s', async (_what, tamper, code, where, text) => {
    const world = fresh()
    tamper(world)
    const report = await verify(world)
    expect(report.outcome).not.toBe('whole')
    expect(report.findings[0]).toMatchObject({ code, where })
    expect(report.findings[0]!.text).toMatch(text)
  })

  it('entries lost with their hashes: integrity is not claimed for the rest', async () => {
    const world = fresh()
    world.tiles.delete('tile/entries/001')
    world.tiles.delete('tile/0/001')
    const report = await verify(world)
    expect(report.findings.slice(0, 2).map(({ code, where }) => [code, where.tile])).toEqual([
      ['entries-missing', 'tile/entries/001'],
      ['tile-missing', 'tile/0/001'],
    ])
    expect(report.findings.map(({ code }) => code)).toContain('root-unknown')
    expect(report.integrity).toBe('broken')
  })

  it('a checkpoint that claims more than there could be, without looking for all of it', async () => {
    const world = fresh()
    const head = { size: 2 ** 50, root: world.log.root() }
    world.checkpoint = utf8(signCheckpoint(crypto, head, [key('first')]))
    const report = await verify(world)
    expect(report.outcome).toBe('broken')
    expect(report.findings[0]).toMatchObject({ code: 'entries-missing', where: { entry: 512 } })
  })

  it('a session without an end, unless it is known to be open', async () => {
    const world = fresh()
    const client = { address: '127.0.0.1' }
    const agent = { id: 'i#a', issuer: 'i', subject: 'a', name: 'a', groups: [] }
    world.append('session.opened', {
      session: 'se_open',
      connection: 'o',
      protocol: 'postgres',
      mode: 'enforce',
      agent,
      client,
    })
    world.recordings.set('se_open', utf8('{}\n'))
    world.sign()
    expect((await verify(world)).findings[0]).toMatchObject({
      about: 'completeness',
      code: 'session-without-end',
      where: { recording: 'se_open', offset: 0 },
    })
    expect((await verify(world, { open: new Set(['se_open']) })).outcome).toBe('whole')
  })

  it('any bit, anywhere, in the file in which it is', async () => {
    const world = fresh()
    const size = world.log.size
    const current = [...world.tiles.keys()].filter((path) => {
      const partial = /\.p\/(\d+)$/.exec(path)
      return !partial || Number(partial[1]) === (path.startsWith('tile/1') ? Math.floor(size / 256) : size % 256)
    })
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.nat({ max: 7 }), async (which, at, bit) => {
        const target = which % (current.length + 2)
        if (target < current.length) {
          const path = current[target]!
          const bytes = world.tiles.get(path)!
          world.tiles.set(path, flip(bytes, at % bytes.length, bit))
          const report = await verify(world)
          world.tiles.set(path, bytes)
          expect(report.outcome).not.toBe('whole')
          expect(report.findings.map(({ where }) => where.tile)).toContain(path)
        } else if (target === current.length) {
          const { checkpoint } = world
          world.checkpoint = flip(checkpoint, at % checkpoint.length, bit)
          const report = await verify(world)
          world.checkpoint = checkpoint
          expect(report.outcome).toBe('broken')
          expect(report.findings[0]!.text).toMatch(/checkpoint/)
        } else {
          const row = at % world.rows.length
          const old = world.rows[row]!
          world.rows[row] = { ...old, payload: flip(old.payload!, at % old.payload!.length, bit) }
          const report = await verify(world)
          world.rows[row] = old
          expect(report.findings[0]).toMatchObject({ code: 'commitment', where: { row: old.row } })
        }
      }),
      { numRuns: 60, seed: 10 },
    )
    expect((await verify(world)).outcome).toBe('whole')
  })
})
