import type { TokenAnswer } from '@countersign/contract/access'
import type { BaseLogger } from 'pino'
import { neighbourhood } from '../../config/address.ts'
import type { Command, ConnectionRef, Effect, Gate } from '../../gate/command.ts'
import type { Backing, Entrance } from '../../gate/entrance.ts'
import { type AgentPrincipal, type Principal, TokenError } from '../principal.ts'
import { refusedBecause, type SignIns } from '../sign-ins.ts'
import type { SubjectPrincipal, SubjectTokens } from '../subject-tokens.ts'
import { delegated } from './delegation.ts'
import { ACCESS_TOKEN, type ExchangeRequest, type Presented, readExchange, readForm } from './form.ts'
import { invalidTarget, invalidToken, issuerSilent, OAuthError, tooMany } from './oauth-error.ts'
import { type Listeners, targetOf } from './target.ts'
import { type Asker, askerOf, Throttle, type ThrottleBounds, throttleBounds } from './throttle.ts'
import { AgentDisabled, type Tokens, TooManyTokens } from './tokens.ts'

/** `identity.tokens` of the configuration, in milliseconds. */
export interface TokenLifetimes {
  lifetime: number
  max_lifetime: number
}

export interface ExchangeOptions {
  tokens: Pick<Tokens, 'issue' | 'claims'>
  subjectTokens: Pick<SubjectTokens, 'verify'>
  /** The connection of that name, as it is configured now. */
  connection: (name: string) => ConnectionRef | undefined
  entrance: Entrance
  gate: Pick<Gate, 'preview'>
  lifetimes: () => TokenLifetimes
  /** Why somebody whose token is good may do nothing nevertheless. */
  barred: (who: Principal) => string | undefined
  log: Pick<BaseLogger, 'info' | 'warn'>
  clock?: () => number
  bounds?: Partial<ThrottleBounds>
}

/** The token endpoint (RFC 8693) without its HTTP. */
export interface Exchange {
  /**
   * Gives a token for a connection to the agent of a subject token, or of an actor token on behalf of the subject's.
   * @param body the form, as it came
   * @throws OAuthError for everything that is not given
   */
  exchange(body: string, from: From): Promise<TokenAnswer>
  /** Somebody sent what is no token of this gateway to be revoked. @throws OAuthError where they do so too often */
  guessed(from: Pick<From, 'address' | 'signIns'>): void
}

interface From {
  /** IP address. */
  address: string
  /** Where clients reach this gateway's protocols, as `resource` names them. */
  listeners: Listeners
  /** Told of every refusal. */
  signIns: Pick<SignIns, 'refused'>
}

/** Refused: what the client is told, and what the ledger is, in words that the client can't choose. */
class Refused extends Error {
  readonly told: OAuthError
  readonly reason: string
  readonly who: Principal | undefined
  readonly connection: string | undefined
  constructor(told: OAuthError, reason: string, about: { who?: Principal; connection?: string } = {}) {
    super(reason)
    this.told = told
    this.reason = reason
    this.who = about.who
    this.connection = about.connection
  }
}

export function createExchange(options: ExchangeOptions): Exchange {
  const { tokens, subjectTokens, log } = options
  const clock = options.clock ?? Date.now
  const throttle = new Throttle({ ...throttleBounds, ...options.bounds }, clock)

  return {
    async exchange(body, from) {
      try {
        return await exchanged(body, from)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        const { told, reason, who, connection } = error
        const { address, signIns } = from
        signIns.refused({ via: 'token', address, reason, ...(who && { who }), ...(connection && { connection }) })
        log.info({ address, code: told.code, why: reason, who: who?.id, connection }, 'no token was given')
        throw told
      }
    },
    guessed({ address, signIns }) {
      signIns.refused({ via: 'token', address, reason: 'what was to be revoked is no token of this gateway' })
      const wait = throttle.admitPlace(neighbourhood(address))
      if (wait > 0) throw tooMany(wait)
    },
  }

  async function exchanged(body: string, from: From): Promise<TokenAnswer> {
    const request = requestOf(body, from)
    const asker = askerOf(from.address, request.actor ?? request.subject)
    admitted(throttle.admit(asker))
    // The actor first: an assertion that may be presented once is not used up beside a token that is no good.
    const actor = request.actor && (await verified('actor_token', request.actor, asker))
    const subject = await verified('subject_token', request.subject, asker)
    const agent = principalOf(subject, actor)
    admitted(throttle.known(asker, agent.id), agent)
    const barred = [subject, actor].some((one) => one && options.barred(one) !== undefined)
    return given(agent, barred, request, from)
  }

  /** What can't be read has cost little, and costs the one who sends much of it their turns. */
  function requestOf(body: string, from: From): ExchangeRequest {
    try {
      return readExchange(readForm(body))
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error
      admitted(throttle.admitPlace(neighbourhood(from.address)))
      throw new Refused(error, 'what was asked for is no token exchange')
    }
  }

  function admitted(wait: number, who?: Principal): void {
    if (wait > 0) throw new Refused(tooMany(wait), 'too many requests, or refused ones, before it', who && { who })
  }

  async function verified(which: 'subject_token' | 'actor_token', presented: Presented, asker: Asker) {
    try {
      // One for another connection, or for longer, must come from an issuer: who has stolen one doesn't get on with it.
      if (tokens.claims(presented.token)) throw new TokenError('issuer', 'a gateway token is not exchanged for another')
      return await subjectTokens.verify(presented)
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
      const reason = refusedBecause(error.fault)
      log.info({ which, fault: error.fault, reason: error.message }, 'a token could not be exchanged')
      if (error.fault === 'issuer-unreachable') throw new Refused(issuerSilent(), reason)
      throttle.refused(asker)
      throw new Refused(invalidToken(which), reason)
    }
  }

  function principalOf(subject: SubjectPrincipal, actor: SubjectPrincipal | undefined): AgentPrincipal {
    try {
      return delegated(subject, actor)
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error
      const reason = actor ? 'the one may not act for the other' : 'a person’s token alone is exchanged for none'
      throw new Refused(error, reason, { who: actor ?? subject })
    }
  }

  async function given(
    agent: AgentPrincipal,
    barred: boolean,
    request: ExchangeRequest,
    from: From,
  ): Promise<TokenAnswer> {
    const { connection, endsAt } = permitted(agent, barred, request, from)
    const now = clock()
    const { lifetime, max_lifetime: most } = options.lifetimes()
    const asked = request.lifetime === undefined ? Math.min(lifetime, most) : Math.min(request.lifetime * 1000, most)
    const expiresAt = Math.min(now + asked, agent.expiresAt.getTime(), endsAt)
    const seconds = Math.floor((expiresAt - now) / 1000)
    if (seconds < 1) throw new Refused(invalidToken('subject_token'), refusedBecause('expired'), { who: agent })
    const { grant, purpose } = request
    const bound = { connection, ...(grant !== undefined && { grant }), ...(purpose !== undefined && { purpose }) }
    try {
      const { address } = from
      const { text, token } = await tokens.issue({ agent, ...bound, expiresAt: new Date(expiresAt), address })
      return {
        access_token: text,
        issued_token_type: ACCESS_TOKEN,
        token_type: 'Bearer',
        expires_in: seconds,
        token_id: token.id,
        connection,
      }
    } catch (error) {
      if (error instanceof AgentDisabled) throw new Refused(invalidTarget(), 'the agent is disabled', { who: agent })
      if (!(error instanceof TooManyTokens)) throw error
      throw new Refused(tooMany(error.retryAfter), 'the agent has as many tokens as it may', { who: agent })
    }
  }

  /** The same way in as for a session that is opened now, and the same answer whatever bars it. */
  function permitted(
    agent: AgentPrincipal,
    barred: boolean,
    request: ExchangeRequest,
    { listeners }: From,
  ): { connection: string; endsAt: number } {
    const target = targetOf(request, listeners)
    const connection = target && options.connection(target.name)
    const no = (reason: string, told = invalidTarget()) => {
      throttle.denied(agent.id)
      return new Refused(told, reason, { who: agent, ...(connection && { connection: connection.name }) })
    }
    if (!connection || (target.kinds && !target.kinds.includes(connection.kind)))
      throw no('there is no such connection')
    const connect = connectEffect(connection)
    if (!connect) throw no('nothing listens for such connections')
    if (barred) throw no('the agent is disabled, or the one it acts for has left')
    const entry = options.entrance.enter(agent, connection)
    if ('refused' in entry) throw no(entry.refused)
    try {
      const lets = (backing: Backing) =>
        options.gate.preview(connecting(agent, connection, connect, request.purpose, backing)).outcome !== 'deny'
      if (!lets(entry.backing)) throw no('policy does not let it in')
      const { grant } = request
      if (grant === undefined) return { connection: connection.name, endsAt: Number.POSITIVE_INFINITY }
      const bound = entry.backing.grants.find(({ id, endsAt }) => id === grant && endsAt > clock())
      if (!bound) throw no('the grant is not a live one of the agent’s', notALiveGrant())
      // Alone it must be enough, as it will be for the session.
      if (!lets({ needed: true, grants: [bound] })) throw no('policy does not let it in by this grant')
      return { connection: connection.name, endsAt: bound.endsAt }
    } finally {
      entry.left()
    }
  }
}

/** Said to those alone who may open the connection: one that isn't theirs looks like one that isn't there. */
const notALiveGrant = () =>
  new OAuthError('invalid_grant', 'grant is not the id of a live grant of this agent for this connection.')

/** By which effect a connection is opened; of plain HTTP there is none: it isn't served. */
function connectEffect({ name, kind }: ConnectionRef): Effect | undefined {
  const resource = { type: 'Connection', id: name } as const
  switch (kind) {
    case 'postgres':
      return { action: 'sql:connect', resource, command: { kind: 'connect', bounded: true, functions: [] } }
    case 'ssh':
      return { action: 'ssh:connect', resource, command: { argv: '', program: '', shell: false } }
    case 'kubernetes':
      return { action: 'k8s:connect', resource, command: { method: 'GET' } }
    case 'mcp':
      return { action: 'mcp:connect', resource, command: { arguments: '' } }
    default:
      return undefined
  }
}

const protocols: Record<string, Command['protocol']> = { ssh: 'ssh', kubernetes: 'kubernetes', mcp: 'mcp' }

function connecting(
  agent: AgentPrincipal,
  connection: ConnectionRef,
  connect: Effect,
  purpose: string | undefined,
  backing: Backing,
): Command {
  return {
    protocol: protocols[connection.kind] ?? 'postgres',
    connection,
    agent,
    session: { id: '', ...(purpose !== undefined && { purpose }), backing },
    text: 'connect',
    parameters: [],
    kind: 'connect',
    effects: [connect],
    meaning: {},
  }
}
