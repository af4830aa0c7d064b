import { hash, randomBytes } from 'node:crypto'

/** Crockford's: no i, l, o, u. */
const letters = '0123456789abcdefghjkmnpqrstvwxyz'

/** `ca_` of campaigns, `it_` of their items, `de_` of decisions that nobody made, and 80 random bits after it. */
export function newId(prefix: 'ca' | 'it' | 'de'): string {
  return written(prefix, randomBytes(16))
}

/** Of a campaign that somebody makes under a key of theirs: the same key is the same campaign, whoever else uses it. */
export function idOfKey(person: string, key: string): string {
  return written('ca', hash('sha256', JSON.stringify([person, key]), 'buffer').subarray(0, 16))
}

const written = (prefix: string, bytes: Uint8Array) =>
  `${prefix}_${[...bytes].map((byte) => letters[byte & 31]).join('')}`
