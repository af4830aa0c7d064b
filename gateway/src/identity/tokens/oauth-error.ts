/** The codes of RFC 6749 (5.2), RFC 7009 (2.2.1) and RFC 8693 (2.2.2) that are answered here. */
export type OAuthCode =
  | 'invalid_request'
  | 'invalid_grant'
  | 'invalid_target'
  | 'unsupported_grant_type'
  | 'unsupported_token_type'
  | 'temporarily_unavailable'

/**
 * What a client of the token endpoint is told. `message` is its `error_description`: printable ASCII without `"` and `\`
 * (RFC 6749, 5.2), and nothing of what was sent.
 */
export class OAuthError extends Error {
  override name = 'OAuthError'
  readonly code: OAuthCode
  readonly status: number
  /** Seconds after which another try makes sense. */
  readonly retryAfter: number | undefined
  constructor(code: OAuthCode, message: string, options: { status?: number; retryAfter?: number } = {}) {
    super(message)
    this.code = code
    this.status = options.status ?? 400
    this.retryAfter = options.retryAfter
  }
}

export const invalidRequest = (message: string) => new OAuthError('invalid_request', message)

/** One and the same, whatever keeps an agent from a connection: nobody finds out by it which ones there are. */
export const invalidTarget = () =>
  new OAuthError('invalid_target', 'No token is given for this target: there is none such, or it is not yours now.')

/** One and the same, whatever is wrong with a token (RFC 8693, 2.2.2: invalid_request). */
export const invalidToken = (which: 'subject_token' | 'actor_token') =>
  invalidRequest(`The ${which} is not valid here: get a new one from its issuer.`)

export const tooMany = (retryAfter: number) =>
  new OAuthError('temporarily_unavailable', 'Too many requests, or too many that were refused: wait a little.', {
    status: 429,
    retryAfter,
  })

export const issuerSilent = () =>
  new OAuthError('temporarily_unavailable', 'The issuer of a token can not be asked now: try again shortly.', {
    status: 503,
    retryAfter: 5,
  })
