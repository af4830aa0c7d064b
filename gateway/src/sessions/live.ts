import { randomBytes } from 'node:crypto'
import type { Session, SessionState } from '@countersign/contract/session'
import type { BaseLogger } from 'pino'
import { agentRef } from '../identity/principal.ts'
import type { FileRecorder } from './recorder.ts'
import { LedgeredRecorder } from './scribe/ledgered.ts'
import type { RecordingLedger } from './scribe/scribe.ts'
import { EndReason, type LiveSession, type OpenRequest, type Recorder } from './session.ts'

/** How a session ends. */
export interface End {
  state: Exclude<SessionState, 'open'>
  reason: string
}

export interface LiveOptions {
  request: OpenRequest
  session: Session
  recorder: FileRecorder
  /** What the recording's events go into beside it; absent: nothing. */
  ledger?: RecordingLedger
  /** Milliseconds since the epoch. */
  clock: () => number
  /** How long the owner has to close it after it was ended. */
  graceMs: number
  log: Pick<BaseLogger, 'warn'>
  /** Closes recording and row; called once. */
  close: (session: Live, end: End) => Promise<void>
}

/** setTimeout takes no more (2^31 - 1 ms, 24.8 days) and fires at once when given more. */
const longestTimeout = 2_147_483_647

/** A live session with what only the room of sessions may do to it. */
export class Live implements LiveSession {
  readonly id: string
  readonly connection: OpenRequest['connection']
  readonly agent: OpenRequest['agent']
  readonly openedAt: string
  /** What the owner writes to. */
  readonly recorder: Recorder
  readonly file: FileRecorder
  readonly #options: LiveOptions
  readonly #ending = new AbortController()
  #end: End | undefined
  #closing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #lessened: (reason: EndReason) => void = () => {}

  constructor(options: LiveOptions) {
    this.#options = options
    this.id = options.session.id
    this.openedAt = options.session.openedAt
    this.connection = options.request.connection
    this.agent = options.request.agent
    this.file = options.recorder
    this.recorder = options.ledger ? new LedgeredRecorder(options.session.id, this.file, options.ledger) : this.file
    this.#expireAt(options.request.agent.expiresAt.getTime())
  }

  get backing() {
    return this.#options.request.entrance?.entry.backing
  }

  get ended(): AbortSignal {
    return this.#ending.signal
  }

  /**
   * Tells the owner to end it, and ends it here when the owner doesn't in time.
   * @param state what the session is in the end, whatever its owner says when it closes it
   * @returns false where it was ended or is being closed already
   */
  end(reason: EndReason, state?: End['state']): boolean {
    if (this.#ending.signal.aborted || this.#closing) return false
    clearTimeout(this.#timer)
    if (state) this.#end = { state, reason: reason.message }
    this.#timer = setTimeout(() => {
      this.#options.log.warn({ session: this.id }, 'a session was ended, but not closed in time by its owner')
      this.close(state ?? 'closed', reason.message).catch(() => {})
    }, this.#options.graceMs).unref()
    this.#ending.abort(reason)
    return true
  }

  onLessened(listener: (reason: EndReason) => void): void {
    this.#lessened = listener
  }

  lessened(reason: EndReason): void {
    if (!this.#ending.signal.aborted && !this.#closing) this.#lessened(reason)
  }

  /** Nothing has to end it any more. */
  leave(): void {
    this.#options.request.entrance?.entry.left()
  }

  close(state: End['state'], reason: string): Promise<void> {
    clearTimeout(this.#timer)
    this.#closing ??= this.#options.close(this, this.#end ?? { state, reason })
    return this.#closing
  }

  #expireAt(when: number): void {
    const left = when - this.#options.clock()
    if (left <= 0) this.end(new EndReason('token-expired', 'access ended: its token has expired'))
    else this.#timer = setTimeout(() => this.#expireAt(when), Math.min(left, longestTimeout)).unref()
  }
}

/** 120 random bits in base32 (RFC 4648, lower case): can't be guessed, can be read aloud. */
function newId(): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
  let bits = BigInt(`0x${randomBytes(15).toString('hex')}`)
  let id = ''
  for (let i = 0; i < 24; i++) {
    id += alphabet[Number(bits & 31n)]
    bits >>= 5n
  }
  return `se_${id}`
}

/** What the store and others are told of a session that begins. */
export function newSession(request: OpenRequest, openedAt: string): Session {
  const identity = agentRef(request.agent)
  const grants = request.entrance?.entry.backing.grants ?? []
  return {
    id: newId(),
    state: 'open',
    connection: request.connection.name,
    connectionTags: request.connection.tags,
    protocol: request.protocol,
    mode: request.connection.mode,
    agent: request.agent.id,
    identity,
    ...(request.purpose !== undefined && { purpose: request.purpose }),
    ...(grants.length > 0 && { grants: grants.map(({ id }) => id) }),
    client: request.client,
    openedAt,
    counts: { commands: 0, held: 0, denied: 0, errors: 0 },
    recording: { bytes: 0, complete: false },
  }
}
