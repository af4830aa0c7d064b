import { base64, concat, fromBase64, fromHex, fromUtf8, same, utf8 } from './encoding.ts'
import { LedgerError } from './errors.ts'
import type { LedgerCrypto, LedgerSigning, Sha256 } from './ports.ts'

/** C2SP signed-note: a text with signature lines, as Go's golang.org/x/mod/sumdb/note writes and reads them. */

/** `ed25519` signs the text (type 0x01); `cosignature` is a witness's timestamped one (type 0x04, C2SP tlog-cosignature). */
export type KeyType = 'ed25519' | 'cosignature'

const typeByte: Record<KeyType, number> = { ed25519: 1, cosignature: 4 }

/** Who may sign. Name and id together say which key it was; `publicKey` is what counts. */
export interface VerifierKey {
  name: string
  /** uint32 */
  id: number
  type: KeyType
  publicKey: Uint8Array
}

export interface SignerKey extends VerifierKey {
  seed: Uint8Array
}

/** A signature line: `— NAME base64(id || signature)`. */
export interface Signature {
  name: string
  id: number
  signature: Uint8Array
}

export interface Note {
  /** With its last newline, without the blank line. */
  text: string
  signatures: Signature[]
}

const MAX_NOTE_BYTES = 1_000_000
/** As Go's: enough for any number of witnesses, too few to make verification a burden. */
const MAX_SIGNATURES = 100

/** A key's id: the first four bytes of SHA-256(name || 0x0A || type || public key). */
export function verifierKey(sha256: Sha256, name: string, type: KeyType, publicKey: Uint8Array): VerifierKey {
  if (!isName(name)) throw new LedgerError('malformed-key', 'a key name has no white space and no plus')
  if (publicKey.length !== 32) throw new LedgerError('malformed-key', 'an Ed25519 public key has 32 bytes')
  const digest = sha256(utf8(`${name}\n`), Uint8Array.of(typeByte[type]), publicKey)
  return { name, id: uint32(digest), type, publicKey }
}

/** `NAME+ID+base64(type || public key)`: what people pin. */
export const formatVerifierKey = (key: VerifierKey): string =>
  `${key.name}+${idText(key.id)}+${base64(concat(Uint8Array.of(typeByte[key.type]), key.publicKey))}`

/** @throws LedgerError `malformed-key` for anything but a vkey of a type we know, with the id that follows from its key */
export function parseVerifierKey(sha256: Sha256, text: string): VerifierKey {
  const { name, id, type, bytes } = parseKey(text, '')
  const key = verifierKey(sha256, name, type, bytes)
  if (key.id !== id) throw malformedKey('its id is not that of its key: a character was changed')
  return key
}

/** `PRIVATE+KEY+NAME+ID+base64(type || seed)`, as Go's. Keep it where only the signer reads it. */
export const formatSignerKey = (key: SignerKey): string =>
  `PRIVATE+KEY+${key.name}+${idText(key.id)}+${base64(concat(Uint8Array.of(typeByte[key.type]), key.seed))}`

/** @throws LedgerError `malformed-key`; the text is never in the message */
export function parseSignerKey(crypto: LedgerCrypto & LedgerSigning, text: string): SignerKey {
  const { name, id, type, bytes } = parseKey(text, 'PRIVATE+KEY+')
  const key = signerKey(crypto, name, type, bytes)
  if (key.id !== id) throw malformedKey('its id is not that of its key: a character was changed')
  return key
}

/** A signer of a seed of 32 random bytes. */
export function signerKey(
  crypto: LedgerCrypto & LedgerSigning,
  name: string,
  type: KeyType,
  seed: Uint8Array,
): SignerKey {
  return { ...verifierKey(crypto.sha256, name, type, crypto.ed25519PublicKey(seed)), seed }
}

function parseKey(text: string, prefix: string) {
  // Base64 may hold a plus, so it is what is left after the first two.
  const match = text.startsWith(prefix) ? /^([^+]+)\+([0-9a-f]{8})\+(.+)$/su.exec(text.slice(prefix.length)) : null
  const bytes = match && fromBase64(match[3]!)
  if (!match || !bytes || !isName(match[1]!)) throw malformedKey('it is not NAME+ID+BASE64')
  const type = (Object.keys(typeByte) as KeyType[]).find((one) => typeByte[one] === bytes[0])
  if (!type || bytes.length !== 33) throw malformedKey('it is not an Ed25519 key')
  return { name: match[1]!, id: uint32(fromHex(match[2]!)!), type, bytes: bytes.subarray(1) }
}

const malformedKey = (why: string) => new LedgerError('malformed-key', `this is no key: ${why}`)

/** Text and signature lines, nothing verified. @throws LedgerError `malformed-note` */
export function parseNote(note: Uint8Array | string): Note {
  const whole = typeof note === 'string' ? note : note.length > MAX_NOTE_BYTES ? undefined : fromUtf8(note)
  if (whole === undefined || whole.length > MAX_NOTE_BYTES) throw malformedNote('it is too long, or not UTF-8')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\0-\x09\x0b-\x1f]/.test(whole) || !whole.isWellFormed()) throw malformedNote('it holds control characters')
  const blank = whole.lastIndexOf('\n\n')
  if (blank < 0) throw malformedNote('it has no signatures')
  const lines = whole.slice(blank + 2).split('\n')
  if (lines.pop() !== '') throw malformedNote('its last line has no end')
  if (lines.length === 0) throw malformedNote('it has no signatures')
  if (lines.length > MAX_SIGNATURES) throw malformedNote(`it has more than ${MAX_SIGNATURES} signatures`)
  return { text: whole.slice(0, blank + 1), signatures: lines.map(parseSignature) }
}

/** One line without its newline. @throws LedgerError `malformed-note` */
export function parseSignature(line: string): Signature {
  const match = /^\u2014 ([^ ]+) ([^ ]+)$/u.exec(line)
  const bytes = match && fromBase64(match[2]!)
  if (!match || !bytes || bytes.length < 5 || !isName(match[1]!))
    throw malformedNote(`"${line.slice(0, 80)}" is no signature line`)
  return { name: match[1]!, id: uint32(bytes), signature: bytes.subarray(4) }
}

/** With its newline. */
export const formatSignature = (one: Signature): string =>
  `\u2014 ${one.name} ${base64(concat(Uint8Array.of(one.id >>> 24, one.id >>> 16, one.id >>> 8, one.id), one.signature))}\n`

export const formatNote = (note: Note): string => `${note.text}\n${note.signatures.map(formatSignature).join('')}`

/** A verified signature; `at` (seconds since 1970) where it is a cosignature. */
export interface Verified {
  key: VerifierKey
  signature: Signature
  at?: number
}

export interface OpenedNote {
  text: string
  /** At least one, each key once. */
  verified: Verified[]
  /** By keys that aren't known: they say nothing. */
  unknown: Signature[]
}

/**
 * A note of which at least one known key signed the text. Signatures of unknown keys are ignored, one of a known key
 * that is wrong refuses the whole note (C2SP signed-note, "Signatures").
 * @throws LedgerError `malformed-note`, `bad-signature`, or `unknown-key` where no known key signed it
 */
export function openNote(crypto: LedgerCrypto, note: Uint8Array | string, keys: readonly VerifierKey[]): OpenedNote {
  const { text, signatures } = parseNote(note)
  const verified: Verified[] = []
  const unknown: Signature[] = []
  for (const signature of signatures) {
    const key = keys.find((one) => one.name === signature.name && one.id === signature.id)
    if (!key) {
      unknown.push(signature)
      continue
    }
    const result = verifySignature(crypto, text, signature, key)
    if (!result)
      throw new LedgerError(
        'bad-signature',
        `the signature by ${keyLabel(key)} is not one of this text: text or signature was changed`,
      )
    if (!verified.some((one) => sameKey(one.key, key))) verified.push(result)
  }
  if (verified.length === 0)
    throw new LedgerError(
      'unknown-key',
      `signed by ${signatures.map(keyLabel).join(', ')}, of which none is a key that you trust (${keys.map(keyLabel).join(', ') || 'you gave none'})`,
    )
  return { text, verified, unknown }
}

function verifySignature(
  crypto: LedgerCrypto,
  text: string,
  signature: Signature,
  key: VerifierKey,
): Verified | undefined {
  if (key.type === 'ed25519')
    return crypto.ed25519Verify(key.publicKey, utf8(text), signature.signature) ? { key, signature } : undefined
  if (signature.signature.length !== 72) return undefined
  const view = new DataView(signature.signature.buffer, signature.signature.byteOffset, 8)
  const at = Number(view.getBigUint64(0))
  if (!Number.isSafeInteger(at)) return undefined
  return crypto.ed25519Verify(key.publicKey, cosignedMessage(text, at), signature.signature.subarray(8))
    ? { key, signature, at }
    : undefined
}

/** C2SP tlog-cosignature, "Ed25519 signed message". `at` in seconds since 1970. */
export const cosignedMessage = (text: string, at: number): Uint8Array => utf8(`cosignature/v1\ntime ${at}\n${text}`)

/** A signature line by `key` for a text; a cosignature needs `at`, seconds since 1970. */
export function signText(crypto: LedgerSigning, text: string, key: SignerKey, at?: number): Signature {
  if (!text.endsWith('\n') || !text.isWellFormed()) throw malformedNote('its text must end in a newline')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\0-\x09\x0b-\x1f]/.test(text)) throw malformedNote('it holds control characters')
  const { name, id } = key
  if (key.type === 'ed25519') return { name, id, signature: crypto.ed25519Sign(key.seed, utf8(text)) }
  if (at === undefined || !Number.isSafeInteger(at) || at < 0)
    throw new LedgerError('out-of-range', 'a cosignature needs its time in whole seconds since 1970')
  const stamp = new Uint8Array(8)
  new DataView(stamp.buffer).setBigUint64(0, BigInt(at))
  return { name, id, signature: concat(stamp, crypto.ed25519Sign(key.seed, cosignedMessage(text, at))) }
}

/** The text signed by these keys (`ed25519` ones). */
export const signNote = (crypto: LedgerSigning, text: string, keys: readonly SignerKey[]): string =>
  formatNote({ text, signatures: keys.map((key) => signText(crypto, text, key)) })

export const keyLabel = (key: { name: string; id: number }): string => `${key.name}+${idText(key.id)}`

export const sameKey = (a: VerifierKey, b: VerifierKey): boolean =>
  a.name === b.name && a.id === b.id && a.type === b.type && same(a.publicKey, b.publicKey)

const idText = (id: number) => id.toString(16).padStart(8, '0')

const uint32 = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)

const isName = (name: string) => name !== '' && name.isWellFormed() && !/[\p{White_Space}+]/u.test(name)

const malformedNote = (why: string) => new LedgerError('malformed-note', `this is no signed note: ${why}`)
