/** Bytes as text and back. Every decoder takes the one canonical form and answers undefined for anything else. */

const encoder = new TextEncoder()
// ignoreBOM keeps a byte order mark as the character that it is: dropping it would give two byte strings one text.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const utf8 = (text: string): Uint8Array => encoder.encode(text)

const SLAB = 1 << 15
let slab = new Uint8Array(SLAB)
let used = 0

/** As {@link utf8}, for short texts that are known to be ASCII: it takes a fifth of the time. They share their memory. */
export function ascii(text: string): Uint8Array {
  if (used + text.length > slab.length) {
    slab = new Uint8Array(Math.max(SLAB, text.length))
    used = 0
  }
  const start = used
  for (let i = 0; i < text.length; i++) slab[used++] = text.charCodeAt(i)
  return slab.subarray(start, used)
}

/** Undefined where the bytes are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function hex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += hexOf[byte]
  return text
}

/** Lower case only. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** RFC 4648, section 4. */
export function base64(bytes: Uint8Array): string {
  let binary = ''
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(binary)
}

/** RFC 4648, section 4, with padding, without white space or stray bits: what {@link base64} gives and nothing else. */
export function fromBase64(text: string): Uint8Array | undefined {
  // With one or two characters of padding the last character before it carries four or two bits: the others must be 0.
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*(?:[AQgw]==|[AEIMQUYcgkosw048]=)?$/.test(text)) return undefined
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** The ASCII decimal of a safe integer without leading zeroes; undefined for anything else. */
export function fromDecimal(text: string): number | undefined {
  if (!/^(0|[1-9]\d{0,15})$/.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}
