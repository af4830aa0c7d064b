import type { Session } from '@countersign/contract/session'
import { z } from 'zod'
import type { Watchers } from '../access/watchers.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { Principal } from '../identity/principal.ts'
import type { Campaigns } from '../reviews/campaigns/campaigns.ts'
import type { SessionsRoom } from '../sessions/sessions.ts'
import type { Feed, StoredMessage } from '../store/feed.ts'
import { forCaller } from './approval-routes.ts'
import { seesReviews } from './campaign-visibility.ts'
import { type FeedBounds, serveFeed } from './feed.ts'
import { type GrantRules, seesGrant } from './grant-visibility.ts'
import { HttpProblem } from './problem.ts'
import { bearer, problemsOf, type Routes } from './routes.ts'
import { approvalScope, hasRole, mayUseFeed, seesApproval, sessionScope } from './visibility.ts'

const Query = z.object({
  after: z.coerce
    .number()
    .int()
    .nonnegative()
    .optional()
    .describe('seq of the last message already had; without it, from now on'),
})

export interface FeedRoute {
  /** How many listen. */
  readonly listeners: number
}

export function feedRoute(
  app: Routes,
  options: {
    feed: Feed
    approvals: Approvals
    sessions: SessionsRoom
    grantRules: GrantRules
    campaigns: Pick<Campaigns, 'seenBy'>
    /** Tells when a caller must go. */
    watch: Watchers['watch']
    bounds: FeedBounds
    /** Connections of one person or agent at a time. */
    perCaller: number
    clock: () => number
    log: { error(fields: object, text: string): void }
  },
): FeedRoute {
  const perCaller = new Map<string, number>()
  let listeners = 0

  app.route({
    method: 'GET',
    url: '/v1/feed',
    schema: {
      tags: ['feed'],
      summary: 'What happens, as it happens (WebSocket)',
      description:
        'One JSON object a text frame (FeedMessage). Resumes from any `seq` that is still kept; otherwise the first message is `reset`. Closed with 4401 when the token expires or is revoked, with 4403 when the agent is disabled or the person has left, with 1013 when the reader is too slow.',
      security: bearer,
      querystring: Query,
      response: {
        101: { description: 'The feed.', content: { 'application/json': { schema: z.string() } } },
        ...problemsOf(400, 401, 403, 426, 429, 503),
      },
    },
    preHandler: async (request) => {
      mayUseFeed(request.caller)
      if (request.ws && (perCaller.get(request.caller.id) ?? 0) >= options.perCaller)
        throw new HttpProblem(429, `You listen to the feed ${options.perCaller} times already: close one first.`, {
          'retry-after': '10',
        })
    },
    handler: async () => {
      throw new HttpProblem(426, 'This is a WebSocket: connect to it as one.', { upgrade: 'websocket' })
    },
    wsHandler: (socket, request) => {
      const { caller } = request
      perCaller.set(caller.id, (perCaller.get(caller.id) ?? 0) + 1)
      listeners++
      socket.on('close', () => {
        listeners--
        const left = perCaller.get(caller.id)! - 1
        if (left > 0) perCaller.set(caller.id, left)
        else perCaller.delete(caller.id)
      })
      serveFeed({
        socket,
        feed: options.feed,
        // A WebSocket route's query is checked by the same schema, but not typed by it.
        after: (request.query as z.output<typeof Query>).after,
        view: viewOf(caller, options),
        expiresAt: caller.expiresAt,
        watch: (gone) => options.watch(caller, gone),
        clock: options.clock,
        bounds: options.bounds,
        log: options.log,
      })
    },
  })

  return {
    get listeners() {
      return listeners
    },
  }
}

/** What a caller sees of the feed: the same as by the calls. */
function viewOf(
  caller: Principal,
  {
    approvals,
    sessions,
    grantRules,
    campaigns,
  }: {
    approvals: Pick<Approvals, 'mayDecide' | 'mayBreakGlass'>
    sessions: Pick<SessionsRoom, 'isHeldFor'>
    grantRules: GrantRules
    campaigns: Pick<Campaigns, 'seenBy'>
  },
): (message: StoredMessage) => StoredMessage | undefined | Promise<StoredMessage | undefined> {
  const seesApprovals = caller.kind === 'agent' || hasRole(caller, 'approver', 'admin')

  const seesSession = async (session: Session): Promise<boolean> => {
    const ofSessions = sessionScope(caller)
    if (ofSessions.see === 'own') return session.agent === ofSessions.agent
    return personSees(session.id)
  }
  /** What people say of a session is nothing for its agent. */
  const personSees = async (session: string): Promise<boolean> => {
    const ofSessions = sessionScope(caller)
    return ofSessions.see === 'all' || (ofSessions.see === 'groups' && sessions.isHeldFor(session, ofSessions.groups))
  }
  return (message) => {
    switch (message.type) {
      case 'approval.opened':
      case 'approval.decided':
      case 'approval.closed':
      case 'approval.escalated':
      case 'approval.outcome':
        // Asked anew each time: what is handed over to somebody comes and goes.
        if (!seesApprovals || !seesApproval(approvalScope(caller), message.data)) return undefined
        return { ...message, data: forCaller(approvals, caller, message.data) }
      case 'grant.requested':
      case 'grant.activated':
      case 'grant.denied':
      case 'grant.expired':
      case 'grant.revoked':
        return seesGrant(caller, message.data, grantRules).then((sees) => (sees ? message : undefined))
      case 'session.opened':
      case 'session.closed':
        return seesSession(message.data).then((sees) => (sees ? message : undefined))
      case 'annotation.added':
      case 'annotation.withdrawn':
        return personSees(message.data.session).then((sees) => (sees ? message : undefined))
      case 'connection.frozen':
      case 'connection.unfrozen':
      case 'delegation.changed':
      case 'break-glass.used':
      case 'break-glass.reviewed':
      case 'agent.changed':
      case 'person.changed':
        return hasRole(caller, 'approver', 'reviewer', 'auditor', 'admin') ? message : undefined
      case 'campaign.started':
      case 'campaign.changed':
      case 'campaign.closed':
        if (!seesReviews(caller)) return undefined
        return campaigns
          .seenBy(caller)
          .campaign(message.data)
          .then((data) => ({ ...message, data }))
      case 'campaign.item':
        if (!seesReviews(caller)) return undefined
        return campaigns
          .seenBy(caller)
          .item(message.data)
          .then((data) => ({ ...message, data }))
      case 'campaign.reminder':
        // Of somebody else's work nobody is reminded.
        return hasRole(caller, 'reviewer') && message.data.person === caller.id ? message : undefined
      case 'overlay.changed':
      case 'backtest.changed':
        return seesReviews(caller) ? message : undefined
      case 'policy.changed':
        return hasRole(caller, 'approver', 'reviewer', 'auditor', 'admin') ? message : undefined
      case 'ledger.checkpoint':
        // Whoever has a role is a witness, and sees connections; an agent is none.
        return caller.kind === 'person' ? message : undefined
      default:
        // What is new on the feed is nobody's until it is said here whose it is.
        return undefined
    }
  }
}
