import { createHash, createPublicKey, verify } from 'node:crypto'
import { fingerprintOf } from '../../config/host-key.ts'
import { type PublicKeyAuthContext, utils } from '../transport/ssh2.ts'

/** A key that a client says to have (RFC 4252, section 7). */
export interface OfferedKey {
  /** `SHA256:…`. */
  fingerprint: string
  /** Whether it has signed this connection's beginning with it; else it only asks whether it should. */
  signed: boolean
  /** Whether that signature is good. To be asked for keys of the registry alone, which has checked their form. */
  proves(): boolean
}

const SECURITY_KEYS: Record<string, 'ed25519' | 'ecdsa'> = {
  'sk-ssh-ed25519@openssh.com': 'ed25519',
  'sk-ecdsa-sha2-nistp256@openssh.com': 'ecdsa',
}
/** A person has touched the security key (WebAuthn, section 6.1). */
const USER_PRESENT = 1

export function offeredKey(context: PublicKeyAuthContext): OfferedKey {
  const { key, blob, signature, hashAlgo } = context
  const signed = blob !== undefined && signature !== undefined
  return {
    fingerprint: fingerprintOf(key.data),
    signed,
    proves() {
      if (!signed) return false
      try {
        if (Object.hasOwn(SECURITY_KEYS, key.algo)) return securityKeyProves(key.algo, key.data, blob, signature)
        // `ssh-rsa` without a hash's name is RSA with SHA-1 (RFC 8332), which proves nothing any more.
        if (key.algo === 'ssh-rsa' && hashAlgo !== 'sha256' && hashAlgo !== 'sha512') return false
        const known = utils.parseKey(`${key.algo} ${key.data.toString('base64')}`)
        if (known instanceof Error || known.type !== key.algo || !known.getPublicSSH().equals(key.data)) return false
        return known.verify(blob, signature, hashAlgo) === true
      } catch {
        return false
      }
    },
  }
}

/**
 * A signature by a FIDO authenticator (OpenSSH's PROTOCOL.u2f): of the hashes of application and message, flags and a
 * counter.
 * @param signature what stands behind the algorithm's name and the length of its first part
 */
function securityKeyProves(algo: string, key: Buffer, message: Buffer, signature: Buffer): boolean {
  const wire = new Wire(key)
  if (wire.bytes().toString('latin1') !== algo) return false
  const kind = SECURITY_KEYS[algo]!
  if (kind === 'ecdsa' && wire.bytes().toString('latin1') !== 'nistp256') return false
  const point = wire.bytes()
  const application = wire.bytes()
  const proof = new Wire(signature)
  const given = kind === 'ed25519' ? proof.take(64) : Buffer.concat([scalar(proof.bytes()), scalar(proof.bytes())])
  const flags = proof.take(1)
  const counter = proof.take(4)
  if (!wire.done || !proof.done || (flags[0]! & USER_PRESENT) === 0) return false
  const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest()
  const over = Buffer.concat([hash(application), flags, counter, hash(message)])
  const base64 = (bytes: Buffer) => bytes.toString('base64url')
  if (kind === 'ed25519') {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: base64(point) }
    return verify(null, over, createPublicKey({ key: jwk, format: 'jwk' }), given)
  }
  if (point.length !== 65 || point[0] !== 4) return false
  const jwk = { kty: 'EC', crv: 'P-256', x: base64(point.subarray(1, 33)), y: base64(point.subarray(33)) }
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
  return verify('sha256', over, { key: publicKey, dsaEncoding: 'ieee-p1363' }, given)
}

/** A positive mpint (RFC 4251, section 5) as 32 bytes. @throws RangeError */
function scalar(mpint: Buffer): Buffer {
  const bytes = mpint[0] === 0 ? mpint.subarray(1) : mpint
  if (bytes.length > 32) throw new RangeError('more than 256 bits')
  return Buffer.concat([Buffer.alloc(32 - bytes.length), bytes])
}

/** Reads the data types of RFC 4251, section 5. @throws RangeError where there is too little */
class Wire {
  #rest: Buffer
  constructor(bytes: Buffer) {
    this.#rest = bytes
  }
  take(length: number): Buffer {
    if (length > this.#rest.length) throw new RangeError('too short')
    const bytes = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    return bytes
  }
  bytes(): Buffer {
    return this.take(this.take(4).readUInt32BE(0))
  }
  get done(): boolean {
    return this.#rest.length === 0
  }
}
