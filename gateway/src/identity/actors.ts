import { type Claims, hasControl, isSubject } from './claim.ts'
import { TokenError } from './principal.ts'

/** So many actors may stand behind the one who acts, and so many characters may their names have together. */
const longestChain = 8
const widestChain = 4096

export interface Actor {
  /** The claims of the outermost actor. */
  claims: Claims & { sub: string }
  /** Those before it, the latest first. */
  chain: string[]
}

/**
 * Who acts in a token (`act`, RFC 8693 section 4.1): the outermost actor. Those nested in it are history: they decide
 * nothing, and are shown.
 * @throws TokenError
 */
export function actorOf(claims: Claims & { iss: string }): Actor | undefined {
  if (claims.act === undefined) return undefined
  const outermost = one(claims.act, 'act')
  // It would be an identity of another issuer, on this one's word.
  if (outermost.iss !== undefined && outermost.iss !== claims.iss)
    throw new TokenError('subject', 'act.iss is another issuer')
  const chain: string[] = []
  let width = 0
  for (let earlier = outermost.act; earlier !== undefined; ) {
    if (chain.length >= longestChain)
      throw new TokenError('subject', `more than ${longestChain} actors before this one`)
    const { sub, iss, act } = one(earlier, 'an earlier act')
    if (iss !== undefined && (typeof iss !== 'string' || hasControl(iss)))
      throw new TokenError('subject', 'the iss of an earlier act is no text')
    const name = iss === undefined || iss === claims.iss ? sub : `${iss}#${sub}`
    width += name.length
    if (width > widestChain) throw new TokenError('subject', 'the names of the actors before this one are too long')
    chain.push(name)
    earlier = act
  }
  return { claims: outermost, chain }
}

/**
 * Who alone may act for a token's subject (`may_act`, RFC 8693 section 4.4), as `ISSUER#SUBJECT`; empty where the claim
 * names nobody that could be told from others.
 */
export function mayActOf(claims: Claims & { iss: string }): string | undefined {
  const { may_act } = claims
  if (may_act === undefined) return undefined
  if (typeof may_act !== 'object' || may_act === null || Array.isArray(may_act)) return ''
  const { sub, iss = claims.iss } = may_act as Claims
  return isSubject(sub) && typeof iss === 'string' ? `${iss}#${sub}` : ''
}

function one(act: unknown, name: string): Claims & { sub: string } {
  if (typeof act !== 'object' || act === null || Array.isArray(act))
    throw new TokenError('subject', `${name} is no object`)
  const { sub } = act as Claims
  if (!isSubject(sub)) throw new TokenError('subject', `the sub of ${name} is empty or no text`)
  return { ...act, sub }
}
