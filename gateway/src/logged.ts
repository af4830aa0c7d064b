import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { LedgerHead } from '@countersign/contract/evidence'
import type { BaseLogger } from 'pino'
import { putConfigured } from './access/connections.ts'
import type { LoadedConfig } from './config/config.ts'
import { formatProblem, type Problem } from './config/problem.ts'
import { createSignInLog, type SignInLog } from './identity/sign-ins.ts'
import type { Policies } from './policy/policy.ts'
import { putInForce } from './policy/versions.ts'
import { placeOf } from './sessions/recording.ts'
import { openLedger, type ScribeLedger } from './sessions/scribe/scribe.ts'
import { appendAudit } from './store/audit.ts'
import { appendFeed } from './store/feed.ts'
import type { Store } from './store/store.ts'

/** The ledger, and what the gateway says to it of itself. */
export interface Logged extends AsyncDisposable {
  ledger: ScribeLedger
  signIns: SignInLog
  /** Policy and connections are about to be in force at the start: the ledger has them first. */
  inForce(next: { config: LoadedConfig; policies: Policies }): Promise<void>
  /** The gateway is about to listen. From now on its end is said, too. */
  started(): Promise<void>
  /** A configuration was read anew and is about to be in force. */
  reloaded(file: string, next: { config: LoadedConfig; policies: Policies }): Promise<void>
  /** Resolves once what was said is written, or can't be at the moment. */
  sealed(): Promise<void>
  /** A configuration was read anew, and nothing of it counts. */
  refused(file: string, problems: Problem[]): Promise<void>
  /** Why the gateway stops; what is said when this is disposed of. */
  stopping(because: string): void
}

/** So often a checkpoint is put on the feed at most (ms), whose messages are kept. */
const FEED_MS = 10_000
/** So many problems of a configuration that was refused are written down, each so long at most. */
const PROBLEMS = { most: 50, length: 500 }

/** @throws LedgerStopped */
export async function openLogged(options: {
  config: LoadedConfig
  store: Store
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
}): Promise<Logged> {
  const { config, store, log } = options
  const { db } = store
  await using stack = new AsyncDisposableStack()
  const ledger = stack.use(
    await openLedger({
      folder: join(config.data, 'ledger'),
      store,
      filesOf: (session, openedAt) => placeOf(config.data, session, openedAt),
      origin: originOf(config),
      search: config.data,
      log,
    }),
  )
  stack.use(announced(ledger, store, log))
  let started = false
  let reason = 'it was told to stop'
  stack.defer(async () => {
    if (!started) return
    await appendAudit(db, 'gateway.stopped', { reason }).catch((error) =>
      log.error({ error }, 'the end of the gateway could not be written down'),
    )
  })
  const signIns = stack.use(createSignInLog({ db, log }))
  const parts = stack.move()

  /** What is in force must not decide anything before the ledger knows of it, unless it takes nothing now anyway. */
  const sealed = (): Promise<void> =>
    ledger
      .sync()
      .catch((error) => log.warn({ error }, 'the ledger is stopped: what is in force is written when it goes on'))

  return {
    ledger,
    signIns,
    async inForce({ config, policies }) {
      await db.transaction().execute(async (tx) => {
        await putConfigured(tx, config.connections.values())
        await putInForce(tx, policies, 'the gateway started')
      })
      await sealed()
    },
    async started() {
      const { default: about } = await import('../package.json', { with: { type: 'json' } })
      await appendAudit(db, 'gateway.started', { version: about.version, found: [...ledger.found] })
      started = true
    },
    async reloaded(file, { config, policies }) {
      const sha256 = await digestOf(file)
      await db.transaction().execute(async (tx) => {
        await appendAudit(tx, 'config.reloaded', { outcome: 'ok', ...(sha256 && { sha256 }) })
        await putConfigured(tx, config.connections.values())
        await putInForce(tx, policies, 'the configuration was reloaded')
      })
      await sealed()
    },
    sealed,
    async refused(file, problems) {
      const sha256 = await digestOf(file)
      const said = problems.slice(0, PROBLEMS.most).map((problem) => formatProblem(problem).slice(0, PROBLEMS.length))
      await appendAudit(db, 'config.reloaded', { outcome: 'refused', ...(sha256 && { sha256 }), problems: said })
    },
    stopping(because) {
      reason = because
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

/** The log's name, as C2SP tlog-checkpoint would have it: a URL without its scheme. */
function originOf({ api }: LoadedConfig): string {
  const host = api.url === undefined ? hostname().replace(/[\s+/]/gu, '-') : new URL(api.url).host
  return `${host}/ledger`
}

async function digestOf(file: string): Promise<string | undefined> {
  try {
    return hash('sha256', await readFile(file))
  } catch {
    return undefined
  }
}

/** Puts checkpoints on the feed: the newest one of each ten seconds in which there was one. */
function announced(ledger: ScribeLedger, store: Store, log: Pick<BaseLogger, 'error'>): Disposable {
  let newest: LedgerHead | undefined
  let said = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  const say = () => {
    timer = undefined
    const head = newest
    newest = undefined
    if (!head) return
    said = performance.now()
    store.db
      .transaction()
      .execute((tx) => appendFeed(tx, 'ledger.checkpoint', head))
      .catch((error) => log.error({ error }, 'a checkpoint could not be put on the feed'))
  }
  const end = ledger.onCheckpoint((head) => {
    newest = head
    timer ??= setTimeout(say, Math.max(0, said + FEED_MS - performance.now())).unref()
  })
  return {
    [Symbol.dispose]() {
      end()
      clearTimeout(timer)
    },
  }
}
