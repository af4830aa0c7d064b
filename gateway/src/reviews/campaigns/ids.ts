import { randomBytes } from 'node:crypto'

/** Crockford's: no i, l, o, u. */
const letters = '0123456789abcdefghjkmnpqrstvwxyz'

/** `ca_` of campaigns, `it_` of their items, `de_` of decisions that nobody made, and 80 random bits after it. */
export function newId(prefix: 'ca' | 'it' | 'de'): string {
  return `${prefix}_${[...randomBytes(16)].map((byte) => letters[byte & 31]).join('')}`
}
