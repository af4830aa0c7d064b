import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fingerprintOf } from '../../config/host-key.ts'
import { type PublicKeyAuthContext, utils } from '../transport/ssh2.ts'
import { offeredKey } from './public-key.ts'

const text = (value: string | Buffer) => {
  const bytes = Buffer.from(value as string)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
const mpint = (bytes: Buffer) => text(bytes[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes)
const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest()
const offered = (key: { algo: string; data: Buffer }, more: object = {}) =>
  offeredKey({ method: 'publickey', key, ...more } as unknown as PublicKeyAuthContext)

const blob = Buffer.from('this connection’s beginning')

describe('a key of ssh-keygen', () => {
  const { private: pem } = utils.generateKeyPairSync('ed25519')
  const parsed = utils.parseKey(pem)
  if (parsed instanceof Error) throw parsed
  const key = { algo: 'ssh-ed25519', data: parsed.getPublicSSH() }

  test('that is only offered proves nothing', () => {
    expect(offered(key)).toMatchObject({ fingerprint: fingerprintOf(key.data), signed: false })
    expect(offered(key).proves()).toBe(false)
  })
  test('proves by its signature, of this alone', () => {
    const signature = parsed.sign(blob)
    expect(offered(key, { blob, signature }).proves()).toBe(true)
    expect(offered(key, { blob: Buffer.from('another'), signature }).proves()).toBe(false)
    expect(offered(key, { blob, signature: signature.subarray(1) }).proves()).toBe(false)
    expect(offered({ ...key, algo: 'ecdsa-sha2-nistp256' }, { blob, signature }).proves()).toBe(false)
  })
})

test('RSA proves by SHA-2, not by SHA-1', () => {
  const { private: pem } = utils.generateKeyPairSync('rsa', { bits: 2048 })
  const parsed = utils.parseKey(pem)
  if (parsed instanceof Error) throw parsed
  const key = { algo: 'ssh-rsa', data: parsed.getPublicSSH() }
  for (const hashAlgo of ['sha256', 'sha512'])
    expect(offered(key, { blob, signature: parsed.sign(blob, hashAlgo), hashAlgo }).proves()).toBe(true)
  expect(offered(key, { blob, signature: parsed.sign(blob, 'sha1') }).proves()).toBe(false)
  expect(offered(key, { blob, signature: parsed.sign(blob, 'sha1'), hashAlgo: 'sha1' }).proves()).toBe(false)
})

describe.each(['ed25519', 'ecdsa'] as const)('a security key, %s', (kind) => {
  const { publicKey, privateKey } =
    kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algo = kind === 'ed25519' ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com'
  const jwk = publicKey.export({ format: 'jwk' })
  const [x, y] = [jwk.x, jwk.y].map((part) => Buffer.from(part ?? '', 'base64url'))
  const point = kind === 'ed25519' ? [text(x!)] : [text('nistp256'), text(Buffer.concat([Buffer.of(4), x!, y!]))]
  const data = Buffer.concat([text(algo), ...point, text('ssh:')])
  /** As it stands behind the algorithm and the first length (OpenSSH's PROTOCOL.u2f). */
  const signed = ({
    flags = 1,
    by = privateKey,
    over = blob,
  }: {
    flags?: number
    by?: KeyObject
    over?: Buffer
  } = {}) => {
    const tail = Buffer.concat([Buffer.of(flags), Buffer.of(0, 0, 0, 9)])
    const message = Buffer.concat([sha256('ssh:'), tail, sha256(over)])
    if (kind === 'ed25519') return Buffer.concat([sign(null, message, by), tail])
    const raw = sign('sha256', message, { key: by, dsaEncoding: 'ieee-p1363' })
    return Buffer.concat([mpint(raw.subarray(0, 32)), mpint(raw.subarray(32)), tail])
  }
  const proves = (signature: Buffer) => offered({ algo, data }, { blob, signature }).proves()

  test('proves where somebody has touched it', () => {
    expect(proves(signed())).toBe(true)
    expect(proves(signed({ flags: 5 }))).toBe(true)
    expect(proves(signed({ flags: 0 }))).toBe(false)
    expect(proves(signed({ over: Buffer.from('another') }))).toBe(false)
  })
  test('whatever else is in the place of its signature proves nothing, and throws nothing', () => {
    const good = signed()
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bad = Buffer.from(good)
        bad[at] = bad[at]! ^ change
        return !proves(bad)
      }),
      { seed: 7, numRuns: 100 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => !proves(Buffer.from(bytes))),
      { seed: 7, numRuns: 100 },
    )
    expect(proves(Buffer.concat([good, Buffer.of(0)]))).toBe(false)
  })
})
