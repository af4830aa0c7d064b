/** What a content detector finds in text, whatever column it stands in. */
export type DetectedKind = 'card' | 'iban' | 'ssn' | 'email' | 'phone' | 'jwt' | 'private-key' | 'cloud-key'

export interface Detection {
  kind: DetectedKind
  /** UTF-16 offsets into the text, end exclusive. */
  start: number
  end: number
}

/** Characters of a text that are looked at. What comes after them isn't, and isn't told to be innocent either. */
export const DETECTED_LENGTH = 65_536

/**
 * Finds sensitive data by its content. Meant for text that has no class; it misses some and errs rarely: every number
 * has its checksum or its shape. Work is linear in the length, of which at most DETECTED_LENGTH is looked at: all
 * quantifiers are bounded or can't overlap with what follows.
 * @returns in order of their start, not overlapping: of two that do, the earlier in the list of detectors stays
 */
export function detect(text: string): Detection[] {
  const looked = text.length > DETECTED_LENGTH ? text.slice(0, DETECTED_LENGTH) : text
  const found: Detection[] = []
  const taken = new Uint8Array(looked.length)
  for (const { kind, needs, pattern, check } of detectors) {
    if (!needs(looked)) continue
    for (const match of looked.matchAll(pattern)) {
      const start = match.index
      if (taken[start]) continue
      const length = check ? check(match[0], looked, start) : match[0].length
      if (length === 0 || taken[start + length - 1]) continue
      taken.fill(1, start, start + length)
      found.push({ kind, start, end: start + length })
    }
  }
  return found.sort((a, b) => a.start - b.start)
}

/** The text with what detect() found in it replaced. */
export function withoutDetected(text: string, found: readonly Detection[]): string {
  let out = ''
  let from = 0
  for (const { kind, start, end } of found) {
    out += `${text.slice(from, start)}[masked: ${kind}]`
    from = end
  }
  return out + text.slice(from)
}

interface Detector {
  kind: DetectedKind
  /** A quick look whether there can be any. */
  needs(text: string): boolean
  pattern: RegExp
  /** Length of what was found, 0 for nothing. */
  check?(match: string, text: string, start: number): number
}

const has =
  (...parts: string[]) =>
  (text: string) =>
    parts.some((part) => text.includes(part))
const digits = (text: string) => /\d/.test(text)

const detectors: readonly Detector[] = [
  {
    kind: 'private-key',
    needs: has('PRIVATE KEY'),
    pattern: /-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g,
    // To its end, or as far as the text goes: a key that was cut is one still.
    check: (match, text, start) => {
      const end = text.indexOf('-----END ', start + match.length)
      if (end < 0) return text.length - start
      const close = text.indexOf('-----', end + 9)
      return (close < 0 ? text.length : close + 5) - start
    },
  },
  {
    kind: 'cloud-key',
    needs: has('AKIA', 'ASIA', 'gh', 'github_pat_', 'xox', 'sk_live_', 'rk_live_', 'AIza'),
    pattern:
      /(?<![A-Za-z0-9_])(?:(?:AKIA|ASIA)[A-Z2-7]{16}|gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{60,244}|xox[abeprs]-[A-Za-z0-9-]{10,250}|[sr]k_live_[A-Za-z0-9]{16,247}|AIza[A-Za-z0-9_-]{35})(?![A-Za-z0-9_])/g,
  },
  {
    // A service account's file of Google: the key itself is found as a PEM text, this is the id that goes with it.
    kind: 'cloud-key',
    needs: has('private_key_id'),
    pattern: /"private_key_id"\s{0,8}:\s{0,8}"[0-9a-f]{40}"/g,
  },
  {
    kind: 'jwt',
    needs: has('eyJ'),
    pattern: /(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{0,}(?![A-Za-z0-9_-])/g,
    check: (match) => {
      const header = Buffer.from(match.slice(0, match.indexOf('.')), 'base64url').toString('latin1')
      return /^\{.{0,4000}"(alg|enc)"/s.test(header.slice(0, 4096)) ? match.length : 0
    },
  },
  {
    kind: 'email',
    needs: has('@'),
    pattern:
      /(?<![\p{L}\p{N}._%+-])[\p{L}\p{N}_%+-](?:[\p{L}\p{N}._%+-]{0,62}[\p{L}\p{N}_%+-])?@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.){1,8}(?:\p{L}{2,24}|xn--[a-z0-9]{2,59})(?![\p{L}\p{N}-])/gu,
    check: (match) => (match.includes('..') ? 0 : match.length),
  },
  {
    kind: 'iban',
    needs: digits,
    pattern: /(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])/g,
    check: ibanLength,
  },
  {
    kind: 'card',
    needs: digits,
    pattern: /(?<![\dA-Za-z.,_-])\d(?:[ -]?\d){11,18}(?![\dA-Za-z_]|[.,-]\d)/g,
    check: (match) => (isCard(match) ? match.length : 0),
  },
  {
    kind: 'ssn',
    needs: digits,
    // Not 000, 666 or 9xx; no group of zeros (https://www.ssa.gov/employer/randomization.html).
    pattern: /(?<![\dA-Za-z_.-])(?!000|666|9)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\dA-Za-z_]|[.-]\d)/g,
    check: (match) => (advertised.has(match.replace(/\D/g, '')) ? 0 : match.length),
  },
  {
    kind: 'phone',
    needs: has('+', '('),
    // International with its plus, or North American with the area in brackets. Other numbers are just numbers.
    pattern:
      /(?<![\dA-Za-z_+.])(?:\+[1-9]\d{0,2}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]?\d){6,12}|\([2-9]\d{2}\) ?[2-9]\d{2}[-. ]\d{4})(?![\dA-Za-z_]|[.-]\d)/g,
    check: (match) => {
      const count = match.replace(/\D/g, '').length
      return count >= 8 + (match.startsWith('(') ? 2 : 0) && count <= 15 ? match.length : 0
    },
  },
]

/** Numbers that were printed on sample cards, and are nobody's. */
const advertised = new Set(['078051120', '219099999', '457555462'])

/** Length of a number by the first digits of its issuer (ISO/IEC 7812), and Luhn's checksum. */
export function isCard(text: string): boolean {
  const number = text.replace(/[ -]/g, '')
  const length = number.length
  const front = (count: number) => Number(number.slice(0, count))
  const within = (count: number, from: number, to: number) => front(count) >= from && front(count) <= to
  const known =
    (front(1) === 4 && (length === 13 || length === 16 || length === 19)) || // Visa
    ((within(2, 51, 55) || within(4, 2221, 2720)) && length === 16) || // Mastercard
    ((front(2) === 34 || front(2) === 37) && length === 15) || // American Express
    ((within(3, 300, 305) || front(2) === 36 || within(2, 38, 39)) && length >= 14 && length <= 19) || // Diners
    ((front(4) === 6011 || front(2) === 65 || within(3, 644, 649)) && length >= 16) || // Discover
    (within(4, 3528, 3589) && length >= 16) || // JCB
    (front(2) === 62 && length >= 16) || // UnionPay
    ((front(2) === 50 || within(2, 56, 58) || front(2) === 63 || front(2) === 67) && length >= 12) // Maestro
  if (!known) return false
  if (/^(\d)\1*$/.test(number)) return false
  let sum = 0
  for (let at = 0; at < length; at++) {
    const digit = Number(number[length - 1 - at])
    sum += at % 2 === 0 ? digit : digit * 2 - (digit > 4 ? 9 : 0)
  }
  return sum % 10 === 0
}

/** Lengths by country (SWIFT IBAN registry), those in wide use. Others aren't taken for one. */
const ibanLengths: ReadonlyMap<string, number> = new Map(
  `AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 ES24 FI18 FO18 FR27 GB22
  GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IS26 IT27 JO30 KW30 KZ20 LB28 LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19
  MT31 NL18 NO15 PK24 PL28 PT25 QA29 RO24 RS22 SA24 SE24 SI19 SK24 SM27 TN24 TR26 UA29 XK20`
    .split(/\s+/)
    .map((row) => [row.slice(0, 2), Number(row.slice(2))]),
)

/** The pattern may have run on into the next word: the country says how long it is. */
function ibanLength(match: string): number {
  const wanted = ibanLengths.get(match.slice(0, 2))
  if (wanted === undefined) return 0
  let at = 0
  let plain = ''
  for (; at < match.length && plain.length < wanted; at++) if (match[at] !== ' ') plain += match[at]
  if (plain.length !== wanted || /[A-Z0-9]/.test(match[at] ?? '')) return 0
  let rest = 0
  for (const character of plain.slice(4) + plain.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1 ? at : 0
}
