import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import type { Gate } from '../gate/command.ts'
import { CopyShapeError } from '../masking/copy.ts'
import { EndReason, type LiveSession, RecordingError } from '../sessions/session.ts'
import type { Analyst } from './analyst.ts'
import { ask } from './ask.ts'
import { Bearings } from './bearings.ts'
import type { Catalogs } from './catalogs.ts'
import { Commands, sessionOf } from './commands.ts'
import { Conversation } from './conversation.ts'
import { Frontend } from './frontend.ts'
import type { Journal } from './journal.ts'
import { Touching } from './masked/touching.ts'
import { type Entry, Outstanding } from './outstanding.ts'
import { Passage } from './passage.ts'
import {
  cancelledByClient,
  draining,
  encodingRefused,
  ended,
  internal,
  stringsRefused,
  uncopied,
  unrecordable,
  upstreamDown,
  violation,
  type Words,
} from './refusal.ts'
import { Relay } from './relay.ts'
import type { PostgresTarget } from './target.ts'
import { Understanding } from './understanding.ts'
import { cancelUpstream } from './upstream/cancel.ts'
import type { Upstream } from './upstream/connect.ts'
import { ProtocolViolation } from './wire/framer.ts'
import * as wire from './wire/messages.ts'

export interface SessionOptions {
  client: Socket
  upstream: Upstream
  target: PostgresTarget
  live: LiveSession
  gate: Gate
  catalogs: Catalogs
  analyst: Analyst
  approvals: () => { hold: 'wait' | 'fail'; in_transaction: 'wait' | 'fail' }
  limits: () => { max_statement: number; max_message: number }
  purpose: string | undefined
  /** What the client asked for at the start; overrides the configuration. */
  hold: 'wait' | 'fail' | undefined
  /** Process id and secret of BackendKeyData: what lets somebody cancel. */
  key: Buffer
  log: Logger
}

const CANCEL_MS = 5000

/**
 * One client and its server connection, from the sign-in on. Bytes flow through `Relay`; what is outstanding at the
 * server is kept in `Outstanding`, what a client's message means and whether it may pass in `Frontend`.
 */
export class Session {
  /** Resolves when both connections are closed and the recording is sealed. */
  readonly closed: Promise<void>
  /** What a CancelRequest for it holds. */
  readonly key: Buffer
  readonly #options: SessionOptions
  readonly #client: Socket
  readonly #log: Logger
  readonly #outstanding: Outstanding
  readonly #conversation: Conversation
  readonly #passage: Passage
  readonly #commands: Commands
  readonly #journal: Journal
  readonly #frontend: Frontend
  readonly #bearings: Bearings
  readonly #relay: Relay
  readonly #opened = performance.now()
  #started = false
  #clientGone = false
  #terminating = false
  #draining = false
  #end: { state: 'closed' | 'terminated'; reason: string } = {
    state: 'closed',
    reason: 'the client closed the connection',
  }
  #over = false
  #cancelling: Promise<void> | undefined
  #resolveClosed!: () => void

  constructor(options: SessionOptions) {
    this.#options = options
    this.key = options.key
    this.#client = options.client
    this.#log = options.log
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    const { target, gate, live } = options
    const { masking } = target
    const who = { agent: live.agent, connection: live.connection, session: sessionOf(live, options.purpose) }
    const touching =
      masking &&
      new Touching({
        masking,
        classification: () => this.#bearings.classification,
        reveals: (dataClass) => gate.reveals(who, dataClass),
        declared: (cursor) => conversation.portals.get(cursor)?.declared,
      })
    this.#outstanding = new Outstanding(
      {
        ready: (status, entry) => this.#ready(status, entry),
        parameter: (name, value) => this.#parameter(name, value),
        parting: (code, message) => {
          this.#end.reason = `the server ended the connection: ${code} ${message}`
        },
      },
      () => options.limits().max_message,
      touching,
    )
    const toServer = (bytes: Buffer) => this.#relay.toServer(bytes)
    const toClient = (bytes: Buffer) => this.#relay.toClient(bytes)
    const cancelled = () => this.#cancelling
    this.#bearings = new Bearings(options.target, options.catalogs, this.#outstanding, async (...statements) => {
      // A cancel on its way is for what the client has sent; it must not hit this.
      while (this.#cancelling) await this.#cancelling
      return ask(conversation, toServer, statements)
    })
    const conversation = new Conversation(this.#outstanding, this.#bearings, toServer)
    const understanding = new Understanding(conversation, this.#bearings, options.analyst)
    const commands = new Commands(options.live, options.gate, options.purpose, options.log, touching)
    this.#conversation = conversation
    this.#commands = commands
    this.#journal = commands.journal
    this.#passage = new Passage({
      conversation,
      understanding,
      commands,
      hold: () => options.hold ?? options.approvals().hold,
      inTransaction: () => options.approvals().in_transaction,
      toClient,
      cancelled,
      fatal: (words) => this.end(words, words.message),
    })
    this.#frontend = new Frontend({
      conversation,
      understanding,
      passage: this.#passage,
      denies: (text, meaning) => commands.denies(text, meaning),
      touched: (text, meaning) => commands.touched(text, meaning),
      allows: (text, parameters, meaning) => commands.allows(text, parameters, meaning),
      limits: options.limits,
      note: (text) => this.#note(text),
      toServer,
      toClient,
      cancelled,
    })
    this.#relay = new Relay(options.client, options.upstream.socket, {
      client: {
        header: (type, length) => this.#frontend.take(type, length),
        message: (type, frame) => this.#frontend.message(type, frame),
      },
      server: {
        header: (type, length) => this.#outstanding.take(type, length),
        message: (type, frame) => this.#outstanding.reply(type, frame),
      },
      looked: () => this.#record(),
      failed: (error) => this.#fail(error),
      clientEnded: () => this.#clientEnded(),
      serverFailed: (error) => {
        // Once it was told to go, how it goes is nobody's failure.
        if (this.#terminating || this.#frontend.terminated) return
        this.#end.reason = `the connection to the server failed: ${error.message}`
      },
      serverClosed: () => this.#serverClosed(),
      // What the client was told when it began, and what never changes.
      probe: () => (this.#passage.holding ? wire.parameterStatus('integer_datetimes', 'on') : undefined),
    })
  }

  /**
   * Takes over both sockets: finds the session's bearings, greets the client, and from then on relays.
   * @param outdated why it must not begin: what it was opened for has been changed meanwhile
   */
  async start(outdated?: Words): Promise<void> {
    const { upstream, live } = this.#options
    this.#relay.attach(this.#log)
    if (outdated) return this.end(outdated, outdated.message)
    live.ended.addEventListener('abort', () => this.#endedFromOutside(), { once: true })
    live.onLessened((reason) => this.#lessened(reason))
    if (live.ended.aborted) return this.#endedFromOutside()
    for (const frame of upstream.greeting.splice(0)) this.#client.write(frame)
    try {
      this.#started = true
      await this.#bearings.take()
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, 'the session could not find its bearings')
      return this.end(upstreamDown('the gateway could not read its catalog'), 'the catalog could not be read')
    }
    if (this.#over) return
    const key = wire.message(wire.T.BackendKeyData, this.key)
    this.#relay.toClient(Buffer.concat([key, wire.readyForQuery(this.#outstanding.status)]))
    if (this.#clientGone) this.#afterClient()
    else this.#relay.open()
    if (this.#draining) this.drain()
  }

  /** Name of its connection. */
  get connection(): string {
    return this.#options.target.ref.name
  }

  /** What a CancelRequest with this session's key does. Resolves once the server has taken it. */
  cancel(): Promise<void> {
    this.#note('the client asked to cancel what is running')
    if (this.#passage.cancelHeld(cancelledByClient) || this.#outstanding.emptyForClient) return Promise.resolve()
    this.#cancelling ??= this.#cancelUpstream().finally(() => {
      this.#cancelling = undefined
    })
    return this.#cancelling
  }

  /** No new commands: ends at once where nothing runs, else when it is done. What is held is cancelled. */
  drain(): void {
    this.#draining = true
    this.#passage.cancelHeld('the gateway is stopping')
    if (this.#outstanding.empty && this.#relay.settled && this.#started)
      this.end(draining, 'the gateway stopped', 'closed')
  }

  /** Ends the session with a last message for the client. */
  end(words: Words, reason: string, state: 'closed' | 'terminated' = 'terminated'): void {
    if (this.#over) return
    this.#end = { state, reason }
    this.#passage.stop(words.message)
    if (!this.#outstanding.empty) void this.#cancelUpstream()
    this.#close(wire.report({ severity: 'FATAL', ...words }))
  }

  /** What is kept of the server's answers is written before they go on. */
  #record(): void {
    for (const run of this.#outstanding.touched) run.flush()
    this.#outstanding.touched.clear()
    this.#journal.flush()
  }

  #ready(status: number, entry: Entry): void {
    this.#bearings.ready(status)
    this.#conversation.ready(status)
    if (!this.#draining || entry.ours) return
    // Its answer is still to be written: end after that.
    setImmediate(() => {
      if (this.#outstanding.empty && this.#relay.settled) this.end(draining, 'the gateway stopped', 'closed')
    })
  }

  #parameter(name: string, value: string): void {
    if (name === 'search_path') this.#bearings.pathReported()
    if (!this.#started) return
    // Refused wherever it can be said; where it got through nevertheless, nothing that follows can be trusted.
    if (name === 'standard_conforming_strings' && value !== 'on') this.#trip(stringsRefused)
    if (name === 'client_encoding' && !passes(value)) this.#trip(encodingRefused)
  }

  #trip(words: Words): void {
    this.#log.error({ sqlstate: words.code }, 'a refused setting got through: session ended')
    queueMicrotask(() => this.end(words, words.message))
  }

  #endedFromOutside(): void {
    const { reason } = this.#options.live.ended
    const message = reason instanceof EndReason ? reason.message : 'the session was ended'
    this.end(ended(message), message)
  }

  /** A grant is gone and others stay: what runs by that alone can't be taken back from the server, so all of it ends. */
  #lessened({ message }: EndReason): void {
    if (this.#outstanding.runs.some((run) => !this.#commands.mayGoOn(run))) this.end(ended(message), message)
    else if (this.#commands.holdsInVain) this.#passage.cancelHeld(message)
  }

  #clientEnded(): void {
    if (this.#clientGone || this.#over) return
    this.#clientGone = true
    this.#passage.clientGone()
    this.#afterClient()
  }

  /** The client will send no more: once all it sent is looked at, the server may finish and go. */
  #afterClient(): void {
    if (this.#terminating || this.#over || !this.#started) return
    if (!this.#relay.settled) {
      this.#frontend.idle().then(() => setImmediate(() => this.#afterClient()))
      return
    }
    this.#terminating = true
    this.#relay.finish()
    if (!this.#frontend.terminated) this.#relay.toServer(wire.TERMINATE)
  }

  #serverClosed(): void {
    if (this.#over) return
    this.#outstanding.abandonAll('08006', 'the server closed the connection')
    if (!this.#clientGone && this.#end.reason === 'the client closed the connection' && !this.#frontend.terminated) {
      this.#end.reason = 'the server closed the connection'
    }
    this.#passage.stop('the server closed the connection')
    this.#close(undefined)
  }

  #fail(error: unknown): void {
    const message = (error as Error).message
    if (error instanceof ProtocolViolation) this.end(violation(message), message)
    else if (error instanceof RangeError) this.end(violation('a message is malformed'), message)
    else if (error instanceof RecordingError) this.end(unrecordable, message)
    else if (error instanceof CopyShapeError) this.end({ ...uncopied, message }, message)
    else {
      this.#log.error({ err: error }, 'the session failed')
      this.end(internal, message)
    }
  }

  async #cancelUpstream(): Promise<void> {
    const { key } = this.#options.upstream
    if (!key) return
    try {
      await cancelUpstream(this.#options.target, key, AbortSignal.timeout(CANCEL_MS))
    } catch (error) {
      this.#log.warn({ error: (error as Error).message }, 'a cancel could not be delivered')
    }
  }

  #note(text: string): void {
    try {
      this.#journal.write({ type: 'note', text })
    } catch (error) {
      this.#fail(error)
    }
  }

  #close(lastWord: Buffer | undefined): void {
    this.#over = true
    this.#log.info({ ...this.#end, ms: Math.round(performance.now() - this.#opened) }, 'session closed')
    this.#relay.close(lastWord)
    try {
      this.#outstanding.abandonAll('57P01', this.#end.reason)
      this.#conversation.endSuspended()
      this.#journal.flush()
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, 'the end of a command could not be recorded')
    }
    const { live } = this.#options
    // What is cancelled is still recorded: nothing comes after a recording's end.
    this.#passage
      .settled()
      .then(() => live.close(this.#end.state, this.#end.reason))
      .catch((error) => this.#log.error({ error: (error as Error).message }, 'the session could not be closed'))
      .finally(() => this.#resolveClosed())
  }
}

/** SQL_ASCII is what psql under LANG=C asks for; its bytes are checked to be UTF-8 wherever they are read. */
const passes = (encoding: string | undefined) =>
  encoding === undefined || encoding === 'UTF8' || encoding === 'SQL_ASCII'
