import { join } from 'node:path'
import type { RetentionItem, RetentionRun } from '@countersign/contract/evidence'
import { pino } from 'pino'
import { type LoadedConfig, loadConfig } from './config/config.ts'
import { DataFolderError, takeDataFolder } from './config/data-folder.ts'
import { formatProblem } from './config/problem.ts'
import { LedgerStopped } from './sessions/ledger/ledger.ts'
import { placeOf } from './sessions/recording.ts'
import { dryRunOf, NothingKept } from './sessions/retention/dry.ts'
import { createRetention } from './sessions/retention/retention.ts'
import { openLedger } from './sessions/scribe/scribe.ts'
import { createSessions } from './sessions/sessions.ts'
import { openStore, StoreError } from './store/store.ts'

/**
 * `countersign-gateway retention`: takes what is due, or shows what would go. Sets the exit code: 1 where it could not be
 * done, 2 where the configuration is wrong.
 */
export async function retain(file: string, options: { dry: boolean; json: boolean }): Promise<void> {
  const loaded = await loadConfig(file)
  if (!loaded.ok) {
    for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`)
    process.exitCode = 2
    return
  }
  const { config } = loaded
  const show = options.json ? (run: RetentionRun) => say(JSON.stringify(run)) : tell
  try {
    if (options.dry) show(await dryRunOf(config.data, config.retention))
    else for await (const run of runsOn(config)) show(run)
  } catch (error) {
    if (error instanceof DataFolderError && error.code === 'taken')
      misfortune(
        'a gateway runs on this data folder, and takes what is due every hour by itself; POST /v1/retention/runs has it done now, --dry-run shows what would go',
      )
    else if ([DataFolderError, StoreError, LedgerStopped, NothingKept].some((kind) => error instanceof kind))
      misfortune((error as Error).message)
    else throw error
  }
}

/**
 * Runs until nothing is due any more, as the gateway would, which must not be running.
 * @param clock milliseconds since the epoch
 * @throws DataFolderError, StoreError, LedgerStopped
 */
export async function* runsOn(config: LoadedConfig, clock: () => number = Date.now): AsyncGenerator<RetentionRun> {
  await using stack = new AsyncDisposableStack()
  stack.use(await takeDataFolder(config.data))
  const log = pino({ level: 'warn' }, pino.destination({ fd: 2, sync: true }))
  const store = stack.use(await openStore(join(config.data, 'countersign.sqlite'), { log }))
  const ledger = stack.use(
    await openLedger({
      folder: join(config.data, 'ledger'),
      store,
      filesOf: (session, openedAt) => placeOf(config.data, session, openedAt),
      search: config.data,
      log,
    }),
  )
  const limits = () => config.limits
  const room = stack.use(createSessions({ store, folder: config.data, limits, log, ledger }))
  await room.recover()
  await ledger.recover()
  const retention = stack.use(
    createRetention({
      store,
      folder: config.data,
      rules: () => config.retention,
      ledger,
      search: ledger.index,
      live: room.isLive,
      connections: () => config.connections.keys(),
      log,
      clock,
    }),
  )
  for (let more = true; more; ) {
    const run = await retention.run({ dry: false, by: { kind: 'gateway' } })
    yield run
    more = run.more
  }
}

function tell({ dry, recordings, bytes, entries, kept, more, entry, items }: RetentionRun): void {
  for (const item of items) say(lineOf(item))
  const what = `${count(recordings, 'recording')} (${megabytes(bytes)}), payloads of ${count(entries, 'entry', 'entries')}`
  const held = kept > 0 ? `; legal holds keep ${count(kept, 'session')}` : ''
  const rest = more ? '; there is more than one run takes' : ''
  say(`${dry ? 'would erase' : `erased, by entry ${entry},`} ${what}${held}${rest}`)
}

function lineOf({ session, connection, closedAt, rule, takes, bytes, entries, heldBy }: RetentionItem): string {
  const what =
    heldBy.length > 0 ? `kept by ${heldBy.join(', ')}` : `${takes.join('+')} ${megabytes(bytes)}, ${entries} entries`
  return `${session}  ${connection}  ended ${closedAt.slice(0, 10)}  ${rule}  ${what}`
}

function megabytes(bytes: number): string {
  return bytes < 100_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function misfortune(words: string): void {
  process.stderr.write(`countersign-gateway: ${words}\n`)
  process.exitCode = 1
}
