import { fingerprintOf } from '../identity/tokens/text.ts'
import { KEPT_MS } from '../identity/tokens/tokens.ts'
import { type Comparison, orNull, text } from './comparison.ts'
import { asValue, type Columns, fromJson } from './said.ts'

/** Gateway tokens: also that their hash is still that of the text which was given. */
export const tokens: Comparison = {
  table: 'tokens',
  what: 'gateway token',
  sql: `select id, hash, agent, identity, connection, "grant", purpose, issued_at, expires_at,
    revoked_at, revoked_by, revoked_because from tokens`,
  row: ({ id, hash, identity, revoked_by, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      hash: fingerprintOf(text(hash)),
      identity: fromJson(identity),
      revoked_by: fromJson(revoked_by),
    },
  }),
  types: ['token.issued', 'token.revoked'],
  says({ at, type, payload }) {
    const key = text(payload.token)
    if (type === 'token.revoked') {
      const { by, reason } = payload
      return { key, columns: { revoked_at: at, revoked_by: asValue(by), revoked_because: text(reason) } }
    }
    const { agent, connection, grant, purpose, expiresAt, fingerprint } = payload
    return {
      key,
      columns: {
        hash: text(fingerprint),
        agent: text((agent as { id?: unknown } | undefined)?.id),
        identity: asValue(agent),
        connection: text(connection),
        grant: orNull(grant),
        purpose: orNull(purpose),
        issued_at: at,
        expires_at: text(expiresAt),
        revoked_at: null,
        revoked_by: null,
        revoked_because: null,
      },
    }
  },
  forgotten: ({ columns }, { now }) => Date.parse(text(columns.expires_at)) + KEPT_MS < Date.parse(now),
}
