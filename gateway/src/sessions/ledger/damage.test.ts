import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { signCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { formatSignerKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Disk, realDisk } from './disk.ts'
import { newKey } from './key.ts'
import { LedgerStopped } from './ledger.ts'
import type { LedgerLog } from './log.ts'
import { codes, entry, fill, gateway, openLedger, origin, temporaryFolder, verified } from './testing/ledger.ts'

/** A ledger with two keys, 700 entries at its newest checkpoint and ten after it; `older` is what it was at 300. */
let made: ReturnType<typeof temporaryFolder>
let pinned: string
let note: string
beforeAll(async () => {
  made = temporaryFolder()
  const folder = made.at('ledger')
  const { log } = await openLedger(folder)
  pinned = log.keys[0]!
  fill(log, 200)
  cpSync(join(folder, 'key'), made.at('first-key'))
  log.rotateKey('for the test', gateway)
  fill(log, 99)
  log.sign()
  fill(log, 5)
  log.commit()
  cpSync(folder, made.at('older'), { recursive: true })
  fill(log, 395)
  note = log.sign().note
  cpSync(folder, made.at('signed'), { recursive: true })
  fill(log, 10)
  cpSync(folder, made.at('now'), { recursive: true })
  log.close()
})
afterAll(() => made[Symbol.dispose]())

const write = (folder: string, file: string, change: (bytes: Buffer) => Buffer | string) =>
  writeFileSync(join(folder, file), change(readFileSync(join(folder, file))))
const flip = (at: number) => (bytes: Buffer) => {
  bytes[at]! ^= 1
  return bytes
}
/** A bit by which one letter of base64 differs from another: the form is as it was. */
const flipInRoot = (checkpoint: Buffer) => {
  let at = checkpoint.indexOf('\n', checkpoint.indexOf('\n') + 1) + 5
  while (!/[A-Za-z0-9+/]/.test(String.fromCharCode(checkpoint[at]! ^ 1))) at++
  return flip(at)(checkpoint)
}
const older = (folder: string, ...files: string[]) => {
  for (const file of files) cpSync(made.at('older', file), join(folder, file))
}
const sql = (statement: string) => (folder: string) => {
  const database = new Database(join(folder, 'entries.sqlite'))
  database.exec(statement)
  database.close()
}
const database = ['entries.sqlite', 'entries.sqlite-wal']
const tail = 'unsigned-tail'

interface Damage {
  what: string
  harm: (folder: string) => void
  /** What a verifier says of it who has the first key and has seen the newest checkpoint. */
  says: string[]
  /** What opening says: what it has mended, or why it can't go on. Then it is whole, or is as it was. */
  found?: RegExp
  refused?: RegExp
  /** What a verifier still says after opening: nothing can bring it back, or nobody has looked. */
  remains?: string[]
}

const damages: Damage[] = [
  { what: 'nothing', harm: () => {}, says: [tail], found: /^10 entries \(700 to 709\) were on disk/ },
  {
    what: 'the checkpoint cut off',
    harm: (f) => truncateSync(join(f, 'checkpoint'), 60),
    says: ['checkpoint-form'],
    found: /the checkpoint was damaged: put back/,
  },
  {
    what: 'the checkpoint filled with zeroes',
    harm: (f) => write(f, 'checkpoint', (bytes) => bytes.fill(0)),
    says: ['checkpoint-form'],
    found: /the checkpoint was damaged: put back/,
  },
  {
    what: 'the checkpoint gone',
    harm: (f) => rmSync(join(f, 'checkpoint')),
    says: ['no-checkpoint'],
    found: /the checkpoint was gone: put back/,
  },
  {
    what: 'an older checkpoint',
    harm: (f) => older(f, 'checkpoint'),
    says: ['rolled-back', tail],
    found: /the checkpoint was of 300 entries, though one of 700 had been signed: put back/,
  },
  {
    what: 'a bit of the checkpoint’s root',
    harm: (f) => write(f, 'checkpoint', flipInRoot),
    says: ['signature', 'root', tail],
    refused: /its checkpoint is not one that it has signed .* remove it: then it is made from the entries/,
  },
  {
    what: 'a checkpoint by another key',
    harm: (f) => {
      const head = { size: 700, root: new Uint8Array(32) }
      writeFileSync(join(f, 'checkpoint'), signCheckpoint(nodeCrypto, head, [newKey(nodeCrypto, origin)]))
    },
    says: ['root', 'signature', tail],
    refused: /its checkpoint is not one that it has signed/,
  },
  {
    what: 'a partial tile of entries cut off',
    harm: (f) => truncateSync(join(f, 'tile/entries/002.p/188'), 1000),
    says: ['entries-cut', tail],
    found: /1 tile was damaged or missing, first tile\/entries\/002.p\/188: made again/,
  },
  {
    what: 'a partial tile of hashes full of zeroes',
    harm: (f) => write(f, 'tile/0/002.p/188', (bytes) => bytes.fill(0)),
    says: ['tile-hash', tail],
    found: /1 tile was damaged or missing, first tile\/0\/002.p\/188: made again/,
  },
  {
    what: 'the tile above them gone',
    harm: (f) => rmSync(join(f, 'tile/1'), { recursive: true }),
    says: ['tile-missing', tail],
    found: /1 tile was damaged or missing, first tile\/1\/000.p\/2: made again/,
  },
  {
    what: 'full tiles gone',
    harm: (f) => {
      rmSync(join(f, 'tile/entries/001'))
      rmSync(join(f, 'tile/0/000'))
    },
    says: ['tile-missing', 'entries-missing', tail],
    found: /2 tiles were damaged or missing/,
  },
  {
    what: 'all tiles gone',
    harm: (f) => rmSync(join(f, 'tile'), { recursive: true }),
    says: ['entries-missing', 'tile-missing', 'root-unknown', 'signature', tail],
    found: /tiles were damaged or missing, first tile\/entries\/000/,
  },
  {
    what: 'a bit of an entry in a full tile, far from the end',
    harm: (f) => write(f, 'tile/entries/000', flip(500)),
    says: ['entry-hash', tail],
    found: /^10 entries/,
    remains: ['entry-hash'],
  },
  {
    what: 'what an interrupted write after the checkpoint has left',
    harm: (f) => writeFileSync(join(f, 'tile/entries/002.p/198'), Buffer.alloc(100)),
    says: [tail],
    found: /^10 entries/,
  },
  {
    what: 'other entries after the checkpoint than there were when they were written',
    harm: (f) => writeFileSync(join(f, 'tile/entries/002.p/198'), readFileSync(join(f, 'tile/entries/001'))),
    says: [tail],
    refused: /tile\/entries\/002.p\/198 holds other entries than entries.sqlite does/,
  },
  {
    what: 'the end of the write-ahead log torn in the middle of a commit',
    harm: (f) => appendFileSync(join(f, 'entries.sqlite-wal'), Buffer.alloc(5000, 7)),
    says: [tail],
    found: /^10 entries/,
  },
  {
    what: 'the write-ahead log gone',
    harm: (f) => rmSync(join(f, 'entries.sqlite-wal')),
    says: [],
    refused: /does not know by which keys/,
  },
  {
    what: 'an older entries.sqlite',
    harm: (f) => older(f, ...database),
    says: ['payload-missing'],
    refused: /its checkpoint covers 700 entries, entries.sqlite has 305/,
  },
  {
    what: 'an older entries.sqlite and checkpoint',
    harm: (f) => older(f, ...database, 'checkpoint'),
    says: ['rolled-back', tail],
    refused: /tile\/entries\/001 holds entries after the 305 that entries.sqlite has/,
  },
  {
    what: 'no entries.sqlite',
    harm: (f) => {
      for (const name of database) rmSync(join(f, name))
    },
    says: ['payload-missing', 'never-erased', 'signature'],
    refused: /entries.sqlite does not know by which keys it was signed/,
  },
  {
    what: 'entries.sqlite full of something else',
    harm: (f) => {
      rmSync(join(f, 'entries.sqlite-wal'))
      writeFileSync(join(f, 'entries.sqlite'), Buffer.alloc(9000, 'x'))
    },
    says: [],
    refused: /entries.sqlite is damaged/,
  },
  {
    what: 'a payload that was changed',
    harm: sql(`update entries set payload = replace(payload, 'ok', 'no') where n = 17`),
    says: ['commitment', tail],
    found: /^10 entries/,
    remains: ['commitment'],
  },
  {
    what: 'the last payload that the checkpoint covers changed',
    harm: sql(`update entries set payload = replace(payload, 'ok', 'no') where n = 699`),
    says: ['commitment', tail],
    refused: /entry 699 in entries.sqlite is not the one that the checkpoint covers/,
  },
  {
    what: 'a row dropped',
    harm: sql('delete from entries where n = 17'),
    says: ['payload-missing', tail],
    found: /^10 entries/,
    remains: ['payload-missing'],
  },
  {
    what: 'a row dropped, and its tile too',
    harm: (f) => {
      sql('delete from entries where n = 17')(f)
      rmSync(join(f, 'tile/entries/000'))
    },
    says: ['entries-missing', 'payload-missing', 'signature', tail],
    refused: /entry 17 is not in entries.sqlite/,
  },
  {
    what: 'a row dropped after the checkpoint',
    harm: sql('delete from entries where n = 705'),
    says: [tail],
    refused: /entry 705 is not in entries.sqlite/,
  },
  {
    what: 'another key',
    harm: (f) => writeFileSync(join(f, 'key'), `${formatSignerKey(newKey(nodeCrypto, origin))}\n`),
    says: [tail],
    refused: /holds the key gw.example.com\/ledger\+.*, but this ledger is signed by gw.example.com\/ledger\+/,
  },
  {
    what: 'the key before this one',
    harm: (f) => cpSync(made.at('first-key'), join(f, 'key')),
    says: [tail],
    refused: /holds the key .* but this ledger is signed by/,
  },
  {
    what: 'no key',
    harm: (f) => rmSync(join(f, 'key')),
    says: [tail],
    refused: /key is not there, but this ledger is signed by/,
  },
  {
    what: 'a key that is none',
    harm: (f) => writeFileSync(join(f, 'key'), 'PRIVATE+KEY+x'),
    says: [tail],
    refused: /holds no key of a log \(.*\); put back the copy/,
  },
  {
    what: 'a handover gone',
    harm: (f) => rmSync(join(f, 'handover/200')),
    says: ['key-rotation', 'signature', tail],
    found: /handover\/200 was damaged or missing: put back/,
  },
]

describe('harm', () => {
  it.each(damages)('$what', async ({ harm, says, found, refused, remains }) => {
    using place = temporaryFolder()
    const folder = place.at('ledger')
    cpSync(made.at('now'), folder, { recursive: true })
    harm(folder)
    const report = await verified(folder, pinned, [note]).catch((error) => {
      expect(error).toBeInstanceOf(LedgerStopped)
      return undefined
    })
    expect([...new Set(report ? codes(report) : [])].sort()).toEqual([...says].sort())
    if (refused) {
      const error = await openLedger(folder).catch((caught) => caught)
      expect(error).toBeInstanceOf(LedgerStopped)
      expect(error.message).toMatch(refused)
      return
    }
    const { log, found: told } = await openLedger(folder)
    expect(told).toEqual(expect.arrayContaining([expect.stringMatching(found!)]))
    expect(log.size).toBe(710)
    fill(log, 300)
    log.sign()
    log.close()
    expect([...new Set(codes(await verified(folder, pinned, [note])))]).toEqual(remains ?? [])
    const again = await openLedger(folder)
    again.log.close()
    expect(again.found).toEqual([])
  })

  it('to a tile in the middle is mended by removing it', async () => {
    using place = temporaryFolder()
    const folder = place.at('ledger')
    cpSync(made.at('now'), folder, { recursive: true })
    write(folder, 'tile/entries/000', flip(500))
    rmSync(join(folder, 'tile/entries/000'))
    const { log } = await openLedger(folder)
    log.close()
    expect((await verified(folder, pinned, [note])).outcome).toBe('whole')
  })
})

/** A ledger that has a full tile of the second level. */
it('a long log is made again from its rows, erased ones too', async () => {
  using place = temporaryFolder()
  const folder = place.at('ledger')
  const { log } = await openLedger(folder)
  const one = entry({ payload: { outcome: 'ok', via: 'api' } })
  for (let n = 0; n < 65_900; n++) log.add(one)
  log.commit()
  log.erase({ run: 'r', rule: 'x', by: gateway, entries: [[10, 60_000]], recordings: [] })
  const [key] = log.keys
  log.close()
  rmSync(join(folder, 'tile'), { recursive: true })
  const again = await openLedger(folder)
  expect(again.found).toEqual([expect.stringMatching(/tiles were damaged or missing, first tile\/entries\/000/)])
  fill(again.log, 300)
  again.log.sign()
  again.log.close()
  expect(await verified(folder, key!)).toMatchObject({ outcome: 'whole', entries: 66_201, erased: 59_991 })
  expect(existsSync(join(folder, 'tile/1/000'))).toBe(true)
}, 90_000)

describe('a full disk', () => {
  it('under tiles and checkpoint: whatever could not be written is written by a later try', async () => {
    using place = temporaryFolder()
    const folder = place.at('ledger')
    let left = Number.POSITIVE_INFINITY
    const disk = Object.fromEntries(
      Object.entries(realDisk).map(([name, work]) => [
        name,
        (...args: never[]) => {
          if (/create|makeFolder|rename/.test(name) && left-- <= 0)
            throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
          return (work as (...args: never[]) => unknown)(...args)
        },
      ]),
    ) as unknown as Disk
    const { log } = await openLedger(folder, disk)
    for (let room = 0; room < 30; room++) {
      fill(log, 100)
      left = room
      try {
        if (room % 7 === 6) log.rotateKey('x', gateway)
        else log.sign()
      } catch (error) {
        expect(error).toBeInstanceOf(LedgerStopped)
        expect((error as Error).message).toMatch(/disk of the data folder is full; make room there/)
      }
      fill(log, 1)
      left = Number.POSITIVE_INFINITY
      if (room % 2) expect(log.sign().size).toBe(log.size)
    }
    expect(log.broken).toBeUndefined()
    log.sign()
    const [key] = log.keys
    log.close()
    expect((await verified(folder, key!)).findings).toEqual([])
  })

  const mounted = process.getuid?.() === 0 && process.platform === 'linux' && canMount()
  if (!mounted) console.warn('NOT TESTED HERE: a really full disk under the ledger (mounting a tmpfs needs root)')
  it.runIf(mounted)(
    'under all of it (a tmpfs that is full): nothing counts, and it goes on once there is room',
    async () => {
      using place = temporaryFolder()
      const folder = place.at('disk')
      mkdirSync(folder)
      expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]).status).toBe(0)
      let log: LedgerLog | undefined
      try {
        log = (await openLedger(join(folder, 'ledger'))).log
        fill(log, 300)
        log.sign()
        const [key] = log.keys
        const ballast = join(folder, 'ballast')
        for (let round = 0; round < 4; round++) {
          spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096'])
          let stop: unknown
          let committed = log.size
          for (let n = 0; n < 200 && !stop; n++) {
            log.add(entry({ payload: { text: 'x'.repeat(3000) } }))
            log.setTail('se_1', { offset: n, seq: n, chunkFrom: n, chunks: n, commands: log.size })
            try {
              log.commit()
              committed = log.size
              log.sign()
            } catch (error) {
              stop = error
            }
          }
          expect(stop).toBeInstanceOf(LedgerStopped)
          expect((stop as Error).message).toMatch(/disk of the data folder is full; make room there/)
          expect([log.size, log.broken]).toEqual([committed, undefined])
          rmSync(ballast)
          log.commit()
          // Room for the new key's file, but not for its entry.
          spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096'])
          truncateSync(ballast, statSync(ballast).size - 12_288)
          const { size, keys } = log
          const erased = { run: 'r', rule: 'x', by: gateway, recordings: [], entries: [[0, 1]] as [number, number][] }
          expect(() => log!.rotateKey('x', gateway)).toThrow(/disk of the data folder is full/)
          expect(() => log!.erase(erased)).toThrow(/disk of the data folder is full/)
          rmSync(ballast)
          log.commit()
          expect([log.size, log.keys]).toEqual([size, keys])
          expect(log.sign().size).toBe(log.size)
          expect((await verified(join(folder, 'ledger'), key!)).findings).toEqual([])
        }
        log.close()
        const again = await openLedger(join(folder, 'ledger'))
        log = again.log
        expect(again.found).toEqual([])
      } finally {
        log?.close()
        spawnSync('umount', [folder])
      }
    },
  )
  function canMount() {
    using place = temporaryFolder()
    const can = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place.path]).status === 0
    if (can) spawnSync('umount', [place.path])
    return can
  }
})

it('after any other error of the disk nothing is tried again: what an fsync has failed to write once counts as written for the next', async () => {
  using place = temporaryFolder()
  let broken = false
  const disk: Disk = {
    ...realDisk,
    syncFolder(folder) {
      if (broken) throw Object.assign(new Error('input/output error'), { code: 'EIO' })
      realDisk.syncFolder(folder)
    },
  }
  const { log } = await openLedger(place.at('ledger'), disk)
  const [key] = log.keys
  fill(log, 10)
  broken = true
  expect(() => log.sign()).toThrow(LedgerStopped)
  broken = false
  log.add(entry())
  for (const again of [() => log.sign(), () => log.commit()]) expect(again).toThrow(log.broken)
  log.close()
  const { log: opened } = await openLedger(place.at('ledger'))
  opened.close()
  expect(await verified(place.at('ledger'), key!)).toMatchObject({ outcome: 'whole', entries: 10 })
})
