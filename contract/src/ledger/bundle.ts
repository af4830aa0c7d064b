import { z } from 'zod'
import { canonical } from '../canonical.ts'
import { PersonRef } from '../identity.ts'
import { readCheckpoint } from './checkpoint.ts'
import { base64, hex, utf8 } from './encoding.ts'
import { formatOpening } from './entry.ts'
import { LedgerError } from './errors.ts'
import { type SignerKey, signNote } from './note.ts'
import type { LedgerCrypto, LedgerSigning } from './ports.ts'
import { formatProofFile } from './proof-file.ts'
import { type TarMember, writeTar } from './tar.ts'

/**
 * An evidence bundle: one file (tar.ts) that shows what happened in a session or campaign, and that it stands in the log
 * (docs/formats.md, "Bundles"). Everything in it is vouched for by two signatures of the log's key: the checkpoint's, over
 * the log, and the manifest's, over the list of all members.
 */

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.number().int().nonnegative()

export const Manifest = z.strictObject({
  format: z.literal('countersign-bundle/1'),
  about: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('session'), session: z.string() }),
    z.strictObject({
      kind: z.literal('campaign'),
      campaign: z.string(),
      sessions: z.array(z.string()).describe('whose recordings are in it'),
      made: count.optional().describe('the entry pack.made that counts what there was to say'),
    }),
  ]),
  madeAt: z.iso.datetime(),
  madeBy: PersonRef.optional(),
  origin: z.string().describe('of the log'),
  size: count.describe('entries that the checkpoint covers'),
  members: z
    .array(z.strictObject({ name: z.string(), length: count, sha256 }))
    .describe('all but manifest.json and manifest.note, in their order'),
  entries: z.array(
    z.strictObject({
      n: count,
      type: z.string(),
      erasedBy: count.optional().describe('the deletion entry by which payload and salt went; in the bundle too'),
    }),
  ),
  recordings: z.array(
    z.strictObject({ session: z.string(), bytes: count, erasedBy: count.optional(), open: z.literal(true).optional() }),
  ),
  earlier: z.array(count).describe('sizes of earlier checkpoints in the bundle, each with its proof of consistency'),
  policy: z.strictObject({ version: z.string(), files: z.array(z.string()) }).optional(),
  policies: z
    .array(
      z.strictObject({
        version: z.string(),
        entry: count.describe('of type policy.changed'),
        files: z.array(z.strictObject({ path: z.string(), sha256 })),
      }),
    )
    .optional()
    .describe('of a campaign: policy sets before and after it; a text is the member policies/SHA256.cedar'),
  items: z
    .array(
      z.strictObject({ item: z.string(), evidence: z.boolean().describe('whether its document is in the bundle') }),
    )
    .optional()
    .describe('of a campaign'),
  people: z.array(PersonRef),
  decisions: z.array(
    z.strictObject({
      entry: count.describe('of type approval.decided'),
      approval: z.string(),
      person: z.string().describe('id'),
      verdict: z.enum(['approve', 'deny']),
      reason: z.string(),
      at: z.string(),
    }),
  ),
})
export type Manifest = z.infer<typeof Manifest>

export const manifestName = 'manifest.json'
export const manifestNoteName = 'manifest.note'
export const checkpointName = 'checkpoint'
export const earlierName = (size: number) => `checkpoints/${size}`
export const consistencyName = (size: number) => `checkpoints/${size}.consistency`
export const leafName = (n: number) => `entries/${n}.leaf`
export const openingName = (n: number) => `entries/${n}.opening`
export const proofName = (n: number) => `entries/${n}.tlog-proof`
export const policyName = (file: string) => `policy/${file}`
export const recordingName = (session: string) => `recordings/${session}.ndjson`

/** What the note over the manifest says. Its second line is no tree size, so that it can't be taken for a checkpoint. */
export const manifestText = (origin: string, manifestSha256: string): string =>
  `countersign-bundle/1\n${origin}\nsha256 ${manifestSha256}\n`

export interface EntryBytes {
  leaf: Uint8Array
  /** Absent where it is erased: then `erasedBy` says by which deletion entry, which is in the bundle too. */
  opened?: { payload: Uint8Array; salt: Uint8Array }
  /** Inclusion in the checkpoint's tree. */
  proof: readonly Uint8Array[]
}
export interface ListedEntry {
  n: number
  type: string
  erasedBy?: number
}
export type BundleEntry = ListedEntry & EntryBytes

/** A document of a bundle: the same bytes whenever it is asked for. */
export interface BundleDocument {
  name: string
  open(): AsyncIterable<Uint8Array>
}

export interface BundleRecording {
  session: string
  /** The NDJSON, uncompressed. Called twice, once to hash and once to write: it must give the same both times. Absent where it is erased. */
  open?: () => AsyncIterable<Uint8Array>
  erasedBy?: number
  /** The session has not ended: the recording goes on. */
  stillOpen?: boolean
}

export interface BundleContent {
  about: Manifest['about']
  madeAt: Date
  madeBy?: PersonRef
  /** The signed checkpoint, with cosignatures. */
  checkpoint: string
  /** Rising by `n`; every deletion and key rotation that a reader needs among them. */
  entries: readonly BundleEntry[]
  recordings: readonly BundleRecording[]
  /** Earlier signed checkpoints (handovers of keys; one from before the session), with consistency proofs to `checkpoint`. */
  earlier?: readonly { checkpoint: string; proof: readonly Uint8Array[] }[]
  policy?: { version: string; files: readonly { path: string; bytes: Uint8Array }[] }
  /** Of a campaign, instead of `policy`. */
  policies?: Manifest['policies']
  /** Of a campaign: its items, by number. */
  items?: Manifest['items']
  /** Texts of policies, which come before the entries. */
  texts?: readonly { name: string; bytes: Uint8Array }[]
  /** What follows from the entries, after them and in its order. */
  documents?: () => Iterable<BundleDocument> | AsyncIterable<BundleDocument>
  people: readonly PersonRef[]
  decisions: Manifest['decisions']
}

/** Content of which the entries are too many to have all of them in memory. */
export interface LargeContent extends Omit<BundleContent, 'entries'> {
  entries: readonly ListedEntry[]
  /** An entry's bytes, the same each time. Asked for twice, by rising number. */
  load(n: number): Promise<EntryBytes>
}

/**
 * Writes a bundle, streaming. `keys` are those that sign the log's checkpoints now.
 * @throws LedgerError where the content makes no bundle
 */
export async function* writeBundle(
  crypto: LedgerCrypto & LedgerSigning,
  content: BundleContent | LargeContent,
  keys: readonly SignerKey[],
): AsyncGenerator<Uint8Array> {
  const checkpoint = readCheckpoint(content.checkpoint)
  if (keys.length === 0 || keys.some(({ name }) => name !== checkpoint.origin))
    throw new LedgerError('unknown-key', 'a bundle is signed by the keys of its log')
  const members = await membersOf(crypto, content)
  const manifest: Manifest = {
    format: 'countersign-bundle/1',
    about: content.about,
    madeAt: content.madeAt.toISOString(),
    ...(content.madeBy && { madeBy: content.madeBy }),
    origin: checkpoint.origin,
    size: checkpoint.size,
    members: members.map(({ name, length, sha256 }) => ({ name, length, sha256 })),
    entries: content.entries.map(({ n, type, erasedBy }) => ({ n, type, ...(erasedBy !== undefined && { erasedBy }) })),
    recordings: content.recordings.map(({ session, erasedBy, stillOpen }) => ({
      session,
      bytes: members.find(({ name }) => name === recordingName(session))?.length ?? 0,
      ...(erasedBy !== undefined && { erasedBy }),
      ...(stillOpen && { open: true as const }),
    })),
    earlier: (content.earlier ?? []).map((one) => readCheckpoint(one.checkpoint).size),
    ...(content.policy && {
      policy: { version: content.policy.version, files: content.policy.files.map(({ path }) => path) },
    }),
    ...(content.policies && { policies: content.policies }),
    ...(content.items && { items: content.items }),
    people: [...content.people],
    decisions: content.decisions,
  }
  const bytes = utf8(canonical(Manifest.parse(manifest)))
  const note = utf8(signNote(crypto, manifestText(checkpoint.origin, hex(crypto.sha256(bytes))), keys))
  yield* writeTar([
    { name: manifestName, length: bytes.length, bytes },
    { name: manifestNoteName, length: note.length, bytes: note },
    ...members.map(({ name, length, open }) => ({
      name,
      length,
      get bytes() {
        return open()
      },
    })),
  ])
}

interface Hashed extends Omit<TarMember, 'bytes'> {
  sha256: string
  open(): TarMember['bytes']
}

async function membersOf(crypto: LedgerCrypto, content: BundleContent | LargeContent): Promise<Hashed[]> {
  const members: Hashed[] = []
  const add = (name: string, bytes: Uint8Array, open: Hashed['open'] = () => bytes) =>
    members.push({ name, length: bytes.length, sha256: hex(crypto.sha256(bytes)), open })
  const stream = async (name: string, open: () => AsyncIterable<Uint8Array>) => {
    const hash = crypto.sha256Running()
    let length = 0
    for await (const chunk of open()) {
      hash.update(chunk)
      length += chunk.length
    }
    members.push({ name, length, sha256: hex(hash.digest()), open })
  }
  add(checkpointName, utf8(content.checkpoint))
  for (const { checkpoint, proof } of content.earlier ?? []) {
    const { size } = readCheckpoint(checkpoint)
    add(earlierName(size), utf8(checkpoint))
    add(consistencyName(size), utf8(proof.map((hash) => `${base64(hash)}\n`).join('')))
  }
  for (const { path, bytes } of content.policy?.files ?? []) add(policyName(path), bytes)
  for (const { name, bytes } of content.texts ?? []) add(name, bytes)
  let kept: { n: number; bytes: Promise<Map<string, Uint8Array>> } | undefined
  if ('load' in content)
    for (const { n } of content.entries) {
      const again = () => {
        if (kept?.n !== n)
          kept = { n, bytes: content.load(n).then((one) => membersOfEntry(n, one, content.checkpoint)) }
        return kept.bytes
      }
      for (const [name, bytes] of await again())
        add(name, bytes, async function* () {
          yield (await again()).get(name)!
        })
    }
  else
    for (const entry of content.entries)
      for (const [name, bytes] of membersOfEntry(entry.n, entry, content.checkpoint)) add(name, bytes)
  for await (const { name, open } of content.documents?.() ?? []) await stream(name, open)
  for (const { session, open } of content.recordings) if (open) await stream(recordingName(session), open)
  return members
}

/** An entry's members, in their order. */
function membersOfEntry(n: number, { leaf, opened, proof }: EntryBytes, checkpoint: string): Map<string, Uint8Array> {
  const members = new Map([[leafName(n), leaf]])
  if (opened) members.set(openingName(n), formatOpening(opened.salt, opened.payload))
  return members.set(proofName(n), utf8(formatProofFile({ index: n, proof: [...proof], checkpoint })))
}
