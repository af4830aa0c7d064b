import type { IssuerConfig } from '../config/schema.ts'
import { TokenError } from './principal.ts'

export type Claims = Record<string, unknown>

/** Of a claim's name: how many dots may lead into it. */
const deepest = 8

/**
 * A claim by its name; where there is none, by the way to it through dots (`realm_access.roles`). Names hold dots
 * themselves (`kubernetes.io`, `https://example.com/groups`): at each step the longest that is there is taken.
 */
export function claimAt(claims: Claims, path: string, depth = 0): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  if (depth >= deepest) return undefined
  for (let dot = path.lastIndexOf('.'); dot > 0; dot = path.lastIndexOf('.', dot - 1)) {
    const name = path.slice(0, dot)
    if (!Object.hasOwn(claims, name)) continue
    const inner = claims[name]
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner))
      return claimAt(inner as Claims, path.slice(dot + 1), depth + 1)
  }
  return undefined
}

/**
 * The claim that an identity, a group or a requirement is made of: an e-mail address counts only where the issuer says
 * that it has verified it (OpenID Connect Core 1.0, section 5.7 warns of the others).
 * @throws TokenError
 */
export function trustedClaim(claims: Claims, path: string): unknown {
  const value = claimAt(claims, path)
  const last = path.slice(path.lastIndexOf('.') + 1)
  if (last !== 'email' || value === undefined || value === null) return value
  const verified = claimAt(claims, `${path}_verified`)
  if (verified !== true && verified !== 'true')
    throw new TokenError('subject', `${path} is not verified (${path}_verified), so it names nobody`)
  return value
}

/**
 * A claim as texts: one, or each of a list. Numbers and truth values become texts.
 * @throws TokenError where it is anything else: what is left out could be what a policy forbids something to
 */
export function textsOf(value: unknown, name: string): string[] {
  if (value === undefined || value === null) return []
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list.map((one) => {
    if (typeof one === 'string') return one
    if (typeof one === 'boolean' || (typeof one === 'number' && Number.isSafeInteger(one))) return String(one)
    throw new TokenError('malformed', `${name} is no text and no list of texts`)
  })
}

/**
 * Checks what an issuer's `require` asks of a token.
 * @throws TokenError
 */
export function checkRequired(claims: Claims, issuer: IssuerConfig): void {
  for (const [name, values] of Object.entries(issuer.require ?? {})) {
    const given = textsOf(trustedClaim(claims, name), name)
    if (!given.some((one) => values.includes(one)))
      throw new TokenError('subject', `${name} is not one of those that the issuer's entry requires`)
  }
}

/**
 * Control characters, line separators and bidirectional overrides: what could make a text look like another; and halves of
 * characters, which have no one form in JSON or UTF-8.
 */
export function hasControl(text: string): boolean {
  return /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(text)
}

/** Whether there is anything to see: a name of fillers and spaces of no width is none. */
export function isVisible(text: string): boolean {
  return /\S/u.test(text.replace(/\p{Default_Ignorable_Code_Point}/gu, ''))
}

/** For people's eyes, so on one line: a name that breaks out of its place could pass for another text. */
export function lineOf(value: unknown): string | undefined {
  if (typeof value !== 'string' || hasControl(value)) return undefined
  const trimmed = value.trim()
  // Half of a character is none: it would have no form in the ledger.
  return isVisible(trimmed) ? trimmed.slice(0, 200).replace(/\p{Cs}$/u, '') : undefined
}

/** Whether a text can be the subject of an identity. */
export function isSubject(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.length <= 1024 && !hasControl(value)
}
