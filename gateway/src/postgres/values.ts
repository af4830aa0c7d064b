import type { Parameter } from '@countersign/contract/approval'
import { utf8 } from './wire/messages.ts'

const DAY_MS = 86_400_000
/** PostgreSQL counts dates and timestamps from 2000-01-01. */
const EPOCH_MS = Date.UTC(2000, 0, 1)

/**
 * A value as people read it: text where it has one, else its bytes.
 * @param type type OID, 0 where unknown
 * @param format 0 text, 1 binary
 */
export function shown(value: Buffer | null, type: number, format: number): Parameter {
  if (value === null) return null
  if (format === 0) return utf8(value) ?? { base64: value.toString('base64') }
  try {
    const text = binary(value, type)
    if (text !== undefined) return text
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  return { base64: value.toString('base64') }
}

/** Binary formats of the common types, as the server's own output functions would write them (src/backend/utils/adt). */
function binary(value: Buffer, type: number): string | undefined {
  switch (type) {
    case 16: // bool
      return value.length === 1 ? (value[0] ? 't' : 'f') : undefined
    case 17: // bytea
      return `\\x${value.toString('hex')}`
    case 20: // int8
      return value.length === 8 ? value.readBigInt64BE().toString() : undefined
    case 21: // int2
      return value.length === 2 ? String(value.readInt16BE()) : undefined
    case 23: // int4
      return value.length === 4 ? String(value.readInt32BE()) : undefined
    case 26: // oid
      return value.length === 4 ? String(value.readUInt32BE()) : undefined
    case 700: // float4
      return value.length === 4 ? shortestSingle(value.readFloatBE()) : undefined
    case 701: // float8
      return value.length === 8 ? String(value.readDoubleBE()) : undefined
    case 18: // "char"
    case 19: // name
    case 25: // text
    case 114: // json
    case 142: // xml
    case 1042: // bpchar
    case 1043: // varchar
      return utf8(value)
    case 1082: // date
      return value.length === 4 ? date(value.readInt32BE()) : undefined
    case 1083: // time
      return value.length === 8 ? time(value.readBigInt64BE()) : undefined
    case 1114: // timestamp
      return value.length === 8 ? timestamp(value.readBigInt64BE()) : undefined
    case 1184: {
      // timestamptz
      const text = value.length === 8 ? timestamp(value.readBigInt64BE()) : undefined
      return text && `${text}+00`
    }
    case 1700: // numeric
      return numeric(value)
    case 2950: // uuid
      return value.length === 16
        ? value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
        : undefined
    case 3802: // jsonb: a version byte, then JSON
      return value[0] === 1 ? utf8(value.subarray(1)) : undefined
    default:
      return undefined
  }
}

function date(days: number): string | undefined {
  const at = new Date(EPOCH_MS + days * DAY_MS)
  const year = at.getUTCFullYear()
  return year >= 1 && year <= 9999 ? at.toISOString().slice(0, 10) : undefined
}

function time(micros: bigint): string | undefined {
  if (micros < 0n || micros > 86_400_000_000n) return undefined
  const seconds = Number(micros / 1_000_000n)
  const pad = (n: number) => String(n).padStart(2, '0')
  const clock = `${pad(Math.floor(seconds / 3600))}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`
  return clock + fraction(micros % 1_000_000n)
}

function timestamp(micros: bigint): string | undefined {
  const day = 86_400_000_000n
  const inDay = ((micros % day) + day) % day
  const days = date(Number((micros - inDay) / day))
  return days && `${days} ${time(inDay)}`
}

function fraction(micros: bigint): string {
  return micros === 0n ? '' : `.${String(micros).padStart(6, '0').replace(/0+$/, '')}`
}

/** numeric_send(): digit count, weight, sign, display scale, then digits to base 10,000. */
function numeric(value: Buffer): string | undefined {
  const count = value.readUInt16BE(0)
  const weight = value.readInt16BE(2)
  const sign = value.readUInt16BE(4)
  const scale = value.readUInt16BE(6)
  if (sign === 0xc000) return 'NaN'
  if (sign === 0xd000) return 'Infinity'
  if (sign === 0xf000) return '-Infinity'
  if (value.length !== 8 + 2 * count || Math.abs(weight) > 2000 || scale > 2000) return undefined
  const digit = (at: number) => (at >= 0 && at < count ? String(value.readUInt16BE(8 + 2 * at)) : '0').padStart(4, '0')
  let whole = ''
  for (let at = 0; at <= weight; at++) whole += digit(at)
  let rest = ''
  for (let at = weight + 1; rest.length < scale; at++) rest += digit(at)
  const text = (whole.replace(/^0+/, '') || '0') + (scale > 0 ? `.${rest.slice(0, scale)}` : '')
  return sign === 0x4000 ? `-${text}` : text
}

/** The fewest digits that still tell a float4 from every other one: two values must not be shown, and approved, as one. */
function shortestSingle(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)))
    if (Math.fround(Number(text)) === value) return text
  }
  return Number.isNaN(value) ? 'NaN' : String(Number(value.toPrecision(9)))
}
