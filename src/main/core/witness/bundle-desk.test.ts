import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeBundle } from '@countersign/contract/ledger/bundle'
import { formatVerifierKey } from '@countersign/contract/ledger/note'
import { campaignBundle } from '@countersign/contract/ledger/testing/campaign-bundle'
import { collect, crypto, key, origin, smallWorld, type World } from '@countersign/contract/ledger/testing/world'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type BundleVerdict, sliceBytes } from '../../../witness-api.ts'
import { silent } from '../ports/log.ts'
import { seenNotices, standingClock, testKeychain } from '../testing/console.ts'
import { createWitness, type Witness } from './witness.ts'

let world: World
let bundle: Uint8Array
beforeAll(async () => {
  world = smallWorld()
  bundle = await collect(writeBundle(crypto, await world.bundle('se_one'), [world.key]))
})

let folder: string
let witness: Witness
let clock: ReturnType<typeof standingClock>
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bundles-'))
  clock = standingClock()
  witness = start()
})
afterEach(() => {
  witness[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

const start = () =>
  createWitness({
    folder,
    secrets: testKeychain(),
    notifier: seenNotices(),
    clock,
    log: silent,
    changed: () => {},
  })

const pin = async (vkey = formatVerifierKey(key('first'))) => {
  witness.at('https://gw.example.com')
  await witness.pin(vkey)
}

async function send(bytes: Uint8Array, name = 'evidence.tar', slice = sliceBytes): Promise<BundleVerdict> {
  const upload = witness.bundles.open(name, bytes.length)
  for (let at = 0; at < bytes.length; at += slice)
    await witness.bundles.slice(upload, at, bytes.subarray(at, at + slice))
  return witness.bundles.close(upload)
}

async function* stream(bytes: Uint8Array, slice = 1000) {
  for (let at = 0; at < bytes.length; at += slice) yield bytes.subarray(at, at + slice)
}

const flipped = (bytes: Uint8Array, at: number) => Uint8Array.from(bytes, (byte, i) => (i === at ? byte ^ 1 : byte))
const indexOf = (what: string) => Buffer.from(bundle).indexOf(what)

describe('a bundle', () => {
  test('without a key is “can’t tell”, never whole, and says what to do', async () => {
    const verdict = await send(bundle)
    expect(verdict).toMatchObject({ outcome: 'cant-tell', trust: 'none', findings: [] })
    expect(verdict.why).toContain('pin the key')
  })

  test('of a campaign says how many items and decisions its entries confirm, and what is open', async () => {
    await pin()
    const world = smallWorld()
    const content = await campaignBundle(world)
    const pack = await collect(writeBundle(crypto, content, [world.key]))
    const verdict = await send(pack, 'ca_one.evidence.tar')
    expect(verdict).toMatchObject({
      outcome: 'whole',
      about: {
        campaign: 'ca_one',
        sessions: [],
        review: {
          ...{ title: 'Quarterly', state: 'closed', items: 2, undecided: 0, decisions: 2 },
          signOffs: [{ person: 'Ada', statement: 'I stand by it' }],
          exceptions: [],
        },
      },
    })
    expect(verdict.why).toMatch(/Its 2 items and 2 decisions are as their entries say\.$/)
    const entries = content.entries.filter(({ type }, i, all) => type !== 'item.decided' || all[i - 1]?.type === type)
    const lacking = await send(await collect(writeBundle(crypto, { ...content, entries }, [world.key])))
    expect(lacking.outcome).toBe('broken')
    expect(lacking.why).toMatch(/items\/it_1\.json says another verdict, decisions, .* than the entries/)
  })

  test('by a key that a person pinned is whole; it says what it is about, and who decided', async () => {
    await pin()
    expect(await send(bundle)).toMatchObject({
      name: 'evidence.tar',
      bytes: bundle.length,
      outcome: 'whole',
      trust: 'person',
      about: {
        origin,
        sessions: ['se_one'],
        people: [{ name: 'Ada' }],
        decisions: [{ person: 'Ada', verdict: 'approve', reason: 'asked for' }],
      },
      signedBy: [expect.stringContaining(origin)],
    })
    expect(witness.state().verdicts).toMatchObject([{ outcome: 'whole', name: 'evidence.tar' }])
  })

  test('however it is cut into slices', async () => {
    await pin()
    for (const slice of [997, 512, 4096]) expect((await send(bundle, 'x.tar', slice)).outcome).toBe('whole')
  })

  test.each<[string, () => Uint8Array, RegExp]>([
    ['in a recording', () => flipped(bundle, indexOf('select 7 -- se_one')), /recordings\/se_one\.ndjson was changed/],
    ['in the manifest', () => flipped(bundle, indexOf('"madeAt"') + 12), /manifest/],
    ['in a leaf', () => flipped(bundle, indexOf('"type":"approval.decided","v"') + 9), /entries\/\d+\.leaf/],
    ['in a header', () => flipped(bundle, 100), /byte 100/],
    ['in the checkpoint', () => flipped(bundle, Buffer.from(bundle).indexOf(`${origin}\n`)), /note|checkpoint/],
  ])('with a bit flipped %s is broken, and the place is named', async (_where, bytes, place) => {
    await pin()
    const verdict = await send(bytes())
    expect(verdict.outcome).toBe('broken')
    expect(verdict.findings.map(({ text, place }) => `${place} ${text}`).join('\n')).toMatch(place)
  })

  test.each<[string, () => Uint8Array]>([
    ['nothing at all', () => new Uint8Array(0)],
    ['noise', () => crypto.sha256(bundle)],
    ['half of it', () => bundle.subarray(0, bundle.length / 2)],
    ['with something behind it', () => Buffer.concat([bundle, Buffer.from('more')])],
    ['noise of a megabyte behind a bundle', () => Buffer.concat([bundle, new Uint8Array(1_000_000).fill(7)])],
  ])('that is %s is broken, whatever key there is', async (_what, bytes) => {
    await pin()
    expect(await send(bytes())).toMatchObject({ outcome: 'broken' })
  })

  test('of another log’s key is not trusted, and of a stranger’s key with that log’s name broken', async () => {
    await pin(formatVerifierKey(key('first', 'other.example/ledger')))
    expect((await send(bundle)).outcome).not.toBe('whole')
    const stranger = await collect(writeBundle(crypto, await world.bundle('se_one'), [key('stranger')]))
    expect((await send(stranger)).outcome).not.toBe('whole')
  })

  test('tells the witness of its checkpoint; one that contradicts what was seen is an alarm', async () => {
    await pin()
    await send(bundle, 'one.tar')
    expect(witness.state()).toMatchObject({
      checkpoints: [{ size: world.log.size, how: 'bundle', from: 'one.tar', state: 'pending' }],
    })
    const other = smallWorld()
    other.append('sign-in', { outcome: 'refused', via: 'api' })
    const size = other.log.size
    while (world.log.size < size) world.append('sign-in', { outcome: 'ok', via: 'api' })
    world.sign()
    other.sign()
    expect((await send(await collect(writeBundle(crypto, await world.bundle('se_one'), [world.key])))).outcome).toBe(
      'whole',
    )
    const forked = await send(await collect(writeBundle(crypto, await other.bundle('se_one'), [other.key])), 'two.tar')
    expect(forked).toMatchObject({ outcome: 'broken', findings: [{ code: 'forked' }] })
    expect(witness.state()).toMatchObject({
      status: { state: 'alarm' },
      alarms: [{ kind: 'forked', known: { size }, shown: { size, from: 'two.tar' } }],
    })
  })
})

describe('an upload', () => {
  test('takes slices in their order only', async () => {
    const upload = witness.bundles.open('x.tar', bundle.length)
    await witness.bundles.slice(upload, 0, bundle.subarray(0, 10))
    await expect(witness.bundles.slice(upload, 20, bundle.subarray(20, 30))).rejects.toMatchObject({
      code: 'bad-slice',
    })
    await expect(witness.bundles.close(upload)).rejects.toMatchObject({ code: 'bad-slice' })
    await expect(witness.bundles.close(upload)).rejects.toMatchObject({ code: 'no-such-upload' })
    expect(witness.state().verdicts).toEqual([])
  })

  test('is cancelled, and leaves nothing', async () => {
    const upload = witness.bundles.open('x.tar', bundle.length)
    await witness.bundles.slice(upload, 0, bundle.subarray(0, 1000))
    witness.bundles.cancel(upload)
    await expect(witness.bundles.slice(upload, 1000, bundle.subarray(1000, 1010))).rejects.toMatchObject({
      code: 'no-such-upload',
    })
    expect(witness.state().verdicts).toEqual([])
  })

  test('whose page has gone is given up', async () => {
    const upload = witness.bundles.open('x.tar', bundle.length)
    clock.move(10 * 60_000)
    await expect(witness.bundles.close(upload)).rejects.toMatchObject({ code: 'no-such-upload' })
  })

  test('is one of few', () => {
    for (let i = 0; i < 4; i++) witness.bundles.open('x.tar', 10)
    expect(() => witness.bundles.open('x.tar', 10)).toThrow('being verified already')
  })
})

describe('the evidence of a session', () => {
  test('is noted with its outcome, and forgotten with the person', async () => {
    await pin()
    const { id } = await witness.bundles.verifySession('se_one', stream(bundle), {})
    expect(witness.state().verifications).toMatchObject([{ session: 'se_one', outcome: 'whole', verdict: id }])
    witness[Symbol.dispose]()
    witness = start()
    expect(witness.state().verifications).toHaveLength(1)
    witness.forget()
    expect(witness.state()).toMatchObject({ verifications: [], verdicts: [] })
  })

  test('must be about that session', async () => {
    await pin()
    const verdict = await witness.bundles.verifySession('se_two', stream(bundle), {})
    expect(verdict).toMatchObject({ outcome: 'broken', why: expect.stringContaining('not about this session') })
    expect(witness.state().verifications).toMatchObject([{ session: 'se_two', outcome: 'broken' }])
  })

  test('that can’t be had, or is cancelled, changes nothing', async () => {
    async function* broken() {
      yield bundle.subarray(0, 5000)
      throw new Error('the connection was lost')
    }
    await expect(witness.bundles.verifySession('se_one', broken(), {})).rejects.toThrow('lost')
    const stopping = new AbortController()
    const cancelled = witness.bundles.verifySession('se_one', stream(bundle), {
      signal: stopping.signal,
      onProgress: () => stopping.abort(),
    })
    await expect(cancelled).rejects.toThrow()
    expect(witness.state().verifications).toEqual([])
  })
})

test('a hundred megabytes are never in memory', async () => {
  const big = new (world.constructor as new () => World)()
  big.append('gateway.started', { version: '0.1.0' })
  big.session('se_big', 20)
  big.sign()
  const content = await big.bundle('se_big')
  const piece = new Uint8Array(1024 * 1024).fill(0x61)
  const recordings = [
    {
      session: 'se_big',
      async *open() {
        for (let i = 0; i < 100; i++) yield piece
      },
    },
  ]
  const source = writeBundle(crypto, { ...content, recordings }, [big.key])
  await pin()
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  let most = 0
  const verdict = await witness.bundles.verifySession('se_big', source, {
    onProgress: () => {
      most = Math.max(most, process.memoryUsage().rss - before)
    },
  })
  // Its recording is not the one that was logged: that is found, with the byte, and all of it was read.
  expect(verdict).toMatchObject({ outcome: 'broken' })
  expect(verdict.bytes).toBeGreaterThan(100 * 1024 * 1024)
  expect(most).toBeLessThan(80 * 1024 * 1024)
})

test('a whole bundle does not vouch for another recording than the one in it, which the gateway gave out to be played', async () => {
  await pin()
  const asked: object[] = []
  const verdict = await witness.bundles.verifySession('se_one', stream(bundle), {
    played: async (bundled) => {
      asked.push(bundled)
      return 'other'
    },
  })
  expect(asked).toEqual([
    { session: 'se_one', bytes: expect.any(Number), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
  ])
  expect(verdict).toMatchObject({ outcome: 'broken', why: expect.stringContaining('is not the one in this bundle') })
  expect(witness.state().verifications[0]).toMatchObject({ session: 'se_one', outcome: 'broken' })
  for (const is of ['same', 'more', 'less', undefined] as const)
    expect((await witness.bundles.verifySession('se_one', stream(bundle), { played: async () => is })).outcome).toBe(
      'whole',
    )
})
