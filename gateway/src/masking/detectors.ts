import { isCard, isIban, isJwtHeader, isPhone } from './checksums.ts'

/** What a content detector finds in text, whatever column it stands in: the names of `masking.detect`. */
export const detectedKinds = ['card', 'iban', 'ssn', 'email', 'phone', 'jwt', 'pem', 'cloud-key'] as const
export type DetectedKind = (typeof detectedKinds)[number]

export interface Detection {
  kind: DetectedKind
  /** UTF-16 offsets into the text, end exclusive. */
  start: number
  end: number
}

/** Characters of a text that are looked at. What comes after them isn't, and isn't told to be innocent either. */
export const DETECTED_LENGTH = 65_536

export interface DetectOptions {
  /** Which to look for; all where absent. */
  kinds?: ReadonlySet<DetectedKind> | readonly DetectedKind[]
  /** Characters to look at; DETECTED_LENGTH where absent. */
  length?: number
}

/**
 * Finds sensitive data by its content. Meant for text that has no class; it misses some and errs rarely: every number
 * has its checksum or its shape. Work is linear in the length: all quantifiers are bounded, or can't overlap with what
 * follows and can't begin again inside what they ran over. JSON text may be given as it is: what is found begins behind
 * an escape and ends before the quote, so that the text is JSON still after withoutDetected().
 * @returns in order of their start, not overlapping: of two that do, the earlier in the list of detectors stays
 */
export function detect(text: string, { kinds, length = DETECTED_LENGTH }: DetectOptions = {}): Detection[] {
  const wanted = kinds === undefined || kinds instanceof Set ? (kinds as ReadonlySet<DetectedKind>) : new Set(kinds)
  const looked = text.length > length ? text.slice(0, length) : text
  const found: Detection[] = []
  let taken: Uint8Array | undefined
  for (const { kind, needs, pattern, check } of detectors) {
    if ((wanted && !wanted.has(kind)) || !needs(looked)) continue
    pattern.lastIndex = 0
    for (let match = pattern.exec(looked); match; match = pattern.exec(looked)) {
      const [whole] = match
      const size = check ? check(whole, looked, match.index) : whole.length
      const start = match.index + escapedBefore(looked, match.index)
      const end = match.index + size
      if (end <= start || taken?.[start] || taken?.[end - 1]) {
        // Of "2024 4111 1111 1111 1111" the first four groups are no card, the last four are.
        pattern.lastIndex = match.index + 1
        continue
      }
      pattern.lastIndex = end
      taken ??= new Uint8Array(looked.length)
      taken.fill(1, start, end)
      found.push({ kind, start, end })
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

/** Characters at `start` that belong to an escape of JSON, which is not to be torn: `\njane@example.com`. */
function escapedBefore(text: string, start: number): number {
  let before = start
  while (text[before - 1] === '\\') before--
  if ((start - before) % 2 === 0) return 0
  const letter = text[start]!
  return 'nrtbf'.includes(letter) ? 1 : letter === 'u' ? 5 : 0
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
const when = (right: (match: string) => boolean) => (match: string) => (right(match) ? match.length : 0)

/** Not behind one of these characters, unless they are the end of an escape (`\n`, `\u001f`). */
const notBehind = (characters: string) => `(?:(?<=\\\\(?:[nrtbf]|u[\\dA-Fa-f]{4}))|(?<![${characters}]))`
const bounded = (source: string, flags = 'g') => new RegExp(source, flags)

const cloudKeys = [
  '(?:AKIA|ASIA)[A-Z2-7]{16}', // AWS
  'gh[pousr]_[A-Za-z0-9]{36,251}', // GitHub
  'github_pat_[A-Za-z0-9_]{60,244}',
  'glpat-[A-Za-z0-9_-]{20,64}', // GitLab
  'xox[abeprs]-[A-Za-z0-9-]{10,250}', // Slack
  'xapp-\\d-[A-Za-z0-9-]{10,250}',
  '[sr]k_live_[A-Za-z0-9]{16,247}', // Stripe
  'whsec_[A-Za-z0-9+/]{32,64}',
  'AIza[A-Za-z0-9_-]{35}', // Google
  'ya29\\.[A-Za-z0-9_-]{20,250}',
  'GOCSPX-[A-Za-z0-9_-]{28}',
  '[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{31,34}', // Microsoft Entra
  'SG\\.[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}', // SendGrid
  'npm_[A-Za-z0-9]{36}',
  'sk-(?:ant|proj|svcacct)-[A-Za-z0-9_-]{20,250}', // Anthropic, OpenAI
  'dop_v1_[a-f0-9]{64}', // DigitalOcean
  'hvs\\.[A-Za-z0-9_-]{24,250}', // Vault
].join('|')

/** Keys without a shape of their own, found by the words in front of them. */
const keysByName = [
  String.raw`(?<="private_key_id"\s{0,8}:\s{0,8}")[0-9a-f]{40}(?=")`, // a service account's file of Google
  String.raw`(?<=secret_?access_?key["']?\s{0,4}[=:]\s{0,4}["']?)[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])`, // AWS
  '(?<=AccountKey=)[A-Za-z0-9/+]{86}==', // Azure storage
  '(?<=[?&]sig=)[A-Za-z0-9%]{43,90}', // Azure shared access
  String.raw`(?<=hooks\.slack\.com/services/)T[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/[A-Za-z0-9]{20,32}`,
].join('|')

const detectors: readonly Detector[] = [
  {
    kind: 'pem',
    needs: has('PRIVATE KEY'),
    pattern: /-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----/g,
    // To its end, or as far as the text (or the JSON string) goes: a key that was cut is one still.
    check: (match, text, start) => {
      const body = start + match.length
      let close = body
      while (close < text.length && !`"'<>{}`.includes(text[close]!)) {
        if (text[close] === '-' && text.startsWith('-----END ', close)) {
          const end = text.indexOf('-----', close + 9)
          return (end < 0 || end - close > 80 ? close + 9 : end + 5) - start
        }
        // An escape is passed whole, or not at all.
        if (text[close] === '\\' && close + 1 >= text.length) break
        close += text[close] === '\\' ? 2 : 1
      }
      return close - start
    },
  },
  {
    kind: 'cloud-key',
    needs: has(
      ...[
        'AKIA',
        'ASIA',
        'gh',
        'github_pat_',
        'glpat-',
        'xox',
        'xapp-',
        'k_live_',
        'whsec_',
        'AIza',
        'ya29.',
        'GOCSPX-',
        '8Q~',
      ],
      ...['SG.', 'npm_', 'sk-', 'dop_v1_', 'hvs.'],
    ),
    pattern: bounded(`${notBehind('A-Za-z0-9_')}(?:${cloudKeys})(?![A-Za-z0-9_])`),
  },
  {
    kind: 'cloud-key',
    needs: (text) => /private_key_id|secret_?access_?key|AccountKey=|[?&]sig=|hooks\.slack/i.test(text),
    pattern: bounded(keysByName, 'gi'),
  },
  {
    kind: 'jwt',
    needs: has('eyJ'),
    // Two dots (JWS), or four (JWE).
    pattern: bounded(
      String.raw`${notBehind('\\dA-Za-z_.-')}eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)?(?![A-Za-z0-9_-])`,
    ),
    check: (match) => (isJwtHeader(match.slice(0, match.indexOf('.'))) ? match.length : 0),
  },
  {
    kind: 'email',
    needs: has('@'),
    pattern:
      /(?<![\p{L}\p{N}._%+-])[\p{L}\p{N}_%+-](?:[\p{L}\p{N}._%+-]{0,62}[\p{L}\p{N}_%+-])?@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.){1,8}(?:\p{L}{2,24}|xn--[a-z0-9]{2,59})(?![\p{L}\p{N}-])/gu,
    check: when((match) => !match.includes('..')),
  },
  {
    kind: 'iban',
    needs: digits,
    pattern: bounded(
      String.raw`${notBehind('\\dA-Za-z')}[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])`,
      'gi',
    ),
    check: isIban,
  },
  {
    kind: 'card',
    needs: digits,
    // In one piece, or as it is printed: 4-4-4-4(-3), 4-6-5, 4-6-4. A comma is a border: tables are written with it.
    pattern: bounded(
      String.raw`${notBehind('\\dA-Za-z._-')}(?:\d{12,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5})(?![\dA-Za-z_]|[.-]\d)`,
    ),
    check: when(isCard),
  },
  {
    kind: 'ssn',
    needs: digits,
    // Not 000, 666 or 9xx; no group of zeros (https://www.ssa.gov/employer/randomization.html).
    pattern: bounded(
      String.raw`${notBehind('\\dA-Za-z_.-')}(?!000|666|9)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\dA-Za-z_]|[.-]\d)`,
    ),
    check: when((match) => !advertised.has(match.replace(/\D/g, ''))),
  },
  {
    kind: 'phone',
    needs: digits,
    // International with its plus, or North American with its groups. Other numbers are just numbers.
    pattern: bounded(
      String.raw`${notBehind('\\dA-Za-z_+.-')}(?:\+[1-9]\d{0,2}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]?\d){6,12}|(?:1[-. ])?(?:\([2-9]\d{2}\) ?[2-9]\d{2}[-. ]|[2-9]\d{2}([-.])[2-9]\d{2}\1)\d{4})(?![\dA-Za-z_]|[.-]\d)`,
    ),
    check: when(isPhone),
  },
]

/** Numbers that were printed on sample cards, and are nobody's. */
const advertised = new Set(['078051120', '219099999', '457555462'])
