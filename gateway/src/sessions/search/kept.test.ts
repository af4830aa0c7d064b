import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { placeOf } from '../recording.ts'
import { searchFile } from './database.ts'
import { startIndexing } from './indexing.ts'
import { keepIndex } from './kept.ts'
import { createSearch } from './search.ts'
import { SearchIndex } from './search-index.ts'
import { commandOf, headerOf, linesOf, type Recorded } from './testing/recordings.ts'

const said: string[] = []
const tell = (_: unknown, text?: string) => void said.push(String(text))
const log = { info: tell, warn: tell, error: tell }
let folder: string
beforeEach(() => {
  said.length = 0
  folder = mkdtempSync(join(tmpdir(), 'kept-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

const startedAt = '2026-11-20T10:00:00.000Z'
function record(session: string, text: string): void {
  const recorded: Recorded = {
    header: headerOf(session, { startedAt }),
    events: [
      { t: 0, event: commandOf('c0', text, {}) },
      { t: 1, event: { type: 'end', state: 'closed', reason: 'done' } },
    ],
  }
  const { plain } = placeOf(folder, session, startedAt)
  mkdirSync(dirname(plain), { recursive: true })
  writeFileSync(plain, Buffer.concat(linesOf(recorded).map(({ bytes }) => Buffer.concat([bytes, Buffer.from('\n')]))))
}
function found(text: string): number {
  using search = createSearch(folder)
  return search.commands({ limit: 10, text }).items.length
}

describe('an index that can’t be opened', () => {
  it('is made anew, whatever lies in its place', async () => {
    record('se_a', 'select apples')
    mkdirSync(join(searchFile(folder), 'within'), { recursive: true })
    await using index = keepIndex({ folder, log })
    expect(said[0]).toMatch(/made anew/)
    await vi.waitUntil(() => found('apples') === 1, { timeout: 20_000 })
    await index.forget(['se_a'])
    expect(found('apples')).toBe(0)
  })

  it('nor made keeps nobody waiting for what isn’t in it, and is tried again', async () => {
    const away = join(folder, 'away')
    await using index = keepIndex({ folder: away, log })
    expect(said.at(-1)).toMatch(/can’t be made/)
    await index.forget(['se_a'])
    expect(() => index.flush()).toThrow(/can’t be opened/)
    mkdirSync(away)
    index.flush()
    await index.forget(['se_a'])
  })
})

describe('an index that can’t say where a recording goes on', () => {
  it('is given it all the same, or gets it by itself', async () => {
    record('se_a', 'select apples')
    await using indexing = startIndexing({ folder, log, againMs: 1 })
    await indexing.whole()
    const failing = vi.spyOn(SearchIndex.prototype, 'placeIn').mockImplementationOnce(() => {
      throw new Error('the disk is busy')
    })
    record('se_b', 'select pears')
    expect(indexing.placeIn('se_b')).toBe(0)
    expect(failing).toHaveBeenCalledOnce()
    expect(said.at(-1)).toMatch(/tried again/)
    await vi.waitUntil(() => found('pears') === 1, { timeout: 20_000 })
  })
})
