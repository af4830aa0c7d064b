import { type Asked, connectEffect, type Running } from '../commands.ts'
import type { SshSession } from '../session.ts'
import { heldNotice, type Words } from '../words.ts'
import { endingOf, limited, nameIn } from './answers.ts'
import type { Asking } from './asking.ts'
import { contentsOf } from './contents.ts'
import { flagsOf, Handles, MOST_OPEN } from './handles.ts'
import {
  accessesOf,
  copying,
  type NamedRequest,
  type Operation,
  operationOf,
  quoted,
  sentAs,
  setting,
} from './operations.ts'
import { type Place, Unresolved } from './places.ts'
import { Replies } from './replies.ts'
import { extensions, type Of, requestOf } from './requests.ts'
import { Seeking, type Sought, sameAs, withoutPaths } from './seeking.ts'
import type { SftpWays } from './sftp.ts'
import { type Attributes, Fields, FX, FXP, greeting, Malformed, packetWith, underId } from './wire.ts'

const late: Words = {
  message: 'not done: other operations of this agent on files of this connection don’t end',
  hint: 'Try it again once they have.',
}
const changed: Words = { message: 'not done: policy has changed in this moment', hint: 'Try it again.' }
const full: Words = {
  message: `not done: ${MOST_OPEN} files are open in this channel already`,
  hint: 'Close some first.',
}

/** Serves the requests of one channel: decides each, has the host do what was let pass, and records what became of it. */
export class Serving {
  readonly #session: SshSession
  readonly #asking: Asking
  readonly #ways: SftpWays
  readonly #replies: Replies
  readonly #handles: Handles
  /** What was let pass and is answered once, while the host hasn't. */
  readonly #under = new Set<Running>()
  readonly #seeking: Seeking
  /** Aborted once the channel has ended. */
  readonly #gone = new AbortController()
  readonly #signal: AbortSignal
  #left = false
  /** Gives up what waits for people. */
  #held: AbortController | undefined
  #greeting: 'awaited' | 'asked' | 'done' = 'awaited'
  #greeted = Promise.withResolvers<void>()
  /** Whether anything was read: listings name the accounts that own files. */
  #reads = false

  /** @param reply sends to the client, at once */
  constructor(session: SshSession, asking: Asking, ways: SftpWays, reply: (answer: Buffer) => void) {
    this.#session = session
    this.#asking = asking
    this.#ways = ways
    this.#seeking = new Seeking(session, asking)
    this.#signal = AbortSignal.any([ways.signal, this.#gone.signal])
    this.#replies = new Replies(reply, ways.tell)
    this.#handles = new Handles(asking, this.#replies, session.commands, session.target.detect)
  }

  /**
   * A packet of the client. Where it answers a promise, the next one has to wait for it.
   * @throws Malformed where it is none; the promise rejects so where the host's answers are none
   */
  request(packet: Buffer): Promise<void> | undefined {
    if (this.#greeting === 'awaited') return this.#greet(packet)
    const request = requestOf(packet)
    const { id } = request
    switch (request.op) {
      case 'read':
      case 'write':
      case 'close':
      case 'readdir':
      case 'fstat':
      case 'fstatvfs':
      case 'fsync':
        return this.#handles.request(request)
      case 'fsetstat':
        // Whoever may write what is open may cut it off: clients do so behind the last byte.
        if (onlySize(request.attributes) && this.#handles.get(request.handle)?.writes)
          return this.#handles.request(request)
        return this.#fsetstat(request)
      case 'copy':
        return this.#copy(request)
      case 'limits':
        this.#asking.send(packet, (answer) => this.#replies.send(underId(limited(answer), id)))
        return undefined
      case 'accounts':
        if (!this.#reads) return this.#replies.status(id, FX.PERMISSION_DENIED, 'nothing was read here yet')
        this.#asking.send(packet, (answer) => this.#replies.send(underId(answer, id)))
        return undefined
      case 'expand-path':
        return this.#expand(request)
      case 'unknown':
        this.#forbidden(request.what, { message: `${request.what} is not served here` })
        return this.#replies.status(id, FX.OP_UNSUPPORTED, `${request.what} is not served here`)
      case 'unfit': {
        const words = { message: `refused: ${request.why}` }
        this.#forbidden(request.what, words)
        return this.#replies.refuse(id, FX.BAD_MESSAGE, request.what, words)
      }
      case 'realpath': {
        // Where the channel begins is no secret, and every client asks for it first.
        const { base } = this.#seeking
        if (base !== undefined && ['', '.', base].includes(request.name))
          return this.#replies.send(packetWith(FXP.NAME, id, [1, base, base], Buffer.alloc(4)))
        return this.#named(request)
      }
      default:
        if (request.name === '') return this.#replies.status(id, FX.NO_SUCH_FILE, 'No such file')
        return this.#named(request)
    }
  }

  /** A packet of the host. @throws Malformed */
  heard(answer: Buffer): void {
    if (this.#greeting !== 'asked') {
      this.#asking.heard(answer)
      return
    }
    if (answer[4] !== FXP.VERSION) throw new Malformed('it does not begin with its version')
    const fields = new Fields(answer)
    const version = fields.u32()
    if (version !== 3) throw new Malformed(`it speaks version ${version}`)
    const offered: [string, string][] = []
    while (!fields.done) {
      const [name, value] = [fields.word(), fields.word()]
      if (extensions.get(name) === value) offered.push([name, value])
    }
    this.#greeting = 'done'
    this.#replies.send(greeting(FXP.VERSION, 3, offered))
    this.#greeted.resolve()
  }

  /** The client sends nothing more, and so reads nothing more: what it asked for is done, but nobody is asked about it. */
  left(): void {
    this.#left = true
    this.#held?.abort(left())
  }

  /** Nothing more will pass: what is under way has ended. */
  ended(why: string): void {
    this.#gone.abort(new Error(why))
    for (const run of this.#under) run.end({ status: 'failed', message: why })
    this.#under.clear()
    this.#seeking.ended()
    this.#handles.ended(why)
  }

  async #greet(packet: Buffer): Promise<void> {
    if (packet[4] !== FXP.INIT) throw new Malformed('it does not begin with INIT')
    if (new Fields(packet).u32() < 3) throw new Malformed('it speaks a version before 3')
    this.#greeting = 'asked'
    this.#asking.greet(greeting(FXP.INIT, 3))
    await this.#greeted.promise
    const told = await this.#asking.ask(FXP.REALPATH, '.')
    if (!('refused' in told)) {
      const base = nameIn(told.fields)
      if (base?.startsWith('/')) this.#seeking.base = base.replace(/(.)\/+$/, '$1')
    }
    if (this.#seeking.base === undefined) this.#session.log.warn('the host does not tell where its sftp begins')
  }

  /** A request by names: what they mean is found out, decided, and done by the names that were decided. */
  async #named(request: NamedRequest): Promise<void> {
    const { id, op } = request
    const operation = operationOf(request)
    let end = await this.#seeking.turn(operation)
    if (!end) return this.#refuse(id, operation, late)
    try {
      const found = await this.#found(id, operation)
      if (!found) return
      const { asked, text, places, held, looked } = found
      // Nobody else has to wait for people; what was shown to them is looked at again once they have decided.
      if (held) end = end()
      const still = async () => {
        end?.()
        end = await this.#seeking.turn(operation)
        return end !== undefined && sameAs(found, await this.#seeking.look(operation))
      }
      const run = await this.#decided(id, asked, { still, found })
      if (!run) return
      // Policy has come to allow it only now: nobody knows what the names lead to.
      if (!looked) {
        run.end({ status: 'refused', message: changed.message })
        return this.#replies.refuse(id, FX.FAILURE, text, changed)
      }
      const nowhere = places.map(({ is }) => (typeof is === 'object' ? is.unreachable : undefined)).find(Boolean)
      if (nowhere) {
        run.end({ status: 'failed', message: nowhere.message })
        return this.#replies.status(id, nowhere.code, nowhere.message)
      }
      const send = operation.packet(places.map(sentAs))
      if (op === 'open' || op === 'opendir') return await this.#open(request, run, operation, places, send)
      this.#pass(id, send, run, end)
      end = undefined
    } finally {
      end?.()
    }
  }

  async #open(request: NamedRequest, run: Running, { names }: Operation, places: Place[], send: Buffer): Promise<void> {
    const { id } = request
    const refuse = (code: number, words: Words) => {
      run.end({ status: 'refused', message: words.message })
      return this.#replies.refuse(id, code, run.command.text, words)
    }
    if (this.#handles.full) return refuse(FX.FAILURE, full)
    this.#under.add(run)
    const flags = flagsOf(request)
    const opened = await this.#handles.open(send, { run, places, names, flags })
    if ('handle' in opened) {
      const { handle } = opened
      const withheld = flags === undefined || !accessesOf(flags).reads ? undefined : await this.#withheld(handle)
      if (withheld) {
        this.#under.delete(run)
        refuse(FX.PERMISSION_DENIED, withheld)
        this.#handles.close(handle, () => {})
        return
      }
    } else run.end(endingOf(opened.answer))
    this.#under.delete(run)
    this.#replies.send(underId(opened.answer, id))
  }

  /** Why a file that was opened to be read is not handed out, by what it holds. */
  async #withheld(handle: string): Promise<Words | undefined> {
    const { target, commands } = this.#session
    const kinds = target.detect.filter((kind) => !commands.reveals(kind))
    if (kinds.length === 0) return undefined
    const file = this.#handles.get(handle)
    if (file) file.without = kinds
    const { holds, ...more } = await contentsOf(this.#asking, handle, kinds)
    if (holds === 'nothing') return undefined
    const why = 'why' in more ? more.why : `it holds what is to be masked (${(holds as string[]).join(', ')})`
    return {
      message: `not handed out: ${why}`,
      hint: 'Files can’t be masked on their way. Read it by a command, whose output is, or ask for data:reveal.',
    }
  }

  async #fsetstat({ id, packet, handle, attributes }: Of<'fsetstat'>): Promise<void> {
    const file = this.#handles.get(handle)
    if (!file) return this.#replies.status(id, FX.FAILURE, 'there is no such handle')
    const run = await this.#decided(id, this.#seeking.asked(setting(file.names, attributes), file.places))
    if (!run) return
    const { tally } = file
    if (attributes.size !== undefined) tally?.cut(attributes.size)
    this.#pass(id, packet, run, undefined, (done) => attributes.size !== undefined && tally?.cutOff(done))
  }

  async #copy({ id, packet, handle, to, offset, length, toOffset }: Of<'copy'>): Promise<void> {
    const [from, into] = [this.#handles.get(handle), this.#handles.get(to)]
    if (!from?.tally || !into?.tally) return this.#replies.status(id, FX.FAILURE, 'there is no such handle')
    if (!this.#handles.readable(handle) || !into.writes)
      return this.#replies.status(id, FX.PERMISSION_DENIED, 'they were not opened to be read and to be written')
    const operation = copying(from.names, into.names, { offset, length, toOffset })
    const run = await this.#decided(id, this.#seeking.asked(operation, [...from.places, ...into.places]))
    if (!run) return
    into.tally.broken()
    this.#pass(id, packet, run)
  }

  /** `~` and `~/…` alone: whom else the host knows is for nobody to find out here. */
  async #expand(request: Of<'expand-path'>): Promise<void> {
    const { id, name } = request
    const known = { ...request, op: 'realpath' as const }
    if (!name.startsWith('~')) return this.#named(known)
    if (name !== '~' && !name.startsWith('~/')) {
      const words = { message: 'refused: ~ alone is served' }
      this.#forbidden(`expand-path ${quoted(name)}`, words)
      return this.#replies.refuse(id, FX.PERMISSION_DENIED, quoted(name), words)
    }
    const told = await this.#asking.ask(FXP.EXTENDED, 'expand-path@openssh.com', '~')
    if ('refused' in told) return this.#replies.status(id, told.refused.code, told.refused.message)
    const home = nameIn(told.fields)
    if (home === undefined) return this.#replies.status(id, FX.FAILURE, 'the host does not tell where ~ is')
    known.name = `${home}${name.slice(1)}`
    return this.#named(known)
  }

  /** What is answered once, and ends with it. */
  #pass(id: number, send: Buffer, run: Running, end?: () => void, heard?: (done: boolean) => void): void {
    this.#under.add(run)
    this.#asking.send(send, (answer) => {
      end?.()
      this.#under.delete(run)
      const ending = endingOf(answer)
      heard?.(ending.status === 'completed')
      run.end(ending)
      this.#replies.send(underId(answer, id))
    })
  }

  /** @returns undefined where nobody can tell where its names lead: the client has its answer then */
  async #found(id: number, operation: Operation): Promise<Sought | undefined> {
    try {
      return await this.#seeking.found(operation)
    } catch (error) {
      if (!(error instanceof Unresolved)) throw error
      return this.#refuse(id, operation, { message: `refused: ${error.message}` })
    }
  }

  /** Refuses what policy wasn't asked about, and records it. */
  #refuse(id: number, operation: Operation, words: Words): undefined {
    const asked = this.#seeking.askedByName(operation)
    this.#recordRefused(asked, words)
    return this.#replies.refuse(id, FX.FAILURE, asked.text, words)
  }

  /** Records what nobody may do, and of which no names can be told. */
  #forbidden(text: string, words: Words): void {
    const effects = [connectEffect(this.#session.target.ref.name)]
    this.#recordRefused({ text, kind: 'request', effects, meaning: {} }, words)
  }

  #recordRefused(asked: Asked, words: Words): void {
    const { refused, fatal } = this.#session.commands.refuse(asked, words)
    if (fatal) this.#session.fail(refused.message)
  }

  /** @returns undefined where it isn't let pass: the client has its answer then */
  async #decided(
    id: number,
    asked: Asked,
    { still, found }: { still?: () => Promise<boolean>; found?: Sought } = {},
  ): Promise<Running | undefined> {
    const { hold } = this.#ways
    const given = new AbortController()
    const answer = await this.#session.commands.submit({
      ...asked,
      ...(still && { still }),
      ...{ signal: AbortSignal.any([this.#signal, given.signal]), hold: hold() },
      onHeld: (notice) => {
        this.#replies.notice(asked.text, heldNotice(notice).message)
        this.#held = given
        if (this.#left) given.abort(left())
      },
    })
    this.#held = undefined
    if ('run' in answer) {
      if (asked.effects.some(({ action }) => action === 'sftp:read')) this.#reads = true
      return answer.run
    }
    const text = found?.text ?? asked.text
    this.#replies.refuse(id, FX.PERMISSION_DENIED, text, found ? withoutPaths(answer.refused, found) : answer.refused)
    if (answer.fatal) this.#session.fail(answer.refused.message)
    return undefined
  }
}

const left = () => new Error('the client has gone')

const onlySize = ({ size, owner, mode, times }: Attributes): boolean =>
  size !== undefined && owner === undefined && mode === undefined && times === undefined
