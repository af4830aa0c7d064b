import { Purpose } from '@countersign/contract/access'
import { hasControl } from '../claim.ts'
import type { SubjectTokenType } from '../subject-tokens.ts'
import { invalidRequest, OAuthError } from './oauth-error.ts'

/** Bytes of a body: two tokens of the largest kind, a SAML response twice encoded among them. */
export const LARGEST_FORM = 512 * 1024
const MOST_PARAMETERS = 40

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** What may be exchanged (RFC 8693, section 3). */
export const tokenTypes: Readonly<Record<string, SubjectTokenType>> = {
  'urn:ietf:params:oauth:token-type:jwt': 'jwt',
  [ACCESS_TOKEN]: 'access_token',
  'urn:ietf:params:oauth:token-type:id_token': 'id_token',
  'urn:ietf:params:oauth:token-type:saml2': 'saml2',
}

export interface Presented {
  token: string
  type: SubjectTokenType
}

/** A request of the token endpoint whose form is right. */
export interface ExchangeRequest {
  subject: Presented
  actor?: Presented
  audience?: string
  resource?: string
  purpose?: string
  /** Seconds. */
  lifetime?: number
  grant?: string
}

/**
 * Reads a form as RFC 6749 has it: each parameter once, empty ones as if they weren't there (section 3.2), those that
 * nobody knows ignored.
 * @throws OAuthError invalid_request
 */
export function readForm(body: string): Map<string, string> {
  const form = new Map<string, string>()
  let count = 0
  for (const part of body.split('&')) {
    if (part === '') continue
    if (++count > MOST_PARAMETERS) throw invalidRequest(`There are more than ${MOST_PARAMETERS} parameters.`)
    const equals = part.indexOf('=')
    const name = decoded(equals < 0 ? part : part.slice(0, equals))
    const value = decoded(equals < 0 ? '' : part.slice(equals + 1))
    // Also where one of them is empty: two readers of one request must not see two requests.
    if (form.has(name)) throw invalidRequest('A parameter is there twice.')
    form.set(name, value)
  }
  for (const [name, value] of form) if (value === '') form.delete(name)
  return form
}

/** @throws OAuthError invalid_request or unsupported_grant_type */
export function readExchange(form: ReadonlyMap<string, string>): ExchangeRequest {
  const kind = form.get('grant_type')
  if (kind === undefined) throw invalidRequest('grant_type is missing.')
  if (kind !== TOKEN_EXCHANGE)
    throw new OAuthError('unsupported_grant_type', `The grant type here is ${TOKEN_EXCHANGE}.`)
  const subject = presented(form, 'subject_token')
  if (!subject) throw invalidRequest('subject_token is missing.')
  const actor = presented(form, 'actor_token')
  const wanted = form.get('requested_token_type')
  if (wanted !== undefined && wanted !== ACCESS_TOKEN)
    throw invalidRequest(`What is given here is ${ACCESS_TOKEN}: leave requested_token_type out.`)
  const [audience, resource] = [form.get('audience'), form.get('resource')]
  if (audience === undefined && resource === undefined)
    throw invalidRequest('audience is missing: the name of a connection, or resource, its URL.')
  const purpose = purposeOf(form.get('purpose'))
  const lifetime = lifetimeOf(form.get('requested_token_lifetime'))
  const grant = form.get('grant')
  if (grant !== undefined && !/^[\w-]{1,100}$/.test(grant)) throw invalidRequest('grant is no id of a grant.')
  return {
    subject,
    ...(actor && { actor }),
    ...(audience !== undefined && { audience }),
    ...(resource !== undefined && { resource }),
    ...(purpose !== undefined && { purpose }),
    ...(lifetime !== undefined && { lifetime }),
    ...(grant !== undefined && { grant }),
  }
}

function presented(form: ReadonlyMap<string, string>, name: 'subject_token' | 'actor_token'): Presented | undefined {
  const token = form.get(name)
  const type = form.get(`${name}_type`)
  if (token === undefined) {
    // RFC 8693, 2.1: MUST NOT be included then. Who sends it has lost the token on the way.
    if (type !== undefined && name === 'actor_token') throw invalidRequest('actor_token_type is there without a token.')
    return undefined
  }
  if (type === undefined) throw invalidRequest(`${name}_type is missing.`)
  const known = Object.hasOwn(tokenTypes, type) ? tokenTypes[type] : undefined
  if (!known) throw invalidRequest(`${name}_type is none of ${Object.keys(tokenTypes).join(', ')}.`)
  return { token, type: known }
}

function purposeOf(given: string | undefined): string | undefined {
  if (given === undefined) return undefined
  const purpose = Purpose.safeParse(given)
  if (!purpose.success || hasControl(purpose.data))
    throw invalidRequest('purpose is a line of at most 2,000 characters.')
  return purpose.data
}

function lifetimeOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  if (!/^[1-9]\d{0,8}$/.test(given)) throw invalidRequest('requested_token_lifetime is a number of seconds above 0.')
  return Number(given)
}

/** @throws OAuthError where it isn't what a form may hold: a byte that two readers would read as two things */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw invalidRequest('The body is not application/x-www-form-urlencoded in UTF-8.')
  }
}
