import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Tables } from '../store/tables.ts'
import { type Principal, TokenError } from './principal.ts'

/** What may be exchanged for a gateway token (RFC 8693, section 3): the last word of its `urn:ietf:params:oauth:token-type:`. */
export type SubjectTokenType = 'jwt' | 'access_token' | 'id_token' | 'saml2'

/** Who a subject token speaks for, and what else it says for an exchange. */
export type SubjectPrincipal = Principal & {
  /**
   * The one who alone may act for this subject (`may_act`, RFC 8693 section 4.4), as `ISSUER#SUBJECT`; where the claim
   * is there and names nobody, it is empty: nobody may. Absent: the token doesn't say.
   */
  mayAct?: string
}

/** A token that was checked, and what makes it one that may be presented once only. */
export interface VerifiedToken {
  principal: SubjectPrincipal
  once?: { id: string; until: Date }
}

export interface SubjectTokens {
  /**
   * Checks a subject or actor token against the configured issuers. A SAML assertion is used up by it.
   * @param given `token` as it was sent: a compact JWT, an opaque text of an introspection issuer, or a SAML assertion
   *   or response in base64url (RFC 8693, section 3) or base64
   * @throws TokenError for every token that is not to be trusted, and when that can't be told; its message is for the log
   */
  verify(given: { token: string; type: SubjectTokenType }): Promise<SubjectPrincipal>
  /**
   * Whether `id` is presented for the first time, kept (as a hash) until `until`, over restarts.
   * @param id with what makes it unique among issuers
   */
  once(id: string, until: Date): Promise<boolean>
}

/** What is over is taken out of the table at most this often (milliseconds). */
const pruneEvery = 60_000

/** Checks what is exchanged for gateway tokens; what was presented is remembered in the table `presented`. */
export function createSubjectTokens(options: {
  identity: { verify(given: { token: string; type: SubjectTokenType }): Promise<VerifiedToken> }
  db: Kysely<Tables>
  clock?: () => number
}): SubjectTokens {
  const { identity, db } = options
  const clock = options.clock ?? Date.now
  let prunedAt = Number.NEGATIVE_INFINITY

  const once: SubjectTokens['once'] = async (id, until) => {
    if (clock() - prunedAt >= pruneEvery) {
      prunedAt = clock()
      await db.deleteFrom('presented').where('until', '<=', new Date(clock()).toISOString()).execute()
    }
    const { numInsertedOrUpdatedRows } = await db
      .insertInto('presented')
      .values({ hash: createHash('sha256').update(id).digest('hex'), until: until.toISOString() })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow()
    return numInsertedOrUpdatedRows === 1n
  }

  return {
    once,
    async verify(given) {
      const { principal, once: only } = await identity.verify(given)
      if (only && !(await once(only.id, only.until)))
        throw new TokenError('replayed', 'this assertion was presented before: get a new one')
      return principal
    },
  }
}
