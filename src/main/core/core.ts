import { join } from 'node:path'
import type { AgentRecord, BreakGlass } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import { Me } from '@countersign/contract/identity'
import type { Session } from '@countersign/contract/session'
import type { z } from 'zod'
import {
  type CallName,
  type Capabilities,
  ConsoleError,
  type ConsoleEvent,
  calls,
  type Link,
  Settings,
  type Snapshot,
} from '../../console-api.ts'
import { agentAnswers } from './access/agent-answers.ts'
import { createAgents } from './access/agents.ts'
import { accessAnswers } from './access/answers.ts'
import { createConnections } from './access/connections.ts'
import { createGrants } from './access/grants.ts'
import { createDuty } from './access/people.ts'
import { asConsoleError, createAccounts } from './account.ts'
import { createAttention } from './attention.ts'
import { createDecisions } from './decisions.ts'
import { createEmergencies } from './emergencies.ts'
import { witnessedKeys } from './exports/printable.ts'
import { followGateway, shown, supersedes } from './follow.ts'
import { type GatewayApi, gatewayAddress, gatewayApi, Refused } from './gateway-api.ts'
import { libraryAnswers } from './library/answers.ts'
import { createLibrary } from './library/library.ts'
import { type GatewayLink, keepLinked } from './link.ts'
import { type Outbox, openOutbox } from './outbox/outbox.ts'
import { sealFor } from './outbox/seal.ts'
import { policyAnswers } from './policy/answers.ts'
import { createPolicy } from './policy/policy.ts'
import { policyShelf } from './policy/shelf.ts'
import { draftWorks } from './policy/works.ts'
import type { Badge } from './ports/badge.ts'
import type { BrowserOpener } from './ports/browser-opener.ts'
import { type Clock, systemClock } from './ports/clock.ts'
import type { Downloads } from './ports/downloads.ts'
import { type Log, silent } from './ports/log.ts'
import type { Notifier } from './ports/notifier.ts'
import type { Printer } from './ports/printer.ts'
import type { SecureStorage } from './ports/secure-storage.ts'
import { retentionAnswers } from './retention.ts'
import { createReviews } from './reviews/reviews.ts'
import { searchAnswers } from './searching.ts'
import { signIn } from './sign-in.ts'
import { takeConsoleFolder } from './store/console-folder.ts'
import { openStore } from './store/store.ts'
import { createEvidence } from './witness/answers.ts'
import type { Pace } from './witness/pace.ts'
import { createWitness, type WitnessClient } from './witness/witness.ts'

/** What a shell gives the core. */
export interface CoreOptions {
  /** Where the console keeps its store. One core a folder. */
  folder: string
  /** The gateway to offer where none was chosen yet. */
  gateway?: string
  /** A certificate (PEM) to trust besides the system's authorities: the gateway's own, or its authority's. */
  ca?: string
  capabilities: Capabilities
  notifier: Notifier
  badge: Badge
  secrets: SecureStorage
  opener: BrowserOpener
  downloads: Downloads
  printer?: Printer
  clock?: Clock
  log?: Log
  /** How often the gateway's log is looked at, where it is not as usual. */
  witness?: Partial<Pace>
  /** What the disk must keep free, where it is not as usual. */
  library?: { reserve?: number }
}

type Input<N extends CallName> = z.input<(typeof calls)[N]['input']>
type Output<N extends CallName> = z.output<(typeof calls)[N]['output']>

/** The console's logic, the same in both shells. */
export interface Core extends AsyncDisposable {
  /** One call of ConsoleApi; input and answer are checked. @throws ConsoleError only */
  call<N extends CallName>(name: N, input: Input<N>): Promise<Output<N>>
  /** Subscribes; answers the function that ends it. */
  on(listener: (event: ConsoleEvent) => void): () => void
  /** Deny pressed on a notification: sent after a short time to undo. */
  denyFromNotification(tag: string): void
  /** The network came back, or the machine woke up: try at once. */
  wake(): void
}

const initialSettings: Settings = {
  gateway: null,
  theme: 'system',
  notifications: { enabled: true, content: 'command', quietHours: null },
  library: { room: 2048 },
}

/**
 * Starts the core in a folder, which is its alone until it is disposed; it signs nobody in, but goes on with a sign-in
 * that it finds there.
 * @throws ConsoleError folder-taken, folder-unusable
 */
export async function createCore(options: CoreOptions): Promise<Core> {
  const folder = takeConsoleFolder(options.folder)
  try {
    return await coreIn(folder, options)
  } catch (error) {
    folder[Symbol.dispose]()
    throw error
  }
}

async function coreIn(folder: Disposable, options: CoreOptions): Promise<Core> {
  const clock = options.clock ?? systemClock
  const log = options.log ?? silent
  const store = openStore(options.folder)
  const accounts = createAccounts(options.secrets, clock)
  const listeners = new Set<(event: ConsoleEvent) => void>()
  let settings = store.kept('settings', Settings) ?? { ...initialSettings, gateway: options.gateway ?? null }
  let me: Me | null = store.kept('me', Me) ?? null
  let link: Link = { state: 'signed-out', gateway: settings.gateway }
  let linked: { api: GatewayApi; link: GatewayLink; stop: () => Promise<void> } | undefined
  let signingIn: AbortController | undefined

  const emit = (event: ConsoleEvent) => {
    for (const listener of listeners) listener(event)
  }
  const reviews = createReviews({
    ...{ store, clock, log, notifier: options.notifier, settings: settings.notifications },
    seal: await sealFor(options.secrets),
    outbox: (): Outbox => outbox,
    asking: () => asking(),
    live: () => live(),
    me: () => me,
    downloads: options.downloads,
    printer: options.printer,
    say: emit,
  })
  const outbox = await openOutbox({
    ...{ folder: options.folder, secrets: options.secrets, clock, emit },
    reviews: reviews.outcome,
  })
  /** What waits to be sent is of who is signed in, and for their gateway. */
  const own = () => outbox.belongTo(accounts.current() ?? settings.gateway ?? undefined, me)
  const witness = createWitness({
    folder: options.folder,
    secrets: options.secrets,
    notifier: options.notifier,
    clock,
    log,
    changed: (witness) => emit({ type: 'witness', witness }),
    ...(options.witness && { pace: options.witness }),
  })
  witness.at(settings.gateway)
  const library = await createLibrary({
    folder: join(options.folder, 'library'),
    gateway: () => settings.gateway ?? '',
    store,
    secrets: options.secrets,
    asking: () => asking(),
    room: () => settings.library.room,
    say: emit,
    known(session) {
      store.saveSessions([session])
      emit({ type: 'sessions', sessions: [session] })
    },
    alongside: (session) => outbox.fetch(session),
    played: (session) => outbox.played(session),
    clock,
    log,
    ...options.library,
  })
  const grants = createGrants({ store, clock, log, asking: () => asking(), me: () => me, say: emit })
  const connections = createConnections({ store, clock, log, asking: () => asking(), say: emit })
  const agents = createAgents({ store, clock, log, asking: () => asking(), say: emit })
  const duty = createDuty({ store, clock, log, asking: () => asking(), say: emit })
  const seal = await sealFor(options.secrets)
  const shelf = policyShelf(store, seal)
  const works = draftWorks(store, seal, () => (me && settings.gateway ? `${settings.gateway} ${me.id}` : undefined))
  const policy = createPolicy({
    store,
    seal,
    clock,
    log,
    asking: () => asking(),
    me: () => me,
    works: works.all,
    say: emit,
  })
  const lookAround = () => {
    void duty.look()
    // Where this ends meanwhile, there is nothing to keep it in.
    void connections.look().catch(() => {})
  }
  const say = (next: Link) => {
    link = next
    log.info('link', { state: next.state, ...('problem' in next && next.problem ? { problem: next.problem } : {}) })
    emit({ type: 'link', link })
    const { api } = linked ?? {}
    outbox.connect(api && next.state === 'live' ? { api, token: accounts.token } : undefined)
    if (next.state === 'live') attend()
    if (next.state === 'live') library.wake()
    grants.link(next.state === 'live')
    agents.link(next.state === 'live')
    reviews.link(next.state === 'live')
    policy.link(next.state === 'live')
    // What is frozen, and whose duty it is, stands on every screen.
    if (next.state === 'live') lookAround()
    if (next.state === 'live' && linked) witness.live(witnessClient(linked.api))
    else witness.away()
  }
  const attention = createAttention({
    notifier: options.notifier,
    badge: options.badge,
    clock,
    settings: settings.notifications,
    deny: (approval) =>
      void decisions.decide(approval.id, {
        verdict: 'deny',
        reason: 'denied from the notification',
        digest: approval.command.digest,
      }),
  })
  const emergencies = createEmergencies({
    notifier: options.notifier,
    clock,
    settings: settings.notifications,
    me: () => me,
  })
  const attend = () => attention.pending(me ? store.approvals(0) : [])
  const decisions = createDecisions({
    linked: () => (linked && link.state === 'live' ? { api: linked.api, accounts } : undefined),
    say: (decision) => emit({ type: 'decision', decision }),
    look: (approval) => void look(approval).catch(() => {}),
  })

  const snapshot = (): Snapshot => ({
    capabilities: options.capabilities,
    link,
    me,
    settings,
    approvals: me ? store.approvals(shown.closed) : [],
    sessions: me ? store.sessions({ limit: shown.sessions }).items : [],
    witness: witness.state(),
    outbox: outbox.state(),
  })
  const changes = {
    approvals(approvals: Approval[]) {
      emit({ type: 'approvals', approvals })
      attend()
    },
    sessions(sessions: Session[]) {
      emit({ type: 'sessions', sessions })
      library.sessionsChanged(sessions)
    },
    grants: grants.heard,
    freeze: connections.heard,
    agent: (agent: AgentRecord) => agents.take([agent]),
    delegation: duty.delegation,
    emergency(use: BreakGlass) {
      duty.emergency(use)
      emergencies.heard(use)
    },
    forget,
    checkpoint: witness.heard,
    me(next: Me) {
      if (me && me.id !== next.id) witness.forget()
      me = next
      own()
      emit({ type: 'me', me })
    },
    heard(message: Parameters<typeof outbox.heard>[0]) {
      outbox.heard(message)
      policy.heard(message)
      reviews.heard(message)
    },
    anew() {
      outbox.lookAgain()
      grants.doubt()
      agents.doubt()
      reviews.doubt()
      policy.doubt()
      lookAround()
      emit({ type: 'snapshot', snapshot: snapshot() })
      attend()
    },
  }

  /** What a person saw is for nobody else's eyes. */
  function forget() {
    void library
      .forget()
      .catch((error: Error) => log.warn('recordings could not be removed', { problem: error.message }))
    store.forget()
    policy.forget()
    emergencies.forget()
    reviews.forget()
  }

  function connect(gateway: string) {
    const base = new URL(gateway)
    const api = gatewayApi(base, options.ca)
    const stopping = new AbortController()
    const started = keepLinked({
      base,
      ca: options.ca,
      api,
      accounts,
      target: followGateway(api, store, () => me, changes),
      clock,
      signal: stopping.signal,
      say: (next) => {
        if (!stopping.signal.aborted) say(next)
      },
    })
    const stop = async () => {
      stopping.abort()
      await started.ended
      api[Symbol.dispose]()
    }
    linked = { api, link: started, stop }
  }

  const witnessClient = (api: GatewayApi): WitnessClient => ({
    ledger: async () => api.ledger(await accounts.token()),
    checkpoint: async () => api.checkpoint(await accounts.token()),
    tile: async (path) => api.tile(await accounts.token(), path),
    cosign: async (cosignature) => api.cosign(await accounts.token(), cosignature),
  })

  async function disconnect() {
    const last = linked
    linked = undefined
    outbox.connect(undefined)
    await last?.stop()
  }

  /** With a live link, what to ask with; undefined where what is stored has to do. */
  async function asking() {
    if (!linked || link.state !== 'live') return undefined
    return { api: linked.api, token: await accounts.token() }
  }

  async function live() {
    const now = await asking()
    if (now) return now
    throw new ConsoleError('not-connected', 'There is no connection to the gateway. Try again once it is live.')
  }

  async function look(id: string): Promise<Approval | null> {
    const now = await asking()
    if (!now) return store.approval(id) ?? null
    const approval = await now.api.approval(now.token, id)
    if (!approval) return null
    if (supersedes(approval, store.approval(id))) {
      store.saveApprovals([approval])
      changes.approvals([approval])
    }
    return approval
  }

  /** Resolves once the browser has the sign-in page; how it goes on is told by `link`. */
  async function startSignIn(typed: string): Promise<void> {
    const base = gatewayAddress(typed)
    signingIn?.abort()
    const mine = new AbortController()
    signingIn = mine
    await disconnect()
    say({ state: 'signing-in', gateway: base.origin })
    const { promise: opened, resolve } = Promise.withResolvers<void>()
    const whole = (async () => {
      const api = gatewayApi(base, options.ca)
      try {
        const how = await api.signIn()
        const tokens = await signIn(how, options.opener, { signal: mine.signal, opened: resolve })
        if (mine.signal.aborted) throw new ConsoleError('sign-in-cancelled', 'The sign-in was cancelled.')
        if (settings.gateway !== base.origin) {
          if (me) forget()
          if (me) witness.forget()
          if (me) outbox.forget()
          me = null
          own()
          saveSettings({ ...settings, gateway: base.origin })
        }
        witness.at(base.origin)
        await accounts.save(base.origin, how, tokens)
        connect(base.origin)
      } finally {
        api[Symbol.dispose]()
      }
    })()
    const failed = whole.then(
      () => resolve(),
      (error: unknown) => {
        const problem = asConsoleError(error)
        if (signingIn === mine) say({ state: 'signed-out', gateway: base.origin, problem: problem.message })
        throw problem
      },
    )
    failed.catch(() => {})
    await Promise.race([opened, failed])
  }

  function saveSettings(next: Settings): Settings {
    settings = next
    store.keep('settings', settings)
    attention.settings(settings.notifications)
    emergencies.settings(settings.notifications)
    reviews.settings(settings.notifications)
    emit({ type: 'settings', settings })
    return settings
  }

  const recordings = libraryAnswers({
    library,
    downloads: options.downloads,
    annotations: outbox.annotations,
    printing: {
      person: () => me?.name ?? 'somebody who was not signed in',
      verdict(session) {
        const verified = witness.state().verifications.find((one) => one.session === session)
        return verified ? witness.bundles.verdict(verified.verdict) : null
      },
      keys: (origin) => witnessedKeys(witness.state(), origin),
      now: () => new Date(clock.now()),
      printer: options.printer,
    },
    asking: () => asking(),
    say: emit,
  })
  const evidence = createEvidence({
    witness,
    person: () => me?.name ?? 'somebody who was not signed in',
    played: (bundled, signal) => library.compare(bundled, signal),
    async bundleOf(session, signal) {
      const kept = await library.bundle(session)
      if (kept) return kept.read()
      const now = await live()
      return now.api.bundle(now.token, session, signal)
    },
    downloads: options.downloads,
    say: emit,
  })

  const answers: { [N in CallName]: (input: z.output<(typeof calls)[N]['input']>) => unknown } = {
    snapshot,
    async signIn({ gateway }) {
      await startSignIn(gateway)
      return {}
    },
    async signOut() {
      signingIn?.abort()
      signingIn = undefined
      await disconnect()
      await accounts.clear()
      forget()
      witness.forget()
      outbox.forget()
      me = null
      own()
      attend()
      say({ state: 'signed-out', gateway: settings.gateway })
      emit({ type: 'snapshot', snapshot: snapshot() })
      return {}
    },
    decide: ({ approval, ...decision }) => decisions.decide(approval, decision),
    approval: ({ id }) => look(id),
    ...searchAnswers({
      store,
      asking,
      sessionsWith: recordings.sessionsWith,
      findCommands: library.findCommands,
      told: (session) => changes.sessions([session]),
    }),
    ...recordings,
    ...outbox.answers,
    ...retentionAnswers({
      live,
      me: () => me,
      known(session) {
        store.saveSessions([session])
        changes.sessions([session])
      },
    }),
    async terminate({ session, reason }) {
      const now = await live()
      await now.api.terminate(now.token, session, reason)
      return {}
    },
    // The gateway is chosen by signing in there; settings only say where that would be.
    saveSettings(next) {
      const gateway = me || !next.gateway ? settings.gateway : gatewayAddress(next.gateway).origin
      const saved = saveSettings({ ...next, gateway })
      void library.trim().catch(() => {})
      return saved
    },
    notificationClicked({ tag }) {
      const target = attention.clicked(tag) ?? emergencies.clicked(tag) ?? reviews.clicked(tag) ?? witness.clicked(tag)
      if (target) emit({ type: 'open', target })
      return {}
    },
    windowFocus({ focused }) {
      attention.focused(focused)
      emergencies.focused(focused)
      reviews.focused(focused)
      if (focused) linked?.link.wake()
      return {}
    },
    ...evidence.answers,
    ...accessAnswers({
      store,
      grants,
      connections,
      asking,
      live,
      known(session) {
        store.saveSessions([session])
        changes.sessions([session])
      },
    }),
    ...policyAnswers({ shelf, policy, works, clock, asking, live, downloads: options.downloads, say: emit }),
    ...reviews.answers,
    ...agentAnswers({ store, agents, duty, connections, asking, live, downloads: options.downloads, say: emit }),
  }
  listeners.add(evidence.heed)

  await accounts.load()
  own()
  const gateway = accounts.current()
  if (gateway) connect(gateway)

  return {
    async call<N extends CallName>(name: N, input: Input<N>): Promise<Output<N>> {
      if (!Object.hasOwn(calls, name)) throw new ConsoleError('no-such-call', `The console has no call “${name}”.`)
      const schema = calls[name]
      const asked = schema.input.safeParse(input)
      if (!asked.success)
        throw new ConsoleError(
          'bad-input',
          `${name}: ${asked.error.issues[0]?.path.join('.')} ${asked.error.issues[0]?.message}`,
        )
      try {
        const answer = await answers[name](asked.data as never)
        return schema.output.parse(answer) as Output<N>
      } catch (error) {
        if (error instanceof Refused && error.status === 401) linked?.link.wake()
        const problem = asConsoleError(error)
        if (problem.code === 'fault') log.warn('a call failed', { call: name, problem: problem.message })
        throw problem
      }
    },
    on(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    denyFromNotification: (tag) => attention.denied(tag),
    wake: () => linked?.link.wake(),
    async [Symbol.asyncDispose]() {
      signingIn?.abort()
      grants[Symbol.dispose]()
      agents[Symbol.dispose]()
      reviews[Symbol.dispose]()
      policy[Symbol.dispose]()
      duty[Symbol.dispose]()
      recordings[Symbol.dispose]()
      await library[Symbol.asyncDispose]()
      await disconnect()
      attention[Symbol.dispose]()
      emergencies[Symbol.dispose]()
      accounts[Symbol.dispose]()
      listeners.clear()
      await outbox[Symbol.asyncDispose]()
      witness[Symbol.dispose]()
      store[Symbol.dispose]()
      folder[Symbol.dispose]()
    },
  }
}
