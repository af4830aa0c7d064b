import type { Identity } from '../principal.ts'
import type { Tokens } from './tokens.ts'

/** Who presents a token, whether an issuer's or one of the gateway's own: those are asked about each time. */
export function bothKinds(identity: Identity, tokens: Pick<Tokens, 'authenticate' | 'claims'>): Identity {
  return {
    authenticate: (token) => (tokens.claims(token) ? tokens.authenticate(token) : identity.authenticate(token)),
  }
}
