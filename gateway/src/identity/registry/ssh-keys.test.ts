import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseSshKey, SshKeyRefused } from './ssh-keys.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ssh-keys-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A key as ssh-keygen makes it, with the fingerprint that it says. */
function made(type: string, bits?: number): { line: string; fingerprint: string; file: string } {
  const file = join(folder, `${type}-${bits ?? ''}-${Math.random()}`)
  const strength = bits === undefined ? [] : ['-b', String(bits)]
  execFileSync('ssh-keygen', ['-q', '-t', type, ...strength, '-N', '', '-C', 'bot@host of mine', '-f', file])
  const said = execFileSync('ssh-keygen', ['-l', '-f', `${file}.pub`], { encoding: 'utf8' })
  return { line: readFileSync(`${file}.pub`, 'utf8'), fingerprint: said.split(' ')[1]!, file }
}

describe('keys of ssh-keygen', () => {
  it.each([
    ['ed25519', undefined, 'ssh-ed25519'],
    ['ecdsa', 256, 'ecdsa-sha2-nistp256'],
    ['ecdsa', 384, 'ecdsa-sha2-nistp384'],
    ['ecdsa', 521, 'ecdsa-sha2-nistp521'],
    ['rsa', 2048, 'ssh-rsa'],
    ['rsa', 3072, 'ssh-rsa'],
  ])('%s %s have the fingerprint that it says, in both forms', (type, bits, wire) => {
    const { line, fingerprint, file } = made(type, bits)
    expect(parseSshKey(line)).toMatchObject({ fingerprint, type: wire, comment: 'bot@host of mine' })
    const rfc4716 = execFileSync('ssh-keygen', ['-e', '-m', 'RFC4716', '-f', `${file}.pub`], { encoding: 'utf8' })
    expect(parseSshKey(rfc4716)).toMatchObject({ fingerprint, type: wire })
  })

  it('are refused where they are the private half', () => {
    const { file } = made('ed25519')
    expect(() => parseSshKey(readFileSync(file, 'utf8'))).toThrow(/private key/)
  })
})

const wire = (...parts: (string | Buffer)[]) =>
  Buffer.concat(
    parts.map((part) => {
      const bytes = Buffer.from(part as string, 'latin1')
      const own = typeof part === 'string' ? bytes : part
      const length = Buffer.alloc(4)
      length.writeUInt32BE(own.length)
      return Buffer.concat([length, own])
    }),
  )
const line = (type: string, blob: Buffer, comment = '') => `${type} ${blob.toString('base64')} ${comment}`
const mpint = (value: bigint) => {
  const hex = value.toString(16)
  const bytes = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')
  return bytes[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes
}
const rsa = (bits: number) => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: bits })
  return BigInt(`0x${Buffer.from(publicKey.export({ format: 'jwk' }).n!, 'base64url').toString('hex')}`)
}
const point = Buffer.alloc(32, 7)

describe('is refused', () => {
  const good = wire('ssh-ed25519', point)
  it.each<[what: string, text: () => string, words: RegExp]>([
    ['nothing', () => '', /no public key/],
    ['words', () => 'please let me in', /no public key/],
    ['two keys', () => `${line('ssh-ed25519', good)}\n${line('ssh-ed25519', good)}`, /several lines/],
    ['options', () => `command="rm -rf /" ${line('ssh-ed25519', good)}`, /no public key|options/],
    ['another type in it than the line says', () => line('ssh-rsa', good), /the key in it is "ssh-ed25519"/],
    ['damaged base64', () => `ssh-ed25519 ${good.toString('base64').slice(0, -3)}! x`, /damaged|not whole/],
    ['base64 with bits that nobody reads', () => 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB', /damaged|not whole/],
    ['one byte too many', () => line('ssh-ed25519', Buffer.concat([good, Buffer.from([0])])), /damaged/],
    ['one byte too few', () => line('ssh-ed25519', good.subarray(0, -1)), /damaged/],
    [
      'a length beyond the end',
      () => line('ssh-ed25519', Buffer.from('ffffffff00', 'hex')),
      /says ssh-ed25519|damaged/,
    ],
    ['a point of small order', () => line('ssh-ed25519', wire('ssh-ed25519', Buffer.alloc(32))), /small order/],
    [
      'that with its sign',
      () =>
        line(
          'ssh-ed25519',
          wire('ssh-ed25519', Buffer.concat([Buffer.from([1]), Buffer.alloc(30), Buffer.from([0x80])])),
        ),
      /small order/,
    ],
    [
      'a point that is on no curve',
      () =>
        line(
          'ecdsa-sha2-nistp256',
          wire('ecdsa-sha2-nistp256', 'nistp256', Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)])),
        ),
      /damaged/,
    ],
    [
      'another curve than it says',
      () =>
        line(
          'ecdsa-sha2-nistp256',
          wire('ecdsa-sha2-nistp256', 'nistp384', Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)])),
        ),
      /damaged/,
    ],
    [
      'RSA with 1024 bits',
      () => line('ssh-rsa', wire('ssh-rsa', mpint(65_537n), mpint(rsa(1024)))),
      /weak: RSA with 1024/,
    ],
    ['RSA with exponent 3', () => line('ssh-rsa', wire('ssh-rsa', mpint(3n), mpint(rsa(2048)))), /weak/],
    ['RSA with an even modulus', () => line('ssh-rsa', wire('ssh-rsa', mpint(65_537n), mpint(rsa(2048) - 1n))), /weak/],
    ['a negative number', () => line('ssh-rsa', wire('ssh-rsa', mpint(65_537n), Buffer.alloc(256, 0xff))), /damaged/],
    ['DSA', () => line('ssh-dss', wire('ssh-dss', mpint(5n))), /DSA/],
    [
      'a certificate',
      () => line('ssh-ed25519-cert-v01@openssh.com', wire('ssh-ed25519-cert-v01@openssh.com', point)),
      /certificate/,
    ],
    ['a type that nobody knows', () => line('ssh-x', wire('ssh-x', point)), /not taken/],
  ])('%s', (_what, text, words) => {
    expect(() => parseSshKey(text())).toThrow(SshKeyRefused)
    expect(() => parseSshKey(text())).toThrow(words)
  })

  it('whatever is not wholly a key, and nothing else is ever thrown', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(good)
        bytes[at]! ^= flip
        try {
          // Only another point is another key.
          expect(parseSshKey(line('ssh-ed25519', bytes)).fingerprint).not.toBe(
            parseSshKey(line('ssh-ed25519', good)).fingerprint,
          )
          expect(at).toBeGreaterThanOrEqual(good.length - 32)
        } catch (error) {
          expect(error).toBeInstanceOf(SshKeyRefused)
        }
      }),
      { seed: 1, numRuns: 300 },
    )
  })
})

it('a comment is shown on one line, as it is', () => {
  const blob = wire('ssh-ed25519', point)
  expect(parseSshKey(line('ssh-ed25519', blob, 'a \u202eb\u0007 c')).comment).toBe('a b c')
})
