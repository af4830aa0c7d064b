import type { AgentRecord, BreakGlass, Delegation, Freeze, Grant } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { LedgerHead } from '@countersign/contract/evidence'
import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'
import type { Session } from '@countersign/contract/session'
import { z } from 'zod'
import { markPartial, newerGrants } from './access/grants.ts'
import { never } from './feed.ts'
import { type GatewayApi, Refused } from './gateway-api.ts'
import type { LinkTarget } from './link.ts'
import type { Store } from './store/store.ts'

/** How many closed approvals, and sessions, a snapshot has; the rest is found by searching. */
export const shown = { closed: 500, sessions: 200 }

const order: Record<Approval['state'], number> = {
  pending: 0,
  approved: 1,
  used: 2,
  denied: 2,
  expired: 2,
  cancelled: 2,
}

/** What happened to what is stored. `anew`: more than can be told by changes. */
export interface Changes {
  approvals(approvals: Approval[]): void
  sessions(sessions: Session[]): void
  grants(grants: Grant[]): void
  freeze(freeze: Freeze): void
  agent(agent: AgentRecord): void
  delegation(delegation: Delegation): void
  emergency(use: BreakGlass): void
  me(me: Me): void
  /** Every message, before what it changes is stored. */
  heard(message: Parameters<LinkTarget['apply']>[0]): void
  checkpoint(head: LedgerHead): void
  /** Somebody else has signed in: what was stored for the one before goes. */
  forget(): void
  anew(): void
}

/**
 * Brings what a gateway says into the store: the feed's sequence number is kept in the same transaction as what its
 * message changed, so that a crash in between can neither skip nor lose one.
 */
export function followGateway(api: GatewayApi, store: Store, me: () => Me | null, changes: Changes): LinkTarget {
  const saveApprovals = (given: readonly Approval[], seq?: number) => {
    const newer = given.filter((approval) => supersedes(approval, store.approval(approval.id)))
    store.together(() => {
      store.saveApprovals(newer)
      if (seq !== undefined) store.keep('seq', seq)
    })
    if (newer.length > 0) changes.approvals(newer)
  }
  const saveSessions = (given: readonly Session[], seq?: number) => {
    const newer = given.filter((session) => session.state !== 'open' || notClosed(store.session(session.id)))
    store.together(() => {
      store.saveSessions(newer)
      if (seq !== undefined) store.keep('seq', seq)
    })
    if (newer.length > 0) changes.sessions(newer)
  }

  const saveGrant = (given: Grant, seq: number) => {
    const newer = newerGrants(store, [given])
    store.together(() => {
      store.access.save(newer)
      store.keep('seq', seq)
    })
    changes.grants(newer)
  }

  return {
    after: () => store.kept('seq', z.number().int().nonnegative()) ?? never,

    async greet(token) {
      const now = await api.me(token)
      const before = me()
      if (before && before.id !== now.id) changes.forget()
      store.keep('me', now)
      changes.me(now)
      if (before && before.id !== now.id) changes.anew()
    },

    async load(token, anew) {
      const pending = await orNone(api.approvals(token, { state: 'pending' }))
      const sessions = await orNone(api.sessions(token, { limit: shown.sessions }).then(({ items }) => items))
      if (!anew) {
        saveApprovals(pending)
        saveSessions(sessions)
        return
      }
      const recent = await orNone(api.approvals(token, { limit: shown.closed }))
      const told = new Map([...pending, ...recent].map((approval) => [approval.id, approval]))
      for (const { id, state } of store.approvals(0)) {
        if (told.has(id) || order[state] === 2) continue
        const now = await api.approval(token, id)
        if (now) told.set(id, now)
      }
      const openOnes = store.sessions({ state: 'open', limit: 1000 }).items
      const toldSessions = new Map(sessions.map((session) => [session.id, session]))
      for (const { id } of openOnes) {
        if (toldSessions.has(id)) continue
        const now = await api.session(token, id)
        if (now) toldSessions.set(id, now)
      }
      store.together(() => {
        markPartial(store)
        const kept = store.approvals(shown.closed).filter(({ id, state }) => !told.has(id) && order[state] === 2)
        store.forgetLists()
        store.saveApprovals([...kept, ...told.values()])
        store.saveSessions([...toldSessions.values()])
        store.keep('seq', anew.seq)
      })
      changes.anew()
    },

    async apply(message, token) {
      changes.heard(message)
      switch (message.type) {
        case 'approval.opened':
        case 'approval.decided':
        case 'approval.closed':
        case 'approval.escalated':
        case 'approval.outcome':
          return saveApprovals([await asSeenByMe(api, token, message)], message.seq)
        case 'session.opened':
        case 'session.closed':
          return saveSessions([message.data], message.seq)
        case 'grant.requested':
        case 'grant.activated':
        case 'grant.denied':
        case 'grant.expired':
        case 'grant.revoked':
          return saveGrant(message.data, message.seq)
        case 'connection.frozen':
        case 'connection.unfrozen':
          changes.freeze(message.data)
          return store.keep('seq', message.seq)
        case 'agent.changed':
          changes.agent(message.data)
          return store.keep('seq', message.seq)
        case 'delegation.changed':
          changes.delegation(message.data)
          return store.keep('seq', message.seq)
        case 'break-glass.used':
        case 'break-glass.reviewed':
          changes.emergency(message.data)
          return store.keep('seq', message.seq)
        case 'ledger.checkpoint':
          changes.checkpoint(message.data)
          return store.keep('seq', message.seq)
        // Who keeps more of it listens to `heard`; whatever it was, it isn't told again.
        default:
          return store.keep('seq', message.seq)
      }
    },
  }
}

/** A role that may not see a list has none of it. */
async function orNone<T>(items: Promise<T[]>): Promise<T[]> {
  try {
    return await items
  } catch (error) {
    if (error instanceof Refused && error.status === 403) return []
    throw error
  }
}

/** The feed may tell everybody the same; whether *I* may decide is then asked. */
async function asSeenByMe(
  api: GatewayApi,
  token: string,
  message: Extract<FeedMessage, { type: `approval.${string}` }>,
): Promise<Approval> {
  const { data } = message
  if (data.state !== 'pending' || data.mayDecide !== undefined) return data
  return (await api.approval(token, data.id)) ?? data
}

/** A state never goes back: a list that was asked for before a message was read must not undo it. */
export function supersedes(given: Approval, stored: Approval | undefined): boolean {
  if (!stored) return true
  if (order[given.state] !== order[stored.state]) return order[given.state] > order[stored.state]
  return given.decisions.length >= stored.decisions.length && !(stored.outcome && !given.outcome)
}

const notClosed = (stored: Session | undefined) => !stored || stored.state === 'open'
