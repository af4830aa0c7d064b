import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { canonical } from '@countersign/contract/canonical'
import { readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { fromUtf8 } from '@countersign/contract/ledger/encoding'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { realDisk } from './disk.ts'
import { openEntries } from './entries.ts'
import type { LedgerLog } from './log.ts'
import { codes, entry, gateway, openLedger, temporaryFolder, verified } from './testing/ledger.ts'
import { RememberingDisk, Stopped, tornCommit } from './testing/power.ts'

const sqlite = ['entries.sqlite', 'entries.sqlite-wal']

/** What the outside was told: it must be so ever after. */
class Told {
  key = ''
  /** Payloads of what was committed, by number. */
  readonly entries = new Map<number, string>()
  readonly heads: string[] = []
  /** In the commit that is under way. */
  coming = new Map<number, string>()

  committed(): void {
    for (const [n, text] of this.coming) this.entries.set(n, text)
    this.coming.clear()
  }

  /** What was on disk after the crash, before anybody opened it: genuine, if not all covered. */
  async survived(folder: string): Promise<void> {
    if (!this.key) return
    const raw = await verified(folder, this.key)
    const allowed = ['unsigned-tail', 'no-checkpoint']
    expect(codes(raw).filter((code) => !allowed.includes(code))).toEqual([])
  }

  async holds(folder: string, log: LedgerLog): Promise<void> {
    this.key ||= log.keys[0]!
    const report = await verified(folder, this.key, this.heads)
    expect(report).toMatchObject({ outcome: 'whole', findings: [] })
    using entries = openEntries(folder)
    const rows = Array.from({ length: entries.count() }, (_, n) => entries.entry(n)!)
    const said = rows.map(({ payload }) => payload && fromUtf8(payload))
    for (const [n, text] of this.entries) expect([n, said[n] ?? (n < said.length && text)]).toEqual([n, text])
    // A commit is whole or not at all.
    const came = [...this.coming].filter(([n]) => n < said.length)
    if (came.length > 0) expect(came).toEqual([...this.coming].map(([n]) => [n, said[n]]))
    if (came.length > 0) this.committed()
    this.coming.clear()
    // Each tail stands where its session's entries end: what comes next comes once.
    const commands = new Map<string, number>()
    for (const { type, session } of rows)
      if (type === 'command') commands.set(session!, (commands.get(session!) ?? 0) + 1)
    expect(new Map(log.tails().map(({ session, tail }) => [session, tail.commands]))).toEqual(commands)
  }
}

function random(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function queue(log: LedgerLog, told: Told, count: number): void {
  for (let i = 0; i < count; i++) {
    const session = `se_${i % 3}`
    const one = entry({ type: 'command', session })
    told.coming.set(log.add(one), canonical(one.payload))
    const tail = log.tail(session) ?? { offset: 0, seq: 0, chunkFrom: 0, chunks: 0, commands: 0 }
    log.setTail(session, { ...tail, offset: tail.offset + 100, commands: tail.commands + 1 })
  }
}

/** Something that the gateway does with its log, by chance. */
function something(log: LedgerLog, told: Told, chance: () => number): void {
  const what = chance()
  if (what < 0.55) {
    queue(log, told, Math.ceil(chance() * (chance() < 0.2 ? 700 : 60)))
    log.commit()
    told.committed()
  } else if (what < 0.9 || log.size < 3) told.heads.push(log.sign().note)
  else if (what < 0.95) log.rotateKey('by chance', gateway)
  else {
    const last = Math.floor(chance() * log.size)
    const first = Math.floor(chance() * last)
    log.erase({ run: 'rr', rule: 'by chance', by: gateway, entries: [[first, last]], recordings: [] })
  }
}

describe.each(['power cut', 'kill'] as const)('after a %s at any moment', (how) => {
  it('all that was committed is there, once, and the log is the one that was seen', async () => {
    let stops = 0
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const chance = random(seed)
        using place = temporaryFolder()
        const told = new Told()
        let folder = place.at('0')
        for (let round = 1; round <= 3; round++) {
          const disk = new RememberingDisk(folder, realDisk)
          disk.left = Math.floor(chance() * (chance() < 0.3 ? 30 : 250))
          const next = place.at(String(round))
          let log: LedgerLog | undefined
          try {
            log = (await openLedger(folder, disk)).log
            await told.holds(folder, log)
            for (let i = 0; i < 25; i++) something(log, told, chance)
            // In the middle of a commit, then.
            mkdirSync(place.at('before'), { recursive: true })
            for (const name of sqlite) cpSync(join(folder, name), place.at('before', name))
            queue(log, told, 1 + Math.floor(chance() * 100))
            disk.left = 0 // tiles are written after it
            log.commit()
            crash(disk, folder, next)
            tornCommit(place.at('before'), folder, next, chance)
          } catch (error) {
            const stop = (error as Error).cause ?? error
            if (!(stop instanceof Stopped)) throw error
            stops++
            crash(disk, folder, next)
            for (const name of sqlite) if (existsSync(join(folder, name))) cpSync(join(folder, name), join(next, name))
          }
          if (existsSync(join(folder, 'checkpoint')) && told.key) note(join(folder, 'checkpoint'))
          log?.close()
          folder = next
          await told.survived(folder)
        }
        const { log } = await openLedger(folder)
        await told.holds(folder, log)
        log.close()

        function note(file: string) {
          const text = readFileSync(file, 'utf8')
          try {
            readCheckpoint(text)
            told.heads.push(text)
          } catch {}
        }
        function crash(disk: RememberingDisk, from: string, to: string) {
          if (how === 'power cut') disk.survive(to, chance)
          else {
            const during = /^sync (.*)/.exec(disk.operations.at(-1) ?? '')?.[1]
            cpSync(from, to, { recursive: true, filter: (path) => !/\/(entries\.sqlite|lock)/.test(path) })
            // A write that was under way has come to some part of it.
            if (during && disk.left < 0) truncateSync(join(to, during), Math.floor(chance() * 100))
          }
        }
      }),
      { seed: 20261121, numRuns: 8, endOnFailure: true },
    )
    expect(stops).toBeGreaterThan(8)
  }, 120_000)
})

describe('a process that is really killed (kill -9)', () => {
  const child = (folder: string, seed: number, at: number) =>
    spawn(
      process.execPath,
      ['--input-type=module-typescript', '-e', writer, import.meta.dirname, folder, String(seed), String(at)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
  /** Says after each step what counts from now on; kills itself before a certain operation on its files. */
  const writer = `
    import { writeSync } from 'node:fs'
    import { join } from 'node:path'
    const [here, folder, seed, at] = process.argv.slice(1)
    const { realDisk } = await import(join(here, 'disk.ts'))
    const { openLedger } = await import(join(here, 'testing/ledger.ts'))
    let left = Number(at)
    const disk = Object.fromEntries(Object.entries(realDisk).map(([name, work]) => [name, (...args) => {
      if (!/read|list/.test(name) && left-- === 0) process.kill(process.pid, 'SIGKILL')
      return work(...args)
    }]))
    const { log } = await openLedger(folder, disk)
    const say = (what) => writeSync(1, JSON.stringify(what) + '\\n')
    say({ key: log.keys[0] })
    for (let i = 0; ; i++) {
      const text = 'round ' + seed + ' ' + i
      for (let k = 0; k < 1 + (i * 7) % 90; k++) {
        log.add({ at: new Date().toISOString(), type: 'command', session: 'se_1', payload: { text, k } })
        const tail = log.tail('se_1') ?? { offset: 0, seq: 0, chunkFrom: 0, chunks: 0, commands: 0 }
        log.setTail('se_1', { ...tail, commands: tail.commands + 1 })
      }
      log.commit()
      say({ size: log.size })
      if (i % 3 === 0) say({ head: log.sign().note })
      if (i % 25 === 24) log.rotateKey('r', { kind: 'gateway' })
      if (i % 20 === 19) log.erase({ run: 'r', rule: 'r', by: { kind: 'gateway' }, entries: [[i, 4 * i]], recordings: [] })
    }
  `

  it.each([
    ['before an operation on its files', [0, 3, 11, 30, 90, 200, 333]],
    ['from outside, whatever it is doing', [-2, -3, -5, -8, -13, -21, -34]],
  ] as const)(
    '%s',
    async (_, moments) => {
      using place = temporaryFolder()
      const folder = place.at('ledger')
      const told = new Told()
      let size = 0
      for (const [round, moment] of moments.entries()) {
        const writing = child(folder, round, moment)
        const ended = once(writing, 'exit')
        let lines = 0
        for await (const line of createInterface(writing.stdout)) {
          const said = JSON.parse(line)
          if (said.key) told.key ||= said.key
          if (said.size) size = said.size
          if (said.head) told.heads.push(said.head)
          if (++lines === -2 * moment) writing.kill('SIGKILL')
        }
        expect(await ended).toEqual([null, 'SIGKILL'])
        await told.survived(folder)
        const { log } = await openLedger(folder)
        expect(log.size).toBeGreaterThanOrEqual(size)
        await told.holds(folder, log)
        log.close()
      }
      expect(size).toBeGreaterThan(300)
      expect(told.heads.length).toBeGreaterThan(10)
    },
    120_000,
  )
})
