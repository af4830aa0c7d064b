import { createHash, createPublicKey } from 'node:crypto'

/** A public key of SSH that may be trusted to be one. */
export interface SshKey {
  /** `SHA256:BASE64`, as `ssh-keygen -l` writes it. */
  fingerprint: string
  /** Its name on the wire (RFC 4253, section 6.6), for example `ssh-ed25519`. */
  type: string
  comment: string
  /** The key as it stands on the wire, in base64. */
  blob: string
}

/** A text that is no public key, or one that must not be trusted, with a sentence that says what to do. */
export class SshKeyRefused extends Error {
  override name = 'SshKeyRefused'
}

const LONGEST_COMMENT = 200
/** NIST SP 800-131A: RSA below 2048 bits is not allowed. */
const RSA_BITS = { least: 2048, most: 16_384 }
const curves: Record<string, { crv: string; bytes: number }> = {
  nistp256: { crv: 'P-256', bytes: 32 },
  nistp384: { crv: 'P-384', bytes: 48 },
  nistp521: { crv: 'P-521', bytes: 66 },
}
/** Encodings of the points of small order on edwards25519, without the sign bit: anybody can sign for such a key. */
const smallOrder = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
])

/**
 * Reads a public key as it stands in `authorized_keys` and `id_*.pub` (sshd(8)), or in the form of RFC 4716.
 * @throws SshKeyRefused for what is none, has options, or is too weak
 */
export function parseSshKey(text: string): SshKey {
  const trimmed = text.trim()
  if (/PRIVATE KEY/.test(trimmed))
    throw new SshKeyRefused(
      'That is a private key: whoever has seen it here has it now. Make a new pair, and give the public half',
    )
  const { blob, comment, named } = trimmed.startsWith('---- BEGIN SSH2 PUBLIC KEY')
    ? rfc4716(trimmed)
    : oneLine(trimmed)
  const bytes = Buffer.from(blob, 'base64')
  // What base64 leaves out or repeats would be another text for the same key.
  if (bytes.length === 0 || bytes.toString('base64') !== padded(blob))
    throw new SshKeyRefused('The key is not whole: its base64 is damaged. Copy the line again')
  const wire = new Wire(bytes)
  const type = wire.text()
  if (named !== undefined && named !== type)
    throw new SshKeyRefused(`The line says ${named}, the key in it is ${printable(type)}: copy the line again`)
  check(type, wire)
  wire.end()
  const fingerprint = `SHA256:${createHash('sha256').update(bytes).digest('base64').replace(/=+$/, '')}`
  return { fingerprint, type, comment: visible(comment), blob: bytes.toString('base64') }
}

function oneLine(line: string): { blob: string; comment: string; named: string } {
  if (/[\r\n]/.test(line)) throw new SshKeyRefused('One key at a time: this has several lines')
  const [named = '', blob = '', ...rest] = line.split(/[ \t]+/)
  if (
    !/^[a-z0-9@.-]+$/.test(named) ||
    !(named.includes('ssh-') || named.startsWith('ecdsa-') || named.startsWith('sk-'))
  )
    throw new SshKeyRefused(
      'This is no public key as `ssh-keygen` writes it (ssh-ed25519 AAAA… COMMENT); options before the key are not taken, write them as policy',
    )
  return { blob, comment: rest.join(' '), named }
}

/** Headers of a key file end where a line has no colon; one that ends in a backslash goes on. */
function rfc4716(text: string): { blob: string; comment: string; named: undefined } {
  const lines = text.replace(/\\\r?\n/g, '').split(/\r?\n/)
  if (!/^---- END SSH2 PUBLIC KEY ----\s*$/.test(lines.at(-1)!))
    throw new SshKeyRefused('The key is not whole: its last line is missing')
  const body = lines.slice(1, -1)
  const comment = /^Comment:\s*"?(.*?)"?\s*$/i
  const said = body.map((line) => comment.exec(line)?.[1]).find((one) => one !== undefined)
  return {
    blob: body
      .filter((line) => !line.includes(':'))
      .join('')
      .trim(),
    comment: said ?? '',
    named: undefined,
  }
}

/** Form and strength by the kind of key. */
function check(type: string, wire: Wire): void {
  const [, curve] = /^(?:ecdsa-sha2-|sk-ecdsa-sha2-)(nistp\d+)(?:@openssh\.com)?$/.exec(type) ?? []
  switch (type) {
    case 'ssh-ed25519':
    case 'sk-ssh-ed25519@openssh.com': {
      const point = wire.bytes()
      if (point.length !== 32) throw malformed()
      const unsigned = Buffer.from(point)
      unsigned[31]! &= 0x7f
      if (smallOrder.has(unsigned.toString('hex')))
        throw new SshKeyRefused('This key is weak: its point is of small order, so anybody can sign for it')
      if (type.startsWith('sk-')) wire.bytes()
      return
    }
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521':
    case 'sk-ecdsa-sha2-nistp256@openssh.com': {
      const { crv, bytes } = curves[curve!]!
      if (wire.text() !== curve) throw malformed()
      const point = wire.bytes()
      // Uncompressed, SEC 1 section 2.3.3.
      if (point[0] !== 4 || point.length !== 1 + 2 * bytes) throw malformed()
      const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)]
      isKey({ kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') })
      if (type.startsWith('sk-')) wire.bytes()
      return
    }
    case 'ssh-rsa': {
      const e = wire.number()
      const n = wire.number()
      const bits = n.toString(2).length
      if (bits < RSA_BITS.least)
        throw new SshKeyRefused(`This key is weak: RSA with ${bits} bits; make one with at least 3072, or ssh-ed25519`)
      if (bits > RSA_BITS.most)
        throw new SshKeyRefused(`RSA with ${bits} bits is more than is taken (${RSA_BITS.most})`)
      if (e < 65_537n || e % 2n === 0n || e >= 2n ** 32n || n % 2n === 0n)
        throw new SshKeyRefused('This key is weak: its RSA numbers are not as ssh-keygen makes them; make a new one')
      return
    }
    case 'ssh-dss':
      throw new SshKeyRefused('DSA keys are weak (OpenSSH has dropped them): make one with ssh-keygen -t ed25519')
    default:
      if (type.includes('-cert-'))
        throw new SshKeyRefused('This is a certificate, which ends: give the public key that it is for')
      throw new SshKeyRefused(`Keys of type ${printable(type)} are not taken: make one with ssh-keygen -t ed25519`)
  }
}

/** @throws SshKeyRefused where the point is not on the curve */
function isKey(jwk: { kty: string; crv: string; x: string; y: string }): void {
  try {
    createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    throw malformed()
  }
}

/** The data types of RFC 4251, section 5. */
class Wire {
  #rest: Buffer
  constructor(bytes: Buffer) {
    this.#rest = bytes
  }
  bytes(): Buffer {
    if (this.#rest.length < 4) throw malformed()
    const length = this.#rest.readUInt32BE(0)
    if (length > this.#rest.length - 4) throw malformed()
    const bytes = this.#rest.subarray(4, 4 + length)
    this.#rest = this.#rest.subarray(4 + length)
    return bytes
  }
  text(): string {
    return this.bytes().toString('latin1')
  }
  /** An mpint that is positive and no longer than it must be. */
  number(): bigint {
    const bytes = this.bytes()
    if (bytes.length === 0 || bytes[0]! >= 0x80) throw malformed()
    if (bytes[0] === 0 && (bytes.length === 1 || bytes[1]! < 0x80)) throw malformed()
    return BigInt(`0x${bytes.toString('hex')}`)
  }
  end(): void {
    if (this.#rest.length > 0) throw malformed()
  }
}

function malformed(): SshKeyRefused {
  return new SshKeyRefused('The key is damaged: what is in it is not as its type has it. Copy the line again')
}

const padded = (base64: string) =>
  base64.replace(/=*$/, '').padEnd(Math.ceil(base64.replace(/=*$/, '').length / 4) * 4, '=')
const printable = (text: string) => JSON.stringify(text.slice(0, 60))

/** On one line, without what could make it look like another text. */
function visible(comment: string): string {
  return comment
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .trim()
    .slice(0, LONGEST_COMMENT)
}
