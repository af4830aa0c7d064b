import type { AgentRef, PersonRef, Role } from '@countersign/contract/identity'

/** Whoever presented a token that was checked: signature, issuer, audience, times (RFC 7519, RFC 9068). */
export type Principal = AgentPrincipal | PersonPrincipal

export interface AgentPrincipal extends AgentRef {
  kind: 'agent'
  /** When the token, and with it every session opened by it, ends. */
  expiresAt: Date
  /** Where it came with a gateway token (`POST /v1/token`): what that is bound to. */
  token?: { id: string; connection: string; grant?: string; purpose?: string }
  /** Where its issuer is asked whether the token is still good: the handle that `recheck` takes. Says nothing else. */
  proof?: string
  /** Where it came with a public key that is registered to it: the key's fingerprint. */
  key?: string
}

/** An agent as others see it, without what its token is. */
export function agentRef(agent: AgentRef): AgentRef {
  const { id, issuer, subject, name, groups, owner, onBehalfOf, chain } = agent
  return {
    id,
    issuer,
    subject,
    name,
    groups,
    ...(owner === undefined ? {} : { owner }),
    ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
    ...(chain === undefined ? {} : { chain }),
  }
}

/** A person as others see them. */
export function personRef({ id, issuer, subject, name }: PersonPrincipal): PersonRef {
  return { id, issuer, subject, name }
}

export interface PersonPrincipal extends PersonRef {
  kind: 'person'
  groups: string[]
  roles: Role[]
  /** E-mail claim where there is one: helps to tell that a person is the one an agent acts for. */
  email?: string
  expiresAt: Date
  /** As an agent's. */
  proof?: string
  /** What they may do at the moment besides what their groups say; absent: nothing (approvals' `knowing`). */
  standing?: () => PersonStanding
}

/** What a person may do at the moment besides what their groups say. */
export interface PersonStanding {
  /** Whose duty is handed over to them. */
  duties: readonly Duty[]
  /** Whether they are of those who may approve alone in an emergency, whatever is held. */
  breakGlass: boolean
}

/** What somebody who is away has handed over. */
export interface Duty {
  delegation: string
  from: PersonRef & { email?: string }
  groups: readonly string[]
}

export type TokenFault =
  | 'malformed'
  | 'algorithm'
  | 'issuer'
  | 'audience'
  | 'signature'
  | 'expired'
  | 'not-yet-valid'
  | 'subject'
  | 'replayed'
  /** Of a gateway token. */
  | 'unknown'
  | 'revoked'
  | 'issuer-unreachable'

/** A token that was refused. `message` is for the log; the one who presented it only learns that it was refused. */
export class TokenError extends Error {
  readonly fault: TokenFault
  constructor(fault: TokenFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TokenError'
    this.fault = fault
  }
}

export interface Identity {
  /**
   * Checks a token against the configured issuers.
   * @throws TokenError for every token that is not to be trusted, and when that can't be told
   */
  authenticate(token: string): Promise<Principal>
}
