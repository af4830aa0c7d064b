import { parseCanonical } from '../canonical.ts'
import {
  checkpointName,
  consistencyName,
  earlierName,
  leafName,
  Manifest,
  manifestName,
  manifestNoteName,
  manifestText,
  openingName,
  policyName,
  proofName,
  recordingName,
} from './bundle.ts'
import { BundleChecks } from './bundle-checks.ts'
import type { BundleReport } from './bundle-report.ts'
import { csvName, evidenceName, headName, itemName, policyTextName, reportName } from './campaign-pack.ts'
import { fromUtf8, hex } from './encoding.ts'
import { LedgerError } from './errors.ts'
import type { VerifierKey } from './note.ts'
import type { LedgerCrypto } from './ports.ts'
import { defaultLimits, type ReadMember, readBody, readTar, type TarLimits } from './tar.ts'

export interface VerifyBundleOptions {
  /** Keys of the log that the caller has from elsewhere than the bundle. Without one the best answer is `cant-tell`. */
  keys?: readonly VerifierKey[]
  /** Signed checkpoints of that log seen before: those of sizes that the bundle has too are compared. */
  seen?: readonly (Uint8Array | string)[]
  limits?: TarLimits
  signal?: AbortSignal
  onProgress?: (bytes: number) => void
}

/** What is read into memory at once: manifest and openings hold texts of commands. */
const MAX_MANIFEST = 64 * 1024 ** 2
const MAX_MEMBER = 64 * 1024 ** 2

/**
 * Verifies a bundle, streaming: recordings are never in memory as a whole. Never throws for what is in the file: what is
 * wrong is in the report, the first place first. Rejects where the source does, or by `signal`.
 */
export async function verifyBundle(
  crypto: LedgerCrypto,
  source: Uint8Array | AsyncIterable<Uint8Array>,
  options: VerifyBundleOptions = {},
): Promise<BundleReport> {
  const checks = new BundleChecks(crypto, options.keys ?? [], options.seen ?? [])
  let at = manifestName
  try {
    const members = readTar(source, options.limits ?? defaultLimits)
    const manifest = await readManifest(crypto, await next(members, manifestName), checks)
    if (!manifest) return checks.report()
    at = manifestNoteName
    await readManifestNote(await next(members, manifestNoteName), manifest, checks)
    for (const expected of manifest.value.members) {
      options.signal?.throwIfAborted()
      at = expected.name
      const member = await next(members, expected.name)
      await readMember(crypto, member, expected, checks)
      options.onProgress?.(member.offset + member.length)
    }
    at = ''
    const more = await members.next()
    if (!more.done)
      checks.wrong(
        'manifest',
        'member-unlisted',
        { member: more.value.name, offset: more.value.offset },
        `${more.value.name} is in the bundle, but not in its manifest`,
      )
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error
    checks.wrong(
      'file',
      'bundle-form',
      { ...(at && { member: at }), ...(error.at !== undefined && { offset: error.at }) },
      error.message,
    )
    return checks.report()
  }
  checks.finish()
  return checks.report()
}

async function next(members: AsyncGenerator<ReadMember>, name: string): Promise<ReadMember> {
  const { value, done } = await members.next()
  if (done) throw new LedgerError('malformed-bundle', `the bundle ends where ${name} was to come`)
  if (value.name !== name)
    throw new LedgerError(
      'malformed-bundle',
      `the bundle has ${value.name} at byte ${value.offset}, where ${name} was to come: members were dropped, added or moved`,
      value.offset,
    )
  return value
}

async function readManifest(crypto: LedgerCrypto, member: ReadMember, checks: BundleChecks) {
  const bytes = await readBody(member, MAX_MANIFEST)
  const parsed = Manifest.safeParse(parseCanonical(fromUtf8(bytes) ?? '')?.value)
  const problem = parsed.success
    ? inconsistency(parsed.data)
    : 'it is not canonical JSON of the form that docs/formats.md gives'
  if (!parsed.success || problem) {
    checks.wrong('manifest', 'manifest-form', { member: manifestName }, `${manifestName} was changed: ${problem}`)
    return undefined
  }
  checks.begin(parsed.data)
  return { value: parsed.data, sha256: hex(crypto.sha256(bytes)) }
}

/** What the manifest says of itself twice. */
function inconsistency(manifest: Manifest): string | undefined {
  const names = [
    checkpointName,
    ...manifest.earlier.flatMap((size) => [earlierName(size), consistencyName(size)]),
    ...(manifest.policy?.files ?? []).map(policyName),
    ...new Set((manifest.policies ?? []).flatMap(({ files }) => files.map(({ sha256 }) => policyTextName(sha256)))),
    ...manifest.entries.flatMap(({ n, erasedBy }) =>
      erasedBy === undefined ? [leafName(n), openingName(n), proofName(n)] : [leafName(n), proofName(n)],
    ),
    ...(manifest.items ?? []).flatMap(({ item, evidence }) =>
      evidence ? [evidenceName(item), itemName(item)] : [itemName(item)],
    ),
    ...(manifest.about.kind === 'campaign' ? [headName, csvName, reportName] : []),
    ...manifest.recordings
      .filter(({ erasedBy }) => erasedBy === undefined)
      .map(({ session }) => recordingName(session)),
  ]
  const listed = manifest.members.map(({ name }) => name)
  if (names.length !== listed.length || names.some((name, i) => name !== listed[i]))
    return 'its list of members is not that of what it says is in the bundle'
  if (manifest.about.kind !== 'campaign' && (manifest.items || manifest.policies))
    return 'it has items, and is about no campaign'
  if (manifest.entries.some(({ n }, i) => i > 0 && n <= manifest.entries[i - 1]!.n))
    return 'its entries are not in order'
  const sessions = manifest.about.kind === 'session' ? [manifest.about.session] : manifest.about.sessions
  const recorded = new Set(manifest.recordings.map(({ session }) => session))
  const { length } = manifest.recordings
  if (sessions.length !== length || recorded.size !== length || sessions.some((session) => !recorded.has(session)))
    return 'its recordings are not those of the sessions that it is about'
  return undefined
}

async function readManifestNote(
  member: ReadMember,
  manifest: { value: Manifest; sha256: string },
  checks: BundleChecks,
): Promise<void> {
  const text = fromUtf8(await readBody(member, MAX_MANIFEST)) ?? ''
  checks.manifestNote(text, manifestText(manifest.value.origin, manifest.sha256))
}

async function readMember(
  crypto: LedgerCrypto,
  member: ReadMember,
  expected: Manifest['members'][number],
  checks: BundleChecks,
): Promise<void> {
  const hash = crypto.sha256Running()
  let length = 0
  if (member.name.startsWith('recordings/')) {
    const stream = checks.recording(member.name)
    for await (const chunk of member.body) {
      hash.update(chunk)
      stream.push(chunk)
      length += chunk.length
    }
    checks.recordingEnd(member.name, stream)
  } else {
    const bytes = await readBody(member, MAX_MEMBER)
    hash.update(bytes)
    length = bytes.length
    checks.member(member.name, bytes)
  }
  const sha256 = hex(hash.digest())
  if (sha256 !== expected.sha256 || length !== expected.length)
    checks.wrong(
      checks.partOf(member.name),
      'member-hash',
      { member: member.name },
      `${member.name} was changed: its ${length} bytes have the SHA-256 ${sha256}, the manifest says ${expected.length} bytes and ${expected.sha256}`,
    )
}
