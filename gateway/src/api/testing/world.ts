import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Approval } from '@countersign/contract/approval'
import type { FeedMessage } from '@countersign/contract/feed'
import { Registry } from 'prom-client'
import { WebSocket } from 'ws'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import { type Access, openAccess } from '../../access/access.ts'
import { type Approvals, type ApprovalsConfig, createApprovals } from '../../approvals/approvals.ts'
import { openPolicyWork, type PolicyWork } from '../../backtest/backtest.ts'
import type { LoadedConfig } from '../../config/config.ts'
import type { IssuerConfig } from '../../config/schema.ts'
import type { Command } from '../../gate/command.ts'
import { createGate } from '../../gate/gate.ts'
import type { AgentPrincipal, Identity } from '../../identity/principal.ts'
import type { Policies } from '../../policy/policy.ts'
import { openReviews, type Reviews } from '../../reviews/reviews.ts'
import { createAnnotations } from '../../sessions/annotations/annotations.ts'
import { createBundles } from '../../sessions/bundles/making.ts'
import { LedgerStopped } from '../../sessions/ledger/ledger.ts'
import { openUsed } from '../../sessions/ledger/used.ts'
import { placeOf } from '../../sessions/recording.ts'
import { createRetention } from '../../sessions/retention/retention.ts'
import { rules } from '../../sessions/retention/testing/world.ts'
import { openLedger, type ScribeLedger } from '../../sessions/scribe/scribe.ts'
import { createFinder } from '../../sessions/search/finder.ts'
import type { LiveSession } from '../../sessions/session.ts'
import { createSessions, type SessionsRoom } from '../../sessions/sessions.ts'
import type { Store } from '../../store/store.ts'
import { openFreshStore } from '../../store/testing/fresh.ts'
import { type Api, type ApiOptions, createApi } from '../api.ts'

export const silent = { info() {}, warn() {}, error() {} }

/** People and agents of the tests: name → groups. Roles follow from the groups as configured below. */
export const cast = {
  ada: ['oncall-dba'],
  sam: ['sre'],
  rae: ['security'],
  aud: ['audit'],
  max: ['platform'],
  both: ['oncall-dba', 'security'],
  nobody: ['guests'],
} as const
export type Person = keyof typeof cast
export type Caller = Person | 'agent' | 'other-agent'

export interface World extends AsyncDisposable {
  folder: string
  store: Store
  sessions: SessionsRoom
  approvals: Approvals
  /** `approvals:` of the configuration, in force as it is now. */
  approvalsConfig: ApprovalsConfig
  ledger: ScribeLedger
  identity: Identity
  access: Access
  reviews: Reviews
  policyWork: PolicyWork
  api: Api
  url: string
  people: RunningIssuer
  agents: RunningIssuer
  registry: Registry
  token(caller: Caller, expiresIn?: number): Promise<string>
  /** A session of the agent on connection `orders`. */
  session(subject?: string): Promise<LiveSession>
  /** A command of that session, held for those groups. */
  hold(session: LiveSession, groups?: string[], changes?: Partial<Command>): Promise<Approval>
  call(path: string, as?: Caller, init?: RequestInit): Promise<Response>
  listen(path: string, as: Caller): Promise<FeedClient>
  /** Another API server over the same rooms. */
  serve(options: Partial<ApiOptions>): Promise<Api>
}

export async function startWorld(options: Partial<ApiOptions> = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'api-'))
  const store = await openFreshStore(join(folder, 'store.db'))
  const [people, agents] = await Promise.all([startIssuer(), startIssuer()])
  const issuers: IssuerConfig[] = [
    { issuer: agents.url, for: 'agents', audience: 'countersign', groups: 'groups', scopes: [] },
    {
      issuer: people.url,
      for: 'people',
      audience: 'countersign',
      groups: 'groups',
      client_id: people.clientId,
      scopes: ['openid'],
      resource: people.resource,
    },
  ]
  const roles = { approver: ['oncall-dba', 'sre'], reviewer: ['security'], auditor: ['audit'], admin: ['platform'] }
  const ledger = await openLedger({
    folder: join(folder, 'logged', 'ledger'),
    store,
    filesOf: (session, openedAt) => placeOf(folder, session, openedAt),
    origin: 'gw.test/ledger',
    search: folder,
    log: silent,
  })
  const search = createFinder({ folder, index: ledger.index, log: silent })
  const sessions = createSessions({
    store,
    folder,
    ledger,
    search,
    limits: () => ({ sessions_per_agent: 1000, recorded_rows: 10, recorded_bytes: 1000 }),
    log: silent,
    graceMs: 200,
  })
  const approvalsConfig: ApprovalsConfig = { expires: 600_000, use_within: 600_000, max_window: 8 * 3_600_000 }
  const approvals = createApprovals({
    store,
    config: () => approvalsConfig,
    askedGroups: () => new Set(['oncall-dba', 'sre']),
    limits: () => ({ held_per_agent: 1000, held: 10_000 }),
    log: silent,
  })
  /** Without a ledger, so it erases nothing. */
  const retention = createRetention({
    store,
    folder,
    rules: () => rules(),
    ledger: { sync: async () => {}, erase: () => Promise.reject(new LedgerStopped('There is no ledger here.')) },
    live: sessions.isLive,
    search: { forget: async () => {} },
    connections: () => ['orders'],
    log: silent,
  })
  const registry = new Registry()
  const policies = {
    version: 'sha256:00',
    texts: [{ file: 'a.cedar', text: 'permit (principal, action, resource);' }],
  } as unknown as Policies
  const lifetimes = { lifetime: 900_000, max_lifetime: 3_600_000 }
  const connections = new Map([
    ['orders', { name: 'orders', kind: 'postgres', tags: ['production'], access: 'standing', mode: 'enforce' }],
    ['vault', { name: 'vault', kind: 'postgres', tags: [], access: 'jit', mode: 'enforce' }],
  ])
  const used = openUsed(join(folder, 'logged', 'ledger'))
  const config = () =>
    ({
      identity: { issuers, roles, tokens: lifetimes, sponsor_from: 'registry', left_after: 90 * 86_400_000 },
      connections,
    }) as unknown as LoadedConfig
  const access = await openAccess({
    store,
    config,
    policies: () => policies,
    approvals,
    used,
    gate: { preview: () => ({ outcome: 'allow', policies: [], reason: 'allowed' }) },
    log: silent,
  })
  const reviews = await openReviews({
    store,
    folder,
    config,
    policies: () => policies,
    access,
    gate: createGate({ policies: () => policies, approvals, log: silent }),
    ledger,
    used,
    // Nothing is put in force here: there is no gate that would decide by it.
    enforcement: { change: (work) => work(), policies: () => policies, takeIn: async () => {} },
    metrics: new Registry(),
    log: silent,
    ...(options.clock && { clock: options.clock }),
  })
  const policyWork = await openPolicyWork({
    ...{ store, folder, policies: () => policies, policyFolder: () => join(folder, 'policy'), log: silent },
    ...(options.clock && { clock: options.clock }),
  })
  const { identity } = access
  const serve = (changes: Partial<ApiOptions>) =>
    createApi({
      listen: '127.0.0.1:0',
      identity,
      access,
      reviews,
      policyWork,
      signIns: { ok() {}, refused() {} },
      issuers: () => issuers,
      approvals,
      sessions,
      annotations: createAnnotations({ store, clock: () => (options.clock ?? Date.now)() }),
      retention,
      ledger,
      bundles: createBundles({
        ledger,
        folder: join(folder, 'logged'),
        recording: (id) => sessions.recordingStream(id),
        policy: async () => undefined,
      }),
      feed: store.feed,
      policies: () => policies,
      readiness: () => ({ ready: true, reasons: [] }),
      metrics: new Registry(),
      log: silent,
      ...changes,
    })
  const api = await serve({ metrics: registry, ...options })
  const url = `http://${api.address}`
  const tokens = new Map<string, Promise<string>>()
  const token = (caller: Caller, expiresIn?: number) => {
    const make = () => {
      const lifetime = expiresIn === undefined ? {} : { expiresIn }
      if (caller === 'agent' || caller === 'other-agent')
        return agents.agentToken({ subject: caller, groups: ['ci-agents'], ...lifetime })
      return people.personToken({ subject: caller, name: caller, groups: [...cast[caller]], ...lifetime })
    }
    if (expiresIn !== undefined) return make()
    const known = tokens.get(caller) ?? make()
    tokens.set(caller, known)
    return known
  }
  const agent = (subject: string): AgentPrincipal => ({
    kind: 'agent',
    id: `${agents.url}#${subject}`,
    issuer: agents.url,
    subject,
    name: subject,
    groups: ['ci-agents'],
    expiresAt: new Date(Date.now() + 3_600_000),
  })
  const connection = { name: 'orders', kind: 'postgres', tags: ['production'], mode: 'enforce' as const }

  return {
    folder,
    store,
    sessions,
    approvals,
    approvalsConfig,
    ledger,
    identity,
    access,
    reviews,
    policyWork,
    api,
    url,
    people,
    agents,
    registry,
    token,
    serve,
    session: (subject = 'agent') =>
      sessions.open({ connection, protocol: 'postgres', agent: agent(subject), client: { address: '127.0.0.1' } }),
    hold: (session, groups = ['oncall-dba'], changes = {}) =>
      approvals.open({
        command: {
          protocol: 'postgres',
          connection,
          agent: session.agent,
          session: { id: session.id },
          text: 'DELETE FROM orders',
          parameters: [],
          kind: 'delete',
          effects: [
            {
              action: 'sql:write',
              resource: { type: 'Table', id: 'orders/public.orders' },
              command: { kind: 'delete', bounded: false, functions: [] },
            },
          ],
          meaning: {},
          ...changes,
        },
        digest: `sha256:${randomBytes(32).toString('hex')}`,
        requirements: [{ policy: 'unbounded-delete', reason: 'Deletes every row', groups, quorum: 1 }],
        hold: 'wait',
      }),
    async call(path, as, init = {}) {
      const headers = new Headers(init.headers)
      if (as) headers.set('authorization', `Bearer ${await token(as)}`)
      if (init.body !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json')
      return fetch(url + path, { ...init, headers })
    },
    async listen(path, as) {
      return FeedClient.connect(url.replace('http', 'ws') + path, await token(as))
    },
    async [Symbol.asyncDispose]() {
      await api[Symbol.asyncDispose]()
      await policyWork[Symbol.asyncDispose]()
      await reviews[Symbol.asyncDispose]()
      await access[Symbol.asyncDispose]()
      await sessions[Symbol.asyncDispose]()
      await search[Symbol.asyncDispose]()
      await approvals[Symbol.asyncDispose]()
      await ledger[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      await Promise.all([people.stop(), agents.stop()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A console's end of the feed. */
export class FeedClient {
  readonly socket: WebSocket
  readonly messages: FeedMessage[] = []
  closed: { code: number; reason: string } | undefined
  #wake = () => {}

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (text) => {
      this.messages.push(JSON.parse(String(text)) as FeedMessage)
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
      this.#wake()
    })
  }

  /** @throws Error with the status where the upgrade was refused */
  static async connect(url: string, token?: string, options: { autoPong?: boolean } = {}): Promise<FeedClient> {
    const socket = new WebSocket(url, {
      ...options,
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    })
    const client = new FeedClient(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('unexpected-response', (_request, response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('end', () => {
          reject(Object.assign(new Error(Buffer.concat(chunks).toString()), { status: response.statusCode }))
        })
      })
    })
    return client
  }

  /** Waits until `enough` is true of what has come. @throws where the socket is closed before */
  async until(enough: (messages: FeedMessage[]) => boolean): Promise<FeedMessage[]> {
    while (!enough(this.messages)) {
      if (this.closed) throw new Error(`the feed was closed: ${this.closed.code} ${this.closed.reason}`)
      await this.#changed()
    }
    return this.messages
  }

  async untilClosed(): Promise<{ code: number; reason: string }> {
    while (!this.closed) await this.#changed()
    return this.closed
  }

  async close(): Promise<void> {
    if (this.closed) return
    const closed = once(this.socket, 'close')
    this.socket.close()
    await closed
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
