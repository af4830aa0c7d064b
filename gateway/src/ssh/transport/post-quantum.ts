import * as crypto from 'node:crypto'

/** draft-ietf-sshm-mlkem-hybrid-kex: what OpenSSH prefers from version 10 on. */
export const MLKEM = 'mlkem768x25519-sha256'

/** FIPS 203, table 3: bytes of a public key and of a ciphertext; those of an X25519 key (RFC 7748). */
const KEY = 1184
const CIPHERTEXT = 1088
const X25519 = 32

/** Node has ML-KEM from 24.7 on, where it runs on OpenSSL 3.5. */
export const hasMlkem: boolean = (() => {
  if (typeof crypto.encapsulate !== 'function') return false
  try {
    return generate().publicKey.asymmetricKeyType === 'ml-kem-768'
  } catch {
    return false
  }
})()

/** ssh2's exchange by X25519 (its `kex.js`), as far as this one goes on from it. */
interface Exchange {
  _protocol: { _server: boolean }
  _keys: { privateKey: crypto.KeyObject; publicKey: crypto.KeyObject } | null
  generateKeys(): void
  getPublicKey(): Buffer
  /** What the peer sent, as it enters the exchange's hash. */
  convertPublicKey(sent: Buffer): Buffer
  /** Called once, with what the peer sent; before `getPublicKey` where we are the server. @returns an Error to refuse it */
  computeSecret(sent: Buffer): Buffer | Error
}
type ExchangeClass = new (...args: unknown[]) => Exchange

/**
 * An exchange by ML-KEM-768 and X25519 at once: who reads it has to break both. The client sends a key of each, the
 * server a ciphertext and its key; the secret is SHA-256 over both secrets, encoded as a string and not as a number.
 */
export const hybrid = (Base: ExchangeClass): ExchangeClass =>
  class HybridExchange extends Base {
    #kem: ReturnType<typeof generate> | undefined
    /** What goes to the client before our key of X25519. */
    #ciphertext: Buffer | undefined

    override generateKeys(): void {
      super.generateKeys()
      if (!this._protocol._server) this.#kem ??= generate()
    }

    override getPublicKey(): Buffer {
      const own = super.getPublicKey()
      const first = this._protocol._server ? this.#ciphertext : rawOf(this.#kem!.publicKey)
      if (!first) throw new Error('nothing was encapsulated yet')
      return Buffer.concat([first, own])
    }

    override convertPublicKey(sent: Buffer): Buffer {
      return sent
    }

    override computeSecret(sent: Buffer): Buffer | Error {
      try {
        this.generateKeys()
        const first = this._protocol._server ? KEY : CIPHERTEXT
        if (sent.length !== first + X25519)
          return new Error(`${sent.length} bytes were sent, where ${first + X25519} are due`)
        const kem = this.#kemSecret(sent.subarray(0, first))
        const publicKey = keyOf(X25519_HEADER, sent.subarray(first))
        // OpenSSL refuses points of small order, whose secret everybody knows (RFC 8731, section 3).
        const classic = crypto.diffieHellman({ privateKey: this._keys!.privateKey, publicKey })
        return crypto.createHash('sha256').update(kem).update(classic).digest()
      } catch (error) {
        return error as Error
      }
    }

    #kemSecret(sent: Buffer): Buffer {
      if (!this._protocol._server) return crypto.decapsulate(this.#kem!.privateKey, sent)
      // Keys whose numbers are not reduced are refused here (FIPS 203, section 7.2).
      const { sharedKey, ciphertext } = crypto.encapsulate(keyOf(MLKEM_HEADER, sent))
      this.#ciphertext = ciphertext
      return sharedKey
    }
  }

function generate() {
  return crypto.generateKeyPairSync('ml-kem-768')
}

const spki = (key: crypto.KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })
const rawOf = (key: crypto.KeyObject): Buffer => spki(key).subarray(-KEY)
const keyOf = (header: Buffer, raw: Buffer): crypto.KeyObject =>
  crypto.createPublicKey({ key: Buffer.concat([header, raw]), type: 'spki', format: 'der' })

/** What stands before a key's bytes in its SPKI: RFC 8410, section 4, and RFC 9935. */
const X25519_HEADER = Buffer.from('302a300506032b656e032100', 'hex')
const MLKEM_HEADER = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex')
