import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startIssuer } from '../demo/issuer.ts'
import { createCore } from '../src/main/core/core.ts'
import { listenTo, seenNotices, takenFiles, testKeychain } from '../src/main/core/testing/console.ts'
import { longRecordingBytes } from '../src/main/core/testing/long-recording.ts'
import { startSmallGateway } from '../src/main/core/testing/small-gateway.ts'
import { ReplayIndex } from '../src/renderer/screens/replay/replay-index.ts'
import { printTable } from './table.ts'

export const title = 'Playing a large recording from the library: the real core, sealed on disk, without a gateway'

const megabytes = Number(process.env.BENCH_MB ?? 100)
const commands = Number(process.env.BENCH_COMMANDS ?? 200_000)
const seeks = Number(process.env.BENCH_SEEKS ?? 200)
/** What is wanted of a seek, ms at the 95th percentile. */
const bound = 100
/** Steps that a screen shows, and asks for. */
const screen = 64

/** Prints how long opening, seeking and finding take, in a console just started and in one that is warm. */
export async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-seek-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  const issuer = await startIssuer({ people: [{ subject: 'aud', name: 'Aud', groups: [] }] })
  stack.defer(() => issuer.stop())
  const how = { issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource }
  const gateway = stack.use(await startSmallGateway(how))
  const bytes = longRecordingBytes('se_long', commands, megabytes * 1e6)
  gateway.open({ id: 'se_long', state: 'closed', recording: { bytes: bytes.length, complete: true } })
  gateway.recordingBytes.set('se_long', bytes)
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
  const session = 'se_long'

  const rows: string[][] = []
  const note = (what: string, times: number[], wanted?: number) => {
    const sorted = times.toSorted((a, b) => a - b)
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!
    const p95 = at(0.95)
    const late = wanted !== undefined && p95 > wanted ? ` > ${wanted}` : ''
    rows.push([what, String(times.length), at(0.5).toFixed(1), `${p95.toFixed(1)}${late}`, sorted.at(-1)!.toFixed(1)])
  }
  const timed = async <T>(work: () => Promise<T>): Promise<[number, T]> => {
    const from = performance.now()
    const answer = await work()
    return [performance.now() - from, answer]
  }

  {
    await using core = await start()
    const told = listenTo(core)
    await core.call('signIn', { gateway: gateway.url })
    await told.link('live')
    const [shown] = await timed(() => core.call('openRecording', { session }))
    const [fetched] = await timed(() =>
      told.until('library', ({ changed }) => changed.some(({ state }) => state === 'complete')),
    )
    note('open online, until there is something to read', [shown])
    note('fetched, checked, sealed', [shown + fetched])
  }
  await gateway.down()

  const opened: number[] = []
  const indexed: number[] = []
  const cold: number[] = []
  let summary: Awaited<ReturnType<Awaited<ReturnType<typeof start>>['call']>> | undefined
  for (let round = 0; round < 5; round++) {
    await using core = await start()
    const [took, told] = await timed(() => core.call('openRecording', { session }))
    opened.push(took)
    const [built, index] = await timed(async () => ReplayIndex.of(told))
    indexed.push(built)
    summary = told
    // A console just started has read no chunk yet.
    for (let i = 0; i < 20; i++) {
      const from = Math.floor((((i * 7919 + round * 104_729) % 100_003) / 100_003) * (index.count - screen))
      cold.push((await timed(() => core.call('recordingWindow', { session, from, to: from + screen })))[0])
    }
  }
  note('open offline, the console just started', opened)
  note('  the screen’s index of it', indexed)
  note('seek, the console just started', cold, bound)

  await using core = await start()
  const told = await core.call('openRecording', { session })
  const index = ReplayIndex.of(told)
  const warm: number[] = []
  const last = index.timeOf(index.count - 1)
  for (let i = 0; i < seeks; i++) {
    // By time, as the timeline is clicked: the step at that moment, and the screen around it.
    const t = (((i * 7919) % 100_003) / 100_003) * last
    const [took] = await timed(async () => {
      const step = index.stepAt(t)
      const from = Math.max(0, step - screen / 2)
      return core.call('recordingWindow', { session, from, to: from + screen })
    })
    warm.push(took)
  }
  note('seek, anywhere', warm, bound)
  const near: number[] = []
  for (let i = 0; i < seeks; i++)
    near.push(
      (await timed(() => core.call('recordingWindow', { session, from: 5000 + i * 8, to: 5000 + i * 8 + screen })))[0],
    )
  note('scrolling on', near, bound)
  note('open again', [(await timed(() => core.call('openRecording', { session })))[0]])

  const heard = listenTo(core)
  for (const [name, words] of [
    ['common words', 'kettle'],
    ['words at the end', `checked by batch ${Math.floor((commands - 5) / 7) * 7 + 3}`],
    ['words that are nowhere', 'zeppelin'],
  ] as const) {
    const work = `bench ${name}`
    const begun = performance.now()
    const first = heard
      .until('found', (event) => event.work === work && event.steps.length > 0)
      .then(() => performance.now() - begun)
    const [whole, { steps }] = await timed(() => core.call('findInRecording', { session, words, work }))
    if (steps > 0) note(`find ${name}: first hit`, [await first])
    note(`find ${name}: all ${steps.toLocaleString('en-US')} steps`, [whole])
  }
  printTable(['ms', 'n', 'median', 'p95', 'worst'], rows)
  const size = (await core.call('library', {})).items[0]!.stored
  console.log(
    `${(bytes.length / 1e6).toFixed(0)} MB, ${commands.toLocaleString('en-US')} commands, ${(summary as { seq: number }).seq.toLocaleString('en-US')} lines; ${(size / 1e6).toFixed(1)} MB on disk; bound of a seek: ${bound} ms at p95`,
  )
}
