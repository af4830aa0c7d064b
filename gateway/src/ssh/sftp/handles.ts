import type { DetectedKind } from '../../masking/detectors.ts'
import type { Commands, Running } from '../commands.ts'
import type { Words } from '../words.ts'
import { type Asking, statusOf } from './asking.ts'
import { type Opened, Tally } from './files.ts'
import { accessesOf, type Named } from './operations.ts'
import type { Place } from './places.ts'
import type { Replies } from './replies.ts'
import { LONGEST_HANDLE, type Of, type Request } from './requests.ts'
import { Fields, FX, FXF, FXP, Malformed, packet, underId } from './wire.ts'

/** Files and directories of one channel at once. */
export const MOST_OPEN = 1024
/** A longer READ is cut to it, as OpenSSH's server does: an answer may be short. */
export const LONGEST_READ = 255 * 1024

const noLonger: Words = { message: 'policy does not allow it any more' }

/** A request of a handle that is bound to what was decided when it was opened. */
export type HandleRequest = Extract<Request, { handle: string }> & {
  op: 'read' | 'write' | 'close' | 'readdir' | 'fstat' | 'fstatvfs' | 'fsync' | 'fsetstat'
}

/** What a request to open was decided to be. */
export interface Opening {
  run: Running
  names: readonly Named[]
  places: readonly Place[]
  /** Of OPEN; undefined for a directory. */
  flags: number | undefined
}

/** The files and directories that the host has open for one channel. */
export class Handles {
  readonly #asking: Asking
  readonly #replies: Replies
  readonly #commands: Commands
  readonly #detect: readonly DetectedKind[]
  readonly #open = new Map<string, Opened>()
  /** Those, too, that the host has yet to close. */
  readonly #all = new Set<Opened>()
  #coming = 0

  /** @param detect what is looked for in files, where policy doesn't reveal it */
  constructor(asking: Asking, replies: Replies, commands: Commands, detect: readonly DetectedKind[]) {
    this.#detect = detect
    this.#asking = asking
    this.#replies = replies
    this.#commands = commands
  }

  /** Whether no more may be opened. */
  get full(): boolean {
    return this.#open.size + this.#coming >= MOST_OPEN
  }

  get(handle: string): Opened | undefined {
    return this.#open.get(handle)
  }

  /** As `get`, for what is to be read now. */
  readable(handle: string): Opened | undefined {
    const file = this.#open.get(handle)
    return file?.reads && this.#commands.mayGoOn(file.run) && !this.#hidden(file) ? file : undefined
  }

  /**
   * Has the host open something.
   * @returns its handle, which the client may use from now on; or what the host said. Rejects where the channel ends
   */
  open(send: Buffer, opening: Opening): Promise<{ handle: string; answer: Buffer } | { answer: Buffer }> {
    this.#coming++
    return new Promise((resolve, reject) => {
      const heard = (answer: Buffer) => {
        this.#coming--
        if (answer[4] !== FXP.HANDLE) return resolve({ answer })
        const handle = new Fields(answer, 9).word()
        if (handle.length > LONGEST_HANDLE) throw new Malformed('its handle is longer than handles are')
        if (this.#open.has(handle)) throw new Malformed('it gives the same handle twice')
        const file = opened(opening)
        this.#open.set(handle, file)
        this.#all.add(file)
        resolve({ handle, answer })
      }
      this.#asking.send(send, heard, reject)
    })
  }

  /** Passes on what is within what was decided, and keeps count of it. */
  request(request: HandleRequest): undefined {
    const { id, packet, op } = request
    const file = this.#open.get(request.handle)
    if (!file) return this.#replies.status(id, FX.FAILURE, 'there is no such handle')
    if (op === 'close') return this.close(request.handle, (answer) => this.#replies.send(underId(answer, id)))
    const { run, tally } = file
    if (!this.#commands.mayGoOn(run)) return this.#replies.refuse(id, FX.PERMISSION_DENIED, run.command.text, noLonger)
    switch (op) {
      case 'read': {
        if (!tally || !file.reads) return this.#not(id, 'read')
        if (this.#hidden(file)) return this.#replies.refuse(id, FX.PERMISSION_DENIED, run.command.text, noLonger)
        const length = Math.min(request.length, LONGEST_READ)
        packet.writeUInt32BE(length, packet.length - 4)
        return this.#pass(file, request, (answer) => read(file, tally, request.offset, length, answer))
      }
      case 'write': {
        if (!tally || !file.writes) return this.#not(id, 'written')
        const { offset, data } = request
        const bytes = data.length
        tally.writing(offset, data)
        return this.#pass(file, request, (answer) => written(file, tally, bytes, answer))
      }
      case 'readdir':
        if (tally) return this.#replies.status(id, FX.FAILURE, 'it is no directory')
        return this.#pass(file, request, (answer) => {
          if (answer[4] === FXP.NAME) file.listed += new Fields(answer, 9).u32()
        })
      case 'fsetstat':
        if (!tally || !file.writes) return this.#not(id, 'written')
        tally.cut(request.attributes.size ?? 0n)
        return this.#pass(file, request, (answer) => tally.cutOff(statusOf(answer).code === FX.OK))
      case 'fsync':
        if (!file.writes) return this.#not(id, 'written')
        return this.#pass(file, request)
      default:
        return this.#pass(file, request)
    }
  }

  /** @param heard told the host's answer */
  close(handle: string, heard: (answer: Buffer) => void): undefined {
    const file = this.#open.get(handle)!
    this.#open.delete(handle)
    file.closing = true
    file.unanswered++
    const { tally } = file
    const bytes = Buffer.from(handle, 'latin1')
    // Asked once all that was sent is done, so what it says is what there is.
    if (tally?.open)
      this.#asking.send(packet(FXP.FSTAT, 0, bytes), (answer) => {
        const { size } = answer[4] === FXP.ATTRS ? new Fields(answer, 9).attributes() : {}
        if (size !== undefined) tally.size(size)
      })
    this.#asking.send(packet(FXP.CLOSE, 0, bytes), (answer) => {
      const { code, message } = statusOf(answer)
      if (code !== FX.OK) file.failure ??= message
      heard(answer)
      this.#answered(file)
    })
  }

  /** Nothing more will pass: what is open has ended. */
  ended(why: string): void {
    for (const file of this.#all) {
      file.failure ??= why
      this.#done(file)
    }
    this.#open.clear()
  }

  /** Whether it may hold what policy let be seen when it was opened, and doesn't any more. */
  #hidden({ without }: Opened): boolean {
    return this.#detect.some((kind) => !without.includes(kind) && !this.#commands.reveals(kind))
  }

  #not(id: number, done: string): undefined {
    return this.#replies.status(id, FX.PERMISSION_DENIED, `it was not opened to be ${done}`)
  }

  #pass(file: Opened, { id, packet }: HandleRequest, heard?: (answer: Buffer) => void): undefined {
    file.unanswered++
    this.#asking.send(packet, (answer) => {
      heard?.(answer)
      this.#replies.send(underId(answer, id))
      this.#answered(file)
    })
  }

  #answered(file: Opened): void {
    file.unanswered--
    if (file.closing && file.unanswered === 0) this.#done(file)
  }

  #done(file: Opened): void {
    const { run, tally, listed, failure } = file
    this.#all.delete(file)
    const transferred = tally?.transferred()
    run.end({
      status: failure === undefined ? 'completed' : 'failed',
      tag: transferred ? `${transferred.read + transferred.written} bytes` : `${listed} names`,
      ...(failure !== undefined && { message: failure }),
      ...(transferred && { transferred }),
    })
  }
}

function opened({ run, names, places, flags }: Opening): Opened {
  const access = flags === undefined ? { reads: true, writes: false } : accessesOf(flags)
  return {
    ...{ run, names, places, ...access },
    ...(flags !== undefined && { tally: new Tally(beginsAs(flags)) }),
    ...{ without: [], listed: 0, unanswered: 0, closing: false, failure: undefined },
  }
}

/** EXCL says that a file is new where CREAT is there, too; alone it says nothing. */
function beginsAs(flags: number): 'empty' | 'anyhow' | 'known' {
  const { APPEND, CREAT, TRUNC, EXCL } = FXF
  if ((flags & TRUNC) !== 0 || ((flags & CREAT) !== 0 && (flags & EXCL) !== 0)) return 'empty'
  return (flags & APPEND) !== 0 ? 'anyhow' : 'known'
}

function read(file: Opened, tally: Tally, offset: number, most: number, answer: Buffer): void {
  if (answer[4] === FXP.DATA) {
    const data = new Fields(answer, 9).bytes()
    if (data.length > most) throw new Malformed('it sends more than was asked for')
    tally.read(offset, data)
    return
  }
  const { code, message } = statusOf(answer)
  if (code === FX.EOF) tally.end(offset)
  else file.failure ??= message
}

function written(file: Opened, tally: Tally, bytes: number, answer: Buffer): void {
  const { code, message } = statusOf(answer)
  if (code === FX.OK) tally.written(bytes)
  else {
    tally.broken()
    file.failure ??= message
  }
}

/** Of a request to open. */
export const flagsOf = (request: Request): number | undefined =>
  request.op === 'open' ? (request as Of<'open'>).flags : undefined
