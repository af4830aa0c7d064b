import { isUtf8 } from 'node:buffer'
import { createHmac } from 'node:crypto'
import { canonical } from './canonical.ts'
import { encodeCidr, encodeDate, encodeInterval, encodeNumeric, encodeTime, encodeTimestamp, int64 } from './encode.ts'
import { partly } from './partial.ts'

/** The ways to mask (gateway.yaml, `masking.style`). */
export type MaskingStyle = 'redact' | 'partial' | 'hash' | 'null'

/** The class of what was computed from, or read together with, classified columns. It is only ever redacted or NULL. */
export const DERIVED = 'derived'

export interface MaskedColumn {
  /** pg_type.oid of the column, as RowDescription has it (a domain is its base type there). */
  typeOid: number
  /** 0 text, 1 binary. */
  format: 0 | 1
  dataClass: string
}

/**
 * Masks one value. What it answers is valid for the column's type in the column's format, whatever the value was: a
 * client that parses it finds a uuid, a number, a date. Where a type has no value that says "masked" without telling a
 * lie or a secret (bool, enums, composites, types that aren't known), it answers NULL.
 * @param value the bytes of the wire, text in UTF-8
 * @param key secret of the gateway for `hash`, 32 bytes; the same key gives the same hashes
 * @returns bytes of the wire, or null for NULL. Never throws for whatever bytes a value has
 */
export function maskValue(value: Buffer, style: MaskingStyle, column: MaskedColumn, key: Buffer): Buffer | null {
  // The first letter or the hash of something computed could tell more than that of the column itself.
  const applied = column.dataClass === DERIVED && style !== 'null' ? 'redact' : style
  const kind = kinds.get(column.typeOid)
  if (applied === 'null' || kind === undefined) return null
  if (kind === 'text' || kind === 'bpchar') return maskedText(value, applied, column, kind, key)
  if (applied === 'hash') return hashed(value, kind, column, key)
  // What is shown of a part is text: other types have no part that could be shown.
  return redacted(value, kind, column)
}

type Kind =
  | 'text'
  | 'bpchar'
  | 'json'
  | 'jsonb'
  | 'xml'
  | 'bytea'
  | 'uuid'
  | 'int2'
  | 'int4'
  | 'int8'
  | 'numeric'
  | 'float4'
  | 'float8'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | 'interval'
  | 'inet'
  | 'cidr'
  | 'macaddr'
  | 'array'
  | 'range'

/** Built-in types by OID (src/include/catalog/pg_type.dat). Those that aren't here become NULL. */
const kinds = new Map<number, Kind>([
  ...([19, 25, 705, 1043] as const).map((oid) => [oid, 'text'] as const), // name, text, unknown, varchar
  [1042, 'bpchar'],
  [114, 'json'],
  [3802, 'jsonb'],
  [142, 'xml'],
  [17, 'bytea'],
  [2950, 'uuid'],
  [21, 'int2'],
  [23, 'int4'],
  [20, 'int8'],
  [1700, 'numeric'],
  [700, 'float4'],
  [701, 'float8'],
  [1082, 'date'],
  [1083, 'time'],
  [1114, 'timestamp'],
  [1184, 'timestamptz'],
  [1186, 'interval'],
  [869, 'inet'],
  [650, 'cidr'],
  [829, 'macaddr'],
  // bool[] bytea[] "char"[] name[] int8[] int2[] int4[] text[] json[] xml[] float4[] float8[] cidr[] macaddr[] inet[]
  ...[1000, 1001, 1002, 1003, 1016, 1005, 1007, 1009, 199, 143, 1021, 1022, 651, 1040, 1041].map(array),
  // bpchar[] varchar[] oid[] timestamp[] date[] time[] timestamptz[] interval[] numeric[] uuid[] jsonb[]
  ...[1014, 1015, 1028, 1115, 1182, 1183, 1185, 1187, 1231, 2951, 3807].map(array),
  // int4range numrange tsrange tstzrange daterange int8range
  ...[3904, 3906, 3908, 3910, 3912, 3926].map((oid) => [oid, 'range'] as const),
])

function array(oid: number): [number, Kind] {
  return [oid, 'array']
}

/** What stands for a text that isn't shown. */
export const placeholder = (dataClass: string): string => `[masked: ${dataClass}]`

function maskedText(
  value: Buffer,
  style: Exclude<MaskingStyle, 'null'>,
  column: MaskedColumn,
  kind: 'text' | 'bpchar',
  key: Buffer,
): Buffer {
  if (style === 'hash') return Buffer.from(pseudonym(value, kind, column, key))
  const part = style === 'partial' && isUtf8(value) ? partly(value.toString(), column.dataClass) : undefined
  return Buffer.from(part ?? placeholder(column.dataClass))
}

function redacted(value: Buffer, kind: Kind, { format, dataClass }: MaskedColumn): Buffer | null {
  const either = (text: string, binary: () => Buffer | null) => (format === 0 ? Buffer.from(text) : binary())
  switch (kind) {
    case 'json':
      return Buffer.from(JSON.stringify(placeholder(dataClass)))
    case 'jsonb':
      return jsonb(JSON.stringify(placeholder(dataClass)), format)
    case 'xml':
      return Buffer.from(xmlText(placeholder(dataClass)))
    case 'bytea':
      return either('\\x', () => Buffer.alloc(0))
    case 'uuid':
      return either('00000000-0000-0000-0000-000000000000', () => Buffer.alloc(16))
    case 'int2':
      return either('0', () => Buffer.alloc(2))
    case 'int4':
    case 'float4':
      return either('0', () => Buffer.alloc(4))
    case 'int8':
    case 'float8':
      return either('0', () => Buffer.alloc(8))
    case 'numeric':
      return either('0', () => encodeNumeric(0n))
    case 'date':
    case 'timestamp':
    case 'timestamptz':
      return moment(kind, 0, format)
    case 'time':
      return encodeTime(0, format)
    case 'interval':
      return encodeInterval(0, format)
    case 'inet':
      return either('0.0.0.0', () => encodeCidr(Buffer.alloc(4), false))
    case 'cidr':
      return either('0.0.0.0/32', () => encodeCidr(Buffer.alloc(4), true))
    case 'macaddr':
      return either('00:00:00:00:00:00', () => Buffer.alloc(6))
    case 'array':
      // Empty, and of the same element type: dimensions, flags, element type.
      return either('{}', () => (value.length < 12 ? null : Buffer.concat([Buffer.alloc(8), value.subarray(8, 12)])))
    case 'range':
      return either('empty', () => Buffer.from([1]))
    default:
      return null
  }
}

function hashed(value: Buffer, kind: Kind, column: MaskedColumn, key: Buffer): Buffer | null {
  const { format } = column
  const either = (text: string, binary: () => Buffer) => (format === 0 ? Buffer.from(text) : binary())
  const mac = macOf(value, kind, column, key)
  const seconds = mac.readUInt32BE(0)
  switch (kind) {
    case 'json':
      return Buffer.from(JSON.stringify(pseudonym(value, kind, column, key)))
    case 'jsonb':
      return jsonb(JSON.stringify(pseudonym(value, kind, column, key)), format)
    case 'xml':
      return Buffer.from(xmlText(pseudonym(value, kind, column, key)))
    case 'bytea':
      return either(`\\x${mac.toString('hex')}`, () => mac)
    case 'uuid': {
      const uuid = Buffer.from(mac.subarray(0, 16))
      // Version 8, custom; variant of RFC 9562.
      uuid[6] = (uuid[6]! & 0x0f) | 0x80
      uuid[8] = (uuid[8]! & 0x3f) | 0x80
      const hex = uuid.toString('hex')
      return either(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'), () => uuid)
    }
    case 'int2': {
      const number = mac.readUInt16BE(0) & 0x7fff
      return either(String(number), () => number16(number))
    }
    case 'int4': {
      const number = seconds & 0x7fffffff
      return either(String(number), () => int64(BigInt(number)).subarray(4))
    }
    case 'int8': {
      const number = number53(mac)
      return either(String(number), () => int64(number))
    }
    case 'numeric': {
      const number = number53(mac)
      return either(String(number), () => encodeNumeric(number))
    }
    case 'float4': {
      // 24 bits are what a float4 holds exactly; text output of seven digits would round more.
      const number = mac.readUIntBE(0, 3) % 1_000_000
      return either(String(number), () => {
        const out = Buffer.alloc(4)
        out.writeFloatBE(number)
        return out
      })
    }
    case 'float8': {
      const number = Number(number53(mac) % 1_000_000_000_000_000n)
      return either(String(number), () => {
        const out = Buffer.alloc(8)
        out.writeDoubleBE(number)
        return out
      })
    }
    case 'date':
    case 'timestamp':
    case 'timestamptz':
      // Somewhere from 1970 to 2106.
      return moment(kind, seconds, format)
    case 'time':
      return encodeTime(seconds % 86_400, format)
    case 'interval':
      return encodeInterval(seconds % 86_400, format)
    case 'inet':
    case 'cidr': {
      // Out of 240.0.0.0/4, which nobody has.
      const address = Buffer.from(mac.subarray(0, 4))
      address[0] = 0xf0 | (address[0]! & 0x0f)
      const text = [...address].join('.')
      return either(kind === 'inet' ? text : `${text}/32`, () => encodeCidr(address, kind === 'cidr'))
    }
    case 'macaddr': {
      const address = Buffer.from(mac.subarray(0, 6))
      address[0] = (address[0]! & 0xfc) | 0x02 // locally administered, of one host
      return either(address.toString('hex').replace(/..(?!$)/g, '$&:'), () => address)
    }
    default:
      return redacted(value, kind, column)
  }
}

function macOf(value: Buffer, kind: Kind, { format, dataClass }: MaskedColumn, key: Buffer): Buffer {
  return createHmac('sha256', key)
    .update(`${dataClass}\0`)
    .update(canonical(value, kind, format))
    .digest()
}

function pseudonym(value: Buffer, kind: Kind, column: MaskedColumn, key: Buffer): string {
  return `${column.dataClass}_${macOf(value, kind, column, key).toString('hex', 0, 8)}`
}

const number53 = (mac: Buffer) => mac.readBigUInt64BE(0) & 0x1fffffffffffffn

function number16(number: number): Buffer {
  const out = Buffer.alloc(2)
  out.writeInt16BE(number)
  return out
}

/** @param seconds since 1970-01-01 */
function moment(kind: 'date' | 'timestamp' | 'timestamptz', seconds: number, format: 0 | 1): Buffer {
  if (kind === 'date') return encodeDate(Math.floor(seconds / 86_400), format)
  return encodeTimestamp(seconds, kind === 'timestamptz', format)
}

function jsonb(text: string, format: 0 | 1): Buffer {
  return Buffer.from(format === 0 ? text : `\x01${text}`)
}

function xmlText(text: string): string {
  return text.replace(/[^\w\s.,:[\]-]/g, (character) => `&#${character.codePointAt(0)};`)
}
