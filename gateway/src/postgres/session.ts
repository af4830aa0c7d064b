import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import type { Gate } from '../gate/command.ts'
import { EndReason, type LiveSession, RecordingError } from '../sessions/session.ts'
import type { Analyst } from './analyst.ts'
import { ask } from './ask.ts'
import { Bearings } from './bearings.ts'
import type { Catalogs } from './catalogs.ts'
import { Commands } from './commands.ts'
import { Conversation } from './conversation.ts'
import { Frontend } from './frontend.ts'
import type { Journal } from './journal.ts'
import { type Entry, Outstanding } from './outstanding.ts'
import { Passage } from './passage.ts'
import {
  cancelledByClient,
  draining,
  encodingRefused,
  ended,
  internal,
  stringsRefused,
  unrecordable,
  upstreamDown,
  violation,
  type Words,
} from './refusal.ts'
import type { PostgresTarget } from './target.ts'
import { Understanding } from './understanding.ts'
import { cancelUpstream } from './upstream/cancel.ts'
import type { Upstream } from './upstream/connect.ts'
import { Framer, ProtocolViolation } from './wire/framer.ts'
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

/** What a client may send ahead while a command is held, before it is no longer read (bytes). */
const AHEAD = 1 << 20
/** How long a client may take to read its last message. */
const LAST_WORD_MS = 2000
const CANCEL_MS = 5000

/**
 * One client and its server connection, from the sign-in on. Bytes flow through two framers; what is outstanding at the
 * server is kept in `Outstanding`, what a client's message means and whether it may pass in `Frontend`.
 */
export class Session {
  /** Resolves when both connections are closed and the recording is sealed. */
  readonly closed: Promise<void>
  /** What a CancelRequest for it holds. */
  readonly key: Buffer
  readonly #options: SessionOptions
  readonly #client: Socket
  readonly #server: Socket
  readonly #log: Logger
  readonly #outstanding: Outstanding
  readonly #conversation: Conversation
  readonly #passage: Passage
  readonly #journal: Journal
  readonly #frontend: Frontend
  readonly #bearings: Bearings
  readonly #fromClient: Framer
  readonly #fromServer: Framer
  #toServer: Buffer[] = []
  #flushScheduled = false
  /** A chunk of the client is being looked at: what it gives leaves at its end. */
  #reading = false
  #toClient: Buffer[] = []
  /** Put between two messages once the one that is under way has gone on. */
  #inserted: Buffer[] = []
  readonly #opened = performance.now()
  #started = false
  #clientGone = false
  #terminating = false
  #draining = false
  #serverBlocked = false
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
    this.#server = options.upstream.socket
    this.#log = options.log
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
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
    )
    const toServer = (bytes: Buffer) => {
      this.#fromClient.flush()
      this.#send(bytes)
    }
    const toClient = (bytes: Buffer) => this.#insert(bytes)
    const cancelled = () => this.#cancelling
    this.#bearings = new Bearings(options.target, options.catalogs, this.#outstanding, (...statements) =>
      ask(conversation, toServer, statements),
    )
    const conversation = new Conversation(this.#outstanding, this.#bearings, toServer)
    const understanding = new Understanding(conversation, this.#bearings, options.analyst)
    const commands = new Commands(options.live, options.gate, options.purpose, options.log, options.target.classified)
    this.#conversation = conversation
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
      allows: (text, parameters, meaning) => commands.allows(text, parameters, meaning),
      limits: options.limits,
      note: (text) => this.#note(text),
      toServer,
      toClient,
      cancelled,
    })
    this.#fromClient = new Framer({
      header: (type, length) => this.#frontend.take(type, length),
      message: (type, frame) => this.#frontend.message(type, frame),
      relay: (bytes) => this.#send(bytes),
      failed: (error) => this.#fail(error),
    })
    this.#fromServer = new Framer({
      header: (type, length) => this.#outstanding.take(type, length),
      message: (type, frame) => {
        const goesOn = this.#outstanding.reply(type, frame)
        if (typeof goesOn === 'boolean') return goesOn
        this.#fromServer.flush()
        this.#toClient.push(goesOn)
        return false
      },
      relay: (bytes) => {
        this.#toClient.push(bytes)
      },
      failed: (error) => this.#fail(error),
    })
  }

  /** Takes over both sockets: finds the session's bearings, greets the client, and from then on relays. */
  async start(): Promise<void> {
    const { upstream, live } = this.#options
    this.#attach()
    live.ended.addEventListener('abort', () => this.#endedFromOutside(), { once: true })
    if (live.ended.aborted) return this.#endedFromOutside()
    for (const frame of upstream.greeting) this.#client.write(frame)
    try {
      this.#started = true
      await this.#bearings.take()
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, 'the session could not find its bearings')
      return this.end(upstreamDown('the gateway could not read its catalog'), 'the catalog could not be read')
    }
    if (this.#over) return
    const key = wire.message(wire.T.BackendKeyData, this.key)
    this.#client.write(Buffer.concat([key, wire.readyForQuery(this.#outstanding.status)]))
    if (this.#clientGone) this.#afterClient()
    else this.#client.resume()
    if (this.#draining) this.drain()
  }

  /** What a CancelRequest with this session's key does. Resolves once the server has taken it. */
  cancel(): Promise<void> {
    this.#note('the client asked to cancel what is running')
    if (this.#passage.cancelHeld(cancelledByClient) || this.#outstanding.empty) return Promise.resolve()
    this.#cancelling ??= this.#cancelUpstream().finally(() => {
      this.#cancelling = undefined
    })
    return this.#cancelling
  }

  /** No new commands: ends at once where nothing runs, else when it is done. What is held is cancelled. */
  drain(): void {
    this.#draining = true
    this.#passage.cancelHeld('the gateway is stopping')
    if (this.#outstanding.empty && this.#fromClient.settled && this.#started) this.end(draining, 'the gateway stopped')
  }

  /** Ends the session with a last message for the client. */
  end(words: Words, reason: string, state: 'closed' | 'terminated' = 'terminated'): void {
    if (this.#over) return
    this.#end = { state, reason }
    this.#passage.stop(words.message)
    const midMessage = this.#fromServer.midMessage
    if (!this.#outstanding.empty) void this.#cancelUpstream()
    this.#close(midMessage ? undefined : wire.report({ severity: 'FATAL', ...words }))
  }

  #attach(): void {
    const client = this.#client
    const server = this.#server
    client.on('data', (chunk: Buffer) => this.#clientData(chunk))
    client.on('drain', () => server.resume())
    client.on('end', () => this.#clientEnded())
    client.on('error', (error) => this.#log.debug({ error: error.message }, 'client connection failed'))
    client.on('close', () => this.#clientEnded())
    client.pause()
    server.on('data', (chunk: Buffer) => this.#serverData(chunk))
    server.on('drain', () => {
      this.#serverBlocked = false
      this.#readOn()
    })
    server.on('error', (error) => {
      // Once it was told to go, how it goes is nobody's failure.
      if (this.#terminating || this.#frontend.terminated) return
      this.#end.reason = `the connection to the server failed: ${error.message}`
    })
    server.on('end', () => server.end())
    server.on('close', () => this.#serverClosed())
    server.resume()
  }

  #clientData(chunk: Buffer): void {
    if (this.#over || this.#terminating) return
    this.#reading = true
    try {
      this.#fromClient.push(chunk)
    } catch (error) {
      this.#fail(error)
      return
    } finally {
      this.#reading = false
    }
    this.#flush()
    if (this.#fromClient.queued > AHEAD) this.#client.pause()
  }

  #serverData(chunk: Buffer): void {
    if (this.#over) return
    try {
      this.#fromServer.push(chunk)
      // What is kept of the rows is written before they go on.
      for (const run of this.#outstanding.touched) run.flush()
      this.#outstanding.touched.clear()
      this.#journal.flush()
    } catch (error) {
      this.#fail(error)
      return
    }
    if (!this.#fromServer.midMessage && this.#inserted.length > 0) this.#toClient.push(...this.#inserted.splice(0))
    const client = this.#client
    const buffers = this.#toClient
    if (buffers.length === 0) return
    this.#toClient = []
    if (client.destroyed) return // what a client has left behind is still recorded
    let flows = true
    if (buffers.length > 1) client.cork()
    for (const bytes of buffers) flows = client.write(bytes)
    if (buffers.length > 1) {
      client.uncork()
      flows = !client.writableNeedDrain
    }
    if (!flows) this.#server.pause()
  }

  /** Sends bytes of the gateway's own to the client, between two messages. */
  #insert(bytes: Buffer): void {
    if (this.#fromServer.midMessage) this.#inserted.push(bytes)
    else if (!this.#client.destroyed) this.#client.write(bytes)
  }

  /** Bytes leave together, once everything that came with them has been looked at. */
  #send(bytes: Buffer): void {
    this.#toServer.push(bytes)
    if (this.#flushScheduled || this.#reading) return
    this.#flushScheduled = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#flushScheduled = false
    const buffers = this.#toServer
    const server = this.#server
    if (buffers.length === 0) return
    this.#toServer = []
    if (server.destroyed) return
    if (buffers.length === 1) server.write(buffers[0]!)
    else {
      server.cork()
      for (const bytes of buffers) server.write(bytes)
      server.uncork()
    }
    if (server.writableNeedDrain) {
      this.#serverBlocked = true
      this.#client.pause()
    } else this.#readOn()
  }

  #readOn(): void {
    if (this.#started && !this.#serverBlocked && this.#fromClient.queued <= AHEAD) this.#client.resume()
  }

  #ready(status: number, entry: Entry): void {
    this.#bearings.ready(status)
    this.#conversation.ready(status)
    if (!this.#draining || entry.ours) return
    // Its answer is still to be written: end after that.
    setImmediate(() => {
      if (this.#outstanding.empty && this.#fromClient.settled) this.end(draining, 'the gateway stopped')
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

  #clientEnded(): void {
    if (this.#clientGone || this.#over) return
    this.#clientGone = true
    this.#passage.clientGone()
    this.#afterClient()
  }

  /** The client will send no more: once all it sent is looked at, the server may finish and go. */
  #afterClient(): void {
    if (this.#terminating || this.#over || !this.#started) return
    if (!this.#fromClient.settled) {
      this.#frontend.idle().then(() => setImmediate(() => this.#afterClient()))
      return
    }
    this.#terminating = true
    this.#server.resume()
    if (!this.#frontend.terminated) this.#send(wire.TERMINATE)
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
    const client = this.#client
    if (!client.destroyed) {
      const patience = setTimeout(() => client.destroy(), LAST_WORD_MS)
      patience.unref()
      client.once('close', () => clearTimeout(patience))
      client.resume() // so that its own end is seen
      if (lastWord) client.end(lastWord, () => client.destroySoon())
      else client.end(() => client.destroySoon())
    }
    this.#server.destroy()
    try {
      this.#outstanding.abandonAll('57P01', this.#end.reason)
      this.#conversation.endSuspended()
      this.#journal.flush()
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, 'the end of a command could not be recorded')
    }
    this.#options.live
      .close(this.#end.state, this.#end.reason)
      .catch((error) => this.#log.error({ error: (error as Error).message }, 'the session could not be closed'))
      .finally(() => this.#resolveClosed())
  }
}

/** SQL_ASCII is what psql under LANG=C asks for; its bytes are checked to be UTF-8 wherever they are read. */
const passes = (encoding: string | undefined) =>
  encoding === undefined || encoding === 'UTF8' || encoding === 'SQL_ASCII'
