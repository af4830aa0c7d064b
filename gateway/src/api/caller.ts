import { hash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { type Identity, type Principal, TokenError } from '../identity/principal.ts'
import { refusedBecause, type SignIns } from '../identity/sign-ins.ts'
import { HttpProblem } from './problem.ts'

/** So many refused tokens of one address within a minute, and it must wait for the next. */
const refusedMost = 60
const windowMs = 60_000
const addressesMost = 10_000
const goodMost = 2_000
/** For the ledger; what the caller is told has names and reasons in it. */
const barredBecause = { agent: 'the agent is disabled', person: 'the person has left' }

export interface Callers {
  /**
   * Who calls, by the bearer token (RFC 6750).
   * @throws HttpProblem 401 with WWW-Authenticate, 429 where an address has sent too many bad ones, 503 where the
   * issuer can't be asked
   */
  of(request: FastifyRequest): Promise<Principal>
}

/** Checks bearer tokens, and slows down who guesses. */
export function createCallers(options: {
  /** URL of the API as clients have it. */
  api: () => string
  identity: Identity
  signIns: SignIns
  /** Why somebody whose token is good may do nothing, in words for them. */
  barred: (who: Principal) => string | undefined
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
  clock: () => number
}): Callers {
  const { identity, signIns, log, clock } = options
  /** Says where to read whose tokens are taken (RFC 9728, section 5.1). */
  const challenge = () =>
    `Bearer realm="countersign", resource_metadata="${options.api()}/.well-known/oauth-protected-resource"`
  const refused = new Map<string, { since: number; times: number }>()
  /** Tokens that were good once are checked even for an address that others guess from (a shared proxy, say). */
  const good = new Set<string>()

  const tooMany = (address: string): boolean => {
    const entry = refused.get(address)
    if (!entry) return false
    if (clock() - entry.since >= windowMs) refused.delete(address)
    return refused.has(address) && entry.times >= refusedMost
  }
  const count = (address: string) => {
    const entry = refused.get(address)
    if (entry && clock() - entry.since < windowMs) {
      entry.times++
      return
    }
    refused.delete(address)
    if (refused.size >= addressesMost) refused.delete(refused.keys().next().value!)
    refused.set(address, { since: clock(), times: 1 })
  }

  return {
    async of(request) {
      const header = request.headers.authorization
      const token = header && /^Bearer +([\x21-\x7e]+) *$/i.exec(header)?.[1]
      if (!token)
        throw new HttpProblem(401, 'This needs a token: send it as Authorization: Bearer TOKEN.', {
          'www-authenticate': challenge(),
        })
      const address = request.socket.remoteAddress ?? ''
      const digest = hash('sha256', token)
      if (tooMany(address) && !good.has(digest))
        throw new HttpProblem(429, 'Too many tokens from this address were refused: wait a minute.', {
          'retry-after': String(windowMs / 1000),
        })
      try {
        const principal = await identity.authenticate(token)
        if (principal.expiresAt.getTime() <= clock()) throw new TokenError('expired', 'the token has expired')
        const barred = options.barred(principal)
        if (barred !== undefined) {
          signIns.refused({ via: 'api', address, who: principal, reason: barredBecause[principal.kind] })
          throw new HttpProblem(403, `${barred}.`)
        }
        if (!good.delete(digest)) signIns.ok({ via: 'api', address, who: principal })
        if (good.size >= goodMost) good.delete(good.values().next().value!)
        good.add(digest)
        return principal
      } catch (error) {
        if (!(error instanceof TokenError)) throw error
        if (error.fault === 'issuer-unreachable') {
          log.warn({ address, fault: error.fault, reason: error.message }, 'a token could not be checked')
          throw new HttpProblem(503, 'The token can’t be checked now, its issuer doesn’t answer: try again shortly.', {
            'retry-after': '5',
          })
        }
        good.delete(digest)
        count(address)
        signIns.refused({ via: 'api', address, reason: refusedBecause(error.fault) })
        log.info({ address, fault: error.fault, reason: error.message }, 'a token was refused')
        throw new HttpProblem(401, 'This token is not valid here: sign in again, or get a new one.', {
          'www-authenticate': `${challenge()}, error="invalid_token"`,
        })
      }
    },
  }
}
