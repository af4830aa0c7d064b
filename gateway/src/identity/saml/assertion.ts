import type { IssuerConfig } from '../../config/schema.ts'
import { type Claims, checkRequired } from '../claim.ts'
import type { CheckedClaims } from '../claims.ts'
import { TokenError, type TokenFault } from '../principal.ts'
import { skew } from '../token.ts'
import { SAML } from './document.ts'
import { issuerIn } from './reading.ts'
import { timeOf } from './time.ts'
import { attributeOf, childrenOf, type Element } from './xml.ts'

const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer'
const TRANSIENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'
const EMAIL = 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress'
/** What directories call them (X.500 by LDAP's names and OIDs, ADFS and Entra by claim types). */
const usual = {
  name: [
    'displayName',
    'urn:oid:2.16.840.1.113730.3.1.241',
    'http://schemas.microsoft.com/identity/claims/displayname',
    'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name',
    'name',
    'cn',
  ],
  email: [
    'email',
    'mail',
    'urn:oid:0.9.2342.19200300.100.1.3',
    'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress',
  ],
}

export interface CheckedAssertion {
  claims: CheckedClaims
  /** Its ID, and until when it could be presented again. */
  id: string
  until: Date
}

/**
 * Checks what a verified assertion says of itself (core, section 2; profiles, section 4.1.4), and reads of it what an
 * issuer's entry asks for, as a JWT's claims would have it.
 * @param assertion as it was signed
 * @param now milliseconds since the epoch
 * @throws TokenError
 */
export function checkAssertion(assertion: Element, issuer: IssuerConfig, now: number): CheckedAssertion {
  if (attributeOf(assertion, 'Version') !== '2.0') throw refuse('malformed', 'the assertion is not of SAML 2.0')
  if (issuerIn(assertion) !== issuer.issuer) throw refuse('issuer', 'the assertion is of another issuer')
  const issued = time(assertion, 'IssueInstant', 'the assertion')
  if (issued === undefined || issued > now + skew * 1000)
    throw refuse('not-yet-valid', 'the assertion is not issued yet')

  const subject = only(assertion, 'Subject')
  const name = only(subject, 'NameID')
  if (name.children.length > 0 || childrenOf(subject, SAML, 'BaseID').length > 0)
    throw refuse('subject', 'the NameID is no text')
  const format = attributeOf(name, 'Format')
  if (format === TRANSIENT && issuer.subject === undefined)
    throw refuse(
      'subject',
      'its NameID is transient and names nobody twice: ask the identity provider for a persistent one',
    )

  const window = checkConditions(only(assertion, 'Conditions'), issuer, now)
  const confirmed = confirmation(subject, issuer.saml?.recipient, now)
  const attributes = attributesOf(assertion)
  const sub = name.text.trim()
  const presentable = Math.min(window, confirmed)
  const claims: CheckedClaims = {
    ...picked(attributes, issuer, format === EMAIL ? sub : undefined),
    sub,
    iss: issuer.issuer,
    exp: Math.floor((sessionEnd(assertion, now) ?? presentable) / 1000),
  }
  checkRequired(claims, issuer)
  return {
    claims,
    id: attributeOf(assertion, 'ID')!,
    until: new Date(Math.max(window, confirmed)),
  }
}

/** @returns when it ends */
function checkConditions(conditions: Element, issuer: IssuerConfig, now: number): number {
  const end = checkWindow(conditions, 'Conditions', now)
  const known = ['AudienceRestriction', 'OneTimeUse', 'ProxyRestriction']
  if (conditions.children.some((one) => one.namespace !== SAML || !known.includes(one.name)))
    throw refuse('malformed', 'the assertion has a condition that is not understood')
  const wanted = typeof issuer.audience === 'string' ? [issuer.audience] : issuer.audience
  const restrictions = childrenOf(conditions, SAML, 'AudienceRestriction')
  // Each must hold (core, section 2.5.1.4), and one without any would be an assertion for everybody.
  const holds = restrictions.every((restriction) =>
    childrenOf(restriction, SAML, 'Audience').some(
      ({ text, children }) => children.length === 0 && wanted.includes(text.trim()),
    ),
  )
  if (restrictions.length === 0 || !holds) throw refuse('audience', 'the assertion is for another audience')
  return end
}

/** Whoever bears it may be its subject: until when, and where. @returns when that ends */
function confirmation(subject: Element, recipient: string | undefined, now: number): number {
  const bearers = childrenOf(subject, SAML, 'SubjectConfirmation').filter(
    (one) => attributeOf(one, 'Method') === BEARER,
  )
  if (bearers.length === 0) throw refuse('subject', 'the assertion is not for a bearer')
  let fault: TokenError | undefined
  for (const bearer of bearers) {
    try {
      const given = only(bearer, 'SubjectConfirmationData')
      if (recipient !== undefined && attributeOf(given, 'Recipient') !== recipient)
        throw refuse('audience', 'the assertion is for another recipient')
      return checkWindow(given, 'SubjectConfirmationData', now)
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
      fault ??= error
    }
  }
  throw fault!
}

/** Checks NotBefore (with our skew) and NotOnOrAfter (without any: access that ends, ends), which must be there. */
function checkWindow(element: Element, what: string, now: number): number {
  const from = time(element, 'NotBefore', what)
  const to = time(element, 'NotOnOrAfter', what)
  if (to === undefined) throw refuse('malformed', `${what} has no end`)
  if (to <= now) throw refuse('expired', `${what} ended at ${new Date(to).toISOString()}`)
  if (from !== undefined && from > now + skew * 1000) throw refuse('not-yet-valid', `${what} has not begun`)
  return to
}

/** When the identity provider wants a session that was begun by it to end; undefined where it doesn't say. */
function sessionEnd(assertion: Element, now: number): number | undefined {
  const ends = childrenOf(assertion, SAML, 'AuthnStatement').flatMap(
    (statement) => time(statement, 'SessionNotOnOrAfter', 'AuthnStatement') ?? [],
  )
  if (ends.length === 0) return undefined
  const end = Math.min(...ends)
  if (end <= now) throw refuse('expired', 'the session that the assertion tells of has ended')
  return end
}

type Attributes = Map<string, (string | undefined)[]>

/** All attributes by name; undefined for a value that is no text. */
function attributesOf(assertion: Element): Attributes {
  const attributes: Attributes = new Map()
  for (const statement of childrenOf(assertion, SAML, 'AttributeStatement'))
    for (const attribute of childrenOf(statement, SAML, 'Attribute')) {
      const name = attributeOf(attribute, 'Name') ?? ''
      const values = childrenOf(attribute, SAML, 'AttributeValue')
      const texts = values.map(({ text, children }) => (children.length > 0 ? undefined : text))
      attributes.set(name, [...(attributes.get(name) ?? []), ...texts])
    }
  return attributes
}

/** The attributes that the entry names, and no other: one called `act` or `iss` must not pass for the claim. */
function picked(attributes: Attributes, issuer: IssuerConfig, nameId: string | undefined): Claims {
  const claims: Claims = {}
  const names = [issuer.groups, `${issuer.groups}.link`, issuer.subject, ...(issuer.groups_from ?? [])]
  for (const name of [...names, ...Object.keys(issuer.require ?? {})]) {
    const values = name === undefined ? undefined : attributes.get(name)
    if (name === undefined || !values) continue
    if (values.includes(undefined)) throw refuse('malformed', `the attribute ${name} is no text`)
    claims[name] = values.length === 1 && name !== issuer.groups ? values[0] : values
    // The directory's own word: an assertion knows no addresses that somebody has typed in.
    if (name.endsWith('email')) claims[`${name}_verified`] = true
  }
  const first = (names: string[]) =>
    names.flatMap((name) => attributes.get(name) ?? []).find((value) => value !== undefined)
  const display = first(issuer.saml?.name === undefined ? usual.name : [issuer.saml.name])
  const email = first(issuer.saml?.email === undefined ? usual.email : [issuer.saml.email]) ?? nameId
  return {
    ...claims,
    ...(display === undefined ? {} : { name: display }),
    ...(email === undefined ? {} : { email, email_verified: true }),
  }
}

function only(parent: Element, name: string): Element {
  const [element, ...others] = childrenOf(parent, SAML, name)
  if (!element || others.length > 0)
    throw refuse('malformed', `the assertion does not have one ${name} where it should`)
  return element
}

function time(element: Element, name: string, what: string): number | undefined {
  const text = attributeOf(element, name)
  if (text === undefined) return undefined
  const at = timeOf(text)
  if (at === undefined) throw refuse('malformed', `${name} of ${what} is no time`)
  return at
}

const refuse = (fault: TokenFault, why: string) => new TokenError(fault, why)
