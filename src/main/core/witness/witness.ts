import type { Cosignature, LedgerHead, LedgerState } from '@countersign/contract/evidence'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { ConsoleError } from '../../../console-api.ts'
import type { SeenCheckpoint, WitnessState, WitnessStatus } from '../../../witness-api.ts'
import { SignedOut } from '../account.ts'
import { Refused, Unreachable } from '../gateway-api.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Notifier } from '../ports/notifier.ts'
import type { SecureStorage } from '../ports/secure-storage.ts'
import { type Alarms, createAlarms, evidenceFile } from './alarms.ts'
import { type BundleDesk, createBundleDesk } from './bundle-desk.ts'
import { createCosigner } from './cosigner.ts'
import { type LogClient, look, type Suspect, suspicion } from './look.ts'
import { type Pace, usualPace } from './pace.ts'
import { seeInBundle } from './seen-in-bundle.ts'
import { beginAnew, pinKey, sentence } from './trust.ts'
import { seenCheckpoints, stateOf } from './witness-state.ts'
import { openWitnessStore } from './witness-store.ts'

/** A gateway as the witness asks it. */
export interface WitnessClient extends LogClient {
  cosign(cosignature: Cosignature): Promise<void>
}

/** So often the same is found before it is said, unless it is certain. */
const looksBeforeAlarm = 3
/** Checkpoints of the feed that wait for the next look. */
const mostHeard = 64
const longestNote = 64_000

export interface WitnessOptions {
  folder: string
  secrets: SecureStorage
  notifier: Notifier
  clock: Clock
  log: Log
  changed(state: WitnessState): void
  pace?: Partial<Pace>
}

/** Watches the log of the gateway that the console is at, and verifies what is said to come from it. */
export interface Witness extends Disposable {
  readonly bundles: BundleDesk
  state(): WitnessState
  /** The gateway that the console is at; offline too. */
  at(gateway: string | null): void
  /** The link is live: look now, and from now on. */
  live(client: WitnessClient): void
  away(): void
  heard(head: LedgerHead): void
  /** Looks now; resolves with what came of it. @throws ConsoleError where the link isn't live */
  check(): Promise<WitnessState>
  checkpoints(skip: number, limit: number): SeenCheckpoint[]
  /** @throws ConsoleError where it isn't kept */
  note(log: number, size: number, root: string): string
  /** @throws ConsoleError for what is no key of a log */
  pin(vkey: string): Promise<WitnessState>
  acknowledge(id: string, by: string, reason: string): WitnessState
  evidence(id: string): Promise<{ name: string; bytes: Uint8Array }>
  setCosigning(on: boolean): Promise<WitnessState>
  clicked(tag: string): string | undefined
  /** Somebody else signed in. */
  forget(): void
}

export function createWitness(options: WitnessOptions): Witness {
  const { clock, log } = options
  const crypto = nodeCrypto
  const pace = { ...usualPace, ...options.pace }
  const store = openWitnessStore(options.folder)
  const alarms: Alarms = createAlarms(store, options.notifier)
  const cosigner = createCosigner(crypto, options.secrets, store)
  let gateway: string | null = null
  let client: WitnessClient | undefined
  let status: WitnessStatus = { state: 'never' }
  let ledger: LedgerState | undefined
  let heard: string[] = []
  let running: Promise<void> | undefined
  let lookedAt = Number.NEGATIVE_INFINITY
  /** So many looks in a row found something suspect, whatever it was: who shows another fault each time is no better. */
  let suspected = 0
  /** How long looks have failed on a live link, counted from look to look; and when the last of them was. */
  let troubled = 0
  let troubledAt: number | undefined
  let cosignProblem: string | null = null
  let cancelTimer = () => {}
  let disposed = false
  const now = () => new Date(clock.now()).toISOString()

  const state = () =>
    stateOf({
      crypto,
      store,
      gateway,
      status: current(),
      ledger,
      cosigning: { possible: cosigner.possible, problem: cosignProblem },
      bundles,
    })
  const current = (): WitnessStatus => (gateway && alarms.open(gateway).length > 0 ? { state: 'alarm' } : status)
  const say = () => {
    if (!disposed) options.changed(state())
  }
  const bundles = createBundleDesk({ crypto, store, clock, changed: say, saw: sawInBundle })

  function next(wait: number) {
    cancelTimer()
    if (client && !disposed) cancelTimer = clock.after(wait, () => void run())
  }

  /** One look at a time; what comes meanwhile is for the next. */
  function run(): Promise<void> {
    cancelTimer()
    running ??= once().finally(() => {
      running = undefined
    })
    return running
  }

  async function once(): Promise<void> {
    const asking = client
    const where = gateway
    if (!asking || !where) return
    lookedAt = clock.now()
    if (status.state === 'never') {
      status = { state: 'checking' }
      say()
    }
    const told = heard
    heard = []
    let wait = pace.idle
    try {
      const found = await look({ crypto, store, client: asking, gateway: where, heard: told, now: now() })
      if (client !== asking || disposed) return
      calm()
      if (found.found === 'consistent') {
        suspected = 0
        ledger = found.ledger
        alarms.good(where)
        status = { state: 'consistent', checkedAt: now() }
        await cosignIfWanted(asking, where, found.newest)
      } else if (found.found === 'trouble') status = { state: 'unproven', since: now(), problem: found.problem }
      else wait = weigh(where, found.suspect)
    } catch (error) {
      if (client !== asking || disposed) return
      wait = stumble(where, error)
    }
    if (heard.length > 0) wait = Math.min(wait, pace.gap)
    say()
    next(wait)
  }

  /** Something suspect: said at once where it is certain, else when it was found several times in a row. */
  function weigh(where: string, found: Suspect): number {
    suspected += 1
    const open = alarms.open(where).some(({ kind }) => kind === found.kind)
    if (!found.certain && !open && suspected < looksBeforeAlarm) return pace.again
    const origin = store.logOf(where)?.origin ?? found.shown?.origin ?? ''
    const raised = alarms.raise(where, origin, found, now())
    if (!open) log.warn('the log of the gateway', { found: found.kind, raised })
    status = { state: 'unproven', since: now(), problem: sentence(found.text) }
    return pace.idle
  }

  function stumble(where: string, error: unknown): number {
    if (error instanceof Refused && error.status === 403) {
      status = { state: 'forbidden', problem: error.message }
      return pace.idle
    }
    const seen = store.logOf(where)
    const before = seen && store.largest(seen.id)
    if (error instanceof Refused && (error.status === 404 || error.status === 410 || error.status === 501)) {
      if (before) return weigh(where, hidden(where, `it answers ${error.status} where its log was: ${error.message}`))
      status = { state: 'no-ledger' }
      return pace.idle
    }
    if (before && error instanceof ConsoleError)
      return weigh(where, hidden(where, `what it answers is no log: ${error.message}`))
    trouble()
    troubledAt = clock.now()
    const problem = error instanceof Error ? error.message : String(error)
    const usual = error instanceof Unreachable || error instanceof SignedOut || error instanceof Refused
    if (!usual) log.warn('a look at the log failed', { problem })
    if (before && troubled >= pace.hiddenAfter) {
      const minutes = Math.round(troubled / 60_000)
      alarms.raise(
        where,
        seen.origin,
        hidden(where, `it is there, but has not shown its log for ${minutes} minutes: ${problem}`),
        now(),
      )
    }
    if (status.state !== 'unproven') status = { state: 'unproven', since: now(), problem }
    return pace.retry
  }

  /** Counts the time since the last look that failed; a computer that slept meanwhile has seen nothing of it. */
  function trouble() {
    if (troubledAt !== undefined) troubled += Math.min(Math.max(0, clock.now() - troubledAt), 2 * pace.retry)
  }

  function calm() {
    troubled = 0
    troubledAt = undefined
  }

  function hidden(where: string, text: string): Suspect {
    const seen = store.logOf(where)
    return suspicion('hidden', text, { known: seen && store.largest(seen.id), key: seen?.pinned })
  }

  async function cosignIfWanted(
    asking: WitnessClient,
    where: string,
    newest: { size: number; note: string; log: number },
  ) {
    if (store.kept(`cosign ${where}`) !== 'on' || !cosigner.possible) return
    const last = Number(store.kept(`cosigned ${newest.log}`)?.split(' ')[0] ?? -1)
    const lastAt = Date.parse(store.kept(`cosigned ${newest.log}`)?.split(' ')[1] ?? '') || 0
    if (newest.size <= last || clock.now() - lastAt < pace.cosign) return
    try {
      await asking.cosign(await cosigner.sign(newest.note, Math.floor(clock.now() / 1000)))
      store.keep(`cosigned ${newest.log}`, `${newest.size} ${now()}`)
      cosignProblem = null
    } catch (error) {
      cosignProblem = error instanceof Error ? error.message : String(error)
    }
  }

  function sawInBundle(note: string, name: string): void {
    if (seeInBundle({ crypto, store, alarms, gateway, now: now() }, note, name)) soon()
  }

  /** The next look comes as soon as it may. */
  function soon() {
    if (client && !running) next(Math.max(0, lookedAt + pace.gap - clock.now()))
  }

  alarms.remind()

  return {
    bundles,
    state,
    at(next) {
      if (gateway === next) return
      gateway = next
      ledger = undefined
      heard = []
      suspected = 0
      calm()
      status = { state: 'never' }
      say()
    },
    live(asking) {
      client = asking
      void run()
    },
    away() {
      client = undefined
      cancelTimer()
      // What is suspect stays so: a gateway that breaks the link in time would never be found out. Time away doesn't count.
      trouble()
      troubledAt = undefined
    },
    heard({ note }) {
      if (!client) return
      if (note.length <= longestNote && heard.length < mostHeard) heard.push(note)
      soon()
    },
    async check() {
      if (!client)
        throw new ConsoleError('not-connected', 'There is no connection to the gateway. Try again once it is live.')
      await running
      await run()
      return state()
    },
    checkpoints(skip, limit) {
      const seen = gateway === null ? undefined : store.logOf(gateway)
      return seen ? seenCheckpoints(crypto, store, seen, ledger, limit, skip) : []
    },
    note(id, size, root) {
      const found = store.ofSize(id, size).find((one) => one.root === root)
      if (found) return found.note
      throw new ConsoleError('no-such-checkpoint', 'This checkpoint is not kept here any more.')
    },
    async pin(typed) {
      if (gateway === null)
        throw new ConsoleError('no-gateway', 'Sign in at a gateway first: a key is pinned for its log.')
      pinKey(crypto, store, gateway, typed, now())
      suspected = 0
      if (client) {
        status = { state: 'checking' }
        await running
        await run()
      }
      say()
      return state()
    },
    acknowledge(id, by, reason) {
      const alarm = alarms.acknowledge(id, by, reason, now())
      beginAnew(store, alarm, now())
      suspected = 0
      if (client) void (running ?? Promise.resolve()).then(run)
      say()
      return state()
    },
    async evidence(id) {
      const alarm = store.alarms().find((one) => one.id === id)
      if (!alarm) throw new ConsoleError('no-such-alarm', 'There is no such alarm.')
      return evidenceFile(alarm)
    },
    async setCosigning(on) {
      if (gateway === null) throw new ConsoleError('no-gateway', 'Sign in at a gateway first.')
      if (on && !cosigner.possible)
        throw new ConsoleError('no-keychain', 'This computer has no safe place for a key, so it can’t cosign.')
      store.keep(`cosign ${gateway}`, on ? 'on' : 'off')
      cosignProblem = null
      if (on && client) {
        await running
        await run()
      }
      say()
      return state()
    },
    clicked: (tag) => alarms.clicked(tag),
    forget() {
      store.forget()
    },
    [Symbol.dispose]() {
      disposed = true
      client = undefined
      cancelTimer()
      bundles[Symbol.dispose]()
      // A look that is under way must find its store: it ends with its next answer, and nothing is told any more.
      if (running) void running.finally(() => store[Symbol.dispose]())
      else store[Symbol.dispose]()
    },
  }
}
