import type { AgentPrincipal } from '../principal.ts'
import type { Registry } from './registry.ts'

/** Who signs in by a public key that was registered to an agent. */
export interface KeySignIn {
  /**
   * @param fingerprint `SHA256:…`, of a key whose private half somebody has proved to have
   * @returns who that is; `{ refused }`, why it may not sign in, in one of few texts; undefined where the key is nobody's
   */
  agentOf(fingerprint: string): AgentPrincipal | { refused: string } | undefined
  /** Whether a key is registered to somebody, whom it may let in or not. */
  knows(fingerprint: string): boolean
}

export interface KeySignInOptions {
  registry: Pick<Registry, 'agentOfKey' | 'entry'>
  /** Whether an issuer is trusted to speak for agents. */
  trusts: (issuer: string) => boolean
  /** For how long (ms) after its newest token an agent's keys are good: `ssh.token_within`. */
  tokenWithin: () => number
  /** Milliseconds since the epoch. */
  clock: () => number
}

/**
 * A key says who an agent is, and nothing of what it is allowed: groups come from its newest token, and what policy says
 * of groups must not be got around by a key. So a key is good for a while after a token was presented, and a session by
 * it ends when that while does.
 */
export function createKeySignIn({ registry, trusts, tokenWithin, clock }: KeySignInOptions): KeySignIn {
  return {
    knows: (fingerprint) => registry.agentOfKey(fingerprint) !== undefined,
    agentOf(fingerprint) {
      const id = registry.agentOfKey(fingerprint)
      const entry = id === undefined ? undefined : registry.entry(id)
      if (!entry) return undefined
      if (!trusts(entry.issuer)) return { refused: 'the issuer of the key’s agent is not trusted' }
      if (!entry.identity || entry.lastSeenAt === undefined)
        return { refused: 'the key’s agent has never come with a token: its groups are not known' }
      const expiresAt = Date.parse(entry.lastSeenAt) + tokenWithin()
      if (!(expiresAt > clock())) return { refused: 'the key’s agent has not come with a token lately' }
      return { kind: 'agent', ...entry.identity, key: fingerprint, expiresAt: new Date(expiresAt) }
    },
  }
}
