/**
 * Values in the formats of the wire, as the server's own output and send functions write them (src/backend/utils/adt).
 * Text is that of DateStyle ISO, which every input of dates takes.
 */

/** Days from 1970-01-01 to 2000-01-01, from which PostgreSQL counts. */
export const EPOCH_DAYS = 10_957
const EPOCH_SECONDS = EPOCH_DAYS * 86_400

/** @param days since 1970-01-01 */
export function encodeDate(days: number, format: 0 | 1): Buffer {
  if (format === 0) return Buffer.from(new Date(days * 86_400_000).toISOString().slice(0, 10))
  const out = Buffer.alloc(4)
  out.writeInt32BE(days - EPOCH_DAYS)
  return out
}

/** @param seconds since 1970-01-01 00:00:00 UTC */
export function encodeTimestamp(seconds: number, zoned: boolean, format: 0 | 1): Buffer {
  if (format === 1) return int64(BigInt(seconds - EPOCH_SECONDS) * 1_000_000n)
  const text = new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')
  return Buffer.from(zoned ? `${text}+00` : text)
}

/** @param seconds since midnight */
export function encodeTime(seconds: number, format: 0 | 1): Buffer {
  return format === 1 ? int64(BigInt(seconds) * 1_000_000n) : Buffer.from(clock(seconds))
}

/** @param seconds less than a day */
export function encodeInterval(seconds: number, format: 0 | 1): Buffer {
  if (format === 0) return Buffer.from(clock(seconds))
  return Buffer.concat([int64(BigInt(seconds) * 1_000_000n), Buffer.alloc(8)]) // then days and months
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 19)
}

/** numeric_send() of an integer that isn't negative: digits to base 10,000. */
export function encodeNumeric(number: bigint): Buffer {
  const digits: number[] = []
  for (let rest = number; rest > 0n; rest /= 10_000n) digits.unshift(Number(rest % 10_000n))
  const weight = digits.length - 1
  while (digits.at(-1) === 0) digits.pop()
  const out = Buffer.alloc(8 + 2 * digits.length)
  out.writeUInt16BE(digits.length, 0)
  out.writeInt16BE(Math.max(weight, 0), 2)
  digits.forEach((digit, at) => {
    out.writeUInt16BE(digit, 8 + 2 * at)
  })
  return out
}

/** inet_send() of one IPv4 address: family, bits, whether cidr, length, address. */
export function encodeCidr(address: Buffer, cidr: boolean): Buffer {
  return Buffer.concat([Buffer.from([2, 32, cidr ? 1 : 0, 4]), address])
}

export function int64(number: bigint): Buffer {
  const out = Buffer.alloc(8)
  out.writeBigInt64BE(number)
  return out
}
