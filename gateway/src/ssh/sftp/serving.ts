import type { Asked, Running } from '../commands.ts'
import type { SshSession } from '../session.ts'
import { heldNotice, type Words } from '../words.ts'
import { type Asking, statusOf } from './asking.ts'
import { type Opened, Tally } from './files.ts'
import {
  accessesOf,
  askedOf,
  baseOf,
  copying,
  type NamedRequest,
  type Operation,
  operationOf,
  quoted,
  sentAs,
  setting,
} from './operations.ts'
import { oneName, type Place, placeOf, Unresolved } from './places.ts'
import { extensions, LONGEST_HANDLE, type Of, type Request, requestOf } from './requests.ts'
import type { SftpWays } from './sftp.ts'
import { Fields, FX, FXF, FXP, greeting, Malformed, packetWith, status, underId } from './wire.ts'

/** Files and directories of one channel at once. */
const MOST_OPEN = 1024
/** Refusals that are told on stderr, each in a line; the answers say so in any case. */
const MOST_TOLD = 200
/** A longer READ is cut to it, as OpenSSH's server does: an answer may be short. */
const LONGEST_READ = 255 * 1024

const silent: Words = { message: 'the rest of what is refused in this channel is told in its answers alone' }
const noLonger: Words = { message: 'policy does not allow it any more' }

/** Serves the requests of one channel: decides each, has the host do what was let pass, and records what became of it. */
export class Serving {
  readonly #session: SshSession
  readonly #asking: Asking
  readonly #ways: SftpWays
  readonly #send: (answer: Buffer) => void
  readonly #opened = new Map<string, Opened>()
  #greeting: 'awaited' | 'asked' | 'done' = 'awaited'
  #greeted = Promise.withResolvers<void>()
  /** Where relative names begin; undefined while the host hasn't said it. */
  #base: string | undefined
  #opening = 0
  #told = 0

  /** @param reply sends to the client, at once */
  constructor(session: SshSession, asking: Asking, ways: SftpWays, reply: (answer: Buffer) => void) {
    this.#session = session
    this.#asking = asking
    this.#ways = ways
    this.#send = reply
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
        this.#byHandle(request)
        return undefined
      case 'fsetstat':
        return this.#fsetstat(request)
      case 'copy':
        return this.#copy(request)
      case 'limits':
        this.#asking.send(request.packet, (answer) => this.#reply(underId(limited(answer), id)))
        return undefined
      case 'expand-path':
        return this.#expand(request)
      case 'unknown':
        this.#reply(status(id, FX.OP_UNSUPPORTED, `${request.what} is not served here`))
        return undefined
      case 'unfit':
        this.#refuse(id, FX.BAD_MESSAGE, 'sftp', { message: `refused: ${request.why}` })
        return undefined
      case 'realpath':
        // Where the channel begins is no secret, and every client asks for it first.
        if (['', '.', this.#base].includes(request.name) && this.#base !== undefined) {
          this.#reply(nameAnswer(id, this.#base))
          return undefined
        }
        return this.#named(request, operationOf(request))
      default:
        if (request.name === '') {
          this.#reply(status(id, FX.NO_SUCH_FILE, 'No such file'))
          return undefined
        }
        return this.#named(request, operationOf(request))
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
    this.#reply(greeting(FXP.VERSION, 3, offered))
    this.#greeted.resolve()
  }

  /** Nothing more will pass: what is open has ended. */
  ended(why: string): void {
    for (const file of this.#opened.values()) {
      file.failure ??= why
      this.#done(file)
    }
    this.#opened.clear()
  }

  async #greet(packet: Buffer): Promise<void> {
    if (packet[4] !== FXP.INIT) throw new Malformed('it does not begin with INIT')
    if (new Fields(packet).u32() < 3) throw new Malformed('it speaks a version before 3')
    this.#greeting = 'asked'
    this.#asking.greet(greeting(FXP.INIT, 3))
    await this.#greeted.promise
    const told = await this.#asking.ask(FXP.REALPATH, '.')
    if (!('refused' in told)) {
      const base = oneName(told.fields)
      if (base.startsWith('/')) this.#base = base.replace(/(.)\/+$/, '$1')
    }
    if (this.#base === undefined) this.#session.log.warn('the host does not tell where its sftp begins')
  }

  #byHandle(request: Extract<Request, { handle: string }>): undefined {
    const { id, packet, op } = request
    const file = this.#opened.get(request.handle)
    if (!file) return this.#reply(status(id, FX.FAILURE, 'there is no such handle'))
    if (op === 'close') return this.#close(file, request)
    if (!this.#session.commands.mayGoOn(file.run))
      return this.#refuse(id, FX.PERMISSION_DENIED, file.run.command.text, noLonger)
    const pass = (heard?: (answer: Buffer) => void): undefined => {
      file.unanswered++
      this.#asking.send(packet, (answer) => {
        heard?.(answer)
        this.#reply(underId(answer, id))
        file.unanswered--
        this.#doneIfClosed(file)
      })
    }
    switch (op) {
      case 'read': {
        const { offset, length } = request
        const { tally } = file
        if (!tally || !file.reads) return this.#reply(status(id, FX.PERMISSION_DENIED, 'it was not opened to be read'))
        const most = Math.min(length, LONGEST_READ)
        packet.writeUInt32BE(most, packet.length - 4)
        return pass((answer) => {
          if (answer[4] === FXP.DATA) {
            const data = new Fields(answer, 9).bytes()
            if (data.length > most) throw new Malformed('it sends more than was asked for')
            tally.read(offset, data)
          } else if (statusOf(answer).code === FX.EOF) tally.end(offset)
          else file.failure ??= statusOf(answer).message
        })
      }
      case 'write': {
        const { offset, data } = request
        const { tally } = file
        if (!tally || !file.writes)
          return this.#reply(status(id, FX.PERMISSION_DENIED, 'it was not opened to be written'))
        tally.writing(offset, data)
        return pass((answer) => {
          const { code, message } = statusOf(answer)
          if (code === FX.OK) tally.written(data.length)
          else {
            tally.broken()
            file.failure ??= message
          }
        })
      }
      case 'readdir':
        if (file.tally) return this.#reply(status(id, FX.FAILURE, 'it is no directory'))
        return pass((answer) => {
          if (answer[4] === FXP.NAME) file.listed += new Fields(answer, 9).u32()
        })
      case 'fsync':
        if (!file.writes) return this.#reply(status(id, FX.PERMISSION_DENIED, 'it was not opened to be written'))
        return pass()
      default:
        return pass()
    }
  }

  #close(file: Opened, { id, packet, handle }: Extract<Request, { handle: string }>): undefined {
    this.#opened.delete(handle)
    file.closing = true
    const { tally } = file
    file.unanswered++
    // Asked once all that was sent is done, so what it says is what there is.
    if (tally?.open)
      this.#asking.send(packetWith(FXP.FSTAT, 0, [Buffer.from(handle, 'latin1')], Buffer.alloc(0)), (answer) => {
        const { size } = answer[4] === FXP.ATTRS ? new Fields(answer, 9).attributes() : {}
        if (size !== undefined) tally.size(size)
      })
    this.#asking.send(packet, (answer) => {
      const { code, message } = statusOf(answer)
      if (code !== FX.OK) file.failure ??= message
      this.#reply(underId(answer, id))
      file.unanswered--
      this.#doneIfClosed(file)
    })
  }

  #doneIfClosed(file: Opened): void {
    if (file.closing && file.unanswered === 0) this.#done(file)
  }

  #done({ run, tally, listed, failure }: Opened): void {
    const transferred = tally?.transferred()
    const tag = transferred ? `${transferred.read + transferred.written} bytes` : `${listed} names`
    run.end({
      status: failure === undefined ? 'completed' : 'failed',
      tag,
      ...(failure !== undefined && { message: failure }),
      ...(transferred && { transferred }),
    })
  }

  /** A request by names: what they mean is found out, decided, and done by the names that were decided. */
  async #named(request: NamedRequest, operation: Operation): Promise<void> {
    const { id, op } = request
    const places = await this.#placesOf(id, operation)
    if (!places) return
    const asked = this.#asked(operation, places)
    const still = async () => {
      const again = await this.#places(operation)
      return JSON.stringify(again) === JSON.stringify(places)
    }
    const run = await this.#decided(id, asked, still)
    if (!run) return
    const nowhere = places.map(({ is }) => (typeof is === 'object' ? is.unreachable : undefined)).find(Boolean)
    if (nowhere) {
      run.end({ status: 'failed', message: nowhere.message })
      return this.#reply(status(id, nowhere.code, nowhere.message))
    }
    const send = operation.packet(places.map(sentAs))
    if (op === 'open' || op === 'opendir') return this.#open(request, run, operation, places, send)
    this.#asking.send(send, (answer) => {
      run.end(endingOf(answer))
      this.#reply(underId(answer, id))
    })
  }

  #open(
    request: Of<'open'> | Extract<Request, { name: string }>,
    run: Running,
    operation: Operation,
    places: readonly Place[],
    send: Buffer,
  ): undefined {
    const { id } = request
    if (this.#opened.size + this.#opening >= MOST_OPEN) {
      run.end({ status: 'failed', message: 'too many files are open' })
      return this.#refuse(id, FX.FAILURE, run.command.text, {
        message: `not done: ${MOST_OPEN} files are open in this channel already`,
        hint: 'Close some first.',
      })
    }
    const flags = request.op === 'open' ? request.flags : undefined
    const access = flags === undefined ? { reads: true, writes: false } : accessesOf(flags)
    const empty = flags !== undefined && (flags & (FXF.TRUNC | FXF.EXCL)) !== 0
    this.#opening++
    this.#asking.send(send, (answer) => {
      this.#opening--
      if (answer[4] === FXP.HANDLE) {
        const handle = new Fields(answer, 9).word()
        if (handle.length > LONGEST_HANDLE) throw new Malformed('its handle is longer than handles are')
        if (this.#opened.has(handle)) throw new Malformed('it gives the same handle twice')
        this.#opened.set(handle, {
          ...{ run, places, ...access },
          names: operation.names,
          ...(flags !== undefined && { tally: new Tally(empty && access.writes) }),
          ...{ listed: 0, unanswered: 0, closing: false, failure: undefined },
        })
      } else run.end(endingOf(answer))
      this.#reply(underId(answer, id))
    })
  }

  async #fsetstat({ id, packet, handle, attributes }: Of<'fsetstat'>): Promise<void> {
    const file = this.#opened.get(handle)
    if (!file) return this.#reply(status(id, FX.FAILURE, 'there is no such handle'))
    const run = await this.#decided(id, this.#asked(setting(file.names, attributes), file.places))
    if (!run) return
    if (attributes.size !== undefined) file.tally?.broken()
    this.#asking.send(packet, (answer) => {
      run.end(endingOf(answer))
      this.#reply(underId(answer, id))
    })
  }

  async #copy({ id, packet, handle, to, offset, length, toOffset }: Of<'copy'>): Promise<void> {
    const [from, into] = [this.#opened.get(handle), this.#opened.get(to)]
    if (!from?.tally || !into?.tally) return this.#reply(status(id, FX.FAILURE, 'there is no such handle'))
    if (!from.reads || !into.writes)
      return this.#reply(status(id, FX.PERMISSION_DENIED, 'they were not opened to be read and to be written'))
    const operation = copying(from.names, into.names, { offset, length, toOffset })
    const run = await this.#decided(id, this.#asked(operation, [...from.places, ...into.places]))
    if (!run) return
    into.tally.broken()
    this.#asking.send(packet, (answer) => {
      run.end(endingOf(answer))
      this.#reply(underId(answer, id))
    })
  }

  /** `~` and `~/…` alone: whom else the host knows is for nobody to find out here. */
  async #expand(request: Of<'expand-path'>): Promise<void> {
    const { id, name } = request
    const known = { ...request, op: 'realpath' as const }
    if (!name.startsWith('~')) return this.#named(known, operationOf(known))
    if (name !== '~' && !name.startsWith('~/'))
      return this.#refuse(id, FX.PERMISSION_DENIED, quoted(name), { message: 'refused: only ~ of one’s own is served' })
    const told = await this.#asking.ask(FXP.EXTENDED, 'expand-path@openssh.com', '~')
    if ('refused' in told) return this.#reply(status(id, told.refused.code, told.refused.message))
    const home = oneName(told.fields)
    known.name = `${home}${name.slice(1)}`
    return this.#named(known, operationOf(known))
  }

  #asked(operation: Operation, places: readonly Place[]): Asked {
    return askedOf(this.#session.target.ref.name, this.#base ?? '/', operation, places)
  }

  /** Where the names of an operation lead; answers the client where that can't be told. */
  async #placesOf(id: number, operation: Operation): Promise<Place[] | undefined> {
    try {
      return await this.#places(operation)
    } catch (error) {
      if (!(error instanceof Unresolved)) throw error
      const text = [operation.kind, ...operation.names.map(({ name }) => quoted(name))].join(' ')
      this.#refuse(id, FX.FAILURE, text, { message: `refused: ${error.message}` })
      return undefined
    }
  }

  async #places({ names }: Operation): Promise<Place[]> {
    const places: Place[] = []
    for (const named of names) {
      const { name, follow } = named
      if (this.#base === undefined && !name.startsWith('/') && named.beside === undefined)
        throw new Unresolved('the host does not tell where relative names begin')
      places.push(await placeOf(this.#asking, baseOf(named, this.#base ?? '/', places), name, follow))
    }
    return places
  }

  /** @returns undefined where it isn't let pass: the client has its answer then */
  async #decided(id: number, asked: Asked, still?: () => Promise<boolean>): Promise<Running | undefined> {
    const { signal, tell, hold } = this.#ways
    const answer = await this.#session.commands.submit({
      ...asked,
      ...(still && { still }),
      ...{ signal, hold: hold() },
      onHeld: (notice) => {
        const { message } = heldNotice(notice)
        tell({ message: `${printable(asked.text)}: ${message}` })
      },
    })
    if ('run' in answer) return answer.run
    this.#refuse(id, FX.PERMISSION_DENIED, asked.text, answer.refused)
    if (answer.fatal) this.#session.fail(answer.refused.message)
    return undefined
  }

  #reply(answer: Buffer): undefined {
    this.#send(answer)
  }

  #refuse(id: number, code: number, text: string, words: Words): undefined {
    this.#reply(status(id, code, words.message))
    if (this.#told > MOST_TOLD) return
    this.#ways.tell(this.#told++ === MOST_TOLD ? silent : { ...words, message: `${printable(text)}: ${words.message}` })
  }
}

/** How a request ended that is answered once. */
function endingOf(answer: Buffer): Parameters<Running['end']>[0] {
  if (answer[4] !== FXP.STATUS) return { status: 'completed' }
  const { code, message } = statusOf(answer)
  return code === FX.OK ? { status: 'completed' } : { status: 'failed', message }
}

const nameAnswer = (id: number, name: string): Buffer => packetWith(FXP.NAME, id, [1, name, name], Buffer.alloc(4))

/** The limits that a host tells, no larger than what passes here (PROTOCOL, section 4.8). */
function limited(answer: Buffer): Buffer {
  if (answer[4] !== FXP.EXTENDED_REPLY) return answer
  const fields = new Fields(answer, 9)
  const [length, read, write, handles] = [fields.u64(), fields.u64(), fields.u64(), fields.u64()]
  const least = (told: bigint, most: number) => (told === 0n || told > most ? BigInt(most) : told)
  const most = Buffer.alloc(32)
  most.writeBigUInt64BE(least(length, 256 * 1024), 0)
  most.writeBigUInt64BE(least(read, LONGEST_READ), 8)
  most.writeBigUInt64BE(least(write, LONGEST_READ), 16)
  most.writeBigUInt64BE(least(handles, MOST_OPEN), 24)
  return packetWith(FXP.EXTENDED_REPLY, 0, [], most)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** Names are made by anybody: what moves a terminal's cursor is shown as it is written, and not done. */
const printable = (text: string): string =>
  text.replace(UNPRINTABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
