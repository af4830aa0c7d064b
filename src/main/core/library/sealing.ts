import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** What is kept isn't what was written: changed, cut, moved, or sealed under another key. */
export class Damaged extends Error {
  override name = 'Damaged'
}

/**
 * Seals pieces of one file with AES-256-GCM, each on its own: `label` says what and where a piece is, and is
 * authenticated with it, so that a piece opens in its place only.
 */
export interface Sealer {
  /** nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes); a nonce is random, since a place may be written more than once */
  seal(plain: Uint8Array, label: string): Buffer
  /** @throws Damaged */
  open(sealed: Buffer, label: string): Buffer
}

/** What sealing adds to the length of a piece. */
export const sealBytes = 12 + 16

/**
 * The sealer of one file: its key is derived from the library's (HKDF-SHA256, RFC 5869) with the file's own salt and
 * what the file is `about`, so that no file opens as another's.
 */
export function createSealer(libraryKey: Buffer, salt: Buffer, about: string): Sealer {
  const key = Buffer.from(hkdfSync('sha256', libraryKey, salt, `countersign-library/1\n${about}`, 32))
  return {
    seal(plain, label) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(Buffer.from(label))
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open(sealed, label) {
      if (sealed.length < sealBytes) throw new Damaged('a piece is shorter than its seal')
      const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 })
      cipher.setAAD(Buffer.from(label)).setAuthTag(sealed.subarray(-16))
      const plain = cipher.update(sealed.subarray(12, -16))
      try {
        cipher.final()
      } catch {
        throw new Damaged(`${label.split('\n')[0]} was changed, or sealed under another key`)
      }
      return plain
    },
  }
}
