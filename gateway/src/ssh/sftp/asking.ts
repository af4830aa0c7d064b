import type { Duplex } from 'node:stream'
import { Fields, FX, FXP, idOf, Malformed, MOST_PACKET, packet, underId } from './wire.ts'

/** Hears the answer of one request; it may keep the packet. @throws Malformed where it is not one */
export type Heard = (answer: Buffer) => void
/** Hears that no answer will come. */
export type Lost = (why: Error) => void

/** What may answer each type of request, beside STATUS. */
const answers: ReadonlyMap<number, number> = new Map([
  [FXP.OPEN, FXP.HANDLE],
  [FXP.OPENDIR, FXP.HANDLE],
  [FXP.READ, FXP.DATA],
  [FXP.READDIR, FXP.NAME],
  [FXP.REALPATH, FXP.NAME],
  [FXP.READLINK, FXP.NAME],
  [FXP.STAT, FXP.ATTRS],
  [FXP.LSTAT, FXP.ATTRS],
  [FXP.FSTAT, FXP.ATTRS],
])

/** An answer to a question of the gateway's own. */
export type Told = { type: number; fields: Fields } | { refused: Status }
export interface Status {
  code: number
  message: string
}

/**
 * The requests that a host has yet to answer. It knows them by ids of ours: what the client calls them is its own
 * affair, and questions of the gateway's own stand between them.
 */
export class Asking {
  readonly #host: Duplex
  readonly #waiting = new Map<number, { type: number; heard: Heard; lost: Lost | undefined }>()
  #next = 0
  #over: Error | undefined

  constructor(host: Duplex) {
    this.#host = host
  }

  /** How many the host has yet to answer. */
  get unanswered(): number {
    return this.#waiting.size
  }

  /** False once the host can't take more for now: its stream tells by `drain`. */
  get given(): boolean {
    return !this.#host.writableNeedDrain
  }

  /** Sends INIT, which has no id. */
  greet(init: Buffer): void {
    this.#host.write(init)
  }

  /** Sends a packet under an id of ours, written into it. Where the channel ends before the answer, `lost` is told. */
  send(request: Buffer, heard: Heard, lost?: Lost): void {
    if (this.#over) {
      lost?.(this.#over)
      return
    }
    const id = this.#free()
    this.#waiting.set(id, { type: request[4]!, heard, lost })
    this.#host.write(underId(request, id))
  }

  /** The host answers nothing any more. */
  end(why: Error): void {
    this.#over ??= why
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { lost } of waiting) lost?.(why)
  }

  /** Asks something for the gateway itself. Rejects where the channel ends first. */
  ask(type: number, ...fields: (string | Buffer | number)[]): Promise<Told> {
    return this.askWith(packet(type, 0, ...fields))
  }

  /** The same with a packet that is made already. */
  askWith(request: Buffer): Promise<Told> {
    return new Promise((resolve, reject) => {
      const heard = (answer: Buffer) => {
        const type = answer[4]!
        resolve(type === FXP.STATUS ? { refused: statusOf(answer) } : { type, fields: new Fields(answer, 9) })
      }
      this.send(request, heard, reject)
    })
  }

  /** A packet of the host. @throws Malformed for an answer to nothing, or of another kind than was asked for */
  heard(answer: Buffer): void {
    const id = idOf(answer)
    const waiting = this.#waiting.get(id)
    if (!waiting) throw new Malformed('an answer that nobody asked for')
    const type = answer[4]!
    const expected = waiting.type === FXP.EXTENDED ? [FXP.EXTENDED_REPLY, FXP.NAME] : [answers.get(waiting.type)]
    if (type !== FXP.STATUS && !expected.includes(type as never))
      throw new Malformed(`an answer of type ${type} to a request of type ${waiting.type}`)
    this.#waiting.delete(id)
    waiting.heard(answer)
  }

  #free(): number {
    do this.#next = (this.#next + 1) >>> 0
    while (this.#waiting.has(this.#next))
    return this.#next
  }
}

/** @throws Malformed where it isn't a whole STATUS */
export function statusOf(answer: Buffer): Status {
  const fields = new Fields(answer, 9)
  const code = fields.u32()
  // Message and language came with version 3; hosts that think they are older leave them out.
  const message = fields.done ? '' : fields.bytes().toString().slice(0, 500)
  return { code, message: message || wordsOf(code) }
}

function wordsOf(code: number): string {
  if (code === FX.NO_SUCH_FILE) return 'No such file'
  if (code === FX.PERMISSION_DENIED) return 'Permission denied'
  if (code === FX.EOF) return 'End of file'
  if (code === FX.OK) return 'Success'
  return 'Failure'
}

/** What a host may send at once: a READ's answer is cut to it, and a listing is as long as the host likes within it. */
export const MOST_ANSWER = MOST_PACKET + 1024
