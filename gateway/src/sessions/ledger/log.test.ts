import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cosign, readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { fromUtf8, hex } from '@countersign/contract/ledger/encoding'
import { opens, parseLeaf } from '@countersign/contract/ledger/entry'
import { formatVerifierKey, signerKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEntries } from './entries.ts'
import { leafOf } from './leaf.ts'
import { LedgerStopped } from './ledger.ts'
import type { LedgerLog } from './log.ts'
import { codes, entry, fill, gateway, openLedger, origin, temporaryFolder, verified } from './testing/ledger.ts'

let place: ReturnType<typeof temporaryFolder>
let folder: string
let log: LedgerLog
let pinned: string
beforeEach(async () => {
  place = temporaryFolder()
  folder = place.at('ledger')
  log = (await openLedger(folder)).log
  pinned = log.keys[0]!
})
afterEach(() => {
  log.close()
  place[Symbol.dispose]()
})
const reopen = async () => {
  log.close()
  const { log: again, found } = await openLedger(folder)
  log = again
  return found
}

describe('a new log', () => {
  it('has a folder and a key for nobody else, a checkpoint of nothing, and the name that it was given', async () => {
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const file of ['key', 'entries.sqlite', 'vkey', 'checkpoint', 'lock'])
      expect([file, statSync(join(folder, file)).mode & 0o077]).toEqual([file, 0])
    expect(log).toMatchObject({ origin, size: 0, head: { origin, size: 0 }, handovers: [] })
    expect(readFileSync(join(folder, 'vkey'), 'utf8')).toBe(`${pinned}\n`)
    expect(await verified(folder, pinned)).toMatchObject({ outcome: 'whole', entries: 0 })
  })

  it('keeps name and key when it is opened again, whatever it is called then', async () => {
    log.close()
    const again = await openLedger(folder)
    log = again.log
    expect(again.found).toEqual([])
    expect(log.keys).toEqual([pinned])
  })

  it('is one writer at a time', async () => {
    await expect(openLedger(folder)).rejects.toThrow(/Another process writes the ledger/)
  })
})

describe('entries', () => {
  it.each([1, 255, 256, 257, 600])('%i of them, signed, are whole', async (count) => {
    for (let n = 0; n < count; n++) expect(log.add(entry())).toBe(n)
    log.commit()
    expect(log.sign().size).toBe(count)
    expect(await verified(folder, pinned)).toMatchObject({ outcome: 'whole', entries: count })
    expect(await reopen()).toEqual([])
    fill(log, 3)
    log.sign()
    expect(await verified(folder, pinned)).toMatchObject({ outcome: 'whole', entries: count + 3 })
  })

  it('signed after every commit leave no partial tile beside its full one', async () => {
    const seen: string[] = []
    for (let i = 0; i < 40; i++) {
      fill(log, 1 + (i % 23))
      seen.push(log.sign().note)
    }
    expect(await verified(folder, pinned, seen)).toMatchObject({ outcome: 'whole', entries: log.size })
    const names = readdirSync(join(folder, 'tile', 'entries'))
    expect(names.sort()).toEqual(['000', '001.p'])
  })

  it('count once they are committed, and are covered once they are signed', async () => {
    log.add(entry())
    expect(log.size).toBe(0)
    expect(log.sign().size).toBe(0)
    using entries = openEntries(folder)
    expect(entries.count()).toBe(0)
    log.commit()
    expect([log.size, log.head.size, entries.count()]).toEqual([1, 0, 1])
    expect(codes(await verified(folder, pinned))).toEqual(['unsigned-tail'])
    const head = log.sign()
    expect(log.sign()).toBe(head)
    expect(readFileSync(join(folder, 'checkpoint'), 'utf8')).toBe(head.note)
  })

  it('that make no entry are refused, and take no number', () => {
    expect(() => log.add(entry({ payload: Number.NaN }))).toThrow(TypeError)
    expect(() => log.add(entry({ at: 'yesterday' }))).toThrow(/makes no leaf/)
    expect(() => log.add(entry({ type: 'No Type' }))).toThrow(/makes no leaf/)
    expect(log.add(entry())).toBe(0)
  })

  it('are found by session and type, and their leaves follow from their rows', () => {
    fill(log, 1500, { type: 'command', session: 'se_a' })
    fill(log, 3, { type: 'playback', session: 'se_b' })
    fill(log, 2, { type: 'approval.opened', session: 'se_a' })
    log.sign()
    using entries = openEntries(folder)
    expect([...entries.entriesOf('se_a')].map(({ n }) => n)).toEqual([
      ...Array.from({ length: 1500 }, (_, n) => n),
      1503,
      1504,
    ])
    expect([...entries.entriesOf('se_a', { types: ['approval.opened'] })].map(({ n }) => n)).toEqual([1503, 1504])
    expect([...entries.byType('playback', { from: 1501 })].map(({ n }) => n)).toEqual([1501, 1502])
    expect([...entries.byType('command', { from: 1490 })]).toHaveLength(10)
    const row = entries.entry(1502)!
    expect(row).toMatchObject({ n: 1502, type: 'playback', session: 'se_b', commitment: null })
    const leaf = leafOf(nodeCrypto.sha256, row)!
    expect(opens(nodeCrypto.sha256, parseLeaf(leaf)!, row.salt!, row.payload!)).toBe(true)
    expect(readFileSync(join(folder, 'tile/entries/005.p/225')).includes(Buffer.from(leaf))).toBe(true)
    expect(entries.entry(1505)).toBeUndefined()
  })

  it('have salts of their own', () => {
    fill(log, 2000, { payload: 'the same' })
    using entries = openEntries(folder)
    const salts = new Set(Array.from({ length: 2000 }, (_, n) => hex(entries.entry(n)!.salt!)))
    expect(salts.size).toBe(2000)
  })
})

describe('tails and meta', () => {
  const tail = { offset: 10, seq: 2, chunkFrom: 3, chunks: 4, commands: 5 }
  it('come with the next commit, or not at all', async () => {
    log.setTail('se_a', tail)
    log.setTail('se_b', tail)
    log.setMeta('outbox', 17)
    log.setMeta('name', 'x')
    expect([log.tail('se_a'), log.meta('outbox'), log.tails()]).toEqual([tail, 17, []])
    await reopen()
    expect([log.tail('se_a'), log.meta('outbox')]).toEqual([undefined, undefined])
    log.setTail('se_a', tail)
    log.setTail('se_b', tail)
    log.setMeta('outbox', 17)
    log.commit()
    log.dropTail('se_b')
    expect(log.tail('se_b')).toBeUndefined()
    log.setMeta('outbox', undefined)
    log.setMeta('name', 'y')
    log.commit()
    await reopen()
    expect([log.tails(), log.meta('outbox'), log.meta('name')]).toEqual([[{ session: 'se_a', tail }], undefined, 'y'])
    expect(() => log.setMeta('log.keys', '[]')).toThrow(RangeError)
  })
})

describe('a cosignature', () => {
  const seed = new Uint8Array(32).fill(7)
  const witness = signerKey(nodeCrypto, 'witness.example.com', 'cosignature', seed)
  const vkey = formatVerifierKey(witness)
  const cosigned = (note: string) => `${note}${cosign(nodeCrypto, note, witness, 1_763_700_000)}`

  it('is served with its checkpoint, and stays when the log is opened again', async () => {
    fill(log, 3)
    const note = cosigned(log.sign().note)
    expect(log.cosign(vkey, note).note).toBe(note)
    expect(log.head.note).toBe(note)
    expect(readFileSync(join(folder, 'checkpoint'), 'utf8')).toBe(note)
    log.cosign(vkey, note)
    expect(log.head.note).toBe(note)
    expect(await reopen()).toEqual([])
    expect(log.head.note).toBe(note)
    fill(log, 1)
    expect(log.sign().note).not.toContain('witness')
    expect((await verified(folder, pinned)).outcome).toBe('whole')
  })

  it('of an older checkpoint is taken, and does not go into the newest', () => {
    fill(log, 3)
    const older = log.sign()
    fill(log, 3)
    const newest = log.sign()
    expect(log.cosign(vkey, cosigned(older.note))).toMatchObject({ size: 3, note: cosigned(older.note) })
    expect(log.head).toEqual(newest)
  })

  it('that is wrong, of another key, or for what this log has not signed, is refused', () => {
    fill(log, 1)
    const { note } = log.sign()
    const good = cosigned(note)
    const other = note.replace('\n1\n', '\n2\n')
    expect(() => log.cosign(vkey, `${note}${cosigned(other).split('\n').at(-2)}\n`)).toThrow(
      expect.objectContaining({ code: 'bad-signature' }),
    )
    expect(() => log.cosign(vkey, cosigned(other))).toThrow(expect.objectContaining({ code: 'out-of-range' }))
    expect(() => log.cosign(vkey, note)).toThrow(expect.objectContaining({ code: 'unknown-key' }))
    expect(() => log.cosign(pinned, good)).toThrow(expect.objectContaining({ code: 'malformed-key' }))
    expect(() => log.cosign('nonsense', good)).toThrow(expect.objectContaining({ code: 'malformed-key' }))
    expect(log.head.note).toBe(note)
  })

  it('under the name of the log itself is refused: its line could stand in the place of the log’s own', () => {
    fill(log, 1)
    const { note } = log.sign()
    const same = signerKey(nodeCrypto, log.origin, 'cosignature', seed)
    const line = cosign(nodeCrypto, note, same, 1_763_700_000)
    expect(() => log.cosign(formatVerifierKey(same), note + line)).toThrow(
      expect.objectContaining({ code: 'malformed-key' }),
    )
  })

  it('is one of fifty at most', () => {
    fill(log, 1)
    log.sign()
    const one = (n: number) => signerKey(nodeCrypto, `w${n}`, 'cosignature', seed)
    const line = (n: number) => log.head.note + cosign(nodeCrypto, log.head.note, one(n), 1_763_700_000)
    for (let n = 0; n < 50; n++) log.cosign(formatVerifierKey(one(n)), line(n))
    expect(() => log.cosign(formatVerifierKey(one(50)), line(50))).toThrow(/takes 50 cosignatures/)
  })
})

describe('a new key', () => {
  it('is followed from the old one, as often as it is replaced; the old one is gone from the disk', async () => {
    fill(log, 300)
    log.sign()
    const first = readFileSync(join(folder, 'key'), 'utf8')
    const second = log.rotateKey('somebody has left', gateway)
    fill(log, 2)
    const third = log.rotateKey('a year is over', gateway)
    expect(log.keys).toEqual([pinned, second, third])
    expect(log.handovers.map((note) => readCheckpoint(note).size)).toEqual([301, 304])
    expect(readdirSync(join(folder, 'handover')).sort()).toEqual(['300', '303'])
    fill(log, 1)
    log.sign()
    for (const key of log.keys) expect(await verified(folder, key)).toMatchObject({ outcome: 'whole', findings: [] })
    expect(readFileSync(join(folder, 'vkey'), 'utf8')).toBe(`${third}\n`)
    for (const name of readdirSync(folder, { withFileTypes: true }))
      if (name.isFile()) expect(readFileSync(join(folder, name.name)).includes(first.trim())).toBe(false)
    expect(await reopen()).toEqual([])
    expect(log.keys).toEqual([pinned, second, third])
    fill(log, 1)
    log.sign()
    expect((await verified(folder, pinned)).outcome).toBe('whole')
  })
})

describe('erasure', () => {
  const secrets = Array.from({ length: 400 }, (_, i) => `SECRET-${i}-${'x'.repeat(i % 7 === 0 ? 9000 : i)}`)
  const raw = () =>
    ['entries.sqlite', 'entries.sqlite-wal'].map((name) => {
      try {
        return readFileSync(join(folder, name))
      } catch {
        return Buffer.alloc(0)
      }
    })
  const left = (bytes: Uint8Array | string) => raw().some((file) => file.includes(Buffer.from(bytes)))
  const fillSecrets = () => {
    for (const secret of secrets) log.add(entry({ payload: { secret } }))
    log.commit()
    using entries = openEntries(folder)
    return Array.from({ length: secrets.length }, (_, n) => entries.entry(n)!.salt!)
  }
  const run = { run: 'rr_1', rule: 'recordings 90d', by: gateway, recordings: ['se_a'] }

  it('leaves nothing of payload and salt in any file, and the log whole', async () => {
    const salts = fillSecrets()
    expect([left('SECRET-3-'), left(salts[3]!)]).toEqual([true, true])
    const n = log.erase({
      ...run,
      entries: [
        [0, 99],
        [150, 150],
        [200, 399],
      ],
    })
    expect(n).toBe(400)
    const gone = (i: number) => i < 100 || i === 150 || i >= 200
    secrets.forEach((secret, i) => {
      const start = secret.slice(0, 11)
      if (gone(i)) expect([i, left(`"${start}`), left(salts[i]!)]).toEqual([i, false, false])
      else expect([i, left(salts[i]!)]).toEqual([i, true])
    })
    expect(await verified(folder, pinned)).toMatchObject({ outcome: 'whole', erased: 301 })
    expect(await reopen()).toEqual([])
  })

  it('while somebody reads leaves them in the write-ahead log until he has ended', async () => {
    fillSecrets()
    const reader = new Database(join(folder, 'entries.sqlite'), { readonly: true })
    reader.exec('begin')
    reader.prepare('select count(*) from entries').get()
    log.erase({ ...run, entries: [[0, 399]] })
    expect(left('SECRET-3-')).toBe(true)
    expect(log.scrub()).toBe(false)
    reader.exec('rollback')
    reader.close()
    log.sign()
    expect(left('SECRET-')).toBe(false)
    expect(await verified(folder, pinned)).toMatchObject({ outcome: 'whole', erased: 400 })
  })

  it('goes on where the process ended in the middle', async () => {
    fillSecrets()
    const steps = log.erasing({
      ...run,
      entries: [
        [0, 10],
        [20, 399],
      ],
    })
    for (let i = 0; i < 2; i++) steps.next()
    fill(log, 5)
    log.sign()
    expect(await verified(folder, pinned)).toMatchObject({ outcome: 'whole', erased: 11 })
    expect(await reopen()).toEqual(['the deletion of entry 400 had not ended: it has now'])
    expect([left('"SECRET-11-'), left('"SECRET-30-')]).toEqual([true, false])
    expect(await verified(folder, pinned)).toMatchObject({ outcome: 'whole', erased: 391 })
    expect(await reopen()).toEqual([])
  })

  it('spares deletion entries and keys, and is refused for entries that are not there', async () => {
    fill(log, 5)
    log.erase({ ...run, entries: [[0, 1]] })
    log.rotateKey('x', gateway)
    log.erase({ ...run, entries: [[0, 6]] })
    expect(await verified(folder, pinned)).toMatchObject({ outcome: 'whole', erased: 5 })
    using entries = openEntries(folder)
    expect(fromUtf8(entries.entry(5)!.payload!)).toContain('"rr_1"')
    const { size } = log
    for (const range of [
      [0, size],
      [3, 2],
      [-1, 2],
      [0.5, 2],
    ] as [number, number][])
      expect(() => log.erase({ ...run, entries: [range] })).toThrow(RangeError)
    expect(log.size).toBe(size)
  })

  it('by hand is no erasure, and is told; the tiles can be made again even then', async () => {
    fill(log, 300)
    log.sign()
    log.close()
    const database = new Database(join(folder, 'entries.sqlite'))
    database.exec('update entries set payload = null, salt = null where n = 7')
    database.close()
    log = (await openLedger(folder)).log
    expect(codes(await verified(folder, pinned))).toEqual(['erased-unexplained'])
  })
})

it('says what to do where the folder can’t be used', async () => {
  const file = place.at('file')
  writeFileSync(file, 'x')
  await expect(openLedger(file)).rejects.toThrow(LedgerStopped)
})
