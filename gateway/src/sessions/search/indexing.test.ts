import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { placeOf, seal } from '../recording.ts'
import { searchFile } from './database.ts'
import { type Indexing, startIndexing } from './indexing.ts'
import { createSearch, type Search, SearchDamaged } from './search.ts'
import { SearchIndex } from './search-index.ts'
import { commandOf, give, headerOf, linesOf, type Recorded } from './testing/recordings.ts'

const said: string[] = []
const tell = (fields: unknown, text?: string) => void said.push(`${text} ${JSON.stringify(fields)}`)
const log = { info: tell, warn: tell, error: tell }
let folder: string
let indexing: Indexing | undefined
let search: Search
beforeEach(() => {
  said.length = 0
  folder = mkdtempSync(join(tmpdir(), 'indexing-'))
  search = createSearch(folder)
})
afterEach(async () => {
  search[Symbol.dispose]()
  await indexing?.[Symbol.asyncDispose]()
  indexing = undefined
  rmSync(folder, { recursive: true, force: true })
})

const startedAt = '2026-11-20T10:00:00.000Z'
const recordingOf = (session: string, texts: string[], ended = true): Recorded => ({
  header: headerOf(session, { startedAt }),
  events: [
    ...texts.map((text, i) => ({ t: i, event: commandOf(`c${i}`, text, { tables: [`public.${session}`] }) })),
    ...(ended ? [{ t: texts.length, event: { type: 'end' as const, state: 'closed' as const, reason: 'done' } }] : []),
  ],
})

function written(recorded: Recorded, lines = linesOf(recorded)) {
  const place = placeOf(folder, recorded.header.session, startedAt)
  mkdirSync(dirname(place.plain), { recursive: true })
  writeFileSync(place.plain, Buffer.concat(lines.map(({ bytes }) => Buffer.concat([bytes, Buffer.from('\n')]))))
  return place
}

const start = () => {
  indexing = startIndexing({ folder, log, againMs: 20, patienceMs: 20 })
  return indexing
}
const found = (text: string) => search.commands({ limit: 100, text }).items.map(({ session, text }) => [session, text])

describe('an index that lacks recordings', () => {
  it('reads them, sealed and plain ones, and says so', async () => {
    await seal(written(recordingOf('se_a', ['select apples', 'select pears'])))
    written(recordingOf('se_b', ['select apples']))
    // Torn, and without an end: as it is after a power cut.
    const torn = recordingOf('se_c', ['select cherries', 'select plums'], false)
    const place = written(torn)
    writeFileSync(place.plain, readFileSync(place.plain).subarray(0, -20))
    // No recordings at all.
    writeFileSync(join(dirname(place.plain), 'se_d.ndjson'), 'nothing\n')
    writeFileSync(join(dirname(place.plain), 'se_e.ndjson.zst'), 'nothing')
    await start().whole()
    expect(found('apples')).toHaveLength(2)
    expect(found('pears')).toEqual([['se_a', 'select pears']])
    expect(found('cherries')).toEqual([['se_c', 'select cherries']])
    expect(found('plums')).toEqual([])
    expect(search.commands({ limit: 1 })).not.toHaveProperty('behind')
    expect(said.join('\n')).toMatch(/missing: it is filled from the recordings .*5/)
    expect(statSync(searchFile(folder)).mode & 0o777).toBe(0o600)
  })

  it('says how many it still lacks while it reads', async () => {
    for (let i = 0; i < 5; i++)
      written(
        recordingOf(
          `se_${'abcde'[i]}`,
          Array.from({ length: 300 }, (_, n) => `select ${n}`),
        ),
      )
    const behind = new Set<number | undefined>()
    const whole = start().whole()
    let done = false
    void whole.then(() => {
      done = true
    })
    while (!done) {
      behind.add(search.commands({ limit: 1 }).behind)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect([...behind].some((n) => n !== undefined && n > 0)).toBe(true)
    expect(search.commands({ limit: 1 }).behind).toBeUndefined()
  })

  it('reads nothing again that it has', async () => {
    written(recordingOf('se_a', ['select apples']))
    await start().whole()
    await indexing![Symbol.asyncDispose]()
    said.length = 0
    const place = placeOf(folder, 'se_a', startedAt)
    writeFileSync(place.plain, 'this would not be understood\n')
    await start().whole()
    expect(found('apples')).toHaveLength(1)
    expect(said).toEqual([])
  })

  it('goes on with a live recording whose beginning it has to get first', async () => {
    const recorded = recordingOf('se_a', ['select apples', 'select pears', 'select plums', 'select grapes'])
    const lines = linesOf(recorded)
    written(recorded, lines.slice(0, 4))
    start()
    // As after the death of the thread: whoever reads along goes on where the ledger was.
    indexing!.line(recorded.header, lines[3]!)
    indexing!.commit()
    await indexing!.whole()
    indexing!.flush()
    expect(found('plums')).toHaveLength(1)
    for (const line of lines.slice(4)) indexing!.line(recorded.header, line)
    indexing!.flush()
    for (const word of ['apples', 'pears', 'plums', 'grapes']) expect(found(word)).toHaveLength(1)
  })

  it('makes good what could not be stored', async () => {
    const recorded = recordingOf('se_a', ['select apples', 'select pears'])
    written(recorded)
    await start().whole()
    const other = recordingOf('se_b', ['select plums', 'select cherries'])
    const lines = linesOf(other)
    written(other)
    const holder = new Database(searchFile(folder))
    holder.exec('begin immediate')
    for (const line of lines.slice(0, 2)) indexing!.line(other.header, line)
    indexing!.flush()
    expect(said.join('\n')).toMatch(/could not be indexed.*locked/)
    // What follows is of no use without what was lost.
    for (const line of lines.slice(2)) indexing!.line(other.header, line)
    indexing!.flush()
    holder.exec('rollback')
    holder.close()
    await vi.waitFor(() => expect(found('cherries')).toHaveLength(1), 10_000)
    expect(found('plums')).toHaveLength(1)
  })
})

describe('an index that can’t be used', () => {
  const full = async () => {
    written(
      recordingOf(
        'se_a',
        Array.from({ length: 400 }, (_, n) => `select apples${n} from orchard`),
      ),
    )
    await start().whole()
    await indexing![Symbol.asyncDispose]()
    indexing = undefined
    search[Symbol.dispose]()
  }

  it.each<[string, (file: string) => void, RegExp]>([
    ['of another version', (file) => new Database(file).pragma('user_version = 99'), /of another version/],
    ['of another program', (file) => new Database(file).pragma('application_id = 1'), /of another version/],
    ['no database', (file) => writeFileSync(file, 'x'.repeat(10_000)), /damaged/],
    ['cut', (file) => writeFileSync(file, readFileSync(file).subarray(0, 5000)), /damaged/],
    ['without a table', (file) => new Database(file).exec('drop table texts'), /damaged/],
    ['gone', (file) => rmSync(file), /missing/],
  ])('%s: is made anew', async (_, harm, why) => {
    await full()
    said.length = 0
    harm(searchFile(folder))
    await start().whole()
    expect(found('orchard')).toHaveLength(100)
    expect(said.join('\n')).toMatch(why)
  })

  it('in its midst: who searches is told, and it is made anew', async () => {
    await full()
    const file = searchFile(folder)
    const own = start()
    await own.whole()
    const fd = openSync(file, 'r+')
    const db = new Database(file)
    const pages = db.prepare("select pageno from dbstat where name = 'words_1_data'").pluck().all() as number[]
    db.close()
    for (const page of pages) writeSync(fd, Buffer.alloc(4096, 0xa5), 0, 4096, (page - 1) * 4096)
    closeSync(fd)
    const told: string[] = []
    using asking = createSearch(folder, {
      damaged: () => {
        told.push('damaged')
        own.remake()
      },
    })
    expect(() => asking.commands({ limit: 10, text: 'orchard' })).toThrow(SearchDamaged)
    expect(told).toEqual(['damaged'])
    await own.whole()
    expect(asking.commands({ limit: 10, text: 'orchard' }).items).toHaveLength(10)
  })

  it('finds nothing where there is none', () => {
    expect(existsSync(searchFile(folder))).toBe(false)
    expect(search.commands({ limit: 10 })).toEqual({ items: [], next: null })
    expect(search.sessionsWith('x')).toEqual({ are: 'these', sessions: [] })
  })
})

describe('forgetting', () => {
  it('leaves no byte of a session, and all of the others', async () => {
    // Random enough not to be there by chance; several parts, merged and unmerged.
    const secret = (n: number) => `zq${(n * 7919).toString(36)}xw`
    const marks = ['zq', 'gone-agent', 'public.secrettable', 'se_gone']
    const index = new SearchIndex({ file: searchFile(folder), log, part: 150 })
    const mixed: Recorded[] = []
    for (const session of ['se_kept', 'se_gone', 'se_kepttoo']) {
      const gone = session === 'se_gone'
      const events = Array.from({ length: 400 }, (_, n) => [
        {
          t: n,
          event: commandOf(`c${n}`, gone ? `select ${secret(n)} from secrettable` : `select ${n} from meadow`, {
            tables: [gone ? 'public.secrettable' : 'public.meadow'],
            parameters: [gone ? `zqparameter${n}` : `p${n}`],
          }),
        },
        {
          t: n,
          event: {
            type: 'rows' as const,
            command: `c${n}`,
            columns: [{ name: 'a', type: 25 }],
            rows: [[gone ? `zqrow${n}` : `row${n}`]],
          },
        },
        { t: n, event: { type: 'result' as const, command: `c${n}`, status: 'completed' as const, ms: 1 } },
      ]).flat()
      mixed.push({ header: headerOf(session, { agentName: gone ? 'gone-agent' : 'kept-agent', startedAt }), events })
    }
    const lines = mixed.map((recorded) => linesOf(recorded))
    for (let at = 0; at < lines[0]!.length; at += 37) {
      for (const [i, { header }] of mixed.entries())
        for (const line of lines[i]!.slice(at, at + 37)) index.line(header, line)
      index.flush()
    }
    const has = (mark: string) =>
      ['', '-wal', '-shm']
        .map((suffix) => searchFile(folder) + suffix)
        .some((file) => existsSync(file) && readFileSync(file).includes(mark))
    for (const mark of marks) expect([mark, has(mark)]).toEqual([mark, true])

    const before = search.commands({ limit: 1000, text: 'meadow' }).items
    index.forget(['se_gone', 'se_never'])
    expect(search.commands({ limit: 1000, agent: 'https://idp#gone-agent' }).items).toEqual([])
    expect(search.commands({ limit: 1000, text: 'zqrow1' }).items).toEqual([])
    expect(search.sessionsWith('secrettable')).toEqual({ are: 'these', sessions: [] })
    let steps = 0
    while (!index.tidy(1)) steps++
    expect(steps).toBeGreaterThan(3)
    for (const mark of marks) expect([mark, has(mark)]).toEqual([mark, false])
    expect(search.commands({ limit: 1000, text: 'meadow' }).items).toEqual(before)
    expect(search.commands({ limit: 1000, text: 'row1' }).items.length).toBeGreaterThan(0)

    // All that is left goes, too, with its parts.
    index.forget(['se_kept', 'se_kepttoo'])
    while (!index.tidy(50));
    for (const mark of ['meadow', 'kept-agent', 'row1']) expect([mark, has(mark)]).toEqual([mark, false])
    index[Symbol.dispose]()
    const db = new Database(searchFile(folder), { readonly: true })
    expect(db.prepare('select (select count(*) from parts) + (select count(*) from names)').pluck().get()).toBe(0)
    db.close()
  })

  it('goes on after a restart in its midst', async () => {
    const index = new SearchIndex({ file: searchFile(folder), log })
    const recorded = recordingOf(
      'se_a',
      Array.from({ length: 1000 }, (_, n) => `select zq${n}`),
    )
    give(index, recorded)
    index.flush()
    index.forget(['se_a'])
    index.tidy(0)
    index[Symbol.dispose]()
    const again = new SearchIndex({ file: searchFile(folder), log })
    expect(search.commands({ limit: 10 }).items).toEqual([])
    while (!again.tidy(20));
    expect(readFileSync(searchFile(folder)).includes('zq')).toBe(false)
    // Its name is free again.
    give(again, recordingOf('se_a', ['select anew']))
    again.flush()
    expect(found('anew')).toEqual([['se_a', 'select anew']])
    again[Symbol.dispose]()
  })

  it('takes out a session that is being read', async () => {
    const recorded = recordingOf('se_a', ['select apples', 'select pears'])
    const lines = linesOf(recorded)
    start()
    for (const line of lines.slice(0, 2)) indexing!.line(recorded.header, line)
    indexing!.flush()
    expect(found('apples')).toHaveLength(1)
    await indexing!.forget(['se_a'])
    for (const line of lines.slice(2)) indexing!.line(recorded.header, line)
    indexing!.flush()
    await indexing!.whole()
    expect(search.commands({ limit: 10 }).items).toEqual([])
  })
})

describe('what is kept in mind', () => {
  it('is bounded, and repeats are still counted', () => {
    using index = new SearchIndex({ file: searchFile(folder), log, remembered: 20_000 })
    const texts = Array.from({ length: 3000 }, (_, n) => `select ${'x'.repeat(50)} ${n % 1000}`)
    for (const session of ['se_a', 'se_b']) give(index, recordingOf(session, texts, false))
    index.flush()
    const { items } = search.commands({ limit: 5000 })
    expect(items).toHaveLength(2000)
    expect(items.every(({ count }) => count === 3)).toBe(true)
  })

  it('tells long texts apart that begin alike, and shows their beginnings', () => {
    using index = new SearchIndex({ file: searchFile(folder), log })
    const long = 'select '.repeat(20_000)
    give(index, recordingOf('se_a', [`${long}1`, `${long}2`, `${long}1`]))
    index.flush()
    const { items } = search.commands({ limit: 10, text: 'select' })
    expect(items.map(({ count, text }) => [count, text.length])).toEqual([
      [1, 1000],
      [2, 1000],
    ])
  })
})
