import { Exposure } from './masked/exposure.ts'
import type { MaskedResult } from './masked/result.ts'
import type { Change, Portal, Prepared } from './names.ts'
import type { Words } from './refusal.ts'
import type { Run } from './run.ts'
import { ProtocolViolation, RELAY, type Take, WHOLE } from './wire/framer.ts'
import { type Column, Cursor, columnsOf, report, reportFields, T, valuesOf } from './wire/messages.ts'

/** One message sent to the server whose answer has yet to come, or has yet to come to its end. */
export interface Entry {
  kind: 'parse' | 'bind' | 'describe' | 'execute' | 'close' | 'sync' | 'query' | 'copy-end'
  /** Sent by the gateway for itself: the client sees nothing of the answer (an error inside the client's batch it does). */
  ours?: boolean
  inBatch?: boolean
  run?: Run
  portal?: Portal<Run>
  /** What the answer to a Describe tells about. */
  describes?: Prepared | Portal<Run>
  change?: Change
  /** What the statements of a text do to names, one list for each; done as each completes. */
  sql?: (() => void)[]
  completed?: number
  /** Classes hidden from the agent that the server could speak of in answering it; of a command its run says so. */
  hidden?: readonly string[]
  /** It commits, or may: what was done before it in the transaction can speak in what the server says of it. */
  settles?: boolean
  /** It may change what others see, or keep locks. */
  writes?: boolean
  /** Called once it is answered, refused or skipped. */
  settled?: () => void
  /** The client is to read this instead of the error that was provoked. */
  words?: () => Words
  /** A Sync that the server may have ignored. */
  doubtful?: boolean
  answer?: { rows: (string | null)[][]; resolve: (rows: (string | null)[][]) => void; reject: (error: Error) => void }
}

export interface ReplyEvents {
  /** ReadyForQuery: I idle, T in a transaction, E in a failed one. */
  ready(status: number, entry: Entry): void
  parameter(name: string, value: string): void
  /** An ErrorResponse that answers nothing, or is fatal: the server is about to close. */
  parting(code: string, message: string): void
}

export const IDLE = 0x49
export const FAILED = 0x45

/**
 * What is outstanding at the server, in the order in which it was sent, and what each answer means for it: the same idea
 * as pgbouncer's outstanding_requests. Answers are matched by place alone, so whatever is sent upstream must be pushed here.
 */
export class Outstanding {
  #entries: Entry[] = []
  #events: ReplyEvents
  #maxMessage: () => number
  #waiters: (() => void)[] = []
  readonly #exposure: Exposure | undefined
  #copyOutBinary = false
  /** Runs that have rows to be written before the bytes read so far go on. */
  readonly touched = new Set<Run>()
  /** Transaction status of the last ReadyForQuery. */
  status = IDLE
  /** The server is in COPY FROM STDIN, and the client hasn't ended it. */
  copyIn = false
  /** The server skips everything up to a Sync that hasn't been sent. */
  discarding = false
  /** The server has begun to take COPY data, and hasn't said what became of it. */
  #copying = false
  /**
   * How many of the Syncs outstanding may never be answered: those sent amid COPY data, which the server ignores while it
   * takes data and answers once that has failed. Which they are is told by what it answers next.
   */
  #doubtful = 0
  /** The only Sync that can have ended the server's skipping is a doubtful one. */
  #maySkip = false

  /** @param masking classes that the agent may not see, now; absent where the connection has no rules of masking */
  constructor(events: ReplyEvents, maxMessage: () => number, masking?: { readonly hidden: readonly string[] }) {
    this.#events = events
    this.#exposure = masking && new Exposure(masking)
    this.#maxMessage = maxMessage
  }

  get empty(): boolean {
    return this.#entries.every((entry) => entry.kind === 'copy-end')
  }

  /** Whether nothing of the client's is: what the gateway asks for itself nobody can cancel. */
  get emptyForClient(): boolean {
    return this.#entries.every((entry) => entry.kind === 'copy-end' || entry.ours)
  }

  /** Commands that the server has not answered yet. */
  get runs(): Run[] {
    return this.#entries.flatMap(({ run }) => (run && !run.ended ? [run] : []))
  }

  /** Whether something that writes is outstanding. */
  writes(): boolean {
    return this.#entries.some((entry) => entry.writes)
  }

  /** Whether somebody waits, and it takes an answer to something else to know that nothing is outstanding. */
  get stalled(): boolean {
    if (this.#doubtful === 0 || this.#waiters.length === 0) return false
    return this.#entries.every(({ kind }) => kind === 'sync' || kind === 'copy-end')
  }

  /** Resolves once every answer has come. */
  drained(): Promise<void> {
    if (this.empty) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiters.push(resolve)
    })
  }

  push(entry: Entry): void {
    if (this.copyIn) {
      // In COPY FROM STDIN the server ignores Sync and takes nothing else but the end of the data.
      if (entry.kind === 'copy-end') this.copyIn = false
      else if (entry.kind === 'sync') this.#entries.push(this.#doubt(entry))
      else throw new ProtocolViolation('a command was sent in the middle of COPY data')
      return
    }
    if (this.#maySkip && entry.kind !== 'copy-end') {
      if (entry.kind !== 'sync') throw new ProtocolViolation('a command was sent after a failed COPY, without a Sync')
      this.#maySkip = false
    }
    if (this.discarding) {
      if (entry.kind !== 'sync') {
        abandon(entry, true)
        return
      }
      this.discarding = false
    }
    this.#entries.push(entry)
  }

  /** What becomes of a message of the server, by its header. */
  take(type: number, length: number): Take {
    if (type === T.DataRow || type === T.CopyData) {
      const head = this.#entries[0]
      if (!head) throw new ProtocolViolation('the server sent rows that nobody asked for')
      const { run } = head
      if (head.ours) return WHOLE
      if (!run) return RELAY
      if (run.masked && type === T.DataRow && !run.masked.isDescribed) run.masked.described(head.portal?.columns)
      if (run.keeps(length)) return WHOLE
      if (run.masked?.masksRows) {
        if (length > this.#maxMessage())
          throw new ProtocolViolation('a row that is to be masked is longer than limits.max_message')
        return WHOLE
      }
      run.passed()
      this.touched.add(run)
      return RELAY
    }
    if (length > this.#maxMessage())
      throw new ProtocolViolation('the server sent a message longer than limits.max_message')
    return WHOLE
  }

  /** A whole message of the server. Answers whether it goes on to the client, or what goes on in its place. */
  reply(type: number, frame: Buffer): boolean | Buffer {
    switch (type) {
      case T.NoticeResponse:
        if (this.#entries[0]?.ours) return false
        return this.#exposure?.notice(frame, this.#entries[0]) ?? true
      case T.NotificationResponse:
        return this.#exposure?.notification(frame) ?? true
      case T.ParameterStatus: {
        const cursor = new Cursor(frame)
        const name = cursor.cstring()
        this.#events.parameter(name, cursor.cstring())
        return this.#exposure?.tells(name, this.#entries[0]) ?? true
      }
    }
    while (this.#entries[0]?.kind === 'copy-end' || this.#ignored(type)) this.#entries.shift()
    const head = this.#entries[0]
    if (type === T.ErrorResponse) return this.#error(head, frame)
    if (!head) throw new ProtocolViolation('the server answered something that nobody asked')
    switch (type) {
      case T.DataRow:
        if (head.answer) head.answer.rows.push(valuesOf(frame).map((value) => value?.toString() ?? null))
        else if (head.run) {
          if (head.portal && head.run.undescribed) head.run.columns(columnsFor(head.portal))
          this.touched.add(head.run)
          if (head.run.masked) return maskedRow(head.run, head.run.masked, frame)
          head.run.row(valuesOf(frame), frame.length)
        }
        break
      case T.CopyData:
        if (!head.run) break
        this.touched.add(head.run)
        if (head.run.masked) return maskedCopy(head.run, head.run.masked, frame, this.#copyOutBinary)
        head.run.copyRow(frame.subarray(5), this.#copyOutBinary, frame.length)
        break
      case T.ParseComplete:
        this.#expect(head, 'parse')
        return this.#done(head)
      case T.BindComplete:
        this.#expect(head, 'bind')
        return this.#done(head)
      case T.CloseComplete:
        this.#expect(head, 'close')
        return this.#done(head)
      case T.ParameterDescription: {
        this.#expect(head, 'describe')
        const cursor = new Cursor(frame)
        const types: number[] = []
        for (let n = cursor.int16() & 0xffff; n > 0; n--) types.push(cursor.int32() >>> 0)
        if (head.describes) head.describes.types = types
        break
      }
      case T.RowDescription:
        if (head.kind === 'describe') {
          if (head.describes) head.describes.columns = columnsOf(frame)
          return this.#done(head)
        }
        if (head.run && (head.run.masked || !head.run.full)) {
          const columns = columnsOf(frame)
          head.run.columns(columns)
          head.run.masked?.described(columns)
        }
        break
      case T.NoData:
        this.#expect(head, 'describe')
        if (head.describes) head.describes.columns = []
        return this.#done(head)
      case T.CommandComplete:
      case T.EmptyQueryResponse:
        if (type === T.CommandComplete) head.run?.tag(new Cursor(frame).cstring())
        if (this.#copying) this.#copied()
        head.completed = (head.completed ?? 0) + 1
        if (head.kind === 'query') {
          head.run?.flush()
          head.run?.masked?.next()
          head.sql?.[head.completed - 1]?.()
          break
        }
        this.#expect(head, 'execute')
        for (const change of head.sql ?? []) change()
        head.run?.end()
        return this.#done(head)
      case T.PortalSuspended:
        this.#expect(head, 'execute')
        return this.#done(head)
      case T.CopyInResponse:
        this.#copyInBegins()
        break
      case T.CopyOutResponse:
        this.#copyOutBinary = frame[5] === 1
        head.run?.columns([{ name: 'copy', table: 0, attnum: 0, type: 25, format: this.#copyOutBinary ? 1 : 0 }])
        head.run?.masked?.copyBegins(frame)
        break
      case T.CopyDone: {
        const rest = head.run?.masked?.copyEnds()
        if (rest && rest.length > 0) return Buffer.concat([rest, frame])
        break
      }
      case T.ReadyForQuery:
        if (head.kind !== 'query' && head.kind !== 'sync')
          throw new ProtocolViolation('the server is ready out of turn')
        this.status = frame[5]!
        head.run?.end()
        this.#done(head)
        if (this.status === IDLE) this.#exposure?.clear()
        this.#events.ready(this.status, head)
        return !head.ours
      default:
        throw new ProtocolViolation(`the server sent a message of type ${JSON.stringify(String.fromCharCode(type))}`)
    }
    return !head.ours
  }

  /** The connection is gone: nothing will be answered any more. */
  abandonAll(sqlstate: string, message: string): void {
    const entries = this.#entries.splice(0)
    for (const entry of entries) {
      entry.run?.failed(sqlstate, message)
      abandon(entry, false)
    }
    this.#wake()
  }

  #expect(head: Entry, kind: Entry['kind']): void {
    if (head.kind !== kind) throw new ProtocolViolation('the server’s answers are out of step')
  }

  #done(head: Entry): boolean {
    this.#entries.shift()
    this.#exposure?.add(head)
    if (head.kind === 'sync') this.#maySkip = false
    if (this.#entries[0]?.kind !== 'sync' && this.#entries[0]?.kind !== 'copy-end') this.#doubtful = 0
    head.change?.confirm()
    head.settled?.()
    head.answer?.resolve(head.answer.rows)
    this.#wake()
    return !head.ours
  }

  #error(head: Entry | undefined, frame: Buffer): boolean | Buffer {
    const heard = this.#exposure?.report(frame, head)
    const fields = reportFields(heard?.recorded ?? frame)
    const code = fields.C ?? ''
    if (!head || fields.V === 'FATAL' || fields.V === 'PANIC') {
      this.#events.parting(code, fields.M ?? '')
      return heard?.agent ?? true
    }
    this.#exposure?.add(head)
    this.copyIn = false
    this.#copying = false
    head.run?.failed(code, fields.M ?? '')
    const words = head.words?.()
    if (head.kind !== 'query' && head.kind !== 'sync') {
      // The server now skips everything up to the next Sync, a Query too.
      const sync = this.#entries.findIndex((entry) => entry.kind === 'sync')
      this.discarding = sync < 0
      this.#maySkip = sync >= 0 && !this.#entries.some((entry) => entry.kind === 'sync' && !entry.doubtful)
      const skipped = this.#entries.splice(0, sync < 0 ? this.#entries.length : sync)
      for (const entry of skipped.slice(1).reverse()) abandon(entry, true)
      head.change?.undo(false)
      head.settled?.()
      head.run?.end()
      head.answer?.reject(new Error(fields.M))
      this.#wake()
    }
    if (words) return report({ severity: 'ERROR', ...words })
    return !head.ours || head.inBatch === true ? (heard?.agent ?? true) : false
  }

  #copyInBegins(): void {
    if (this.#copying) this.#copied()
    this.#copying = true
    for (let at = 1; at < this.#entries.length; at++) {
      const entry = this.#entries[at]!
      if (entry.kind === 'copy-end') {
        this.#entries.splice(at, 1)
        return
      }
      if (entry.kind !== 'sync') throw new ProtocolViolation('a command was sent ahead in the middle of COPY data')
      this.#doubt(entry)
    }
    if (this.#waiters.length > 0) throw new ProtocolViolation('a command was sent in the middle of COPY data')
    this.copyIn = true
  }

  #doubt(sync: Entry): Entry {
    if (!sync.doubtful) this.#doubtful++
    sync.doubtful = true
    return sync
  }

  /** COPY FROM STDIN has come to its end: the Syncs amid its data were ignored. */
  #copied(): void {
    this.#copying = false
    this.#doubtful = 0
    this.#entries = this.#entries.filter((entry) => !entry.doubtful)
  }

  /** Whether the first Sync outstanding is told by an answer to something behind it to have been ignored. */
  #ignored(type: number): boolean {
    if (this.#doubtful === 0 || type === T.ReadyForQuery || this.#entries[0]?.kind !== 'sync') return false
    this.#doubtful--
    return true
  }

  #wake(): void {
    if (this.#waiters.length === 0 || !this.empty) return
    for (const resolve of this.#waiters.splice(0)) resolve()
  }
}

/** A row of a result that may have classified columns. */
function maskedRow(run: Run, masked: MaskedResult, frame: Buffer): boolean | Buffer {
  const kept = run.keeps(frame.length)
  const row = masked.row(frame, kept)
  if (kept) run.row(row.values, frame.length)
  else run.passed()
  return row.frame ?? true
}

function maskedCopy(run: Run, masked: MaskedResult, frame: Buffer, binary: boolean): boolean | Buffer {
  const kept = run.keeps(frame.length)
  const copied = masked.copy(frame, kept)
  if (kept) run.copyRow(copied.data, binary, frame.length)
  else run.passed()
  if (copied.frame === undefined) return true
  return copied.frame.length > 0 && copied.frame
}

function abandon(entry: Entry, skipped: boolean): void {
  entry.change?.undo(skipped)
  entry.settled?.()
  if (skipped) entry.run?.failed('25000', 'skipped by the server after an earlier error')
  entry.run?.end()
  entry.answer?.reject(new Error('skipped after an error'))
}

/** Columns of a portal, from its own description or its statement's with the formats that Bind asked for. */
function columnsFor(portal: Portal<Run>): Column[] {
  if (portal.columns) return portal.columns
  const formats = portal.resultFormats
  const format = (at: number) => (formats.length === 1 ? formats[0]! : (formats[at] ?? 0))
  const columns = portal.statement?.columns
  return columns?.map((column, at) => ({ ...column, format: format(at) })) ?? []
}
