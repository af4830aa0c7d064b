import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCheckpoint, readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { base64 } from '@countersign/contract/ledger/encoding'
import { consistencyProof } from '@countersign/contract/ledger/merkle'
import { formatVerifierKey, parseVerifierKey } from '@countersign/contract/ledger/note'
import { hashReader, tilePath } from '@countersign/contract/ledger/tiles'
import { nodeCrypto as crypto } from '@countersign/contract/node/ledger-crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AlarmKind, WitnessState } from '../../../witness-api.ts'
import { systemClock } from '../ports/clock.ts'
import { silent } from '../ports/log.ts'
import { memoryStorage } from '../ports/secure-storage.ts'
import { seenNotices, standingClock, testKeychain } from '../testing/console.ts'
import { evidenceFile } from './alarms.ts'
import { key, type Lie, type LogServer, origin, serveLog, TestLog } from './testing/log-server.ts'
import { createWitness, type Witness, type WitnessOptions } from './witness.ts'

const never = 1e9
/** Looks come when they are asked for, so that a test knows what was looked at. */
const onlyWhenAsked = { gap: never, again: never, idle: never, retry: never, hiddenAfter: never, cosign: 0 }

let folder: string
let notices: ReturnType<typeof seenNotices>
let stack: AsyncDisposableStack
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'witness-'))
  notices = seenNotices()
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
  rmSync(folder, { recursive: true, force: true })
})

function start(more: Partial<WitnessOptions> = {}): Witness {
  const witness = createWitness({
    folder,
    secrets: testKeychain(),
    notifier: notices,
    clock: systemClock,
    log: silent,
    changed: () => {},
    ...more,
    pace: { ...onlyWhenAsked, ...more.pace },
  })
  return stack.use(witness)
}

async function at(log: TestLog, more: Partial<WitnessOptions> = {}) {
  const server = stack.use(await serveLog(log))
  const witness = start(more)
  witness.at(server.url)
  witness.live(server.client)
  await witness.check()
  return { server, witness }
}

/** As many looks as it takes until something suspect is said. */
async function looks(witness: Witness, times = 3): Promise<WitnessState> {
  for (let i = 0; i < times; i++) await witness.check()
  return witness.state()
}

const open = (state: WitnessState) => state.alarms.filter(({ acknowledged }) => !acknowledged)

test('the first contact pins the key, and says so', async () => {
  const { witness } = await at(new TestLog(300))
  const { status, log, checkpoints, alarms } = witness.state()
  expect(status.state).toBe('consistent')
  expect(log).toMatchObject({
    origin,
    size: 300,
    keys: [{ vkey: formatVerifierKey(key('first')), how: 'first-contact' }],
  })
  expect(checkpoints).toMatchObject([{ size: 300, state: 'proven', how: 'asked' }])
  expect(alarms).toEqual([])
})

test('every size that it grows to is proven to continue the one before', async () => {
  const { server, witness } = await at(new TestLog(0))
  for (const more of [1, 1, 2, 4, 8, 100, 140, 1, 255, 1, 256, 500]) {
    server.log.grow(more)
    await witness.check()
  }
  const { status, checkpoints, log } = witness.state()
  expect(status.state).toBe('consistent')
  expect(checkpoints.map(({ size }) => size)).toEqual([1269, 769, 513, 512, 257, 256, 116, 16, 8, 4, 2, 1, 0])
  expect(new Set(checkpoints.map(({ state }) => state))).toEqual(new Set(['proven']))
  expect(log?.growth.map(({ size }) => size)).toEqual([0, 1, 2, 4, 8, 16, 116, 256, 257, 512, 513, 769, 1269])
})

test('partial tiles that went when their full one came are cut from that', async () => {
  const { server, witness } = await at(new TestLog(200))
  server.log.grow(400)
  const [size, tiles] = [server.log.size, new Map(server.log.tiles)]
  server.log.grow(300)
  for (const path of server.log.tiles.keys()) if (path.includes('002.p/')) server.log.tiles.delete(path)
  // The checkpoint of 600 is told, while of its tiles only the full ones of 900 are left.
  const told = new TestLog(size)
  server.lie = (path) => (path === 'checkpoint' ? told.note : undefined)
  expect(tiles.has('tile/0/002.p/88')).toBe(true)
  await witness.check()
  expect(witness.state()).toMatchObject({ status: { state: 'consistent' }, log: { size: 600 } })
})

test('a proof takes few requests, however large the log is', async () => {
  const { server, witness } = await at(new TestLog(70_001))
  server.asked.length = 0
  server.log.grow(66_000)
  await witness.check()
  expect(witness.state().status.state).toBe('consistent')
  expect(server.asked.filter((path) => path.startsWith('tile/')).length).toBeLessThan(20)
})

test('what the feed tells is kept and proven, also what was overtaken', async () => {
  const { server, witness } = await at(new TestLog(10))
  for (const more of [5, 20, 3]) {
    server.log.grow(more)
    witness.heard({ origin, size: server.log.size, note: server.log.note })
  }
  server.log.grow(7)
  await witness.check()
  expect(witness.state().checkpoints.map(({ size, how, state }) => [size, how, state])).toEqual([
    [45, 'asked', 'proven'],
    [38, 'feed', 'proven'],
    [35, 'feed', 'proven'],
    [15, 'feed', 'proven'],
    [10, 'asked', 'proven'],
  ])
})

const flip = (bytes: Uint8Array) => Uint8Array.from(bytes, (byte, i) => (i === 40 ? byte ^ 1 : byte))
const onTiles =
  (lie: (bytes: Uint8Array) => Uint8Array | number): Lie =>
  (path, log) =>
    path.startsWith('tile/') && log.tiles.has(path) ? lie(log.tiles.get(path)!) : undefined
const on =
  (wanted: string, answer: (log: TestLog) => string | number): Lie =>
  (path, log) =>
    path === wanted ? answer(log) : undefined

describe('what no honest gateway shows is an alarm, with both sides', () => {
  const lies: [what: string, kind: AlarmKind, certain: boolean, does: (server: LogServer) => void][] = [
    [
      'another log of the same size',
      'forked',
      true,
      (s) => {
        s.log = s.log.fork(90, 10)
      },
    ],
    [
      'a larger log that begins otherwise',
      'forked',
      true,
      (s) => {
        s.log = s.log.fork(99, 400)
      },
    ],
    [
      'a larger log that has nothing in common',
      'forked',
      true,
      (s) => {
        s.log = s.log.fork(0, 1000)
      },
    ],
    [
      'a smaller log',
      'rolled-back',
      false,
      (s) => {
        s.log = s.log.earlier(60)
      },
    ],
    [
      'a smaller log that begins otherwise',
      'rolled-back',
      false,
      (s) => {
        s.log = s.log.fork(10, 40)
      },
    ],
    [
      'an empty log',
      'rolled-back',
      false,
      (s) => {
        s.log = s.log.earlier(0)
      },
    ],
    [
      'another key',
      'key-changed',
      false,
      (s) => {
        s.log = s.log.fork(100, 5, key('second'))
      },
    ],
    [
      'another key, handed over by itself alone',
      'key-changed',
      false,
      (s) => {
        s.log = s.log.fork(100, 5, key('second'))
        s.log.told.unshift(formatVerifierKey(key('first')))
        s.log.handovers.push(s.log.note)
      },
    ],
    [
      'a handover over a log that is another one',
      'forked',
      true,
      (s) => {
        s.log = s.log.fork(80, 40).rotate(key('second')).grow(5)
      },
    ],
    [
      'another origin',
      'origin-changed',
      false,
      (s) => {
        s.log = s.log.fork(100, 5, key('first', 'other.example/ledger'))
      },
    ],
    [
      'a signature that is wrong',
      'bad-signature',
      false,
      (s) => {
        const other = s.log.fork(0, 120).note.split('\n')
        s.lie = on('checkpoint', ({ note }) => [...note.split('\n').slice(0, 4), other[4], ''].join('\n'))
      },
    ],
    [
      'a checkpoint that is none',
      'hidden',
      false,
      (s) => {
        s.lie = on('checkpoint', () => 'hello\n')
      },
    ],
    [
      'a checkpoint without an end',
      'hidden',
      false,
      (s) => {
        s.lie = on('checkpoint', () => `${'x'.repeat(100_000)}`)
      },
    ],
    [
      'no checkpoint any more',
      'hidden',
      false,
      (s) => {
        s.lie = on('checkpoint', () => 404)
      },
    ],
    [
      'no ledger any more',
      'hidden',
      false,
      (s) => {
        s.lie = on('', () => 404)
      },
    ],
    [
      'no tiles',
      'hidden',
      false,
      (s) => {
        s.log.grow(50)
        s.lie = onTiles(() => 404)
      },
    ],
    [
      'tiles that end too soon',
      'hidden',
      false,
      (s) => {
        s.log.grow(50)
        s.lie = onTiles((bytes) => bytes.subarray(0, 64))
      },
    ],
    [
      'tiles without an end',
      'hidden',
      false,
      (s) => {
        s.log.grow(50)
        s.lie = onTiles(() => new Uint8Array(10_000_000))
      },
    ],
    [
      'tiles of which a bit is flipped',
      'wrong-tiles',
      false,
      (s) => {
        s.log.grow(50)
        s.lie = onTiles(flip)
      },
    ],
    [
      'tiles of another log',
      'wrong-tiles',
      false,
      (s) => {
        s.log.grow(50)
        const other = s.log.fork(20, 130)
        s.lie = (path) => other.tiles.get(path)
      },
    ],
  ]
  test.each(lies)('%s: %s', async (_what, kind, certain, lie) => {
    const { server, witness } = await at(new TestLog(100))
    const known = server.log.note
    lie(server)
    const first = await looks(witness, 1)
    if (!certain) expect(open(first)).toEqual([]) // it may have been an answer that was overtaken
    const state = await looks(witness)
    expect(open(state)).toMatchObject([{ kind, gateway: server.url, origin, known: { size: 100, note: known } }])
    expect(state.status.state).toBe('alarm')
    expect([...notices.shown.values()]).toMatchObject([
      { target: `/integrity/${encodeURIComponent(`alarm:${open(state)[0]!.id}`)}` },
    ])
    expect(witness.clicked([...notices.shown.keys()][0]!)).toContain('/integrity/')
    // Sticky: a gateway that is honest again does not take it away.
    server.lie = () => undefined
    server.log = new TestLog(100).grow(30)
    const after = await looks(witness)
    expect(open(after)).toMatchObject([{ kind, back: true }])
    expect(after.log?.size).toBe(130)
  })
})

describe('calm', () => {
  test.each<[string, Lie, WitnessState['status']['state']]>([
    ['a role that may not read it', () => 403, 'forbidden'],
    ['a gateway in trouble', () => 503, 'unproven'],
    ['a connection that breaks', () => 0, 'unproven'],
    ['a connection that breaks under a tile', onTiles(() => 0), 'unproven'],
    ['an answer for another console', on('', () => '{"no":1}'), 'unproven'],
  ])('%s raises nothing', async (_what, lie, state) => {
    const server = stack.use(await serveLog(new TestLog(10)))
    const witness = start()
    witness.at(server.url)
    server.lie = lie
    witness.live(server.client)
    await looks(witness, 5)
    expect(witness.state()).toMatchObject({ status: { state }, alarms: [] })
  })

  test('a gateway that never kept a log has none', async () => {
    const server = stack.use(await serveLog(new TestLog(1)))
    server.lie = () => 404
    const witness = start()
    witness.at(server.url)
    witness.live(server.client)
    expect(await looks(witness, 4)).toMatchObject({ status: { state: 'no-ledger' }, log: null, alarms: [] })
  })

  test('an unreachable gateway is no alarm, and nobody is asked once the link has gone', async () => {
    const { server, witness } = await at(new TestLog(10))
    await server.down()
    expect(await looks(witness, 4)).toMatchObject({ status: { state: 'unproven' }, alarms: [], log: { size: 10 } })
    witness.away()
    await expect(witness.check()).rejects.toMatchObject({ code: 'not-connected' })
  })

  test('trouble that lasts on a live link is a log that is hidden', async () => {
    const { server, witness } = await at(new TestLog(10), { pace: { hiddenAfter: 0 } })
    server.lie = () => 500
    expect(open(await looks(witness, 1))).toMatchObject([{ kind: 'hidden' }])
  })

  test('breaking the link after each look hides nothing', async () => {
    const { server, witness } = await at(new TestLog(100))
    server.log = server.log.earlier(60)
    for (let i = 0; i < 3; i++) {
      witness.away()
      witness.live(server.client)
      await witness.check()
    }
    expect(open(witness.state())).toMatchObject([{ kind: 'rolled-back' }])
  })

  test('another fault each time hides nothing', async () => {
    const { server, witness } = await at(new TestLog(100))
    const whole = server.log
    for (let i = 0; i < 2; i++) {
      server.lie = (path) => (path === 'checkpoint' ? 404 : undefined)
      await witness.check()
      server.lie = () => undefined
      server.log = whole.earlier(60)
      await witness.check()
    }
    expect(open(witness.state())).not.toEqual([])
  })

  test('trouble counts while the link lives, over many links; a computer that slept has seen none of it', async () => {
    const clock = standingClock()
    const minute = 60_000
    const { server, witness } = await at(new TestLog(10), {
      clock,
      pace: { retry: minute / 2, hiddenAfter: 10 * minute },
    })
    server.lie = () => 500
    const link = async (ms: number) => {
      witness.live(server.client)
      await witness.check()
      clock.move(ms)
      await witness.check()
      witness.away()
    }
    await link(8 * 60 * minute)
    clock.move(8 * 60 * minute)
    await link(minute / 2)
    expect(open(witness.state())).toEqual([])
    for (let i = 0; i < 20; i++) await link(minute / 2)
    expect(open(witness.state())).toMatchObject([{ kind: 'hidden' }])
  })
})

describe('a key that is handed over', () => {
  test('is followed, once and again', async () => {
    const { server, witness } = await at(new TestLog(100))
    server.log.grow(3).rotate(key('second')).grow(10)
    await witness.check()
    server.log.rotate(key('third')).grow(1).rotate(key('fourth')).grow(700)
    const state = await witness.check()
    expect(state.status.state).toBe('consistent')
    expect(state.log?.keys).toMatchObject([
      { vkey: formatVerifierKey(key('first')), how: 'first-contact', handedOverAt: 104 },
      { vkey: formatVerifierKey(key('second')), how: 'handover', handedOverAt: 115 },
      { vkey: formatVerifierKey(key('third')), how: 'handover', handedOverAt: 117 },
      { vkey: formatVerifierKey(key('fourth')), how: 'handover', handedOverAt: null },
    ])
    expect(
      state.checkpoints
        .filter(({ how }) => how === 'handover')
        .map(({ size }) => size)
        .sort(),
    ).toEqual([104, 115, 117])
  })

  test('does not sign again', async () => {
    const { server, witness } = await at(new TestLog(100))
    server.log.rotate(key('second')).grow(10)
    await witness.check()
    server.log.keys = [key('first')]
    server.log.grow(5)
    expect(open(await looks(witness))).toMatchObject([{ kind: 'key-changed' }])
  })
})

describe('a key that a person pins', () => {
  test('confirms the first contact', async () => {
    const { server, witness } = await at(new TestLog(10))
    const state = await witness.pin(` ${server.log.told[0]}\n`)
    expect(state).toMatchObject({ status: { state: 'consistent' }, log: { keys: [{ how: 'person' }] }, alarms: [] })
  })

  test('is followed from an older one', async () => {
    const { witness } = await at(new TestLog(10).rotate(key('second')).grow(5))
    expect(witness.state().log?.keys).toHaveLength(1)
    const state = await witness.pin(formatVerifierKey(key('first')))
    expect(state).toMatchObject({ status: { state: 'consistent' }, alarms: [] })
    expect(state.log?.keys).toMatchObject([
      { how: 'person' },
      { how: 'handover', vkey: formatVerifierKey(key('second')) },
    ])
  })

  test('is wanted from the first contact on', async () => {
    const server = stack.use(await serveLog(new TestLog(10, key('impostor'))))
    const witness = start()
    witness.at(server.url)
    await witness.pin(formatVerifierKey(key('first')))
    witness.live(server.client)
    expect(open(await looks(witness))).toMatchObject([{ kind: 'key-changed', known: null, shown: { size: 10 } }])
  })

  test('that is another one than signs is an alarm', async () => {
    const { witness } = await at(new TestLog(10))
    await witness.pin(formatVerifierKey(key('the real one')))
    expect(open(await looks(witness))).toMatchObject([
      { kind: 'key-changed', text: expect.stringContaining('pinned here') },
    ])
  })

  test.each([
    ['nonsense', 'bad-key'],
    [formatVerifierKey(key('w', 'w', 'cosignature')), 'bad-key'],
    [formatVerifierKey(key('first', 'other/ledger')), 'other-log'],
    [formatVerifierKey(key('first')).replace(/.$/, 'A'), 'bad-key'],
  ])('%s is refused in words: %s', async (vkey, code) => {
    const { witness } = await at(new TestLog(10))
    await expect(witness.pin(vkey)).rejects.toMatchObject({ code })
  })
})

describe('an alarm', () => {
  const forked = async () => {
    const { server, witness } = await at(new TestLog(100))
    const honest = server.log
    server.log = honest.fork(60, 80)
    const [alarm] = open(await looks(witness))
    return { server, witness, honest, alarm: alarm! }
  }

  test('outlives the console and is said again at its next start', async () => {
    const { server, witness, alarm } = await forked()
    witness[Symbol.dispose]()
    notices.shown.clear()
    const again = start()
    again.at(server.url)
    expect(open(again.state())).toMatchObject([{ id: alarm.id }])
    expect(again.state().status.state).toBe('alarm')
    expect(notices.shown.size).toBe(1)
  })

  test('ends with a reason; then the log that is shown is followed, and the evidence stays', async () => {
    const { server, witness, alarm } = await forked()
    witness.acknowledge(alarm.id, 'Ada', 'restored from a backup')
    expect(notices.shown.size).toBe(0)
    const state = await looks(witness)
    expect(state).toMatchObject({ status: { state: 'consistent' }, log: { size: 140, seen: 1 } })
    expect(state.alarms).toMatchObject([
      { known: { size: 100 }, acknowledged: { by: 'Ada', reason: 'restored from a backup' } },
    ])
    expect(() => witness.acknowledge(alarm.id, 'Ben', 'again')).toThrow('not open')
    server.log = server.log.fork(130, 20)
    expect(open(await looks(witness))).toHaveLength(1)
  })

  test('that was acknowledged after all was well again changes nothing that is relied on', async () => {
    const { server, witness, honest, alarm } = await forked()
    server.log = honest.grow(10)
    await witness.check()
    witness.acknowledge(alarm.id, 'Ada', 'a wrong replica')
    expect(await looks(witness)).toMatchObject({ status: { state: 'consistent' }, log: { size: 110, seen: 2 } })
  })

  test('of a log that stays hidden is not raised again until it was good once', async () => {
    const { server, witness } = await at(new TestLog(10))
    server.lie = () => 404
    const [alarm] = open(await looks(witness))
    witness.acknowledge(alarm!.id, 'Ada', 'maintenance')
    expect(open(await looks(witness, 5))).toEqual([])
    expect(witness.state().status.state).toBe('unproven')
    server.lie = () => undefined
    await witness.check()
    server.lie = () => 404
    expect(open(await looks(witness))).toHaveLength(1)
  })

  test('of another key: who acknowledges it trusts that one, and is told so', async () => {
    const { server, witness } = await at(new TestLog(10))
    server.log = new TestLog(20, key('second'))
    const [alarm] = open(await looks(witness))
    witness.acknowledge(alarm!.id, 'Ada', 'reinstalled, key compared by phone')
    expect((await looks(witness)).log?.keys).toMatchObject([
      { how: 'accepted', vkey: formatVerifierKey(key('second')) },
    ])
  })

  describe('gives its evidence as a file that stock tools check by the steps of docs/verify.md', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../../docs/verify.md'), 'utf8')
    const steps = [...page.matchAll(/```bash\n([\s\S]*?)```/g)].map((match) => match[1]!).join('\n')
    const run = (bytes: Uint8Array, signer = key('first')) => {
      const home = mkdtempSync(join(folder, 'check-'))
      writeFileSync(join(home, 'evidence.tar'), bytes)
      const env = { ...process.env, EVIDENCE: join(home, 'evidence.tar'), VKEY: formatVerifierKey(signer) }
      const { status, stdout, stderr } = spawnSync('bash', ['-euc', steps], { cwd: home, env })
      return { status, said: `${stdout}${stderr}` }
    }

    test.each([
      [100, 60, 80],
      [64, 63, 300],
      [128, 0, 128],
      [1, 0, 70],
      [300, 299, 1],
      [255, 254, 2],
    ])('a log of %i that goes on otherwise from %i, by %i', async (size, keep, more) => {
      const { server, witness } = await at(new TestLog(size))
      server.log = server.log.fork(keep, more)
      const [alarm] = open(await looks(witness, 1))
      const { name, bytes } = await witness.evidence(alarm!.id)
      expect(name).toMatch(/^log-forked-\d{4}-\d\d-\d\d-al_\w+\.tar$/)
      const said = `FORKED: a log of ${keep + more} entries does not begin with the ${size} that were signed before`
      expect(run(bytes)).toMatchObject({ status: 0, said: expect.stringContaining(said) })
      expect(run(bytes, key('stranger')).status).not.toBe(0)
    })

    test('and which say of a log that only grew that it did', async () => {
      const { server, witness } = await at(new TestLog(100))
      const known = server.log.note
      server.log.grow(77)
      const { size, root } = readCheckpoint(server.log.note)
      const read = hashReader(crypto.sha256, size, async (tile) => server.log.tiles.get(tilePath(tile)))
      const proof = (await consistencyProof(crypto.sha256, 100, size, read)).map(base64)
      const lied = server.log.fork(3, 200)
      server.log = lied
      const [alarm] = open(await looks(witness))
      const shown = { ...alarm!.shown!, note: new TestLog(177).note, size, root: base64(root) }
      const { bytes } = await evidenceFile({ ...alarm!, known: { ...alarm!.known!, note: known }, shown, proof })
      expect(run(bytes)).toMatchObject({ status: 1, said: expect.stringContaining('the log only grew') })
    })
  })
})

describe('cosigning', () => {
  test('is off until it is wanted', async () => {
    const { server, witness } = await at(new TestLog(10))
    server.log.grow(5)
    await witness.check()
    expect(server.cosignatures).toEqual([])
    expect(witness.state().cosigning).toMatchObject({ on: false, possible: true, key: null })
  })

  test('signs what was proven, once a size, and shows who did', async () => {
    const { server, witness } = await at(new TestLog(10))
    await witness.setCosigning(true)
    await witness.check()
    expect(server.cosignatures).toHaveLength(1)
    const [{ key: vkey, note }] = server.cosignatures as [{ key: string; note: string }]
    const { cosigned, checkpoint } = openCheckpoint(crypto, note, [key('first'), parseVerifierKey(crypto.sha256, vkey)])
    expect(cosigned).toHaveLength(1)
    expect(checkpoint.size).toBe(10)
    expect(Math.abs(cosigned[0]!.at! - Date.now() / 1000)).toBeLessThan(60)
    const state = await witness.check()
    expect(state.cosigning).toMatchObject({ on: true, key: vkey, last: { size: 10 }, problem: null })
    expect(state.witnesses).toMatchObject([{ key: vkey, own: true, person: 'Ada', size: 10 }])
    expect(state.checkpoints[0]).toMatchObject({ size: 10, cosignedBy: [expect.stringContaining('Ada')] })
  })

  test('never what does not continue what was seen', async () => {
    const { server, witness } = await at(new TestLog(10))
    await witness.setCosigning(true)
    server.log = server.log.fork(5, 50)
    await looks(witness)
    expect(server.cosignatures.map(({ note }) => note.split('\n')[1])).toEqual(['10'])
  })

  test('a gateway that takes none is told of, calmly', async () => {
    const { server, witness } = await at(new TestLog(10))
    server.lie = (path) => (path === 'cosignatures' ? 404 : undefined)
    const state = await witness.setCosigning(true)
    expect(state).toMatchObject({
      cosigning: { problem: expect.stringContaining('404'), last: null },
      status: { state: 'consistent' },
    })
  })

  test('needs a safe place for its key', async () => {
    const { witness } = await at(new TestLog(10), { secrets: memoryStorage() })
    await expect(witness.setCosigning(true)).rejects.toMatchObject({ code: 'no-keychain' })
  })
})

test('the same log at another address is the same log', async () => {
  const { server, witness } = await at(new TestLog(50))
  const other = stack.use(await serveLog(server.log.fork(20, 60)))
  witness.away()
  witness.at(other.url)
  witness.live(other.client)
  expect(open(await looks(witness))).toMatchObject([
    { kind: 'forked', gateway: other.url, known: { from: server.url } },
  ])
})
