import { base64, fromBase64, fromDecimal, utf8 } from './encoding.ts'
import { LedgerError } from './errors.ts'
import { HASH_BYTES, type TreeHead } from './merkle.ts'
import {
  formatNote,
  formatSignature,
  openNote,
  parseNote,
  type SignerKey,
  signNote,
  signText,
  type Verified,
  type VerifierKey,
} from './note.ts'
import type { LedgerCrypto, LedgerSigning } from './ports.ts'

/** C2SP tlog-checkpoint: origin, tree size and root hash as the text of a signed note. */
export interface Checkpoint extends TreeHead {
  /** Names the log. Ours sign with a key of the same name. */
  origin: string
  /** Extension lines. We write none (the specification advises against them) and ignore those we read. */
  extensions: string[]
}

export function formatCheckpoint(checkpoint: Checkpoint): string {
  const text = [checkpoint.origin, checkpoint.size, base64(checkpoint.root), ...checkpoint.extensions, ''].join('\n')
  parseCheckpoint(text)
  return text
}

/** The text of a checkpoint, without signatures. @throws LedgerError `malformed-checkpoint` */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, sizeText, rootText, ...extensions] = text.split('\n')
  const size = fromDecimal(sizeText ?? '')
  const root = fromBase64(rootText ?? '')
  // C2SP tlog-cosignature gives an origin up to 255 bytes.
  if (!origin || utf8(origin).length > 255) throw malformed('its first line is no origin')
  if (size === undefined) throw malformed('its second line is no tree size')
  if (root?.length !== HASH_BYTES) throw malformed('its third line is no root hash')
  if (extensions.pop() !== '' || extensions.includes('')) throw malformed('it has an empty line, or no end')
  return { origin, size, root, extensions }
}

/** The signed checkpoint of a log; `keys` are the log's own, two while a key is handed over. */
export function signCheckpoint(crypto: LedgerSigning, head: TreeHead, keys: readonly SignerKey[]): string {
  const origin = keys[0]?.name
  if (!origin || keys.some((key) => key.name !== origin || key.type !== 'ed25519'))
    throw new LedgerError('unknown-key', 'a checkpoint is signed by keys that are named as its origin')
  return signNote(crypto, formatCheckpoint({ ...head, origin, extensions: [] }), keys)
}

export interface OpenedCheckpoint {
  checkpoint: Checkpoint
  /** The text that was signed. */
  text: string
  /** The log's own keys that signed it: named as its origin. At least one. */
  signed: Verified[]
  /** The witnesses among the keys that cosigned it, each with its time. */
  cosigned: Verified[]
}

/**
 * A checkpoint that a known key of the log signed.
 * @throws LedgerError as openNote; `unknown-key` too where only a witness, or a key of another log, signed it
 */
export function openCheckpoint(
  crypto: LedgerCrypto,
  note: Uint8Array | string,
  keys: readonly VerifierKey[],
): OpenedCheckpoint {
  const { text, verified } = openNote(crypto, note, keys)
  const checkpoint = parseCheckpoint(text)
  const signed = verified.filter(({ key }) => key.type === 'ed25519' && key.name === checkpoint.origin)
  if (signed.length === 0)
    throw new LedgerError('unknown-key', `none of the keys that you trust is one of the log ${checkpoint.origin}`)
  return { checkpoint, text, signed, cosigned: verified.filter(({ key }) => key.type === 'cosignature') }
}

/** A checkpoint read without verifying anything: to learn which log and size it speaks of. @throws LedgerError */
export function readCheckpoint(note: Uint8Array | string): Checkpoint {
  return parseCheckpoint(parseNote(note).text)
}

/**
 * A witness's signature line (with newline) for a checkpoint, C2SP tlog-cosignature, to be appended to the note. The
 * caller has verified the log's signature and the consistency with the last checkpoint that it cosigned, and has stored
 * this one (C2SP tlog-witness, "add-checkpoint").
 * @param at seconds since 1970
 */
export function cosign(crypto: LedgerSigning, note: Uint8Array | string, key: SignerKey, at: number): string {
  if (key.type !== 'cosignature') throw new LedgerError('malformed-key', 'a witness needs a key of type 0x04')
  const { text } = parseNote(note)
  parseCheckpoint(text)
  return formatSignature(signText(crypto, text, key, at))
}

/** The note with a signature line added; the line of a key that has already signed is replaced. */
export function withSignature(note: Uint8Array | string, line: string): string {
  const parsed = parseNote(note)
  const { signatures } = parseNote(`${parsed.text}\n${line}`)
  const others = parsed.signatures.filter((one) => !signatures.some((it) => it.name === one.name && it.id === one.id))
  return formatNote({ text: parsed.text, signatures: [...others, ...signatures] })
}

const malformed = (why: string) => new LedgerError('malformed-checkpoint', `this is no checkpoint: ${why}`)
