import { createHash } from 'node:crypto'

const fingerprint = /^SHA256:[A-Za-z0-9+/]{43}=?$/
const key = /^(?:ssh-[a-z0-9-]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) ([A-Za-z0-9+/]{40,}={0,2})(?:\s|$)/

/**
 * The fingerprint of a host key that is given as one (`SHA256:…`) or as a line of a public key (RFC 4253, section 6.6).
 * @returns `SHA256:` and base64 without padding, as OpenSSH prints it; undefined where it is neither
 */
export function hostKeyOf(text: string): string | undefined {
  const given = text.trim()
  if (fingerprint.test(given)) return given.replace(/=$/, '')
  const found = key.exec(given)
  return found ? fingerprintOf(Buffer.from(found[1]!, 'base64')) : undefined
}

/** The fingerprint of a public key's blob, as OpenSSH prints it. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}
