import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startIssuer } from '../demo/issuer.ts'
import { Harmless } from '../src/harmless.ts'
import { createCore } from '../src/main/core/core.ts'
import { createEmulator, written } from '../src/main/core/terminal/emulator.ts'
import { listenTo, seenNotices, takenFiles, testKeychain } from '../src/main/core/testing/console.ts'
import { bytesOf, shellRecording } from '../src/main/core/testing/long-terminal.ts'
import { startSmallGateway } from '../src/main/core/testing/small-gateway.ts'
import { printTable } from './table.ts'

export const title = 'Playing a large shell session from the library: the real core, sealed on disk, without a gateway'

const megabytes = Number(process.env.BENCH_MB ?? 100)
const seeks = Number(process.env.BENCH_SEEKS ?? 200)
/** What is wanted of a seek, ms at the 95th percentile: the answer, and writing it to a terminal. */
const bound = 100

/** Prints how long looking through takes, and then seeks: to the answer, and until a terminal has it. */
export async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-terminal-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  const issuer = await startIssuer({ people: [{ subject: 'aud', name: 'Aud', groups: [] }] })
  stack.defer(() => issuer.stop())
  const how = { issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource }
  const gateway = stack.use(await startSmallGateway(how))
  const session = 'se_shell'
  const bytes = bytesOf(shellRecording(session, megabytes * 1e6))
  gateway.open({ id: session, protocol: 'ssh', state: 'closed', recording: { bytes: bytes.length, complete: true } })
  gateway.recordingBytes.set(session, bytes)
  const secrets = testKeychain()
  const start = () =>
    createCore({
      folder,
      gateway: gateway.url,
      capabilities: {
        shell: 'browser',
        notifications: 'none',
        tray: false,
        badge: false,
        deepLinks: false,
        pdf: false,
        secureStorage: true,
      },
      notifier: seenNotices(),
      badge: { set() {} },
      secrets,
      downloads: takenFiles(),
      opener: { open: async (url) => void issuer.completeLogin(url, 'aud').catch(() => {}) },
    })
  const rows: string[][] = []
  const note = (what: string, times: number[], wanted?: number) => {
    const sorted = times.toSorted((a, b) => a - b)
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!
    const late = wanted !== undefined && at(0.95) > wanted ? ` > ${wanted}` : ''
    rows.push([
      what,
      String(times.length),
      at(0.5).toFixed(1),
      `${at(0.95).toFixed(1)}${late}`,
      sorted.at(-1)!.toFixed(1),
    ])
  }
  const timed = async <T>(work: () => Promise<T>): Promise<[number, T]> => {
    const from = performance.now()
    const answer = await work()
    return [performance.now() - from, answer]
  }
  const of = { session, channel: '1' }

  let to = 0
  {
    await using core = await start()
    const told = listenTo(core)
    await core.call('signIn', { gateway: gateway.url })
    await told.link('live')
    const [fetched] = await timed(async () => {
      const whole = told.until('library', ({ changed }) => changed.some(({ state }) => state === 'complete'))
      await core.call('openRecording', { session })
      await whole
    })
    note('fetched, checked, sealed', [fetched])
    const [looked] = await timed(async () => {
      const over = told.until('terminal', ({ looked }) => looked === 1)
      to = (await core.call('terminal', of)).to
      await over
    })
    note('looked through, once', [looked])
  }
  await gateway.down()

  const terminal = createEmulator(80, 24)
  const seek = async (core: Awaited<ReturnType<typeof start>>, t: number) => {
    const before = process.cpuUsage()
    const [asked, at] = await timed(() => core.call('terminalAt', { ...of, t }))
    const [drawn] = await timed(async () => {
      const filter = new Harmless()
      terminal.reset()
      terminal.resize(at.columns, at.rows)
      let text = filter.write(at.screen)
      for (const frame of at.frames.slice(0, at.shown)) {
        if (frame.type === 'output') text += frame.notice ? filter.notice(frame.text) : filter.write(frame.text)
        if (frame.type !== 'resize') continue
        await written(terminal, text)
        text = ''
        terminal.resize(frame.columns, frame.rows)
      }
      await written(terminal, text)
    })
    const { user, system } = process.cpuUsage(before)
    return { asked, drawn, busy: (user + system) / 1000, bytes: JSON.stringify(at).length }
  }
  const place = (i: number) => (((i * 7919) % 100_003) / 100_003) * to
  const cold: number[] = []
  const opened: number[] = []
  for (let round = 0; round < 5; round++) {
    await using core = await start()
    await core.call('openRecording', { session })
    opened.push((await timed(() => core.call('terminal', of)))[0])
    for (let i = 0; i < 20; i++) {
      const { asked, drawn } = await seek(core, place(i * 5 + round))
      cold.push(asked + drawn)
    }
  }
  note('open again, the console just started', opened)
  note('seek and draw, the console just started', cold, bound)
  await using core = await start()
  await core.call('openRecording', { session })
  const all = { asked: [] as number[], drawn: [] as number[], both: [] as number[], busy: [] as number[], bytes: 0 }
  for (let i = 0; i < seeks; i++) {
    const { asked, drawn, busy, bytes } = await seek(core, place(i))
    all.busy.push(busy)
    all.asked.push(asked)
    all.drawn.push(drawn)
    all.both.push(asked + drawn)
    all.bytes = Math.max(all.bytes, bytes)
  }
  note('seek anywhere: the answer', all.asked)
  note('seek anywhere: drawn by a terminal', all.drawn)
  note('seek and draw, anywhere', all.both, bound)
  note('  of that, this process at work (all its threads)', all.busy)
  const heard = listenTo(core)
  for (const [name, words] of [
    ['common words', 'kettle'],
    ['words that are nowhere', 'zeppelin'],
  ] as const) {
    const begun = performance.now()
    const first = heard.until('foundInTerminal', (event) => event.work === name && event.hits.length > 0)
    const [whole, { hits }] = await timed(() => core.call('findInTerminal', { ...of, words, work: name }))
    if (hits > 0) note(`find ${name}: first hit`, [await first.then(() => performance.now() - begun)])
    note(`find ${name}: ${hits.toLocaleString('en-US')} hits`, [whole])
  }
  terminal.dispose()
  printTable(['ms', 'n', 'median', 'p95', 'worst'], rows)
  const size = (await core.call('library', {})).items[0]!.stored
  console.log(
    `${(bytes.length / 1e6).toFixed(0)} MB, ${(to / 60_000).toFixed(0)} minutes; ${(size / 1e6).toFixed(1)} MB on disk; largest answer ${(all.bytes / 1e3).toFixed(0)} kB; bound of a seek: ${bound} ms at p95`,
  )
}
