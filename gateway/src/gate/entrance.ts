import type { AgentPrincipal } from '../identity/principal.ts'
import type { EndReason } from '../sessions/session.ts'
import type { ConnectionRef, Effect } from './command.ts'

/** A live grant, as commands are held against it. */
export interface LiveGrant {
  id: string
  /** Names of the policy schema, groups (`sql`) too. */
  actions: readonly string[]
  /** Ids, `orders/public.*` for all that begin so; absent: all. */
  resources?: readonly string[]
  /** Milliseconds since the epoch. */
  endsAt: number
}

/** What stands behind a session beside policy. Never changed: when anything of it does, there is another object. */
export interface Backing {
  /** Whether nothing may be done without a grant that covers it (`access: jit`). */
  needed: boolean
  /** Those that are live, by their id. */
  grants: readonly LiveGrant[]
}

/** No grant is needed, and there is none. */
export const standing: Backing = { needed: false, grants: [] }

/** What the entrance is told of a session that was opened. */
export interface OpenedSession {
  id: string
  purpose?: string
  /** The effect by which the connection was opened: decided anew when policy has changed. */
  connect: Effect
  end: (reason: EndReason) => void
  /** A grant is gone, and others stay: what runs by that one alone has to end. */
  lessened: (reason: EndReason) => void
}

/** Somebody who was let in, from before their session is opened until it has ended. */
export interface Entry {
  /** What stands behind it now. */
  readonly backing: Backing
  /**
   * The session is open: from now on it is ended, by `end`, when it must. Where it must already, at once.
   */
  opened(session: OpenedSession): void
  /** The session is over, or was never opened. Idempotent. */
  left(): void
}

/** Who may come in, beside policy: disabled agents, frozen connections, tokens of another connection, grants. */
export interface Entrance {
  /**
   * @returns the way in, or `{ refused }`: why not, for the log alone, in one of few texts that the one who is refused
   * can't choose
   */
  enter(agent: AgentPrincipal, connection: ConnectionRef): Entry | { refused: string }
}
