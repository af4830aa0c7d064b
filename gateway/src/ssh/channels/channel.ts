import { setTimeout } from 'node:timers/promises'
import type { Asked, Refusal, Running } from '../commands.ts'
import { type ChannelOpening, ChannelRecord } from '../record/record.ts'
import { ClientLeft, type SshSession, type Visitor } from '../session.ts'
import { serveSftp } from '../sftp/sftp.ts'
import type { ServerChannel, Session } from '../transport/ssh2.ts'
import { type HostChannel, HostError, type RemoteExit, type Terminal } from '../upstream/host.ts'
import { heldNotice, REFUSED, upstreamDown, type Words } from '../words.ts'
import { askedOf, type Circumstances, type Wanted, withInput } from './asked.ts'
import type { ChannelsOptions } from './channels.ts'
import { ClientSide } from './client-side.ts'
import { Environment } from './environment.ts'
import { Input } from './input.ts'
import { relay } from './relay.ts'
import { isSize, terminalOf } from './terminal.ts'
import { brokenBy } from './transfers.ts'

/** Bytes of stdin that are kept while nobody knows yet where they go; then the client has to wait. */
const KEPT_INPUT = 1024 * 1024
/** What ssh itself ends with where a connection, and not the command, has failed. */
const UNREACHED = 255
const INTERRUPT = 3
/** A host's channel closes before its connection does, if that goes as well (ms). */
const CLOSING = 100
/** What a client has left is waited for so long (ms), for its record. */
const LEAVING = 1000

/** A session channel of a client (RFC 4254, section 6), from its opening to its close. */
export class Channel {
  /** Resolves when it is over. Never rejects. */
  readonly gone: Promise<void>
  readonly #visitor: Visitor
  readonly #options: ChannelsOptions
  readonly #environment = new Environment()
  readonly #abort = new AbortController()
  readonly #over = Promise.withResolvers<void>()
  #terminal: Terminal | undefined
  #client: ClientSide | undefined
  #session: SshSession | undefined
  #input: Input | undefined
  #host: HostChannel | undefined
  #record: ChannelRecord | undefined
  #served: Promise<void> = Promise.resolve()

  constructor(session: Session, visitor: Visitor, options: ChannelsOptions) {
    this.gone = this.#over.promise
    this.#visitor = visitor
    this.#options = options
    session.on('env', (accept, reject, { key, val }) => answer(this.#environment.set(key, val), accept, reject))
    session.on('pty', (accept, reject, info) => {
      this.#terminal = terminalOf(info)
      answer(this.#terminal !== undefined, accept, reject)
    })
    session.on('x11', (_accept, reject) => this.#forbid('X11', reject))
    session.on('auth-agent', (_accept, reject) => this.#forbid('agent', reject))
    session.on('exec', (accept, _reject, { command }) => this.#start(accept, { kind: 'exec', text: command }))
    session.on('shell', (accept) => this.#start(accept, { kind: 'shell' }))
    session.on('subsystem', (accept, _reject, { name }) => this.#start(accept, { kind: 'subsystem', name }))
    session.once('close', () => this.lost('the client closed the channel'))
  }

  /** The client has gone, with or without its connection. */
  lost(because: string): void {
    this.#cancel(new ClientLeft(because))
    this.#host?.close()
    this.#input?.discard()
    this.#client?.left()
    // The session goes on until it is recorded how it ended, if the host lets it.
    void Promise.race([this.#served, setTimeout(LEAVING, undefined, { ref: false })]).then(this.#over.resolve)
  }

  /** Says why on its stderr and ends it; resolves once the client's side has all of it. */
  end(words: Words): Promise<void> {
    if (!this.#client) return Promise.resolve()
    if (this.#client.ending) return this.#client.ending
    this.#client.tell(words)
    const ended = this.#finish({ code: REFUSED })
    this.#cancel(words.message)
    this.#host?.close()
    return Promise.all([ended, this.#served]).then(() => {})
  }

  /** Whether something runs in it, or waits to. */
  get started(): boolean {
    return this.#client !== undefined
  }

  /** Whether its end is told to the client already. */
  get closed(): boolean {
    return this.#client?.closed === true
  }

  /** The terminal's size has changed. @returns whether there is one */
  resize(columns: number, rows: number, width: number, height: number): boolean {
    const terminal = this.#terminal
    if (!terminal || !isSize(columns, rows)) return false
    const { columns: c, rows: r, width: w, height: h } = terminal
    if (columns === c && rows === r && width === w && height === h) return true
    Object.assign(terminal, { columns, rows, width, height })
    if (!this.#host || this.#abort.signal.aborted) return true
    if (!this.#recorded((record) => record.resize(columns, rows))) return false
    this.#host.resize(columns, rows, width, height)
    return true
  }

  /**
   * Passes a signal on; while nothing runs yet, one that would end it gives it up.
   * @param name without SIG (RFC 4254, section 6.9)
   */
  signal(name: string): boolean {
    if (!/^[A-Z0-9+@._-]{1,64}$/i.test(name) || this.#abort.signal.aborted) return false
    if (this.#host) {
      if (!this.#recorded((record) => record.signal(name))) return false
      this.#host.signal(name)
    } else if (['INT', 'TERM', 'KILL', 'HUP', 'QUIT'].includes(name)) this.#cancel(`the client sent SIG${name}`)
    return true
  }

  /** Nobody reads the output any more (`yes | head -1`): without being told the command would run for ever. */
  unread(): void {
    if (this.#host && !this.#abort.signal.aborted) this.#host.unread()
    this.#client?.unread()
  }

  #forbid(what: string, reject: (() => void) | undefined): void {
    this.#visitor.forbidden(what)
    reject?.()
  }

  #start(accept: () => ServerChannel | undefined, wanted: Wanted | { kind: 'subsystem'; name: string }): void {
    // A second one in the same channel is none: RFC 4254, section 6.5.
    if (this.#client) return
    const stream = accept()
    if (!stream) return
    const client = new ClientSide(
      stream,
      this.#terminal !== undefined,
      (write) => this.#recorded(write),
      this.#options.log,
    )
    this.#client = client
    this.#served = this.#serve(wanted, client).catch((error: Error) => {
      this.#options.log.error({ error }, 'a channel could not be served')
      void this.end({ message: 'the gateway failed: nothing more is run here', hint: 'Its log says more.' })
    })
  }

  async #serve(wanted: Wanted | { kind: 'subsystem'; name: string }, client: ClientSide): Promise<void> {
    const { wrong, wishes } = this.#environment
    if (wanted.kind !== 'subsystem')
      this.#input = new Input(client.stream, KEPT_INPUT, this.#terminal && ((typed) => this.#interrupted(typed)))
    if (wrong !== undefined) return this.#refuse({ message: wrong })
    const begun = await this.#visitor.begin(wishes, { tell: (words) => client.tell(words), signal: this.#abort.signal })
    if ('refused' in begun) return this.#refuse(begun.refused)
    this.#session = begun
    if (wanted.kind === 'subsystem') return this.#subsystem(begun, wanted.name, client)
    await this.#command(begun, wanted, client)
  }

  async #subsystem(session: SshSession, name: string, client: ClientSide): Promise<void> {
    if (name !== 'sftp') {
      this.#visitor.forbidden(`subsystem ${name}`)
      return this.#refuse({
        message: 'this subsystem is not served here',
        hint: 'What is served: commands, shells, and the subsystem sftp.',
      })
    }
    const environment = this.#environment.passing(session.target.env)
    const exit = await serveSftp(session, client.stream, {
      environment,
      signal: this.#abort.signal,
      tell: (words) => client.tell(words),
      begins: (command) => this.#begins(session, client, { command, kind: 'sftp', environment }) !== undefined,
      hold: () => this.#hold(session),
    })
    this.#recorded((record) => record.exit(exit))
    await this.#finish(exit)
  }

  async #command(session: SshSession, wanted: Wanted, client: ClientSide): Promise<void> {
    const environment = this.#environment.passing(session.target.env)
    const asked = await this.#asked(session, wanted, environment)
    if ('refused' in asked) return this.#refused(session, asked)
    const answered = await session.commands.submit({
      ...asked,
      hold: this.#hold(session),
      signal: this.#abort.signal,
      onHeld: (notice) => client.tell(heldNotice(notice)),
    })
    if ('refused' in answered) return this.#refused(session, answered)
    const { run } = answered
    const text = wanted.kind === 'exec' ? wanted.text : ''
    const begun = await this.#dispatch(session, run, { kind: wanted.kind, text, environment }, client)
    if (!begun) return
    const exit = await relay({
      client: client.stream,
      input: this.#input!,
      ...begun,
      masking: {
        detect: session.target.detect,
        reveals: (dataClass) => session.commands.reveals(dataClass),
        terminal: this.#terminal !== undefined,
        hidden: (classes) => {
          const words = brokenBy(asked, classes)
          if (words) void this.end(words)
        },
      },
      unrecorded: (error) => this.#unrecordable(session, error),
      signal: this.#abort.signal,
    })
    const told = exit.code !== undefined || exit.signal !== undefined
    if (!told && !this.#abort.signal.aborted) await this.#untold(session, client)
    this.#ended(run, exit)
    await this.#finish(exit)
  }

  /** No word of how it ended: where the whole connection to the host is gone, that is why. */
  async #untold(session: SshSession, client: ClientSide): Promise<void> {
    const why = await Promise.race([session.host.closed, setTimeout(CLOSING, undefined)])
    if (why !== undefined && !client.ending) client.tell({ message: `the host closed the connection: ${why}` })
  }

  /** What is asked of the gate; where somebody will have to see it, with the whole of its input if that comes soon. */
  async #asked(session: SshSession, wanted: Wanted, environment: Record<string, string>): Promise<Asked | Refusal> {
    const circumstances: Circumstances = { connection: session.target.ref.name, environment, terminal: this.#terminal }
    const asked = askedOf(wanted, circumstances)
    if ('unfit' in asked) return session.commands.refuse(asked.asked, asked.unfit)
    if (wanted.kind === 'shell' || session.commands.preview(asked).outcome !== 'hold') return asked
    return withInput(asked, circumstances, this.#input!, this.#options.shownInput, this.#abort.signal)
  }

  /** Opens the channel to the host; where that fails the command has ended, and the client is told. */
  async #dispatch(
    session: SshSession,
    run: Running,
    request: { kind: 'exec' | 'shell'; text: string; environment: Record<string, string> },
    client: ClientSide,
  ): Promise<{ host: HostChannel; record: ChannelRecord } | undefined> {
    const terminal = this.#terminal
    const { kind, environment } = request
    const record = this.#begins(session, client, { command: run.id, kind, environment, ...(terminal && { terminal }) })
    if (!record) {
      run.end({ status: 'failed', message: 'it could not be recorded' })
      return undefined
    }
    try {
      const asked = terminal && { ...terminal }
      const host = await session.host.open({ ...request, ...(asked && { terminal: asked }) }, this.#abort.signal)
      if (this.#abort.signal.aborted) host.close()
      this.#host = host
      if (terminal && asked) this.#resizedSince(asked, terminal)
      return { host, record }
    } catch (error) {
      const { aborted, reason } = this.#abort.signal
      if (!(error instanceof HostError) && !aborted) throw error
      // The host may have been asked for it before, so nobody can say that it did not run.
      const message = aborted ? `given up while it began: ${(reason as Error).message}` : (error as HostError).message
      run.end({ status: 'failed', message })
      if (!client.ending) client.tell(aborted ? { message } : upstreamDown(message))
      this.#recorded((record) => record.exit({}))
      await this.#finish({ code: UNREACHED })
      return undefined
    }
  }

  /** Begins the record of this channel. @returns undefined where it can't be written: the session ends then */
  #begins(
    session: SshSession,
    client: ClientSide,
    opening: Omit<ChannelOpening, 'channel'>,
  ): ChannelRecord | undefined {
    try {
      this.#record = new ChannelRecord(session.live.recorder, { channel: session.nextChannel(), ...opening })
      client.begins(this.#record)
      return this.#record
    } catch (error) {
      this.#unrecordable(session, error as Error)
      return undefined
    }
  }

  /** A size that was told while the host was asked for its terminal is told to it now. */
  #resizedSince(asked: Terminal, { columns, rows, width, height }: Terminal): void {
    if (columns === asked.columns && rows === asked.rows && width === asked.width && height === asked.height) return
    if (this.#recorded((record) => record.resize(columns, rows))) this.#host?.resize(columns, rows, width, height)
  }

  #ended(run: Running, exit: RemoteExit): void {
    const gone = this.#abort.signal.aborted ? (this.#abort.signal.reason as Error).message : undefined
    this.#recorded((record) => record.exit(exit))
    if (exit.code !== undefined) run.end({ status: exit.code === 0 ? 'completed' : 'failed', tag: `exit ${exit.code}` })
    else if (exit.signal !== undefined) run.end({ status: 'failed', tag: `signal ${exit.signal}` })
    else run.end({ status: 'failed', message: gone ?? 'the host closed the channel without an exit status' })
  }

  #hold(session: SshSession): 'wait' | 'fail' {
    return this.#environment.wishes.hold ?? session.hold()
  }

  /** What is typed into a terminal while nothing runs yet: the client's own ^C reaches nobody else. */
  #interrupted(typed: Buffer): void {
    if (!this.#host && typed.includes(INTERRUPT)) this.#cancel('the client typed ^C')
  }

  #cancel(because: string | Error): void {
    if (this.#abort.signal.aborted) return
    this.#abort.abort(typeof because === 'string' ? new Error(because) : because)
  }

  async #refused(session: SshSession, { refused, fatal }: Refusal): Promise<void> {
    await this.#refuse(refused)
    if (fatal) session.fail(refused.message)
  }

  async #refuse(words: Words): Promise<void> {
    if (!this.#client?.ending) this.#client?.tell(words)
    await this.#finish({ code: REFUSED })
  }

  #unrecordable(session: SshSession, error: Error): void {
    this.#options.log.error({ error: error.message }, 'a channel could not be recorded')
    this.#record = undefined
    void this.end({ message: 'this channel ends: what is said in it can’t be recorded' })
    session.fail('nothing more can be recorded')
  }

  /** @returns whether it is recorded; where it can't be, the session ends. Once the record has ended, it isn't */
  #recorded(write: (record: ChannelRecord) => void): boolean {
    if (!this.#record || this.#record.ended) return false
    try {
      write(this.#record)
      return true
    } catch (error) {
      this.#unrecordable(this.#session!, error as Error)
      return false
    }
  }

  async #finish(exit: RemoteExit): Promise<void> {
    this.#input?.discard()
    await this.#client!.finish(exit)
  }
}

function answer(taken: boolean, accept: (() => unknown) | undefined, reject: (() => void) | undefined): void {
  if (taken) accept?.()
  else reject?.()
}
