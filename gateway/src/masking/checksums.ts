/** Payment card: length by the first digits of the issuer (ISO/IEC 7812), and Luhn's checksum. Spaces and hyphens count not. */
export function isCard(text: string): boolean {
  const number = text.replace(/[ -]/g, '')
  const length = number.length
  if (length < 12 || length > 19 || !issued(number, length) || /^(\d)\1*$/.test(number)) return false
  let sum = 0
  for (let at = 0; at < length; at++) {
    const digit = Number(number[length - 1 - at])
    sum += at % 2 === 0 ? digit : digit * 2 - (digit > 4 ? 9 : 0)
  }
  return sum % 10 === 0
}

/**
 * Ranges that issuers have. Visa's old thirteen digits are left out: every tenth EAN-13 with a 4 in front would be one.
 * https://en.wikipedia.org/wiki/Payment_card_number#Issuer_identification_number_(IIN)
 */
function issued(number: string, length: number): boolean {
  const front = (count: number) => Number(number.slice(0, count))
  const within = (count: number, from: number, to: number) => front(count) >= from && front(count) <= to
  return (
    (front(1) === 4 && (length === 16 || length === 19)) || // Visa
    ((within(2, 51, 55) || within(4, 2221, 2720)) && length === 16) || // Mastercard
    ((front(2) === 34 || front(2) === 37) && length === 15) || // American Express
    ((within(3, 300, 305) || front(4) === 3095 || within(2, 38, 39)) && (length === 14 || length >= 16)) || // Diners
    (front(2) === 36 && length >= 14) ||
    ((front(4) === 6011 || front(2) === 65 || within(3, 644, 649)) && length >= 16) || // Discover
    (within(4, 3528, 3589) && length >= 16) || // JCB
    (front(2) === 62 && length >= 16) || // UnionPay
    (within(4, 2200, 2204) && length >= 16) || // Mir
    ((within(6, 508500, 508999) || within(6, 606985, 607984) || within(6, 608001, 608500)) && length === 16) || // RuPay
    maestro.has(front(4))
  )
}

const maestro = new Set([5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763])

/** Lengths by country (SWIFT's IBAN registry, release 99). */
const ibanLengths: ReadonlyMap<string, number> = new Map(
  `AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24
  FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32
  LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24
  RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30`
    .split(/\s+/)
    .map((row) => [row.slice(0, 2), Number(row.slice(2))]),
)

/**
 * International account number: its country's length, ISO 7064's checksum (mod 97).
 * @param text may run on into the next word: the country says how long it is
 * @returns the length of the number with its spaces, 0 where it is none
 */
export function isIban(text: string): number {
  const wanted = ibanLengths.get(text.slice(0, 2).toUpperCase())
  if (wanted === undefined) return 0
  let at = 0
  let plain = ''
  for (; at < text.length && plain.length < wanted; at++) if (text[at] !== ' ') plain += text[at]
  if (plain.length !== wanted || /[A-Za-z0-9]/.test(text[at] ?? '')) return 0
  let rest = 0
  for (const character of plain.slice(4) + plain.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1 ? at : 0
}

/**
 * A telephone number by the form that its detector found: E.164 says at most fifteen digits and which country codes
 * there are. Whether anybody has the number is not known.
 */
export function isPhone(text: string): boolean {
  const digits = text.replace(/\D/g, '')
  if (!text.startsWith('+')) {
    // North America: neither area nor exchange is N11.
    const national = digits.length === 11 ? digits.slice(1) : digits
    return national.length === 10 && !/^.11/.test(national) && !/^.{4}11/.test(national)
  }
  if (digits.startsWith('1')) return digits.length === 11
  return digits.length >= 8 && digits.length <= 15 && !/^(21[04579]|28|29[2-6]|83|89)/.test(digits)
}

/** Whether the first part of a token is a JOSE header: base64url of a JSON object with `alg` (RFC 7515, RFC 7516). */
export function isJwtHeader(part: string): boolean {
  if (part.length > 8192) return false
  try {
    const header: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof header === 'object' && header !== null && 'alg' in header && typeof header.alg === 'string'
  } catch {
    return false
  }
}
