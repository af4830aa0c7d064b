import { createHash } from 'node:crypto'

/**
 * Says whether bytes show one of some secrets: five characters of a text in any case, forwards or backwards; its hex,
 * base64, MD5 or SHA-256; a number in digits or as a binary int4; a uuid, address or date in text or binary.
 */
export function leakDetector(secrets: readonly string[]): (bytes: Buffer) => string | undefined {
  const pieces = new Map<string, string>()
  const binaries: [Buffer, string][] = []
  const every = (text: string, size: number, secret: string) => {
    for (let at = 0; at + size <= text.length; at++) pieces.set(text.slice(at, at + size).toLowerCase(), secret)
  }
  for (const secret of secrets) {
    if (/^[a-zA-Z@.]+$/.test(secret)) {
      // Base64 of the middle, as it stands after any number of bytes.
      for (const shift of [0, 1, 2]) {
        const text = Buffer.from(`${'x'.repeat(shift)}${secret}`).toString('base64')
        every(text.slice(4, -4), 8, secret)
      }
      every(secret, 5, secret)
      every([...secret].reverse().join(''), 5, secret)
      every(Buffer.from(secret).toString('hex'), 12, secret)
      for (const hash of ['md5', 'sha256']) every(createHash(hash).update(secret).digest('hex'), 16, secret)
    } else {
      every(secret, secret.length, secret)
      if (/^\d+$/.test(secret)) {
        const binary = Buffer.alloc(4)
        binary.writeInt32BE(Number(secret))
        binaries.push([binary, secret])
      } else if (/^[\d.]+$/.test(secret)) binaries.push([Buffer.from(secret.split('.').map(Number)), secret])
      else if (secret.length === 36) binaries.push([Buffer.from(secret.replaceAll('-', ''), 'hex'), secret])
      else {
        const days = Buffer.alloc(4)
        days.writeInt32BE((Date.parse(secret) - Date.UTC(2000, 0, 1)) / 86_400_000)
        binaries.push([days, secret])
      }
    }
  }
  const sizes = [...new Set([...pieces.keys()].map((piece) => piece.length))]
  return (bytes) => {
    for (const [binary, secret] of binaries) if (bytes.includes(binary)) return secret
    const text = bytes.toString('latin1').toLowerCase()
    for (const size of sizes) {
      for (let at = 0; at + size <= text.length; at++) {
        const secret = pieces.get(text.slice(at, at + size))
        if (secret !== undefined) return `${secret} (as ${text.slice(at, at + size)})`
      }
    }
    return undefined
  }
}
