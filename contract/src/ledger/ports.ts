/**
 * What the ledger needs from its surroundings, so that the same code runs in the gateway, the CLI and the console.
 * Node's are in `contract/src/node/ledger-crypto.ts`.
 */

/** SHA-256 of the parts, one after the other; 32 bytes that belong to the caller. Synchronous: a verifier calls it by the million. */
export type Sha256 = (...parts: Uint8Array[]) => Uint8Array

/** SHA-256 of what comes bit by bit. `digest` ends it. */
export interface RunningHash {
  update(bytes: Uint8Array): void
  digest(): Uint8Array
}

/** Enough to verify. */
export interface LedgerCrypto {
  sha256: Sha256
  sha256Running(): RunningHash
  /** RFC 8032, section 5.1.7. False, never an error, for a key or signature of a wrong length or form. */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
}

/** Enough to sign. Keys are RFC 8032 seeds of 32 bytes. */
export interface LedgerSigning {
  ed25519PublicKey(seed: Uint8Array): Uint8Array
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array
}
