import type { NewRecordingEvent } from '@countersign/contract/recording'
import type { Session, SessionState } from '@countersign/contract/session'
import type { ConnectionRef, Effect } from '../gate/command.ts'
import type { Backing, Entry } from '../gate/entrance.ts'
import type { AgentPrincipal } from '../identity/principal.ts'

export interface OpenRequest {
  connection: ConnectionRef
  protocol: string
  agent: AgentPrincipal
  purpose?: string
  client: { address: string; application?: string }
  /**
   * The way in, and the effect by which the connection is opened: told once the session is open and when it is over, also
   * where it could not be opened. Absent: nothing but policy stands behind it.
   */
  entrance?: { entry: Entry; connect: Effect }
}

/** A live session: one agent on one connection, by one client connection. The protocol's handler owns it. */
export interface LiveSession {
  readonly id: string
  readonly connection: ConnectionRef
  readonly agent: AgentPrincipal
  /** What stands behind it now beside policy: to be asked for each command. */
  readonly backing: Backing | undefined
  /** Aborted when the session must end: terminated by a person, its token or access ended, gateway stopping. `reason` is an EndReason. */
  readonly ended: AbortSignal
  readonly recorder: Recorder
  /** Calls `listener` when something behind it is gone, and something else stays: what runs by that alone has to end. */
  onLessened(listener: (reason: EndReason) => void): void
  /** Ends the session in the store and seals the recording. Called once by its owner when the client or upstream has gone. */
  close(state: Exclude<SessionState, 'open'>, reason: string): Promise<void>
}

export type EndCause =
  | 'terminated'
  | 'token-expired'
  | 'token-revoked'
  | 'grant-ended'
  | 'agent-disabled'
  | 'frozen'
  | 'policy-changed'
  | 'shutdown'

/** What `ended.reason` is: who ends it, and the words for the client. */
export class EndReason extends Error {
  readonly cause_: EndCause
  constructor(cause: EndCause, message: string) {
    super(message)
    this.name = 'EndReason'
    this.cause_ = cause
  }
}

/**
 * Writes a session's recording. `append` has written the lines, all in one write, to the operating system when it returns
 * (so that a killed gateway has recorded what it forwarded).
 * @throws RecordingError when it can't be written (disk full, …): the caller must refuse the command, and end the session
 */
export interface Recorder {
  append(...events: NewRecordingEvent[]): void
  /** Everything appended so far is on disk (fsync) when this resolves. */
  sync(): Promise<void>
  /** How many rows and bytes of one command's result are kept. */
  readonly resultBound: { rows: number; bytes: number }
  /** How many bytes of each stream of a channel are kept. */
  readonly outputBound: number
}

export class RecordingError extends Error {
  override name = 'RecordingError'
}

export interface Sessions {
  /**
   * Opens a session and its recording.
   * @throws SessionRefused when the agent has too many, or the gateway is draining
   * @throws RecordingError when no recording can be written
   */
  open(request: OpenRequest): Promise<LiveSession>
  get(id: string): Promise<Session | undefined>
  /** Ends a live session; resolves false where it isn't live. */
  terminate(id: string, by: string, reason: string): Promise<boolean>
}

export class SessionRefused extends Error {
  override name = 'SessionRefused'
}
