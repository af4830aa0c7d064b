import type { TokenRecord } from '@countersign/contract/access'
import type { Actor } from '@countersign/contract/ledger/payloads'
import type { Transaction } from 'kysely'
import type { BaseLogger } from 'pino'
import { appendAudit } from '../../store/audit.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { type AgentPrincipal, agentRef, TokenError } from '../principal.ts'
import { listTokens, type TokenQuery } from './list.ts'
import { newRow, principalOf, recordOf, revokedWords } from './rows.ts'
import { fingerprintOf, hashOf, isTokenText, newTokenText, TOKEN_PREFIX } from './text.ts'

export type { TokenQuery } from './list.ts'
export { BadTokenCursor } from './list.ts'

/** What a token is bound to. */
export interface NewToken {
  agent: AgentPrincipal
  connection: string
  grant?: string
  purpose?: string
  expiresAt: Date
  /** IP address of who asked for it. */
  address: string
}

export type Revoked =
  | { outcome: 'revoked'; token: TokenRecord }
  /** It had ended, or was revoked before. */
  | { outcome: 'over'; token: TokenRecord }

/** Gateway tokens (contract.md section 3): opaque, short-lived, bound to one connection, revocable, kept as a hash. */
export interface Tokens extends AsyncDisposable {
  /**
   * Makes a token. Its text is in the answer, and nowhere else from then on.
   * @throws TooManyTokens, AgentDisabled
   */
  issue(token: NewToken): Promise<{ text: string; token: TokenRecord }>
  /** Whether a text claims to be a gateway token: then nobody else is asked about it. */
  claims(text: string): boolean
  /**
   * Who presents it. Looked up each time: what was revoked is no good any more from then on.
   * @throws TokenError unknown, expired, revoked; issuer where that isn't trusted any more
   */
  authenticate(text: string): Promise<AgentPrincipal>
  /** Why a token is good no more, in words; undefined where it still is. */
  over(id: string): Promise<string | undefined>
  /** The token of a text, whatever its state. */
  find(text: string): Promise<TokenRecord | undefined>
  get(id: string): Promise<TokenRecord | undefined>
  /** Newest first. @throws BadTokenCursor */
  list(query: TokenQuery): Promise<{ items: TokenRecord[]; next: string | null }>
  /** Ends it, at once and for good. Those that `onRevoked` tells have been told when this resolves. */
  revoke(id: string, by: Actor, reason: string): Promise<Revoked | undefined>
  /**
   * Ends all of an agent, within a transaction of somebody's who tells those that came by them.
   * @param reason in words, without a full stop
   */
  revokeAllOf(tx: Transaction<Tables>, agent: string, by: Actor, reason: string, at: Date): Promise<void>
  /** Calls `listener` with each token that was revoked, and why in words, once it is committed. Must not throw. */
  onRevoked(listener: (token: string, words: string) => void): () => void
}

/** An agent has as many live tokens as it may. */
export class TooManyTokens extends Error {
  override name = 'TooManyTokens'
  /** Seconds until one of them ends. */
  readonly retryAfter: number
  constructor(retryAfter: number) {
    super(`an agent has ${MOST_LIVE} live tokens: use them, or give them back`)
    this.retryAfter = retryAfter
  }
}

/** An agent that was let in a moment ago is disabled by now. */
export class AgentDisabled extends Error {
  override name = 'AgentDisabled'
}

/** Live tokens of one agent. */
export const MOST_LIVE = 1000
/** `last_used_at` is at most so old (ms). */
const USE_MS = 60_000
/** A token's row stays for so long after its end (ms); what the ledger says of it stays as long as the ledger says. */
export const KEPT_MS = 30 * 86_400_000
const PRUNE_MS = 3_600_000

/**
 * @param options trusts: whether an issuer's agents may still sign in: a token doesn't outlive its issuer's place in the
 *   configuration; mostLive: live tokens of one agent (1,000)
 */
export function createTokens(options: {
  store: Store
  trusts: (issuer: string) => boolean
  log: Pick<BaseLogger, 'error'>
  clock?: () => number
  mostLive?: number
}): Tokens {
  const { store, trusts, log } = options
  const { db } = store
  const clock = options.clock ?? Date.now
  const mostLive = options.mostLive ?? MOST_LIVE
  const listeners = new Set<(token: string, words: string) => void>()
  /** Uses that are being written down. */
  const noting = new Map<string, Promise<unknown>>()

  const byHash = (hash: string) => db.selectFrom('tokens').selectAll().where('hash', '=', hash).executeTakeFirst()
  const byId = (id: string) => db.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst()

  const prune = () => {
    const before = new Date(clock() - KEPT_MS).toISOString()
    return db
      .deleteFrom('tokens')
      .where('expires_at', '<', before)
      .execute()
      .catch((error) => log.error({ error }, 'tokens that ended long ago could not be removed'))
  }
  let pruning: Promise<unknown> = prune()
  const timer = setInterval(() => {
    pruning = prune()
  }, PRUNE_MS).unref()

  /** Behind the one who uses it: nobody waits for it. */
  const noteUse = (id: string, lastUsedAt: string | null) => {
    const now = clock()
    if (noting.has(id) || (lastUsedAt !== null && now - Date.parse(lastUsedAt) < USE_MS)) return
    const noted = db
      .updateTable('tokens')
      .set({ last_used_at: new Date(now).toISOString() })
      .where('id', '=', id)
      .execute()
      .catch((error) => log.error({ error, id }, 'the use of a gateway token could not be written down'))
      .finally(() => noting.delete(id))
    noting.set(id, noted)
  }

  return {
    async issue({ agent, connection, grant, purpose, expiresAt, address }) {
      const text = newTokenText()
      const hash = hashOf(text)
      const at = new Date(clock())
      const row = newRow({ hash, agent, connection, grant, purpose, at, expiresAt })
      await db.transaction().execute(async (tx) => {
        const disabled = tx
          .selectFrom('agents')
          .select('id')
          .where('id', '=', agent.id)
          .where('disabled_at', 'is not', null)
        // Since it was let in, perhaps: none is given then, or it would be good when the agent is enabled again.
        if (await disabled.executeTakeFirst()) throw new AgentDisabled(`${agent.id} is disabled`)
        const live = await tx
          .selectFrom('tokens')
          .select((e) => [e.fn.countAll<number>().as('count'), e.fn.min('expires_at').as('first')])
          .where('agent', '=', agent.id)
          .where('expires_at', '>', at.toISOString())
          .where('revoked_at', 'is', null)
          .executeTakeFirstOrThrow()
        if (Number(live.count) >= mostLive) {
          const wait = Date.parse(live.first ?? at.toISOString()) - at.getTime()
          throw new TooManyTokens(Math.max(1, Math.ceil(wait / 1000)))
        }
        await tx.insertInto('tokens').values(row).execute()
        await appendAudit(
          tx,
          'token.issued',
          {
            token: row.id,
            agent: agentRef(agent),
            connection,
            ...(grant !== undefined && { grant }),
            ...(purpose !== undefined && { purpose }),
            expiresAt: row.expires_at,
            address,
            fingerprint: fingerprintOf(hash),
          },
          at,
        )
      })
      return { text, token: recordOf(row) }
    },

    claims: (text) => text.startsWith(TOKEN_PREFIX),

    async authenticate(text) {
      if (!isTokenText(text)) throw new TokenError('malformed', 'not a gateway token')
      const row = await byHash(hashOf(text))
      if (!row) throw new TokenError('unknown', 'no gateway token')
      if (row.revoked_at !== null) throw new TokenError('revoked', `${row.id} was revoked at ${row.revoked_at}`)
      if (Date.parse(row.expires_at) <= clock())
        throw new TokenError('expired', `${row.id} expired at ${row.expires_at}`)
      const principal = principalOf(row)
      if (!trusts(principal.issuer)) throw new TokenError('issuer', `${row.id} is of an issuer that is trusted no more`)
      noteUse(row.id, row.last_used_at)
      return principal
    },

    async over(id) {
      const row = await byId(id)
      if (!row) return 'its token is not known any more'
      if (row.revoked_at !== null) return revokedWords(JSON.parse(row.revoked_by!) as Actor, row.revoked_because!)
      return Date.parse(row.expires_at) <= clock() ? 'its token has expired' : undefined
    },

    async find(text) {
      const row = isTokenText(text) ? await byHash(hashOf(text)) : undefined
      return row && recordOf(row)
    },

    async get(id) {
      const row = await byId(id)
      return row && recordOf(row)
    },

    list: (query) => listTokens(db, query, new Date(clock())),

    async revoke(id, by, reason) {
      const at = new Date(clock())
      const row = await db.transaction().execute(async (tx) => {
        const revoked = await tx
          .updateTable('tokens')
          .set({ revoked_at: at.toISOString(), revoked_by: JSON.stringify(by), revoked_because: reason })
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .where('expires_at', '>', at.toISOString())
          .returningAll()
          .executeTakeFirst()
        if (revoked) await appendAudit(tx, 'token.revoked', { token: id, agent: revoked.agent, by, reason }, at)
        return revoked
      })
      if (!row) {
        const over = await byId(id)
        return over && { outcome: 'over', token: recordOf(over) }
      }
      const words = revokedWords(by, reason)
      for (const listener of listeners) listener(id, words)
      return { outcome: 'revoked', token: recordOf(row) }
    },

    async revokeAllOf(tx, agent, by, reason, at) {
      const revoked = await tx
        .updateTable('tokens')
        .set({ revoked_at: at.toISOString(), revoked_by: JSON.stringify(by), revoked_because: reason })
        .where('agent', '=', agent)
        .where('revoked_at', 'is', null)
        .where('expires_at', '>', at.toISOString())
        .returning('id')
        .execute()
      for (const { id } of revoked) await appendAudit(tx, 'token.revoked', { token: id, agent, by, reason }, at)
    },

    onRevoked(listener) {
      const own = (token: string, words: string) => listener(token, words)
      listeners.add(own)
      return () => void listeners.delete(own)
    },

    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      listeners.clear()
      await Promise.all([pruning, ...noting.values()])
    },
  }
}
