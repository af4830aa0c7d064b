import type { Logger } from 'pino'
import type { ConnectionRef, Effect, Gate } from '../../gate/command.ts'
import type { Entrance, Entry } from '../../gate/entrance.ts'
import type { AgentPrincipal } from '../../identity/principal.ts'
import type { SignIns } from '../../identity/sign-ins.ts'
import { EndReason, type LiveSession, type Sessions } from '../../sessions/session.ts'
import type { Channels } from '../channels/channels.ts'
import { Commands, connectEffect } from '../commands.ts'
import type { SshSession, Visitor, Wishes } from '../session.ts'
import type { SshTarget } from '../target.ts'
import { connectHost } from '../upstream/connect.ts'
import type { Host } from '../upstream/host.ts'
import { heldNotice, noConnection, type Words } from '../words.ts'
import { asRefused, internal, Refused, whyOf } from './refused.ts'
import type { SignedIn } from './sign-in.ts'

export interface VisitOptions {
  target: (name: string) => SshTarget | undefined
  entrance: Entrance
  signIns: Pick<SignIns, 'refused'>
  sessions: Sessions
  gate: Gate
  approvals: () => { hold: 'wait' | 'fail' }
  /** How long it may ask for nothing (ms). */
  idleMs: number
  address: string
  /** What the client calls itself (RFC 4253, section 4.2). */
  application?: string
  log: Logger
}

/** How a channel waits for the session. */
type Waiting = Parameters<Visitor['begin']>[1]
type Begun = Awaited<ReturnType<Visitor['begin']>>

const CONNECT = 'connect'
/** How long a refused client may take to hear of it (ms). */
const TOLD_MS = 1000
/** So much of what nobody may do is told and recorded, of each connection. */
const MOST_FORBIDDEN = 50
const LONGEST_FORBIDDEN = 300
/** Characters; what is longer is cut. */
const LONGEST_PURPOSE = 500

/** A signed-in client, from then until its connection is gone: {@link Visitor}. */
export class Visit implements Visitor {
  /** The name of the connection that it wants; nobody has said yet that there is one. */
  readonly wanted: string
  readonly agent: AgentPrincipal
  /** Resolves once nothing of it is left. Never rejects. */
  readonly closed: Promise<void>
  readonly #options: VisitOptions
  readonly #close = Promise.withResolvers<void>()
  readonly #over = new AbortController()
  /** Ends the connection, in order; resolves once it is gone. */
  readonly #hangUp: () => Promise<void>
  #channels: Channels | undefined
  #opening:
    | { purpose: string | undefined; waiting: Set<Waiting>; answer: Promise<Begun>; given: AbortController }
    | undefined
  #live: LiveSession | undefined
  #commands: Commands | undefined
  #host: Host | undefined
  #log: Logger
  #forbiddens = 0
  #idle: NodeJS.Timeout | undefined

  constructor({ agent, user }: SignedIn, hangUp: () => Promise<void>, options: VisitOptions) {
    this.wanted = user
    this.agent = agent
    this.#hangUp = hangUp
    this.#options = options
    this.#log = options.log
    this.closed = this.#close.promise
    this.#waits()
  }

  /** Ends it where nothing was begun for long, or its token has ended before. */
  #waits(): void {
    const left = this.agent.expiresAt.getTime() - Date.now()
    this.#idle = setTimeout(
      () => {
        if (!this.#opening) void this.end({ message: 'nothing was asked for in time', hint: 'Connect again.' })
      },
      Math.min(Math.max(left, 0), this.#options.idleMs),
    )
  }

  /** To be called once, before anything can be asked for. */
  serves(channels: Channels): void {
    this.#channels = channels
  }

  /** Nothing was begun yet, so nobody watches whether it may still come in. */
  get isIdle(): boolean {
    return this.#live === undefined && this.#opening === undefined
  }

  async begin(asked: Wishes, how: Waiting): Promise<Begun> {
    const wishes: Wishes = {
      ...asked,
      ...(asked.purpose !== undefined && { purpose: asked.purpose.slice(0, LONGEST_PURPOSE).toWellFormed() }),
    }
    // Who comes while that is given up which nobody waited for any more begins anew.
    for (let gone = this.#opening; gone?.given.signal.aborted; gone = this.#opening) {
      await gone.answer
      if (this.#opening === gone) break
    }
    const { reason } = this.#over.signal
    if (reason) return { refused: { message: (reason as Error).message }, fatal: true }
    if (this.#opening && wishes.purpose !== undefined && wishes.purpose !== this.#opening.purpose)
      return { refused: otherPurpose, fatal: false }
    this.#opening ??= this.#begins(wishes)
    const { waiting, answer, given } = this.#opening
    waiting.add(how)
    const left = () => {
      waiting.delete(how)
      if (waiting.size === 0) given.abort(how.signal.reason)
    }
    how.signal.addEventListener('abort', left, { once: true })
    if (how.signal.aborted) left()
    try {
      return await answer
    } finally {
      how.signal.removeEventListener('abort', left)
      waiting.delete(how)
    }
  }

  forbidden(text: string): void {
    if (++this.#forbiddens > MOST_FORBIDDEN) return
    const what = text.slice(0, LONGEST_FORBIDDEN).replace(/\p{C}/gu, '\ufffd')
    const more = this.#forbiddens === MOST_FORBIDDEN && { more: 'what follows is not told' }
    this.#log.info({ what, ...more }, 'what nobody may do was refused')
    const connection = this.#live?.connection.name
    if (!this.#commands || connection === undefined || this.#over.signal.aborted) return
    const answer = this.#commands.refuse(
      { text: what, kind: 'forward', effects: [forwardEffect(connection, what)], meaning: {} },
      { message: 'forwarding is for nobody' },
    )
    if (answer.fatal) void this.end(answer.refused)
  }

  /** New things are refused; it ends once nothing runs. */
  async drain(words: Words): Promise<void> {
    await this.#channels?.drain(words)
    await this.end(words)
  }

  /** Tells why on every channel, and ends session and connection. Idempotent, never rejects. */
  end(words: Words, why = words.message): Promise<void> {
    if (this.#over.signal.aborted) return this.closed
    clearTimeout(this.#idle)
    this.#over.abort(new Error(words.message))
    void this.#ends(words, why)
      .catch((error) => this.#log.error({ error }, 'a connection could not be ended in order'))
      .finally(this.#close.resolve)
    return this.closed
  }

  /** A grant is gone and others stay: what runs by that one alone can't be taken back from the host otherwise. */
  #lessened({ message }: EndReason): void {
    if (this.#commands?.lessened(message)) void this.end({ message })
  }

  async #ends(words: Words, why: string): Promise<void> {
    const told = this.#channels?.close(words)
    this.#host?.close()
    await told
    // What was being opened meanwhile ends as well, whoever waited for it.
    await this.#opening?.answer
    await this.#live?.close('closed', why).catch((error) => this.#log.error({ error }, 'a session could not be closed'))
    await this.#hangUp()
  }

  #begins(wishes: Wishes) {
    clearTimeout(this.#idle)
    const given = new AbortController()
    const waiting = new Set<Waiting>()
    const tell = (words: Words) => {
      for (const one of waiting) one.tell(words)
    }
    const signal = AbortSignal.any([given.signal, this.#over.signal])
    const answer = this.#open(wishes, tell, signal).catch((error): Begun => {
      if (given.signal.aborted && !this.#over.signal.aborted) {
        this.#opening = undefined
        this.#waits()
      }
      const refused = this.#refusedBy(error)
      if (this.#opening) void this.#goes(refused.refused)
      return refused
    })
    return { purpose: wishes.purpose ?? this.agent.token?.purpose, waiting, answer, given }
  }

  async #open(wishes: Wishes, tell: (words: Words) => void, signal: AbortSignal): Promise<SshSession> {
    const { agent } = this
    const { sessions, address, application, gate } = this.#options
    const purpose = wishes.purpose ?? agent.token?.purpose
    const { target, entry } = this.#permitted(purpose)
    const live = await sessions.open({
      connection: target.ref,
      protocol: 'ssh',
      agent,
      ...(purpose === undefined ? {} : { purpose }),
      entrance: { entry, connect: connectEffect(target.ref.name) },
      client: { address, ...(application === undefined ? {} : { application }) },
    })
    this.#log = this.#log.child({ session: live.id })
    this.#live = live
    const ended = () => void this.end({ message: reasonOf(live.ended) })
    live.ended.addEventListener('abort', ended, { once: true })
    live.onLessened((reason) => this.#lessened(reason))
    try {
      if (live.ended.aborted) ended()
      const commands = new Commands(live, gate, purpose, this.#log)
      this.#commands = commands
      const hold = () => wishes.hold ?? this.#options.approvals().hold
      const asked = connecting(target)
      const answer = await commands.submit({ ...asked, hold: hold(), signal, onHeld: held(tell) })
      // It may have come to be denied since it was permitted: that says no more than if it always had been.
      if (!('run' in answer))
        throw new Refused(
          commands.preview(asked).outcome === 'deny' ? noConnection : answer.refused,
          answer.refused.message,
        )
      const running = answer.run
      const host = await connectHost(target, signal, this.#log).catch((error) => {
        running.end({ status: 'failed', message: (error as Error).message })
        throw error
      })
      running.end({ status: 'completed' })
      if (signal.aborted) {
        host.close()
        throw signal.reason
      }
      this.#host = host
      void host.closed.then((why) => this.end({ message: `the host closed the connection: ${why}` }))
      this.#log.info({ purpose }, 'session opened')
      let channels = 0
      const log = this.#log
      const nextChannel = () => String(++channels)
      const fail = (because: string) => {
        log.error({ because }, 'a session could not go on')
        void this.end({ message: because })
      }
      return { live, target, commands, host, hold, log, nextChannel, fail }
    } catch (error) {
      live.ended.removeEventListener('abort', ended)
      if (!this.#over.signal.aborted) {
        this.#live = undefined
        await live.close('closed', whyOf(error)).catch(() => {})
      }
      throw error
    }
  }

  /** Whether the agent may come in: every refusal has the same words. */
  #permitted(purpose: string | undefined): { target: SshTarget; entry: Entry } {
    const { agent, wanted } = this
    const { signIns, address } = this.#options
    const noted = (reason: string, connection?: string) =>
      signIns.refused({ via: 'ssh', address, who: agent, ...(connection !== undefined && { connection }), reason })
    const target = this.#options.target(wanted)
    if (!target) {
      noted('there is no such connection')
      throw new Refused(noConnection, `there is no connection ${JSON.stringify(wanted.slice(0, 100))}`)
    }
    const entry = this.#options.entrance.enter(agent, target.ref)
    if ('refused' in entry) {
      noted(entry.refused, target.ref.name)
      throw new Refused(noConnection, `${agent.id} may not open ${target.ref.name}: ${entry.refused}`)
    }
    const preview = this.#options.gate.preview({
      protocol: 'ssh',
      connection: target.ref,
      agent,
      session: { id: '', ...(purpose === undefined ? {} : { purpose }), backing: entry.backing },
      ...connecting(target),
      parameters: [],
    })
    if (preview.outcome === 'deny' && target.ref.mode === 'enforce') {
      entry.left()
      noted('policy does not let it in', target.ref.name)
      throw new Refused(noConnection, `${agent.id} may not open ${target.ref.name}: ${preview.reason}`)
    }
    return { target, entry }
  }

  /** The connection is of no use any more: it goes once its channels have been told. */
  async #goes(words: Words): Promise<void> {
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, TOLD_MS)
    await Promise.race([this.#channels?.drain(words), late.promise])
    clearTimeout(timer)
    await this.end(words)
  }

  #refusedBy(error: unknown): { refused: Words; fatal: boolean } {
    const { reason } = this.#over.signal
    const refused = this.#over.signal.aborted
      ? new Refused({ message: (reason as Error).message }, (reason as Error).message)
      : asRefused(error)
    if (!refused) this.#log.error({ err: error }, 'a session failed while it was opened')
    else this.#log.info({ why: refused.why }, 'session refused')
    return { refused: refused?.words ?? internal, fatal: true }
  }
}

const held = (tell: (words: Words) => void) => (notice: Parameters<typeof heldNotice>[0]) => tell(heldNotice(notice))

/** Opening the connection is a command too: decided, held where policy says so, and recorded. */
const connecting = ({ ref }: { ref: ConnectionRef }) => ({
  text: CONNECT,
  kind: CONNECT,
  effects: [connectEffect(ref.name)],
  meaning: {},
})

const forwardEffect = (connection: string, argv: string): Effect => ({
  action: 'ssh:forward',
  resource: { type: 'Connection', id: connection },
  command: { argv, program: '', shell: false },
})

const otherPurpose: Words = {
  message: 'this connection began with another purpose',
  hint: 'Open another connection for this one (ssh -o ControlPath=none).',
}

function reasonOf(ended: AbortSignal): string {
  return ended.reason instanceof EndReason ? ended.reason.message : 'the session was ended'
}
