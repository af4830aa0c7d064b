import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { openAccess } from './access/access.ts'
import { createApi } from './api/api.ts'
import { type Approvals, createApprovals } from './approvals/approvals.ts'
import { openPolicyWork } from './backtest/backtest.ts'
import { formatListen } from './config/address.ts'
import { type LoadedConfig, postgresOf } from './config/config.ts'
import { takeDataFolder } from './config/data-folder.ts'
import { MASKING_KEY_FILE, maskingKey } from './config/masking-key.ts'
import { createGate } from './gate/gate.ts'
import { createLane } from './grants/lane.ts'
import type { Registry } from './identity/registry/registry.ts'
import {
  changedConnections,
  type Enforcement,
  GatewayStopping,
  type InForce,
  needsTls,
  pairOf,
  policiesOf,
  type ReloadResult,
  reloaded,
} from './in-force.ts'
import { listening } from './listening.ts'
import { openLogged } from './logged.ts'
import { openKnownColumns } from './masking/earlier.ts'
import { classProblemKinds } from './masking/resolve.ts'
import { measuredGate, measuredIdentity, measuredKeys, measuredSessions } from './measured.ts'
import { overlaysInForce } from './policy/overlays.ts'
import type { Policies } from './policy/policy.ts'
import { filesOf } from './policy/versions.ts'
import { listenPostgres, type PostgresListener } from './postgres/postgres.ts'
import { type MaskingRules, targetOf } from './postgres-target.ts'
import { openReviews } from './reviews/reviews.ts'
import { createAnnotations } from './sessions/annotations/annotations.ts'
import { createBundles } from './sessions/bundles/making.ts'
import { LedgerStopped } from './sessions/ledger/ledger.ts'
import { openUsed } from './sessions/ledger/used.ts'
import { createRetention } from './sessions/retention/retention.ts'
import { createFinder } from './sessions/search/finder.ts'
import { createSessions, type SessionsRoom } from './sessions/sessions.ts'
import { gatewayHostKey, HOST_KEY_FILE, listenSsh, type SshListener } from './ssh/ssh.ts'
import { sshTargetOf } from './ssh-target.ts'
import { StartError } from './start-error.ts'
import { openStore, type Store } from './store/store.ts'
import { createTelemetry, type Logger, type Telemetry } from './telemetry/telemetry.ts'
import { webhooksOf } from './told.ts'

export interface GatewayOptions {
  telemetry?: Telemetry
}

export interface RunningGateway extends AsyncDisposable {
  /** HOST:PORT of each listener, with the real port; in the order of the ready line. */
  addresses: { api: string; postgres?: string; ssh?: string }
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
  const store = stack.use(await openStore(join(config.data, 'countersign.sqlite'), { log }))
  const overlays = () => overlaysInForce(store.db)
  let inForce: InForce = {
    config,
    policies: await policiesOf(config, overlays, log),
    pair: await pairOf(config, log),
  }
  const masks = await maskingKey(config.data)
  if (masks.doubt) log.warn(masks.doubt)
  if (masks.made) log.info({ file: join(config.data, MASKING_KEY_FILE) }, 'made a masking key')
  const limits = () => inForce.config.limits
  const logged = stack.use(
    await openLogged({ config, store, log }).catch((error) => {
      throw error instanceof LedgerStopped ? new StartError(error.message, [], { cause: error }) : error
    }),
  )
  const { ledger, signIns } = logged
  const rooms: { registry?: Registry } = {}
  const approvals = stack.use(
    createApprovals({
      store,
      config: () => inForce.config.approvals,
      limits,
      sponsorsOf: (agent) => rooms.registry?.sponsorsOf(agent) ?? [],
      askedGroups: () => askedBy(inForce.policies),
      log,
    }),
  )
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
  await logged.inForce(inForce)
  const known = stack.use(await openKnownColumns(store, log))
  known.keepOnly(postgresOf(config.connections))
  const rules: MaskingRules = { key: masks.key, known, metrics }

  const policies = () => inForce.policies
  const gate = measuredGate(createGate({ policies, approvals, log }), metrics)
  const used = stack.use(openUsed(join(config.data, 'ledger')))
  const access = stack.use(
    await openAccess({ store, config: () => inForce.config, policies, approvals, used, gate, log }),
  )
  rooms.registry = access.registry
  const changing = createLane()
  const enforcement: Enforcement = {
    change: (work) =>
      changing(() => {
        if (state.phase === 'stopping') throw new GatewayStopping()
        return work()
      }),
    policies,
    async takeIn(next) {
      await logged.sealed()
      takeIn({ ...inForce, policies: next })
    },
  }
  const reviews = stack.use(
    await openReviews({
      store,
      folder: config.data,
      config: () => inForce.config,
      policies,
      enforcement,
      metrics: metrics.registry,
      access,
      gate,
      ledger,
      used,
      log,
    }),
  )
  const policyWork = stack.use(
    await openPolicyWork({ store, folder: config.data, policies, policyFolder: () => inForce.config.policy, log }),
  )
  const identity = measuredIdentity(access.identity, metrics)
  const sessions = measuredSessions(room, metrics)

  metrics.watch({ sessionsOpen: () => room.live, holdsPending: () => pendingIn(store), ledger: () => ledger })

  const webhooks = stack.use(await webhooksOf({ config: () => inForce.config, store, metrics, log }))
  const state = { phase: 'starting' as 'starting' | 'ready' | 'stopping' }
  const postgres = config.postgres
    ? stack.use(
        await listening('postgres', config.postgres.listen, (address) =>
          listenPostgres({
            listen: address,
            identity,
            entrance: access.entrance,
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
  const hostKey = config.ssh ? await gatewayHostKey(config.data) : undefined
  if (hostKey?.doubt) log.warn(hostKey.doubt)
  if (hostKey?.made)
    log.info({ file: join(config.data, HOST_KEY_FILE), fingerprint: hostKey.fingerprint }, 'made a host key')
  const ssh =
    config.ssh && hostKey
      ? stack.use(
          await listening('ssh', config.ssh.listen, (address) =>
            listenSsh({
              listen: address,
              hostKey: hostKey.privateKey,
              identity,
              keys: measuredKeys(access.keys, metrics),
              entrance: access.entrance,
              signIns,
              gate,
              sessions,
              target: (name) => sshTargetOf(inForce.config, name),
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
        listeners: {
          postgres: postgres?.address,
          ssh: ssh?.address,
          sshHostKey: hostKey?.publicKey,
          tls: config.postgres !== undefined && needsTls(config, config.postgres.listen),
        },
        identity,
        access,
        reviews,
        policyWork,
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
          policy: (version) => filesOf(store.db, version),
        }),
        feed: store.feed,
        policies,
        readiness: () =>
          ledger.stopped && state.phase === 'ready' ? notWritten(ledger.stopped) : readiness[state.phase],
        metrics: metrics.registry,
        log,
      }),
    ),
  )
  const addresses = {
    api: api.address,
    ...(postgres ? { postgres: formatListen(postgres.address) } : {}),
    ...(ssh ? { ssh: formatListen(ssh.address) } : {}),
  }

  const takeIn = (next: InForce) => {
    // What is wrong with keys that aren't there any more is of no interest.
    for (const [name, { data_classes }] of inForce.config.connections)
      if (!isDeepStrictEqual(data_classes, next.config.connections.get(name)?.data_classes))
        for (const kind of classProblemKinds) metrics.classProblems.remove({ connection: name, kind })
    known.keepOnly(postgresOf(next.config.connections))
    const changed = changedConnections(inForce.config, next.config)
    const policy = inForce.policies.version !== next.policies.version
    inForce = next
    // A class that was added must not stay unmasked, nor a mode unenforced, for those who are connected already.
    if (changed.length > 0) postgres?.endChanged(changed)
    ssh?.reconfigured(changed)
    access.reconfigured({ policy })
    webhooks.reconfigured()
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

  const reload = async (): Promise<ReloadResult> => {
    // One after another: of two reloads the one asked for last wins.
    const result = await changing(
      async (): Promise<ReloadResult> =>
        state.phase === 'stopping' ? { ok: false, problems: [] } : reloaded(inForce, takeIn, overlays, logged, log),
    )
    metrics.reloads.inc({ result: result.ok ? 'ok' : 'refused' })
    return result
  }

  const parts = stack.move()
  const stopNow = async (because: string) => {
    logged.stopping(because)
    state.phase = 'stopping'
    metrics.ready.set(0)
    clearInterval(renewing)
    await drained({ room, approvals, postgres, ssh }, inForce.config.limits.drain, log)
    await parts.disposeAsync()
  }
  let stopping: Promise<void> | undefined
  const stop = (because = 'it was told to stop') => {
    stopping ??= stopNow(because)
    return stopping
  }

  await logged.started()
  await webhooks.start()
  await reviews.overlays.resume()
  retention.start()
  await reviews.campaigns.open()
  state.phase = 'ready'
  metrics.ready.set(1)
  return { addresses, reload, stop, [Symbol.asyncDispose]: () => stop() }
}

const readiness = {
  starting: { ready: false, reasons: ['the gateway is starting'] },
  ready: { ready: true, reasons: [] },
  stopping: { ready: false, reasons: ['the gateway is stopping'] },
}
const notWritten = ({ message }: LedgerStopped) => ({ ready: false, reasons: [message] })

/** All groups that holding policies ask, at once or later. */
function askedBy({ list }: Policies): Set<string> {
  const all = (hold: NonNullable<Policies['list'][number]['hold']>) => [
    ...hold.groups,
    ...(hold.escalation ?? []).flatMap((stage) => stage.groups),
  ]
  return new Set(list.flatMap(({ hold }) => (hold ? all(hold) : [])))
}

async function pendingIn({ db }: Store): Promise<number> {
  const counted = db.selectFrom('approvals').select((e) => e.fn.countAll<number>().as('pending'))
  return Number((await counted.where('state', '=', 'pending').executeTakeFirstOrThrow()).pending)
}

/** New sessions are refused, what is held is cancelled, and what runs has its time; then everything is ended. */
async function drained(
  parts: {
    room: SessionsRoom
    approvals: Approvals
    postgres: PostgresListener | undefined
    ssh: SshListener | undefined
  },
  patience: number,
  log: Logger,
): Promise<void> {
  const because = 'the gateway is stopping'
  const { room, approvals, postgres, ssh } = parts
  const empty = room.drain()
  // First, so that a client that waits is told of the cancelled hold, not of a closed connection.
  try {
    await approvals.cancelWaiting(because)
  } catch (error) {
    log.error({ error }, 'what is held could not be cancelled: the next start does it')
  }
  await Promise.all([postgres?.drain(patience), ssh?.drain(patience)])
  room.endAll(because)
  await empty
}
