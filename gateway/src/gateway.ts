import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { createApi } from './api/api.ts'
import { type Approvals, createApprovals } from './approvals/approvals.ts'
import { formatListen, isLoopback, type ListenAddress } from './config/address.ts'
import type { TlsPair } from './config/certificate.ts'
import { type LoadedConfig, type LoadedPostgresConnection, loadConfig } from './config/config.ts'
import { takeDataFolder } from './config/data-folder.ts'
import { styleOf } from './config/masking.ts'
import { MASKING_KEY_FILE, maskingKey } from './config/masking-key.ts'
import type { Problem } from './config/problem.ts'
import { selfSignedPair } from './config/tls.ts'
import { createGate } from './gate/gate.ts'
import { createIdentity } from './identity/identity.ts'
import { type Logged, openLogged } from './logged.ts'
import { type KnownColumns, openKnownColumns } from './masking/earlier.ts'
import type { Masking } from './masking/masking.ts'
import { classProblemKinds } from './masking/resolve.ts'
import { measuredGate, measuredIdentity, measuredSessions } from './measured.ts'
import { loadPolicies, type Policies } from './policy/policy.ts'
import { listenPostgres, type PostgresListener, type PostgresTarget } from './postgres/postgres.ts'
import { createAnnotations } from './sessions/annotations/annotations.ts'
import { createBundles } from './sessions/bundles/making.ts'
import { LedgerStopped } from './sessions/ledger/ledger.ts'
import { createRetention } from './sessions/retention/retention.ts'
import { createFinder } from './sessions/search/finder.ts'
import { createSessions, type SessionsRoom } from './sessions/sessions.ts'
import { openStore, type Store } from './store/store.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { createTelemetry, type Logger, type Telemetry } from './telemetry/telemetry.ts'

export interface GatewayOptions {
  telemetry?: Telemetry
}

export type ReloadResult = { ok: true; warnings: Problem[] } | { ok: false; problems: Problem[] }

export interface RunningGateway extends AsyncDisposable {
  /** HOST:PORT of each listener, with the real port; in the order of the ready line. */
  addresses: { api: string; postgres?: string }
  /**
   * Reads the configuration anew and puts policy, certificates, secrets, issuers, roles, connections and limits in
   * force, all of them or, where anything is wrong, none. Listeners and the data folder stay as they are until a restart.
   */
  reload(): Promise<ReloadResult>
  /**
   * Ends it in order: not ready, no new sessions, holds cancelled, running commands have `limits.drain`, then sessions are
   * ended. Idempotent.
   * @param because why, for the ledger
   */
  stop(because?: string): Promise<void>
}

/** Why a gateway did not start, in words; `problems` where they are in files. */
export class StartError extends Error {
  override name = 'StartError'
  readonly problems: Problem[]
  constructor(message: string, problems: Problem[] = [], options?: ErrorOptions) {
    super(message, options)
    this.problems = problems
  }
}

/** What a reload replaces, at once and whole. */
interface InForce {
  config: LoadedConfig
  policies: Policies
  pair: TlsPair
}

const day = 86_400_000

/**
 * The composition root: from a configuration to a gateway that listens. What was started is stopped again where a later
 * part fails.
 * @throws StartError, DataFolderError or StoreError
 */
export async function startGateway(config: LoadedConfig, options: GatewayOptions = {}): Promise<RunningGateway> {
  const { log, metrics } = options.telemetry ?? createTelemetry()
  await using stack = new AsyncDisposableStack()

  const folder = stack.use(await takeDataFolder(config.data))
  if (folder.doubt) log.warn(folder.doubt)
  let inForce: InForce = { config, policies: await policiesOf(config, log), pair: await pairOf(config, log) }

  const masks = await maskingKey(config.data)
  if (masks.doubt) log.warn(masks.doubt)
  if (masks.made) log.info({ file: join(config.data, MASKING_KEY_FILE) }, 'made a masking key')

  const store = stack.use(await openStore(join(config.data, 'countersign.sqlite'), { log }))
  const limits = () => inForce.config.limits
  const logged = stack.use(
    await openLogged({ config, store, log }).catch((error) => {
      throw error instanceof LedgerStopped ? new StartError(error.message, [], { cause: error }) : error
    }),
  )
  const { ledger, signIns } = logged
  const approvals = stack.use(createApprovals({ store, config: () => inForce.config.approvals, limits, log }))
  const search = stack.use(createFinder({ folder: config.data, index: ledger.index, log }))
  const room = stack.use(
    createSessions({
      store,
      folder: config.data,
      limits,
      log,
      ledger,
      search,
      policy: () => inForce.policies.version,
    }),
  )
  await room.recover()
  await approvals.recover()
  void ledger.recover().catch((error) => log.error({ error }, 'recordings of earlier runs are not in the ledger yet'))
  const retention = stack.use(
    createRetention({
      store,
      folder: config.data,
      rules: () => inForce.config.retention,
      ledger,
      search: ledger.index,
      live: room.isLive,
      connections: () => inForce.config.connections.keys(),
      log,
      metrics: metrics.retention,
    }),
  )
  await logged.policies(inForce.policies)
  const known = stack.use(await openKnownColumns(store, log))
  known.keepOnly(config.connections.values())
  const rules: MaskingRules = { key: masks.key, known, metrics }

  const { issuers, roles } = config.identity
  const people = createIdentity({ issuers, roles, log })
  const identity = measuredIdentity(people, metrics)
  const gate = measuredGate(createGate({ policies: () => inForce.policies, approvals, log }), metrics)
  const sessions = measuredSessions(room, metrics)

  metrics.watch({ sessionsOpen: () => room.live, holdsPending: () => pendingIn(store), ledger: () => ledger })

  const state = { phase: 'starting' as 'starting' | 'ready' | 'stopping' }
  const postgres = config.postgres
    ? stack.use(
        await listening('postgres', config.postgres.listen, (address) =>
          listenPostgres({
            listen: address,
            identity,
            signIns,
            gate,
            sessions,
            target: (name) => targetOf(inForce.config, name, rules),
            tls: () => inForce.pair,
            requireTls: needsTls(config, address),
            limits,
            approvals: () => inForce.config.approvals,
            log,
          }),
        ),
      )
    : undefined
  const api = stack.use(
    await listening('api', config.api.listen, (address) =>
      createApi({
        listen: formatListen(address),
        ...(config.api.url === undefined ? {} : { url: config.api.url }),
        tls: () => (needsTls(config, address) ? inForce.pair : undefined),
        identity,
        signIns,
        issuers: () => inForce.config.identity.issuers,
        approvals,
        sessions: room,
        annotations: createAnnotations({ store }),
        retention,
        ledger,
        bundles: createBundles({
          ledger,
          folder: config.data,
          recording: (id) => room.recordingStream(id),
          policy: (version) => filesOfPolicy(store, version),
        }),
        feed: store.feed,
        policies: () => inForce.policies,
        readiness: () =>
          ledger.stopped && state.phase === 'ready' ? notWritten(ledger.stopped) : readiness[state.phase],
        metrics: metrics.registry,
        log,
      }),
    ),
  )
  const addresses = { api: api.address, ...(postgres ? { postgres: formatListen(postgres.address) } : {}) }

  const takeIn = (next: InForce) => {
    // What is wrong with keys that aren't there any more is of no interest.
    for (const [name, { data_classes }] of inForce.config.connections)
      if (!isDeepStrictEqual(data_classes, next.config.connections.get(name)?.data_classes))
        for (const kind of classProblemKinds) metrics.classProblems.remove({ connection: name, kind })
    known.keepOnly(next.config.connections.values())
    const changed = changedConnections(inForce.config, next.config)
    inForce = next
    // A class that was added must not stay unmasked, nor a mode unenforced, for those who are connected already.
    if (changed.length > 0) postgres?.endChanged(changed)
    people.reconfigure(next.config.identity)
    api.renewTls()
  }
  const renewing = setInterval(() => void renew(), day).unref()
  const renew = async () => {
    try {
      const pair = await pairOf(inForce.config, log)
      takeIn({ ...inForce, pair })
    } catch (error) {
      log.error({ error }, 'the self-signed certificate could not be renewed')
    }
  }

  let last: Promise<unknown> = Promise.resolve()
  const reload = (): Promise<ReloadResult> => {
    // One after another: of two reloads the one asked for last wins.
    const next = last.then((): Promise<ReloadResult> | ReloadResult =>
      state.phase === 'stopping' ? { ok: false, problems: [] } : reloaded(inForce, takeIn, logged, log),
    )
    last = next.catch(() => {})
    return next.then((result) => {
      metrics.reloads.inc({ result: result.ok ? 'ok' : 'refused' })
      return result
    })
  }

  const parts = stack.move()
  const stopNow = async (because: string) => {
    logged.stopping(because)
    state.phase = 'stopping'
    metrics.ready.set(0)
    clearInterval(renewing)
    await drained({ room, approvals, postgres }, inForce.config.limits.drain, log)
    await parts.disposeAsync()
  }
  let stopping: Promise<void> | undefined
  const stop = (because = 'it was told to stop') => {
    stopping ??= stopNow(because)
    return stopping
  }

  await logged.started()
  retention.start()
  state.phase = 'ready'
  metrics.ready.set(1)
  return { addresses, reload, stop, [Symbol.asyncDispose]: () => stop() }
}

/** The files that a policy version had, as the store keeps them. */
async function filesOfPolicy({ db }: Store, version: string): Promise<{ file: string; text: string }[] | undefined> {
  const row = await db.selectFrom('policy_versions').select('files').where('version', '=', version).executeTakeFirst()
  return row && JSON.parse(row.files)
}

const readiness = {
  starting: { ready: false, reasons: ['the gateway is starting'] },
  ready: { ready: true, reasons: [] },
  stopping: { ready: false, reasons: ['the gateway is stopping'] },
}
const notWritten = ({ message }: LedgerStopped) => ({ ready: false, reasons: [message] })

/** Everything is read and checked before any of it counts. */
async function reloaded(
  before: InForce,
  takeIn: (next: InForce) => void,
  logged: Logged,
  log: Logger,
): Promise<ReloadResult> {
  const { file } = before.config
  const refused = async (problems: Problem[]): Promise<ReloadResult> => {
    await logged.refused(file, problems)
    return { ok: false, problems }
  }
  const loaded = await loadConfig(file)
  if (!loaded.ok) return refused(loaded.problems)
  const { config } = loaded
  const policies = await loadPolicies(config.policy)
  if (!policies.ok) return refused(policies.problems.map((p) => inFolder(config.policy, p)))
  // Where data lies is decided at the start: the pair is beside the store that is in use.
  const pair = await pairOf({ ...config, data: before.config.data }, log)
  await logged.reloaded(file, policies.policies)
  takeIn({ config, policies: policies.policies, pair })
  for (const what of fixedAtStart(before.config, config)) log.warn(`${what} has changed: that takes a restart`)
  return { ok: true, warnings: [...loaded.warnings, ...policies.warnings.map((p) => inFolder(config.policy, p))] }
}

/** Connections that open sessions must not go on with: changed in anything but the password, or gone. */
function changedConnections(before: LoadedConfig, after: LoadedConfig): string[] {
  const known = (connection: LoadedPostgresConnection | undefined) => connection && { ...connection, password: '' }
  return [...before.connections]
    .filter(([name, connection]) => !isDeepStrictEqual(known(connection), known(after.connections.get(name))))
    .map(([name]) => name)
}

function fixedAtStart(before: LoadedConfig, after: LoadedConfig): string[] {
  const listen = (address: ListenAddress | undefined) => address && formatListen(address)
  const changed: [string, unknown, unknown][] = [
    ['data', before.data, after.data],
    ['api.listen', listen(before.api.listen), listen(after.api.listen)],
    ['api.url', before.api.url, after.api.url],
    ['postgres.listen', listen(before.postgres?.listen), listen(after.postgres?.listen)],
    ['whether there is tls', before.tls !== undefined, after.tls !== undefined],
  ]
  return changed.filter(([, a, b]) => a !== b).map(([name]) => name)
}

async function policiesOf(config: LoadedConfig, log: Logger): Promise<Policies> {
  const loaded = await loadPolicies(config.policy)
  if (!loaded.ok) {
    const problems = loaded.problems.map((problem) => inFolder(config.policy, problem))
    throw new StartError(`the policies in ${config.policy} can't be used`, problems)
  }
  for (const warning of loaded.warnings) log.warn({ ...warning, file: join(config.policy, warning.file) }, 'policy')
  return loaded.policies
}

function inFolder(folder: string, problem: Problem): Problem {
  return { ...problem, file: problem.file.startsWith(folder) ? problem.file : join(folder, problem.file) }
}

async function pairOf(config: LoadedConfig, log: Logger): Promise<TlsPair> {
  if (config.tls) return config.tls
  const hosts = [config.api.listen.host, ...(config.postgres ? [config.postgres.listen.host] : [])]
  if (config.api.url !== undefined) hosts.push(new URL(config.api.url).hostname)
  const { pair, made, certFile } = await selfSignedPair(config.data, hosts)
  if (made) log.info({ certificate: certFile, because: made }, 'made a self-signed certificate')
  return pair
}

/** Plain text is for loopback, and only where no certificate was configured (contract.md section 2). */
function needsTls(config: LoadedConfig, address: ListenAddress): boolean {
  return config.tls !== undefined || !isLoopback(address.host)
}

async function pendingIn({ db }: Store): Promise<number> {
  const counted = db.selectFrom('approvals').select((e) => e.fn.countAll<number>().as('pending'))
  return Number((await counted.where('state', '=', 'pending').executeTakeFirstOrThrow()).pending)
}

/** What masking needs beside the configuration. */
interface MaskingRules {
  key: Buffer
  known: KnownColumns
  metrics: Pick<Metrics, 'classProblems'>
}

function targetOf(config: LoadedConfig, name: string, rules: MaskingRules): PostgresTarget | undefined {
  const connection = config.connections.get(name)
  if (!connection) return undefined
  const { kind, tags, mode, host, port, database, user, password, tls, access } = connection
  const ref = { name, kind, tags, mode }
  const masking = maskingOf(connection, rules)
  return {
    ...{ ref, host, port, database, user, tls, access },
    ...(password === undefined ? {} : { password }),
    ...(masking ? { masking } : {}),
  }
}

/** Absent where there is nothing to mask: then every byte passes as it comes. */
function maskingOf(connection: LoadedPostgresConnection, { key, known, metrics }: MaskingRules): Masking | undefined {
  const { name, data_classes: dataClasses, masking } = connection
  if (Object.keys(dataClasses).length === 0 && masking.detect.length === 0) return undefined
  return {
    key,
    styleOf: (dataClass) => styleOf(masking, dataClass),
    dataClasses,
    detect: masking.detect,
    earlier: known.of(connection, dataClasses),
    told: (problems) => {
      for (const kind of classProblemKinds)
        metrics.classProblems.set({ connection: name, kind }, problems.filter((one) => one.kind === kind).length)
    },
  }
}

/** Says in words which listener can't have its address, and why. */
async function listening<T>(
  name: string,
  address: ListenAddress,
  start: (address: ListenAddress) => Promise<T>,
): Promise<T> {
  try {
    return await start(address)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const because = {
      EADDRINUSE: 'another program listens there: stop it, or choose another port',
      EACCES: 'this user may not listen there: choose a port above 1023',
      EADDRNOTAVAIL: "this machine doesn't have that address: choose one that it has",
      ENOTFOUND: 'that name is not known: write an address',
    }[code ?? '']
    if (because === undefined) throw error
    throw new StartError(`${name} can't listen on ${formatListen(address)}: ${because}`, [], { cause: error })
  }
}

/** New sessions are refused, what is held is cancelled, and what runs has its time; then everything is ended. */
async function drained(
  parts: { room: SessionsRoom; approvals: Approvals; postgres: PostgresListener | undefined },
  patience: number,
  log: Logger,
): Promise<void> {
  const because = 'the gateway is stopping'
  const { room, approvals, postgres } = parts
  const empty = room.drain()
  // First, so that a client that waits is told of the cancelled hold, not of a closed connection.
  try {
    await approvals.cancelWaiting(because)
  } catch (error) {
    log.error({ error }, 'what is held could not be cancelled: the next start does it')
  }
  await postgres?.drain(patience)
  room.endAll(because)
  await empty
}
