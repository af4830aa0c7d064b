import { isUtf8 } from 'node:buffer'
import { setTimeout } from 'node:timers/promises'
import type { Asked, Refusal, Running } from '../commands.ts'
import { execEffects, shellEffects, unfit } from '../effects/effects.ts'
import { ChannelRecord } from '../record/record.ts'
import { ClientLeft, type SshSession, type Visitor } from '../session.ts'
import { serveSftp } from '../sftp/sftp.ts'
import type { PatchedChannel } from '../transport/channel.ts'
import type { ServerChannel, Session } from '../transport/ssh2.ts'
import { type HostChannel, HostError, type RemoteExit, type Terminal } from '../upstream/host.ts'
import { heldNotice, onStderr, REFUSED, upstreamDown, type Words } from '../words.ts'
import type { ChannelsOptions } from './channels.ts'
import { Environment } from './environment.ts'
import { Input } from './input.ts'
import { relay } from './relay.ts'
import { isSize, terminalOf } from './terminal.ts'

/** What a channel is opened for. */
type Wanted = { kind: 'exec'; text: string } | { kind: 'shell' } | { kind: 'subsystem'; name: string }

/** Bytes of stdin that are kept while nobody knows yet where they go; then the client has to wait. */
const KEPT_INPUT = 1024 * 1024
/** The end of standard input is waited for so long (ms): without a byte, and in all. */
const QUIET = 500
const MOST = 3000
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
  /** Resolves when the client takes nothing more. */
  readonly #left = Promise.withResolvers<void>()
  #terminal: Terminal | undefined
  #stream: ServerChannel | undefined
  #input: Input | undefined
  #host: HostChannel | undefined
  #record: ChannelRecord | undefined
  /** What the gateway said before there was a record of this channel. */
  #said: string[] = []
  /** Set once the channel ends by the gateway: whatever else comes to an end then says nothing more. */
  #ending: Promise<void> | undefined
  #closed = false
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
    this.#left.resolve()
    // The session goes on until it is recorded how it ended, if the host lets it.
    void Promise.race([this.#served, setTimeout(LEAVING, undefined, { ref: false })]).then(this.#over.resolve)
  }

  /** Says why on its stderr and ends it; resolves once the client's side has all of it. */
  end(words: Words): Promise<void> {
    if (this.#ending) return this.#ending
    if (!this.#stream) return Promise.resolve()
    this.#tell(words)
    const ended = this.#finish({ code: REFUSED })
    this.#cancel(words.message)
    this.#host?.close()
    return Promise.all([ended, this.#served]).then(() => {})
  }

  /** Whether something runs in it, or waits to. */
  get started(): boolean {
    return this.#stream !== undefined
  }

  /** Whether its end is told to the client already. */
  get closed(): boolean {
    return this.#closed
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
    const stream = this.#stream as unknown as Pick<PatchedChannel, 'unread'> | undefined
    stream?.unread()
  }

  #forbid(what: string, reject: (() => void) | undefined): void {
    this.#visitor.forbidden(what)
    reject?.()
  }

  #start(accept: () => ServerChannel | undefined, wanted: Wanted): void {
    // A second one in the same channel is none: RFC 4254, section 6.5.
    if (this.#stream) return
    const stream = accept()
    if (!stream) return
    this.#stream = stream
    stream.on('error', () => {})
    stream.stderr.on('error', () => {})
    this.#served = this.#serve(wanted, stream).catch((error: Error) => {
      this.#options.log.error({ error }, 'a channel could not be served')
      void this.end({ message: 'the gateway failed: nothing more is run here', hint: 'Its log says more.' })
    })
  }

  async #serve(wanted: Wanted, stream: ServerChannel): Promise<void> {
    const { wrong, wishes } = this.#environment
    if (wanted.kind !== 'subsystem')
      this.#input = new Input(stream, KEPT_INPUT, this.#terminal && ((typed) => this.#interrupted(typed)))
    if (wrong !== undefined) return this.#refuse({ message: wrong })
    const begun = await this.#visitor.begin(wishes, { tell: (words) => this.#tell(words), signal: this.#abort.signal })
    if ('refused' in begun) return this.#refuse(begun.refused)
    if (wanted.kind === 'subsystem') return this.#subsystem(begun, wanted.name, stream)
    await this.#command(begun, wanted)
  }

  async #subsystem(session: SshSession, name: string, stream: ServerChannel): Promise<void> {
    if (name !== 'sftp') {
      this.#visitor.forbidden(`subsystem ${name}`)
      return this.#refuse({
        message: 'this subsystem is not served here',
        hint: 'What is served: commands, shells, and the subsystem sftp.',
      })
    }
    const exit = await serveSftp(session, stream, {
      environment: this.#environment.passing(session.target.env),
      signal: this.#abort.signal,
      tell: (words) => this.#tell(words),
      hold: () => this.#hold(session),
    })
    await this.#finish(exit)
  }

  async #command(session: SshSession, wanted: Exclude<Wanted, { kind: 'subsystem' }>): Promise<void> {
    const { kind } = wanted
    const environment = this.#environment.passing(session.target.env)
    const asked = await this.#asked(session, wanted, environment)
    if ('refused' in asked) return this.#refused(session, asked)
    const answered = await session.commands.submit({
      ...asked,
      hold: this.#hold(session),
      signal: this.#abort.signal,
      onHeld: (notice) => this.#tell(heldNotice(notice)),
    })
    if ('refused' in answered) return this.#refused(session, answered)
    const { run } = answered
    const host = await this.#dispatch(session, run, {
      kind,
      text: wanted.kind === 'exec' ? wanted.text : '',
      environment,
    })
    if (!host) return
    const exit = await relay({
      client: this.#stream!,
      input: this.#input!,
      host,
      record: this.#record!,
      masking: {
        detect: session.target.detect,
        reveals: (dataClass) => session.commands.reveals(dataClass),
        terminal: this.#terminal !== undefined,
      },
      unrecorded: (error) => this.#unrecordable(session, error),
      signal: this.#abort.signal,
    })
    const told = exit.code !== undefined || exit.signal !== undefined
    if (!told && !this.#abort.signal.aborted) await this.#untold(session)
    this.#ended(run, exit)
    await this.#finish(exit)
  }

  /** No word of how it ended: where the whole connection to the host is gone, that is why. */
  async #untold(session: SshSession): Promise<void> {
    const why = await Promise.race([session.host.closed, setTimeout(CLOSING, undefined)])
    if (why !== undefined && !this.#ending) this.#tell({ message: `the host closed the connection: ${why}` })
  }

  /** What is asked of the gate; where somebody will have to see it, with the whole of its input if that comes soon. */
  async #asked(
    session: SshSession,
    wanted: Exclude<Wanted, { kind: 'subsystem' }>,
    environment: Record<string, string>,
  ): Promise<Asked | Refusal> {
    const { name } = session.target.ref
    const meaning = { environment, terminal: this.#terminal?.type ?? null }
    const unshown = { parameters: [], meaning: { ...meaning, input: 'not shown' } }
    if (wanted.kind === 'shell') return { text: 'shell', kind: 'shell', effects: shellEffects(name), ...unshown }
    const { text } = wanted
    const asked: Asked = { text, kind: 'exec', effects: execEffects(name, text), ...unshown }
    const why = unfit(text)
    if (why !== undefined) {
      const words = { message: `not run: ${why}`, hint: 'Send the command as UTF-8 text without NUL bytes.' }
      return session.commands.refuse({ ...asked, text: text.replaceAll('\0', '\ufffd') }, words)
    }
    if (session.commands.preview(asked).outcome !== 'hold') return asked
    const bytes = this.#options.shownInput
    const input = await this.#input!.whole({ bytes, quiet: QUIET, most: MOST }, this.#abort.signal)
    if (!input) return asked
    const shown = isUtf8(input) ? input.toString() : { base64: input.toString('base64') }
    // What a terminal makes of input that was shown (which byte erases, which ends it) is the client's to say.
    const modes = this.#terminal && { modes: this.#terminal.modes.toString('hex') }
    return { ...asked, parameters: [shown], meaning: { ...meaning, input: 'whole', ...modes } }
  }

  /** Opens the channel to the host; where that fails the command has ended, and the client is told. */
  async #dispatch(
    session: SshSession,
    run: Running,
    request: { kind: 'exec' | 'shell'; text: string; environment: Record<string, string> },
  ): Promise<HostChannel | undefined> {
    const terminal = this.#terminal
    try {
      this.#record = new ChannelRecord(session.live.recorder, {
        channel: session.nextChannel(),
        command: run.id,
        kind: request.kind,
        environment: request.environment,
        ...(terminal && { terminal }),
      })
      for (const text of this.#said.splice(0)) this.#record.notice(text)
    } catch (error) {
      run.end({ status: 'failed', message: 'it could not be recorded' })
      this.#unrecordable(session, error as Error)
      return undefined
    }
    try {
      const asked = terminal && { ...terminal }
      const host = await session.host.open({ ...request, ...(asked && { terminal: asked }) }, this.#abort.signal)
      if (this.#abort.signal.aborted) host.close()
      this.#host = host
      if (terminal && asked) this.#resizedSince(asked, terminal)
      return host
    } catch (error) {
      const { aborted, reason } = this.#abort.signal
      if (!(error instanceof HostError) && !aborted) throw error
      // The host may have been asked for it before, so nobody can say that it did not run.
      const message = aborted ? `given up while it began: ${(reason as Error).message}` : (error as HostError).message
      run.end({ status: 'failed', message })
      if (!this.#ending) this.#tell(aborted ? { message } : upstreamDown(message))
      this.#recorded((record) => record.exit({}))
      await this.#finish({ code: UNREACHED })
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
    if (!this.#ending) this.#tell(words)
    await this.#finish({ code: REFUSED })
  }

  #unrecordable(session: SshSession, error: Error): void {
    this.#options.log.error({ error: error.message }, 'a channel could not be recorded')
    this.#record = undefined
    void this.end({ message: 'this channel ends: what is said in it can’t be recorded' })
    session.fail('nothing more can be recorded')
  }

  /** @returns whether it is recorded, where there is a record */
  #recorded(write: (record: ChannelRecord) => void): boolean {
    if (!this.#record) return false
    try {
      write(this.#record)
      return true
    } catch (error) {
      this.#options.log.error({ error: (error as Error).message }, 'a channel could not be recorded')
      return false
    }
  }

  #tell(words: Words): void {
    const text = onStderr(words, this.#terminal !== undefined)
    if (this.#record) this.#recorded((record) => record.notice(text))
    else this.#said.push(text)
    if (this.#stream?.stderr.writable) this.#stream.stderr.write(text)
  }

  /** Ends the client's side: what is still to be written, the exit status, EOF, close. */
  #finish(exit: RemoteExit): Promise<void> {
    this.#ending ??= this.#close(exit).catch((error: Error) => {
      this.#options.log.error({ error }, 'a channel could not be ended as it should')
      this.#stream?.close()
    })
    return this.#ending
  }

  async #close({ code, signal, coreDumped }: RemoteExit): Promise<void> {
    const stream = this.#stream!
    this.#input?.discard()
    const [said, written] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    stream.stderr.end(said.resolve)
    if (code !== undefined) stream.exit(code)
    else if (signal !== undefined) stream.exit(signal, coreDumped ?? false, '')
    stream.end(written.resolve)
    this.#closed = true
    await Promise.race([Promise.all([said.promise, written.promise]), this.#left.promise])
  }
}

function answer(taken: boolean, accept: (() => unknown) | undefined, reject: (() => void) | undefined): void {
  if (taken) accept?.()
  else reject?.()
}
