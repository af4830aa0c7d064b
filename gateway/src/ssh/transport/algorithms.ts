import type { CipherAlgorithm, KexAlgorithm, MacAlgorithm, ServerHostKeyAlgorithm } from 'ssh2'
import { hasMlkem, MLKEM } from './post-quantum.ts'

/**
 * What we offer, best first. No ChaCha20: without a native addon it runs at a tenth of what AES does. No SHA-1, no CBC,
 * no compression, which would let a small packet become a large one. No group exchange, whose primes nobody checks.
 */
export const CIPHERS: CipherAlgorithm[] = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
]

export const MACS: MacAlgorithm[] = [
  'hmac-sha2-256-etm@openssh.com',
  'hmac-sha2-512-etm@openssh.com',
  'hmac-sha2-256',
  'hmac-sha2-512',
]

/** What quantum computers don't break first; then elliptic curves alone: exchanges of large primes cost whoever answers them much, before anybody has signed in. */
export const SERVER_KEX: KexAlgorithm[] = [
  ...(hasMlkem ? [MLKEM as KexAlgorithm] : []),
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
]

/** Older hosts as well. */
export const CLIENT_KEX: KexAlgorithm[] = [
  ...SERVER_KEX,
  'diffie-hellman-group16-sha512',
  'diffie-hellman-group18-sha512',
  'diffie-hellman-group14-sha256',
]

export const HOST_KEYS: ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
]
