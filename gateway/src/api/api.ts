import type { IncomingMessage } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { Problem, type Readiness } from '@countersign/contract/api'
import { Approval } from '@countersign/contract/approval'
import { Annotation } from '@countersign/contract/evidence'
import { FeedMessage } from '@countersign/contract/feed'
import { RecordingEvent, RecordingHeader } from '@countersign/contract/recording'
import { Session } from '@countersign/contract/session'
import swagger from '@fastify/swagger'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import {
  createJsonSchemaTransform,
  createJsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod'
import type { BaseLogger } from 'pino'
import { Gauge, Histogram, type Registry } from 'prom-client'
import { z } from 'zod'
import type { Access } from '../access/access.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { PolicyWork } from '../backtest/backtest.ts'
import { formatListen, isLoopback, parseListen } from '../config/address.ts'
import type { IssuerConfig } from '../config/schema.ts'
import type { Identity } from '../identity/principal.ts'
import type { SignIns } from '../identity/sign-ins.ts'
import type { Listeners } from '../identity/tokens/target.ts'
import type { Policies } from '../policy/policy.ts'
import type { Reviews } from '../reviews/reviews.ts'
import type { AnnotationsRoom } from '../sessions/annotations/annotations.ts'
import type { BundlesRoom } from '../sessions/bundles/making.ts'
import type { Ledger } from '../sessions/ledger/ledger.ts'
import type { Retention } from '../sessions/retention/retention.ts'
import type { SessionsRoom } from '../sessions/sessions.ts'
import type { Feed } from '../store/feed.ts'
import { accessQuestionRoutes } from './access-routes.ts'
import { agentRoutes } from './agent-routes.ts'
import { annotationRoutes } from './annotation-routes.ts'
import { approvalRoutes } from './approval-routes.ts'
import { boundCalls, type CallBounds, callBounds } from './call-bounds.ts'
import { createCallers } from './caller.ts'
import { campaignEndsRoutes } from './campaign-ends-routes.ts'
import { campaignRoutes } from './campaign-routes.ts'
import { commandRoutes } from './command-routes.ts'
import { connectionRoutes } from './connection-routes.ts'
import { discoveryRoutes, type Reached, reached } from './discovery-routes.ts'
import { type FeedBounds, feedBounds, sayGoodbye } from './feed.ts'
import { feedRoute } from './feed-route.ts'
import { grantRoutes } from './grant-routes.ts'
import type { GrantRules } from './grant-visibility.ts'
import { itemRoutes } from './item-routes.ts'
import { ledgerRoutes } from './ledger-routes.ts'
import { acceptLeftOut, readQuery } from './left-out.ts'
import { overlayRoutes } from './overlay-routes.ts'
import { packRoutes } from './pack-routes.ts'
import { peopleRoutes } from './people-routes.ts'
import { policyRoutes } from './policy-routes.ts'
import { answerBadUrl, answerBrokenHttp, answerProblems } from './problem.ts'
import { retentionRoutes } from './retention-routes.ts'
import type { Routes } from './routes.ts'
import { serviceRoutes } from './service-routes.ts'
import { sessionRoutes } from './session-routes.ts'
import { boundGatewayTokens, tokenRoutes } from './token-routes.ts'
import { refuseBrokenTexts } from './well-formed.ts'

export interface ApiOptions {
  /** HOST:PORT; port 0 is any free one. */
  listen: string
  /** How others reach it, where that is another (`api.url`): what the OpenAPI document names. */
  url?: string
  /** PEM. Plain HTTP where it answers undefined, which is for loopback only. Asked again by `renewTls`. */
  tls?: () => { cert: string; key: string } | undefined
  /** Where the listeners of protocols are, and whether they need TLS: what clients are told. */
  listeners?: Listeners & { tls: boolean; sshHostKey?: string | undefined }
  identity: Identity
  access: Access
  reviews: Reviews
  policyWork: PolicyWork
  /** Told who was let in, and who was refused. */
  signIns: SignIns
  issuers: () => readonly IssuerConfig[]
  approvals: Approvals
  sessions: SessionsRoom
  annotations: AnnotationsRoom
  retention: Retention
  ledger: Ledger
  bundles: BundlesRoom
  feed: Feed
  policies: () => Policies
  readiness: () => Readiness | Promise<Readiness>
  metrics: Registry
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  clock?: () => number
  feedBounds?: Partial<FeedBounds>
  /** Feed connections of one person or agent at a time (20). */
  feedsPerCaller?: number
  /** What one person or agent may ask. */
  callBounds?: Partial<CallBounds>
  /** Connections of all clients at a time, whoever they are (2,000); more are closed at once. */
  connections?: number
}

export interface Api extends AsyncDisposable {
  /** HOST:PORT with the real port. */
  readonly address: string
  /** Presents the certificate that `tls` answers now to every new connection. */
  renewTls(): void
}

/**
 * The HTTP API (contract.md section 7) with its feed, listening.
 * @throws Error where the address can't be had, or is not loopback and there is no certificate
 */
export async function createApi(options: ApiOptions): Promise<Api> {
  const { log } = options
  const clock = options.clock ?? Date.now
  const { listeners } = options
  const { host, port } = parseListen(options.listen)
  const bound = () => ({ host, port: (app.server.address() as AddressInfo).port })
  const pair = options.tls?.()
  if (!pair && !isLoopback(host))
    throw new Error(
      `The API would speak plain HTTP on ${options.listen}: give it a certificate (tls), or listen on 127.0.0.1.`,
    )

  const app = server(pair)
  const routes = routesByPath(app)
  answerProblems(app, log, routes.allowedAt)
  measure(app, options.metrics)
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
    if (!reply.hasHeader('cache-control') || reply.statusCode >= 400) reply.header('cache-control', 'no-store')
  })

  // Before the hook that checks tokens: its own hook is what ends the connection of an upgrade that is refused.
  await app.register(websocket, {
    options: { maxPayload: 4096, perMessageDeflate: false },
    errorHandler: (error, socket) => {
      log.info({ error: error.message }, 'a connection to the feed broke')
      socket.terminate()
    },
    preClose: (done) => {
      for (const socket of app.websocketServer.clients) sayGoodbye(socket)
      app.websocketServer.close()
      done()
    },
  })

  const reachedNow = (): Reached => ({
    api:
      options.url?.replace(/\/+$/, '') ?? `${pair ? 'https' : 'http'}://${formatListen(reached(bound(), undefined))}`,
    listeners: {
      postgres: listeners?.postgres && reached(listeners.postgres, options.url),
      ssh: listeners?.ssh && reached(listeners.ssh, options.url),
      http: listeners?.http && reached(listeners.http, options.url),
    },
    tls: listeners?.tls ?? false,
    sshHostKey: listeners?.sshHostKey,
  })
  const callers = createCallers({
    api: () => reachedNow().api,
    identity: options.identity,
    signIns: options.signIns,
    barred: options.access.barred,
    log,
    clock,
  })
  app.addHook('onRequest', async (request) => {
    if (request.is404 || request.routeOptions.config.open) return
    request.caller = options.approvals.knowing(await callers.of(request))
  })
  boundGatewayTokens(app)
  refuseBrokenTexts(app)
  boundCalls(app, { ...callBounds, ...options.callBounds }, () => performance.now())

  await app.register(swagger, documentOf(options.url))
  await app.register(async (scope) => {
    const typed = scope as Routes
    serviceRoutes(typed, options)
    policyRoutes(typed, { policies: options.policies, work: options.policyWork })
    approvalRoutes(typed, options.approvals, options.access.freezes.over)
    peopleRoutes(typed, options.approvals)
    sessionRoutes(typed, options.sessions, options.retention)
    commandRoutes(typed, options.sessions)
    retentionRoutes(typed, options.retention)
    annotationRoutes(typed, { annotations: options.annotations, sessions: options.sessions, clock })
    ledgerRoutes(typed, options)
    accessRoutes(typed, options, reachedNow)
    reviewRoutes(typed, options)
    const feed = feedRoute(typed, {
      feed: options.feed,
      approvals: options.approvals,
      sessions: options.sessions,
      grantRules: grantRulesOf(options),
      campaigns: options.reviews.campaigns,
      watch: options.access.watch,
      bounds: { ...feedBounds, ...options.feedBounds },
      perCaller: options.feedsPerCaller ?? 20,
      clock,
      log,
    })
    gaugeOf(options.metrics, 'countersign_feed_listeners', 'Consoles and others on the feed', () => feed.listeners)
    typed.get('/openapi.json', { config: { open: true }, schema: { hide: true } }, async () => app.swagger())
  })

  // What asked for an upgrade is no longer under the HTTP server's timeouts, and not yet under those of the feed.
  app.server.on('upgrade', (_request, socket) => {
    ;(socket as Socket).setTimeout(10_000, () => {
      if ((socket as Socket).timeout) socket.destroy()
    })
  })
  app.server.maxConnections = options.connections ?? 2000
  app.server.on('drop', (dropped) => {
    log.warn({ address: dropped?.remoteAddress }, 'too many connections to the API: one was closed')
  })
  await app.listen({ host, port })
  return {
    address: formatListen(bound()),
    renewTls() {
      const renewed = options.tls?.()
      if (pair && renewed) (app.server as unknown as TlsServer).setSecureContext(renewed)
    },
    async [Symbol.asyncDispose]() {
      await app.close()
    },
  }
}

function grantRulesOf({ approvals, access }: ApiOptions): GrantRules {
  return { approval: approvals.get, answersFor: access.answersFor }
}

/** What the rooms of access serve: each room adds its routes here. */
function accessRoutes(typed: Routes, options: ApiOptions, reachedNow: () => Reached): void {
  const { access, signIns, issuers, metrics, log } = options
  connectionRoutes(typed, access)
  agentRoutes(typed, access.registry)
  accessQuestionRoutes(typed, access.questions, options.clock ?? Date.now)
  grantRoutes(typed, { grants: access.grants, rules: grantRulesOf(options) })
  discoveryRoutes(typed, { reached: reachedNow, issuers })
  const { tokens, exchange } = access
  const listeners = () => reachedNow().listeners
  tokenRoutes(typed, { tokens, exchange, answersFor: access.answersFor, signIns, listeners, metrics, log })
}

/** What the rooms of reviews serve: each room adds its routes here. */
function reviewRoutes(typed: Routes, { reviews, clock }: ApiOptions): void {
  campaignRoutes(typed, reviews)
  campaignEndsRoutes(typed, reviews)
  itemRoutes(typed, reviews, clock)
  overlayRoutes(typed, reviews.overlays)
  packRoutes(typed, reviews)
}

function server(pair: { cert: string; key: string } | undefined): FastifyInstance {
  const limits = {
    maxHeaderSize: 32 * 1024,
    headersTimeout: 10_000,
    connectionsCheckingInterval: 5_000,
    // Clients offer h2c in passing; only a WebSocket leaves HTTP here.
    shouldUpgradeCallback: (request: IncomingMessage) => /^websocket$/i.test(request.headers.upgrade ?? ''),
  }
  const common = {
    logger: false,
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    keepAliveTimeout: 65_000,
    // Recordings and the feed would keep a closing server waiting.
    forceCloseConnections: true,
    // Ids of agents and people are URLs with a subject, percent-encoded.
    routerOptions: { maxParamLength: 12_000, querystringParser: readQuery },
    exposeHeadRoutes: false,
    clientErrorHandler: answerBrokenHttp,
    frameworkErrors: answerBadUrl,
  } as const
  const app = pair
    ? (Fastify({ ...common, https: { ...limits, ...pair, minVersion: 'TLSv1.2' } }) as unknown as FastifyInstance)
    : Fastify({ ...common, http: limits })
  app.removeContentTypeParser('text/plain')
  acceptLeftOut(app)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  return app
}

/** Which methods a path takes, so that 405 can be told from 404. */
function routesByPath(app: FastifyInstance): { allowedAt: (path: string) => string[] } {
  const known: { method: string; like: RegExp }[] = []
  app.addHook('onRoute', ({ method, url }) => {
    const like = new RegExp(
      `^${url
        .replaceAll('.', '\\.')
        .replace(/:[a-z]+/g, '[^/]+')
        .replace('*', '.+')}$`,
    )
    for (const each of [method].flat()) known.push({ method: each, like })
  })
  return {
    allowedAt: (path) => [...new Set(known.filter(({ like }) => like.test(path)).map(({ method }) => method))],
  }
}

/** OpenAPI 3.1 from the schemas; those with a name of their own are told once. */
function documentOf(url: string | undefined) {
  const named = z.registry<{ id: string }>()
  const schemas = { Annotation, Approval, FeedMessage, Problem, RecordingEvent, RecordingHeader, Session }
  for (const [id, schema] of Object.entries(schemas)) named.add(schema, { id })
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Countersign gateway',
        version: '1',
        description: 'Held commands, sessions and their recordings. Errors are problem details (RFC 9457).',
      },
      ...(url !== undefined && { servers: [{ url }] }),
      components: {
        securitySchemes: {
          bearer: {
            type: 'http' as const,
            scheme: 'bearer',
            description: 'An access token of a configured issuer, or of POST /v1/token.',
          },
        },
      },
    },
    transform: createJsonSchemaTransform({ schemaRegistry: named }),
    transformObject: createJsonSchemaTransformObject({ schemaRegistry: named }),
  }
}

/** How long calls take, by route. */
function measure(app: FastifyInstance, registry: Registry): void {
  const name = 'countersign_api_request_seconds'
  registry.removeSingleMetric(name)
  const seconds = new Histogram({
    name,
    help: 'Calls of the API',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [registry],
  })
  app.addHook('onResponse', async (request, reply) => {
    // The route, not the path: what strangers ask for must not become labels.
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none')
    const method = request.is404 ? 'any' : request.method
    seconds.observe({ method, route, status: String(reply.statusCode) }, reply.elapsedTime / 1000)
  })
}

function gaugeOf(registry: Registry, name: string, help: string, read: () => number): void {
  registry.removeSingleMetric(name)
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read())
    },
  })
}
