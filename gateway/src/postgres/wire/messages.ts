import { isUtf8 } from 'node:buffer'

/** Type bytes of the frontend/backend protocol 3 that this gateway looks at (both directions share some). */
export const T = {
  // from a client
  Bind: 0x42, // B
  Close: 0x43, // C
  Describe: 0x44, // D
  Execute: 0x45, // E
  FunctionCall: 0x46, // F
  Flush: 0x48, // H
  Parse: 0x50, // P
  Query: 0x51, // Q
  Sync: 0x53, // S
  Terminate: 0x58, // X
  CopyFail: 0x66, // f
  Password: 0x70, // p, also SASL answers
  // both ways
  CopyDone: 0x63, // c
  CopyData: 0x64, // d
  // from a server
  ParseComplete: 0x31,
  BindComplete: 0x32,
  CloseComplete: 0x33,
  NotificationResponse: 0x41, // A
  CommandComplete: 0x43, // C
  DataRow: 0x44, // D
  ErrorResponse: 0x45, // E
  CopyInResponse: 0x47, // G
  CopyOutResponse: 0x48, // H
  EmptyQueryResponse: 0x49, // I
  BackendKeyData: 0x4b, // K
  NoticeResponse: 0x4e, // N
  Authentication: 0x52, // R
  ParameterStatus: 0x53, // S
  RowDescription: 0x54, // T
  CopyBothResponse: 0x57, // W
  ReadyForQuery: 0x5a, // Z
  NoData: 0x6e, // n
  PortalSuspended: 0x73, // s
  ParameterDescription: 0x74, // t
  NegotiateProtocolVersion: 0x76, // v
} as const

const empty = Buffer.alloc(0)

/** Packs a message: type byte, length, body. */
export function message(type: number, ...body: Buffer[]): Buffer {
  let length = 4
  for (const part of body) length += part.length
  const out = Buffer.allocUnsafe(length + 1)
  out[0] = type
  out.writeUInt32BE(length, 1)
  let at = 5
  for (const part of body) {
    part.copy(out, at)
    at += part.length
  }
  return out
}

export function int16(value: number): Buffer {
  const out = Buffer.allocUnsafe(2)
  out.writeUInt16BE(value)
  return out
}

export function int32(value: number): Buffer {
  const out = Buffer.allocUnsafe(4)
  out.writeUInt32BE(value >>> 0)
  return out
}

/** A zero-terminated string. */
export function cstring(text: string): Buffer {
  if (text.includes('\0')) throw new Error('a string on the wire holds no zero byte')
  return Buffer.from(`${text}\0`)
}

export const SYNC = message(T.Sync)
export const FLUSH = message(T.Flush)
export const TERMINATE = message(T.Terminate)

export const query = (text: string) => message(T.Query, cstring(text))
export const parse = (name: string, text: string) => message(T.Parse, cstring(name), cstring(text), int16(0))
export const describePortal = (portal: string) => message(T.Describe, Buffer.from('P'), cstring(portal))
export const describeStatement = (name: string) => message(T.Describe, Buffer.from('S'), cstring(name))
export const closePortal = (name: string) => message(T.Close, Buffer.from('P'), cstring(name))
export const closeStatement = (name: string) => message(T.Close, Buffer.from('S'), cstring(name))
/** Binds without parameters, all results as text. */
export const bind = (portal: string, statement: string) =>
  message(T.Bind, cstring(portal), cstring(statement), int16(0), int16(0), int16(0))
export const execute = (portal: string) => message(T.Execute, cstring(portal), int32(0))
export const readyForQuery = (status: number) => message(T.ReadyForQuery, Buffer.from([status]))
export const parameterStatus = (name: string, value: string) =>
  message(T.ParameterStatus, cstring(name), cstring(value))

/** Fields of an ErrorResponse or NoticeResponse. https://www.postgresql.org/docs/18/protocol-error-fields.html */
export interface Report {
  severity: 'ERROR' | 'FATAL' | 'NOTICE' | 'WARNING'
  code: string
  message: string
  detail?: string
  hint?: string
}

export function report(fields: Report): Buffer {
  const notice = fields.severity === 'NOTICE' || fields.severity === 'WARNING'
  const parts = [`S${fields.severity}`, `V${fields.severity}`, `C${fields.code}`, `M${fields.message}`]
  if (fields.detail) parts.push(`D${fields.detail}`)
  if (fields.hint) parts.push(`H${fields.hint}`)
  const body = parts.map((part) => part.replaceAll('\0', '')).join('\0')
  return message(notice ? T.NoticeResponse : T.ErrorResponse, Buffer.from(`${body}\0\0`))
}

/** The fields of an ErrorResponse or NoticeResponse by their letter. */
export function reportFields(frame: Buffer): Record<string, string> {
  const fields: Record<string, string> = {}
  const cursor = new Cursor(frame)
  while (cursor.left > 1) {
    const letter = String.fromCharCode(cursor.byte())
    fields[letter] = cursor.cstring()
  }
  return fields
}

/** Reads a message's body; throws RangeError past its end. */
export class Cursor {
  readonly #frame: Buffer
  #at: number

  constructor(frame: Buffer, at = 5) {
    this.#frame = frame
    this.#at = at
  }

  get left(): number {
    return this.#frame.length - this.#at
  }

  byte(): number {
    return this.#frame.readUInt8(this.#move(1))
  }

  int16(): number {
    return this.#frame.readInt16BE(this.#move(2))
  }

  int32(): number {
    return this.#frame.readInt32BE(this.#move(4))
  }

  bytes(length: number): Buffer {
    if (length < 0) throw new RangeError('a length below zero')
    const from = this.#move(length)
    return this.#frame.subarray(from, from + length)
  }

  /** Bytes up to a zero byte, which is passed. */
  zeroTerminated(): Buffer {
    const end = this.#frame.indexOf(0, this.#at)
    if (end < 0) throw new RangeError('a string without its end')
    const out = this.#frame.subarray(this.#at, end)
    this.#at = end + 1
    return out
  }

  cstring(): string {
    return this.zeroTerminated().toString()
  }

  #move(length: number): number {
    const from = this.#at
    if (from + length > this.#frame.length) throw new RangeError('a message shorter than it says')
    this.#at = from + length
    return from
  }
}

/** UTF-8 text, or undefined where the bytes are none. */
export function utf8(bytes: Buffer): string | undefined {
  return isUtf8(bytes) ? bytes.toString() : undefined
}

export interface Column {
  name: string
  /** OID of the relation that it comes from, 0 where it is computed. */
  table: number
  /** Number of the column there, 0 for a whole row. */
  attnum: number
  type: number
  /** 0 text, 1 binary */
  format: number
}

/** Descriptions read before: a statement is described each time it runs, most often in the same bytes. */
const read = new Map<string, Column[]>()
const READ = { descriptions: 512, length: 2048 }

/** The columns of a RowDescription; must not be changed, since those of the same bytes are the same. */
export function columnsOf(rowDescription: Buffer): Column[] {
  if (rowDescription.length > READ.length) return columnsIn(rowDescription)
  const bytes = rowDescription.toString('latin1')
  let columns = read.get(bytes)
  if (!columns) {
    columns = columnsIn(rowDescription)
    if (read.size >= READ.descriptions) read.delete(read.keys().next().value!)
    read.set(bytes, columns)
  }
  return columns
}

function columnsIn(rowDescription: Buffer): Column[] {
  const cursor = new Cursor(rowDescription)
  const columns: Column[] = []
  for (let n = cursor.int16(); n > 0; n--) {
    const name = cursor.cstring()
    const table = cursor.int32() >>> 0
    const attnum = cursor.int16()
    const type = cursor.int32() >>> 0
    cursor.bytes(6) // type size, modifier
    columns.push({ name, table, attnum, type, format: cursor.int16() })
  }
  return columns
}

/** The values of a DataRow: bytes, or null. */
export function valuesOf(dataRow: Buffer): (Buffer | null)[] {
  const cursor = new Cursor(dataRow)
  const values: (Buffer | null)[] = []
  for (let n = cursor.int16(); n > 0; n--) {
    const length = cursor.int32()
    values.push(length < 0 ? null : length === 0 ? empty : cursor.bytes(length))
  }
  return values
}

/** Statement and portal names count by their first 63 bytes: the server's tables cut them there (NAMEDATALEN). */
export function nameOf(cursor: Cursor): string {
  const whole = cursor.zeroTerminated()
  if (whole.length === 0) return ''
  const bytes = whole.length > 63 ? whole.subarray(0, 63) : whole
  return utf8(bytes) ?? `\0${bytes.toString('latin1')}`
}

export interface BindMessage {
  portal: string
  statement: string
  formats: number[]
  parameters: (Buffer | null)[]
  resultFormats: number[]
}

export function bindOf(frame: Buffer): BindMessage {
  const cursor = new Cursor(frame)
  const portal = nameOf(cursor)
  const statement = nameOf(cursor)
  const formats = list(cursor, () => cursor.int16())
  const parameters = list(cursor, () => {
    const length = cursor.int32()
    return length < 0 ? null : cursor.bytes(length)
  })
  const resultFormats = list(cursor, () => cursor.int16())
  return { portal, statement, formats, parameters, resultFormats }
}

function list<V>(cursor: Cursor, next: () => V): V[] {
  const out: V[] = []
  for (let n = cursor.int16() & 0xffff; n > 0; n--) out.push(next())
  return out
}
