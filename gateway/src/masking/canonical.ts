import { EPOCH_DAYS } from './encode.ts'

/**
 * One form for a value whatever format it came in, so that equal values have equal hashes. What can't be read keeps its
 * bytes: its hash is then only equal within one format.
 * @param kind as style.ts names types
 */
export function canonical(value: Buffer, kind: string, format: 0 | 1): Buffer | string {
  const read = format === 0 ? fromText : fromBinary
  return read(value, kind) ?? value
}

function fromText(value: Buffer, kind: string): string | undefined {
  switch (kind) {
    case 'bpchar':
      return value.toString('latin1').replace(/ +$/, '')
    case 'text':
      return value.toString('latin1')
    case 'bytea':
      return value.toString('latin1').replace(/^\\x/, '')
    case 'uuid':
      return value.toString('latin1').replaceAll('-', '').toLowerCase()
    case 'numeric':
      return plainNumber(value.toString('latin1'))
    case 'float4':
    case 'float8':
      return String(Number(value.toString('latin1')))
    case 'date':
    case 'timestamp':
    case 'timestamptz':
      return moment(value.toString('latin1'))
    case 'time':
      return moment(`2000-01-01 ${value.toString('latin1')}`)
    case 'inet':
    case 'cidr':
      return address(value.toString('latin1'), kind)
    case 'macaddr':
      return value.toString('latin1').replaceAll(':', '')
    default:
      return undefined
  }
}

function fromBinary(value: Buffer, kind: string): string | undefined {
  switch (kind) {
    case 'text':
    case 'bpchar':
      return fromText(value, kind)
    case 'jsonb':
      return value[0] === 1 ? value.toString('utf8', 1) : undefined
    case 'bytea':
    case 'uuid':
    case 'macaddr':
      return value.toString('hex')
    case 'int2':
      return value.length === 2 ? String(value.readInt16BE()) : undefined
    case 'int4':
      return value.length === 4 ? String(value.readInt32BE()) : undefined
    case 'int8':
      return value.length === 8 ? String(value.readBigInt64BE()) : undefined
    case 'float4':
      // The server's text has the fewest digits that read back as the same float4.
      return value.length === 4 ? shortestFloat4(value.readFloatBE()) : undefined
    case 'float8':
      return value.length === 8 ? String(value.readDoubleBE()) : undefined
    case 'numeric':
      return numeric(value)
    case 'date':
      return value.length === 4 ? String(BigInt(value.readInt32BE() + EPOCH_DAYS) * 86_400_000_000n) : undefined
    case 'timestamp':
    case 'timestamptz':
      return value.length === 8 ? String(value.readBigInt64BE() + epochMicros) : undefined
    case 'time':
      return value.length === 8 ? String(value.readBigInt64BE() + epochMicros) : undefined
    case 'inet':
    case 'cidr':
      return value.length === 8 && value[0] === 2
        ? address(`${[...value.subarray(4)].join('.')}/${value[1]}`, kind)
        : undefined
    default:
      return undefined
  }
}

const epochMicros = BigInt(EPOCH_DAYS) * 86_400_000_000n

function shortestFloat4(number: number): string {
  for (let digits = 6; digits <= 9; digits++) {
    const text = Number(number.toPrecision(digits))
    if (Math.fround(text) === number) return String(text)
  }
  return String(number)
}

/** An ISO date or timestamp as microseconds since 1970. */
function moment(text: string): string | undefined {
  const match =
    /^(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?)?)?$/.exec(
      text,
    )
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, fraction = '', sign, hours, minutes, seconds] = match
  const utc = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour ?? 0),
    Number(minute ?? 0),
    Number(second ?? 0),
  )
  // Date.UTC takes years below 100 as of the last century.
  if (Number(year) < 100) return undefined
  const offset = Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0)
  const micros = BigInt(utc) * 1000n + BigInt(fraction.padEnd(6, '0'))
  return String(micros - BigInt(sign === '-' ? -offset : offset) * 1_000_000n)
}

function plainNumber(text: string): string | undefined {
  const match = /^(-?)0*(\d+?)(?:\.(\d*?)0*)?$/.exec(text)
  if (!match) return undefined
  const [, sign, whole, rest] = match
  return `${whole === '0' && !rest ? '' : sign}${whole}${rest ? `.${rest}` : ''}`
}

/** numeric_send(): digit count, weight, sign, display scale, then digits to base 10,000. */
function numeric(value: Buffer): string | undefined {
  if (value.length < 8) return undefined
  const count = value.readUInt16BE(0)
  const weight = value.readInt16BE(2)
  const sign = value.readUInt16BE(4)
  if (value.length !== 8 + 2 * count || Math.abs(weight) > 2000 || (sign !== 0 && sign !== 0x4000)) return undefined
  const digit = (at: number) => (at >= 0 && at < count ? String(value.readUInt16BE(8 + 2 * at)) : '0').padStart(4, '0')
  let whole = ''
  for (let at = 0; at <= weight; at++) whole += digit(at)
  let rest = ''
  for (let at = weight + 1; at < count; at++) rest += digit(at)
  return plainNumber(`${sign === 0x4000 ? '-' : ''}${whole || '0'}${rest ? `.${rest}` : ''}`)
}

function address(text: string, kind: string): string {
  return kind === 'inet' && !text.includes('/') && !text.includes(':') ? `${text}/32` : text
}
