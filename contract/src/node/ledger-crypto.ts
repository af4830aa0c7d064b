import { createHash, createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'
import type { LedgerCrypto, LedgerSigning } from '../ledger/ports.ts'

const SMALL = 1 << 16
const scratch = Buffer.alloc(SMALL)

/** The ledger's cryptography by Node's own OpenSSL. */
export const nodeCrypto: LedgerCrypto & LedgerSigning = {
  sha256(...parts) {
    let length = 0
    for (const part of parts) length += part.length
    if (length <= SMALL) {
      // One call into OpenSSL instead of three: a verifier makes millions of them.
      let at = 0
      for (const part of parts) {
        scratch.set(part, at)
        at += part.length
      }
      // As text, which has a character for each byte here: a Buffer of its own takes OpenSSL's caller longer than the hash.
      return Buffer.from(hash('sha256', scratch.subarray(0, length), 'binary'), 'latin1')
    }
    const running = createHash('sha256')
    for (const part of parts) running.update(part)
    return running.digest()
  },
  sha256Running: () => createHash('sha256'),
  ed25519Verify(publicKey, message, signature) {
    if (publicKey.length !== 32 || signature.length !== 64) return false
    try {
      return verify(null, message, publicKeyOf(publicKey), signature)
    } catch {
      return false
    }
  },
  ed25519PublicKey(seed) {
    const { x } = createPublicKey(privateKeyOf(seed)).export({ format: 'jwk' })
    return Buffer.from(x!, 'base64url')
  },
  ed25519Sign: (seed, message) => sign(null, message, privateKeyOf(seed)),
}

// RFC 8410: the fixed beginnings of SubjectPublicKeyInfo and PKCS #8 for Ed25519.
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

const publicKeyOf = (key: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI, key]), format: 'der', type: 'spki' })

function privateKeyOf(seed: Uint8Array): KeyObject {
  if (seed.length !== 32) throw new TypeError('an Ed25519 seed has 32 bytes')
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
}
