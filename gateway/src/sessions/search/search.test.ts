import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { searchFile } from './database.ts'
import { createSearch, type Search } from './search.ts'
import { SearchIndex } from './search-index.ts'
import { commandOf, give, headerOf, type Recorded } from './testing/recordings.ts'

const log = { info() {}, warn() {}, error() {} }
let folder: string
let index: SearchIndex
let search: Search
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'search-'))
  index = new SearchIndex({ file: searchFile(folder), log })
  search = createSearch(folder)
})
afterEach(() => {
  search[Symbol.dispose]()
  index[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

const recorded = (session: string, events: Recorded['events'], header = {}): Recorded => ({
  header: headerOf(session, header),
  events,
})

describe('the search', () => {
  it('finds commands by what they say, who sent them, where, and what came of them', () => {
    const a = recorded('se_a', [
      { t: 1, event: commandOf('c1', 'select * from public.customers', { tables: ['public.customers'] }) },
      {
        t: 2,
        event: {
          type: 'rows',
          command: 'c1',
          columns: [{ name: 'mail', type: 25 }],
          rows: [['ada@example.com'], [null]],
        },
      },
      { t: 3, event: { type: 'result', command: 'c1', status: 'completed', rows: 2, ms: 1 } },
      {
        t: 4,
        event: commandOf('c2', 'delete from public.orders', {
          tables: ['public.orders'],
          verdict: { outcome: 'deny', policies: [] },
        }),
      },
      {
        t: 5,
        event: {
          type: 'result',
          command: 'c2',
          status: 'refused',
          sqlstate: '42501',
          message: 'denied by policy nightly',
          ms: 0,
        },
      },
      { t: 6, event: commandOf('c3', 'select * from public.customers', { tables: ['public.customers'] }) },
    ])
    give(index, a)
    index.flush()
    const texts = (query: object) =>
      search.commands({ limit: 10, ...query }).items.map(({ text, count, found, seq }) => [text, count, found, seq])
    expect(texts({})).toEqual([
      ['delete from public.orders', 1, 'command', 4],
      ['select * from public.customers', 2, 'command', 1],
    ])
    expect(texts({ text: 'customers' })).toEqual([['select * from public.customers', 2, 'command', 1]])
    expect(texts({ text: 'ada@example' })).toEqual([['select * from public.customers', 2, 'result', 1]])
    expect(texts({ text: 'customers ada' })).toEqual([['select * from public.customers', 2, 'result', 1]])
    expect(texts({ text: '42501' })).toEqual([['delete from public.orders', 1, 'result', 4]])
    expect(texts({ table: 'public.orders' })).toEqual([['delete from public.orders', 1, 'command', 4]])
    expect(texts({ table: 'orders', verdict: 'deny' })).toHaveLength(1)
    expect(texts({ verdict: 'hold' })).toEqual([])
    expect(texts({ agent: 'https://idp#ci', connection: 'orders', table: 'public.customers' })).toHaveLength(1)
    expect(texts({ agent: 'https://idp#other' })).toEqual([])
    expect(texts({ session: 'se_a' })).toHaveLength(2)
    expect(texts({ session: 'se_b' })).toEqual([])
  })

  it('finds commands of SSH by what they put out first, without what a terminal would obey', () => {
    const exec = (command: string, channel: string, text: string): Recorded['events'] => [
      { t: 1, event: commandOf(command, text, { kind: 'exec' }) },
      { t: 2, event: { type: 'channel', channel, command, kind: 'exec' } },
    ]
    const output = (channel: string, data: string, more = {}): Recorded['events'][number] => ({
      t: 3,
      event: { type: 'output', channel, stream: 'stdout', data, ...more },
    })
    const exit = { bytes: { stdin: 0, stdout: 0, stderr: 0 }, sha256: { stdin: '', stdout: '', stderr: '' } }
    give(
      index,
      recorded('se_a', [
        ...exec('c1', '1', 'uname -a'),
        ...exec('c2', '2', 'cat /var/log/big'),
        output('2', 'needle in hay '),
        output('1', '\u001b[31mLinux\u001b[0m web1 \u001b]0;title\u0007'),
        output('1', 'countersign: spoken', { notice: true }),
        output('2', 'hay '.repeat(2000)),
        output('2', 'toolate'),
        { t: 4, event: { type: 'exit', channel: '1', code: 0, ...exit } },
        { t: 4, event: { type: 'result', command: 'c1', status: 'completed', tag: 'exit 0', ms: 1 } },
      ]),
    )
    index.flush()
    const texts = (text: string) => search.commands({ limit: 10, text }).items.map(({ text, found }) => [text, found])
    expect(texts('linux web1')).toEqual([['uname -a', 'result']])
    expect(texts('needle')).toEqual([['cat /var/log/big', 'result']])
    for (const none of ['31mLinux', 'title', 'spoken', 'toolate']) expect(texts(none)).toEqual([])
  })
})
