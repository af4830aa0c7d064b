import { TokenAnswer } from '@countersign/contract/access'
import { CliError, exits, refused } from '../errors.ts'
import { sentenceOf } from '../gateway/gateway.ts'
import type { Answered, Sender } from '../gateway/request.ts'
import type { SubjectToken, TokenType } from './sources.ts'

export interface Exchange {
  subject: SubjectToken
  actor?: SubjectToken | undefined
  connection?: string | undefined
  resource?: string | undefined
  purpose?: string | undefined
  /** Seconds. */
  lifetime?: number | undefined
  grant?: string | undefined
}

const urn = (type: TokenType) => `urn:ietf:params:oauth:token-type:${type}`

/**
 * Exchanges the agent's token for one of the gateway's, bound to a connection (RFC 8693).
 * @throws CliError 4 where a token isn't good, 1 where no access is given
 */
export async function exchange(gateway: Sender, asked: Exchange): Promise<TokenAnswer> {
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: onTheWire(asked.subject),
    subject_token_type: urn(asked.subject.type),
  })
  if (asked.actor) {
    form.set('actor_token', onTheWire(asked.actor))
    form.set('actor_token_type', urn(asked.actor.type))
  }
  const rest = { audience: asked.connection, resource: asked.resource, purpose: asked.purpose, grant: asked.grant }
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) form.set(name, value)
  if (asked.lifetime !== undefined) form.set('requested_token_lifetime', String(asked.lifetime))
  const answer = await gateway.send('/v1/token', { method: 'POST', form })
  if (answer.status !== 200) throw oauthError(answer, asked)
  const parsed = TokenAnswer.safeParse(answer.body)
  // It gets into files of clients and onto terminals: nothing but what a bearer token is made of (RFC 6750, section 2.1).
  if (!parsed.success || !/^[\w.~+/-]+=*$/.test(parsed.data.access_token))
    throw refused('the gateway gave no token that this version understands: one of the two needs an update')
  return answer.body as TokenAnswer
}

/** Gives a token back (RFC 7009). Whoever has it may. */
export async function giveBack(gateway: Sender, token: string): Promise<void> {
  await gateway.send('/v1/token/revoke', { method: 'POST', form: new URLSearchParams({ token }), patience: 5_000 })
}

/** SAML goes as base64url (RFC 8693, section 3). */
function onTheWire({ text, type }: SubjectToken): string {
  return type === 'saml2' && text.startsWith('<') ? Buffer.from(text).toString('base64url') : text
}

/** An error of a token endpoint (RFC 6749, section 5.2) as a sentence. */
function oauthError({ status, body, headers }: Answered, asked: Exchange): CliError {
  const { error, error_description: described } = (body ?? {}) as { error?: unknown; error_description?: unknown }
  const code = typeof error === 'string' ? error : ''
  const words = typeof described === 'string' ? sentenceOf(described) : code && sentenceOf(code)
  const where = asked.connection ?? asked.resource ?? 'this connection'
  if (code === 'invalid_target')
    return refused(
      `no token is given for ${sentenceOf(where)}: check the name, or ask for access by countersign grants request ${sentenceOf(where)} (${words})`,
    )
  const named = /(subject|actor)_token/.exec(words)?.[0]
  if (named || code === 'invalid_grant' || code === 'invalid_client' || status === 401) {
    const from = named === 'actor_token' ? asked.actor?.from : asked.subject.from
    return new CliError(exits.notSignedIn, `${words || 'the token is refused'} (it came from ${from})`)
  }
  if (status === 429)
    return refused(`${words || 'too many requests'}; try again in ${sentenceOf(headers['retry-after'] ?? '60')} s`)
  if (status === 404) return refused('this gateway gives no tokens: is it a Countersign gateway of this version?')
  return refused(words || `the gateway answered ${status}: try again, or look into its log`)
}
