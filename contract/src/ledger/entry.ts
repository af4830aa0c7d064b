import { canonicalBytes, parseCanonical } from '../canonical.ts'
import { ascii, concat, fromUtf8, hex, same } from './encoding.ts'
import { LedgerError } from './errors.ts'
import { type EntryType, type PayloadInput, payloads } from './payloads.ts'
import type { Sha256 } from './ports.ts'
import { MAX_ENTRY_BYTES } from './tiles.ts'

/**
 * An entry of the log (docs/formats.md, "Ledger"). What stands in the log, the leaf, is the canonical JSON (RFC 8785) of
 * `{at, commitment, n, type, v}`: it says that something of this type happened then, and commits to what it was without
 * saying it. The payload and its salt are kept beside the log: erased, nobody learns the payload from the log, and every
 * proof stays valid.
 */
export interface Leaf {
  v: 1
  /** The entry's index: a dropped or moved entry shows by its neighbours. */
  n: number
  /** ISO 8601, UTC, milliseconds. */
  at: string
  type: string
  /** SHA-256(salt || payload), hex. */
  commitment: string
}

/** Exactly so many random bytes: with a length of its own a salt could end elsewhere, and a commitment open to two payloads. */
export const SALT_BYTES = 32

export interface NewEntry {
  leaf: Uint8Array
  /** Canonical JSON. */
  payload: Uint8Array
  salt: Uint8Array
}

/**
 * An entry to append as number `n`.
 * @param salt 32 bytes, random, never used before
 * @throws LedgerError `malformed-entry`; ZodError where the payload is not one of its type; TypeError where it has no canonical form
 */
export function makeEntry<T extends EntryType>(
  sha256: Sha256,
  entry: { n: number; at: Date | string; type: T; payload: PayloadInput<T>; salt: Uint8Array },
): NewEntry {
  return sealEntry(sha256, { ...entry, payload: payloads[entry.type].parse(entry.payload) })
}

/** As makeEntry for a payload that was checked before, or of a type that is not in `payloads`. */
export function sealEntry(
  sha256: Sha256,
  entry: { n: number; at: Date | string; type: string; payload: unknown; salt: Uint8Array },
): NewEntry {
  if (entry.salt.length !== SALT_BYTES) throw new LedgerError('malformed-entry', `a salt has ${SALT_BYTES} bytes`)
  const payload = canonicalBytes(entry.payload)
  const at = typeof entry.at === 'string' ? entry.at : entry.at.toISOString()
  const commitment = hex(sha256(entry.salt, payload))
  // Canonical as it stands: no member needs escaping.
  const leaf = `{"at":"${at}","commitment":"${commitment}","n":${entry.n},"type":"${entry.type}","v":1}`
  if (!isType(entry.type) || !AT.test(at) || !Number.isSafeInteger(entry.n) || entry.n < 0 || !isDay(at))
    throw new LedgerError('malformed-entry', `entry ${entry.n} of type ${entry.type} makes no leaf`)
  return { leaf: ascii(leaf), payload, salt: entry.salt }
}

/** Undefined for anything but a leaf as sealEntry writes it. A type that we don't know is fine. */
export function parseLeaf(bytes: Uint8Array): Leaf | undefined {
  if (bytes.length > MAX_ENTRY_BYTES) return undefined
  const text = fromUtf8(bytes)
  // Its members have no other spelling, so the form is checked by writing it anew.
  const match = text && LEAF.exec(text)
  if (!match) return undefined
  const leaf: Leaf = { v: 1, n: Number(match[3]), at: match[1]!, type: match[4]!, commitment: match[2]! }
  return Number.isSafeInteger(leaf.n) && isDay(leaf.at) ? leaf : undefined
}

const time = '\\d{4}-\\d\\d-\\d\\dT(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3}Z'
const typeName = '[a-z0-9][a-z0-9._-]{0,99}'
const AT = new RegExp(`^${time}$`)
const TYPE = new RegExp(`^${typeName}$`)
const LEAF = new RegExp(
  `^\\{"at":"(${time})","commitment":"([0-9a-f]{64})","n":(0|[1-9]\\d{0,15}),"type":"(${typeName})","v":1\\}$`,
)

let knownType: string | undefined

/** They are mostly of one type: it is looked at once. */
function isType(type: string): boolean {
  if (type === knownType) return true
  if (!TYPE.test(type)) return false
  knownType = type
  return true
}

/** Entries come by the thousand a day: a day is looked up once. */
let knownDay = ''

function isDay(at: string): boolean {
  const day = at.slice(0, 10)
  if (day === knownDay) return true
  const time = Date.parse(day)
  if (Number.isNaN(time) || !new Date(time).toISOString().startsWith(day)) return false
  knownDay = day
  return true
}

/** Whether a leaf commits to this payload. */
export function opens(sha256: Sha256, leaf: Leaf, salt: Uint8Array, payload: Uint8Array): boolean {
  return salt.length === SALT_BYTES && hex(sha256(salt, payload)) === leaf.commitment
}

/** The payload's value; undefined where it is not canonical JSON. */
export function payloadValue(payload: Uint8Array): unknown {
  const text = fromUtf8(payload)
  return text === undefined ? undefined : parseCanonical(text)?.value
}

/** What an entry of a bundle is opened with: one file, whose SHA-256 is the commitment. */
export const formatOpening = (salt: Uint8Array, payload: Uint8Array): Uint8Array => concat(salt, payload)

export function parseOpening(bytes: Uint8Array): { salt: Uint8Array; payload: Uint8Array } | undefined {
  if (bytes.length < SALT_BYTES) return undefined
  return { salt: bytes.subarray(0, SALT_BYTES), payload: bytes.subarray(SALT_BYTES) }
}

export const sameEntry = (a: NewEntry, b: NewEntry): boolean =>
  same(a.leaf, b.leaf) && same(a.payload, b.payload) && same(a.salt, b.salt)
