import type { Logger } from 'pino'
import type { LiveSession } from '../sessions/session.ts'
import type { Commands } from './commands.ts'
import type { SshTarget } from './target.ts'
import type { Host } from './upstream/host.ts'
import type { Words } from './words.ts'

/** What the first channel of a connection asks for; later ones may not name another purpose. */
export interface Wishes {
  purpose?: string
  hold?: 'wait' | 'fail'
}

/**
 * A signed-in SSH client: one TCP connection, one agent, one target. The session begins with the first thing that is
 * asked for in a channel, since purpose and hold come as a channel's environment (contract.md section 3).
 */
export interface Visitor {
  /**
   * Opens the session and connects to the host, once: `ssh:connect` is decided, held where policy says so, and recorded.
   * Later calls answer the same session; where they name another purpose, a refusal of that channel alone.
   * @param how.tell says something on the stderr of the channel that waits; `how.signal` aborted: that channel has gone
   * @returns `{ refused }`: the channel says so and ends with 126; where `fatal`, the connection goes by itself, once it has been said
   */
  begin(
    wishes: Wishes,
    how: { tell: (words: Words) => void; signal: AbortSignal },
  ): Promise<SshSession | { refused: Words; fatal: boolean }>
  /**
   * Notes something that nobody may do, whatever policy says: a forwarding, an agent, X11, an unknown subsystem. Recorded as
   * a refused command where a session is there, and logged, both within a bound. Never throws.
   * @param text as people read it: `forward 127.0.0.1:5432`, `X11`, `agent`, `subsystem netconf`
   */
  forbidden(text: string): void
}

/** An open session with its host. */
export interface SshSession {
  readonly live: LiveSession
  readonly target: SshTarget
  readonly commands: Commands
  readonly host: Host
  /** What a held command does where the client didn't say: asked for each. */
  readonly hold: () => 'wait' | 'fail'
  readonly log: Logger
  /** Ids of channels in the recording: `1`, `2`, … */
  nextChannel(): string
  /** Ends the session and its connection: nothing more can be recorded. */
  fail(because: string): void
}

/** The reason of a channel's `signal` where its client has gone by itself: that is how sftp ends, and no failure. */
export class ClientLeft extends Error {}
