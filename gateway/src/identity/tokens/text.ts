import { hash, randomInt } from 'node:crypto'

/** What every gateway token begins with: told from a JWT, and found by whoever looks for secrets where none belong. */
export const TOKEN_PREFIX = 'cst_'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** 36 of 62 characters: 214 random bits. */
const LENGTH = 36
const FORM = /^cst_[0-9A-Za-z]{36}$/
const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'

/** The text of a new token: 40 ASCII characters, of which OpenSSH's askpass (1,023 bytes) cuts none. */
export function newTokenText(): string {
  return TOKEN_PREFIX + Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
}

/** `tk_` and 16 characters of Crockford's base32: what a token is called where its text must not be. */
export function newTokenId(): string {
  return `tk_${Array.from({ length: 16 }, () => CROCKFORD[randomInt(CROCKFORD.length)]).join('')}`
}

/** Whether a text has the form of a gateway token. */
export function isTokenText(text: string): boolean {
  return FORM.test(text)
}

/**
 * By what a token is kept and looked up. How long a lookup takes tells something of a hash at most, of which nobody can
 * find a text.
 * @returns SHA-256 in lower-case hex
 */
export function hashOf(text: string): string {
  return hash('sha256', text)
}

/** What the ledger has of a token: the hash of its hash, so that not even what it is looked up by is there. */
export function fingerprintOf(hashed: string): string {
  return hash('sha256', hashed)
}
