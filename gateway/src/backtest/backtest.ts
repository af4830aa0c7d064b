import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PolicyText, PolicyVersion, PolicyVersionPage } from '@countersign/contract/policies'
import type { BaseLogger } from 'pino'
import { type Checking, createChecking } from '../policy/drafts/checking.ts'
import { createDrafts, type Drafts } from '../policy/drafts/drafts.ts'
import { policyVersion, policyVersions } from '../policy/history.ts'
import { OVERLAY_FILES } from '../policy/overlay-text.ts'
import type { Policies } from '../policy/policy.ts'
import { TESTS } from '../policy/tests.ts'
import type { Store } from '../store/store.ts'
import { type Backtests, createBacktests } from './backtests.ts'
import { forgetErased } from './erased.ts'

export interface PolicyWorkOptions {
  store: Store
  /** The data folder. */
  folder: string
  policies: () => Policies
  /** Absolute path of the policy folder. */
  policyFolder: () => string
  log: Pick<BaseLogger, 'warn' | 'error'>
  /** Milliseconds since the epoch. */
  clock?: () => number
}

/** What people do about policy before it is in force: checks, drafts, backtests (docs/policy.md). */
export interface PolicyWork extends AsyncDisposable {
  history: {
    /** Each time that a set came into force, the newest first. @throws BadVersionCursor */
    list(query: { limit: number; after?: string | undefined }): Promise<{ items: PolicyVersion[]; next: string | null }>
    version(version: string): Promise<PolicyVersionPage | undefined>
  }
  checking: Checking
  drafts: Drafts
  backtests: Backtests
  /** Overlays of reviews as they are in force: files of the set that are in no folder. */
  overlays(): PolicyText[]
  /** The tests in the policy folder as they are now; of one that can't be read, none. */
  tests(): Promise<PolicyText[]>
}

const HOUR = 3_600_000

/** Opens these rooms, and tells of backtests that a killed gateway left behind. */
export async function openPolicyWork(options: PolicyWorkOptions): Promise<PolicyWork> {
  const { store, folder, policies, log } = options
  const clock = options.clock ?? Date.now
  await using stack = new AsyncDisposableStack()
  const textsOf = () => policies().texts.map(({ file, text }) => ({ file, text }))
  const overlays = () => textsOf().filter(({ file }) => file.startsWith(OVERLAY_FILES))
  const checking = stack.use(createChecking())
  const drafts = createDrafts({
    store,
    checking,
    inForce: () => ({ version: policies().version, overlays: overlays() }),
    clock,
  })
  const backtests = stack.use(
    createBacktests({
      ...{ store, folder, drafts, checking, log, clock },
      inForce: () => ({ texts: textsOf(), overlays: overlays() }),
    }),
  )
  await backtests.recover()
  const forget = () =>
    forgetErased(store.db).catch((error) => log.warn({ error }, 'backtests may show texts that retention has erased'))
  await forget()
  const forgetting = setInterval(() => void forget(), HOUR).unref()
  stack.defer(() => clearInterval(forgetting))
  const parts = stack.move()
  const history: PolicyWork['history'] = {
    list: (query) => policyVersions(store.db, query),
    version: (version) => policyVersion(store.db, version),
  }
  const tests = () => testsIn(options.policyFolder())
  return { history, checking, drafts, backtests, overlays, tests, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

async function testsIn(folder: string): Promise<PolicyText[]> {
  try {
    const names = (await readdir(folder)).filter((name) => name.endsWith(TESTS) && !name.startsWith('.')).sort()
    return await Promise.all(
      names.map(async (file) => ({ file, text: (await readFile(join(folder, file), 'utf8')).toWellFormed() })),
    )
  } catch {
    return []
  }
}
