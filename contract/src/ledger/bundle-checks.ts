import { checkpointName, earlierName, type Manifest, manifestName, manifestNoteName, recordingName } from './bundle.ts'
import { CampaignChecks, campaignPart } from './bundle-campaign.ts'
import { BundleFacts } from './bundle-facts.ts'
import { type BundleReport, type PartKind, partsOf } from './bundle-report.ts'
import { type Checkpoint, readCheckpoint } from './checkpoint.ts'
import { ChunkStream } from './chunk-stream.ts'
import { fromUtf8, hex, same } from './encoding.ts'
import { type Leaf, opens, parseLeaf, parseOpening, payloadValue } from './entry.ts'
import type { LedgerError } from './errors.ts'
import { Findings, type Place } from './findings.ts'
import { KeyChain } from './key-chain.ts'
import { leafHash, verifyConsistency, verifyInclusion } from './merkle.ts'
import { keyLabel, openNote, parseNote, type VerifierKey } from './note.ts'
import type { LedgerCrypto } from './ports.ts'
import { parseHashes, parseProofFile } from './proof-file.ts'

/** The checks of a bundle's members, in the order in which they come; `finish` makes those that need all of them. */
export class BundleChecks {
  readonly #crypto: LedgerCrypto
  readonly #chain: KeyChain
  readonly #seen: readonly (Uint8Array | string)[]
  readonly #found = new Findings()
  readonly #facts = new BundleFacts()
  readonly #bad = new Map<PartKind, 'broken' | 'incomplete'>()
  #manifest: Manifest | undefined
  /** Types of the entries as the manifest lists them. */
  readonly #listed = new Map<number, string>()
  #note = ''
  #checkpointNote = ''
  #checkpoint: Checkpoint | undefined
  #earlier: { note: string; checkpoint: Checkpoint }[] = []
  readonly #policy = new Map<string, string>()
  #campaign: CampaignChecks | undefined
  #leaf: { leaf: Leaf; hash: Uint8Array } | undefined
  #finished = false
  #signedBy: string[] = []
  #cosignedBy: string[] = []

  constructor(crypto: LedgerCrypto, keys: readonly VerifierKey[], seen: readonly (Uint8Array | string)[]) {
    this.#crypto = crypto
    this.#chain = new KeyChain(crypto, keys)
    this.#seen = seen
  }

  wrong(part: PartKind, code: string, where: Place, text: string): void {
    this.#bad.set(part, 'broken')
    this.#found.wrong(code, where, text)
  }

  #missing(part: PartKind, code: string, where: Place, text: string) {
    if (!this.#bad.has(part)) this.#bad.set(part, 'incomplete')
    this.#found.missing(code, where, text)
  }

  partOf(member: string): PartKind {
    if (member === checkpointName) return 'checkpoint'
    if (member.startsWith('checkpoints/')) return 'earlier'
    if (member.startsWith('policy/')) return 'policy'
    if (member.startsWith('entries/')) return 'entries'
    const ofCampaign = campaignPart(member)
    if (ofCampaign) return ofCampaign
    return `recording ${sessionOf(member)}`
  }

  begin(manifest: Manifest): void {
    this.#manifest = manifest
    for (const { n, type } of manifest.entries) this.#listed.set(n, type)
    if (manifest.about.kind === 'campaign')
      this.#campaign = new CampaignChecks(this.#crypto, manifest, (about, part, code, where, text) =>
        about === 'integrity' ? this.wrong(part, code, where, text) : this.#missing(part, code, where, text),
      )
  }

  manifestNote(note: string, expected: string): void {
    this.#note = note
    try {
      if (parseNote(note).text === expected) return
      this.wrong(
        'manifest',
        'manifest-hash',
        { member: manifestName },
        `${manifestName} was changed: it is not the one that ${manifestNoteName} signs`,
      )
    } catch (error) {
      this.wrong(
        'manifest',
        'signature',
        { member: manifestNoteName },
        `${manifestNoteName} was changed: ${(error as Error).message}`,
      )
    }
  }

  member(name: string, bytes: Uint8Array): void {
    const place = { member: name }
    try {
      if (name === checkpointName) this.#readCheckpoint(bytes)
      else if (name.startsWith('checkpoints/')) this.#readEarlier(name, bytes)
      else if (campaignPart(name)) this.#campaign?.member(name, bytes)
      else if (name.startsWith('policy/')) this.#policy.set(name.slice(7), hex(this.#crypto.sha256(bytes)))
      else this.#readEntry(name, bytes)
    } catch (error) {
      this.wrong(this.partOf(name), 'member-form', place, `${name} was changed: ${(error as Error).message}`)
    }
  }

  #readCheckpoint(bytes: Uint8Array) {
    this.#checkpointNote = fromUtf8(bytes) ?? ''
    const checkpoint = readCheckpoint(bytes)
    const { origin, size } = this.#manifest!
    if (checkpoint.origin !== origin || checkpoint.size !== size)
      this.wrong(
        'checkpoint',
        'origin',
        { member: checkpointName },
        `the checkpoint is one of ${checkpoint.origin} with ${checkpoint.size} entries, the manifest says ${origin} with ${size}`,
      )
    this.#checkpoint = checkpoint
  }

  #readEarlier(name: string, bytes: Uint8Array) {
    if (!name.endsWith('.consistency')) {
      this.#earlier.push({ note: fromUtf8(bytes) ?? '', checkpoint: readCheckpoint(bytes) })
      return
    }
    const to = this.#checkpoint
    const from = this.#earlier.at(-1)?.checkpoint
    if (!to || !from || name !== `${earlierName(from.size)}.consistency`) return
    const lines = (fromUtf8(bytes) ?? '-').split('\n')
    const proof = lines.pop() === '' ? parseHashes(lines) : undefined
    if (from.origin !== to.origin || !proof || !verifyConsistency(this.#crypto.sha256, { from, to, proof })) {
      this.#earlier.pop()
      this.wrong(
        'earlier',
        'consistency',
        { member: name },
        `the log did not grow from ${from.size} to ${to.size} entries by appending: ${name} does not prove it, so the log was forked, or one of the three was changed`,
      )
    }
  }

  #readEntry(name: string, bytes: Uint8Array) {
    const match = /^entries\/(\d+)\.(leaf|opening|tlog-proof)$/.exec(name)!
    const n = Number(match[1])
    const place = { member: name, entry: n }
    if (match[2] === 'leaf') {
      const leaf = parseLeaf(bytes)
      const listed = this.#listed.get(n)!
      this.#leaf = leaf && { leaf, hash: leafHash(this.#crypto.sha256, bytes) }
      if (!leaf || leaf.n !== n || leaf.type !== listed)
        this.wrong(
          'entries',
          'leaf-form',
          place,
          `${name} was changed: it is not an audit entry ${n} of type ${listed}`,
        )
    } else if (match[2] === 'opening') {
      const opened = parseOpening(bytes)
      const leaf = this.#leaf?.leaf
      if (!leaf) return
      if (!opened || !opens(this.#crypto.sha256, leaf, opened.salt, opened.payload))
        this.wrong(
          'entries',
          'commitment',
          place,
          `${name} was changed: entry ${n} (${leaf.type}) commits to another payload`,
        )
      else if (!this.#takes(n, leaf, opened.payload))
        this.#missing(
          'entries',
          'payload-form',
          place,
          `entry ${n} (${leaf.type}) says something that this version can't read`,
        )
    } else {
      const { index, proof, checkpoint } = parseProofFile(bytes)
      if (!this.#leaf || !this.#checkpoint) return
      const { size, root } = this.#checkpoint
      const claim = { index, size, root, leaf: this.#leaf.hash, proof }
      if (index !== n || checkpoint !== this.#checkpointNote || !verifyInclusion(this.#crypto.sha256, claim))
        this.wrong(
          'entries',
          'inclusion',
          place,
          `entry ${n} is not in the log of the checkpoint: ${name} does not prove it`,
        )
    }
  }

  #takes(n: number, { type, at }: Leaf, payload: Uint8Array): boolean {
    const known = this.#facts.add(n, type, at, payload)
    return this.#campaign ? this.#campaign.entry(n, type, at, payloadValue(payload)) && known : known
  }

  recording(member: string): ChunkStream {
    const session = sessionOf(member)
    const chunks = [...(this.#facts.chunks.get(session) ?? [])].sort((a, b) => a.chunk.index - b.chunk.index)
    return new ChunkStream(this.#crypto, session, chunks)
  }

  recordingEnd(member: string, stream: ChunkStream): void {
    const { problem } = stream
    if (!problem) return
    const session = sessionOf(member)
    const where = {
      member,
      recording: session,
      offset: problem.offset,
      ...(problem.entry !== undefined && { entry: problem.entry }),
    }
    if (problem.about === 'integrity') this.wrong(`recording ${session}`, 'chunk-hash', where, problem.text)
    else this.#missing(`recording ${session}`, 'chunk-missing', where, problem.text)
  }

  finish(): void {
    this.#finished = true
    const manifest = this.#manifest!
    this.#rotations()
    this.#signatures()
    this.#seenBefore()
    for (const { n, erasedBy } of manifest.entries)
      if (erasedBy !== undefined && !this.#facts.erases(erasedBy, n))
        this.#missing(
          'entries',
          'erased-unexplained',
          { entry: n },
          `the payload of entry ${n} is not there, and entry ${erasedBy}, which is to say so, does not`,
        )
    for (const recording of manifest.recordings) this.#session(recording)
    const erased = new Set(manifest.entries.flatMap(({ n, erasedBy }) => (erasedBy === undefined ? [] : [n])))
    for (const decision of manifest.decisions)
      if (!this.#facts.confirms(decision) && !erased.has(decision.entry))
        this.wrong(
          'decisions',
          'decision',
          { member: manifestName, entry: decision.entry },
          `the decision of ${decision.person} on approval ${decision.approval} is not the one of entry ${decision.entry}`,
        )
    this.#policyFiles()
    this.#campaign?.finish()
  }

  #rotations() {
    const handovers = this.#earlier.map(({ note }) => note)
    for (const { entry, payload } of this.#facts.rotations) {
      const problem = this.#chain.rotate(entry, payload, [...handovers, this.#checkpointNote])
      if (problem) this.wrong('checkpoint', 'key-rotation', { entry }, problem)
    }
  }

  #signatures() {
    if (this.#chain.empty) return
    const open = (part: PartKind, member: string, use: () => void) => {
      try {
        use()
      } catch (error) {
        // An earlier checkpoint is proven by its consistency; its key may be one that was replaced before the pinned one.
        if (part === 'earlier' && (error as LedgerError).code === 'unknown-key') return
        this.wrong(
          part,
          'signature',
          { member },
          `${member} is not signed by a key that you trust: ${(error as Error).message}`,
        )
      }
    }
    open('checkpoint', checkpointName, () => {
      const { signed, cosigned } = this.#chain.open(this.#checkpointNote)
      this.#signedBy = signed.map(({ key }) => keyLabel(key))
      this.#cosignedBy = cosigned.map(({ key }) => keyLabel(key))
    })
    for (const { note, checkpoint } of this.#earlier)
      open('earlier', earlierName(checkpoint.size), () => void this.#chain.open(note))
    open('manifest', manifestNoteName, () => {
      const { origin, size } = this.#manifest!
      const keys = this.#chain.inForce(size).filter((key) => key.name === origin && key.type === 'ed25519')
      openNote(this.#crypto, this.#note, keys)
    })
  }

  #seenBefore() {
    const heads = [
      ...this.#earlier.map(({ checkpoint }) => checkpoint),
      ...(this.#checkpoint ? [this.#checkpoint] : []),
    ]
    for (const note of this.#seen) {
      const seen = readCheckpoint(note)
      const ours = heads.find(({ origin, size }) => origin === seen.origin && size === seen.size)
      if (ours && !same(ours.root, seen.root))
        this.wrong(
          'checkpoint',
          'forked',
          { entry: seen.size },
          `the log was forked: another checkpoint of its first ${seen.size} entries was seen before, with another root`,
        )
    }
  }

  #session({ session, erasedBy, open }: Manifest['recordings'][number]) {
    const part = `recording ${session}` as const
    if (erasedBy !== undefined) {
      if (!this.#facts.erasesRecording(erasedBy, session))
        this.#missing(
          part,
          'erased-unexplained',
          { recording: session },
          `recording ${session} is not there, and entry ${erasedBy}, which is to say so, does not`,
        )
      return
    }
    const known = this.#facts.ends.get(session)
    if (!known) {
      if (!open)
        this.#missing(
          part,
          'session-without-end',
          { recording: session },
          `session ${session} has no end in this bundle`,
        )
      return
    }
    const { entry, end } = known
    const chunks = this.#facts.chunks.get(session) ?? []
    const bytes = chunks.reduce((total, { chunk }) => total + chunk.length, 0)
    if (chunks.length !== end.recording.chunks || bytes !== end.recording.bytes)
      this.#missing(
        part,
        'chunk-missing',
        { entry, member: recordingName(session), recording: session, offset: bytes },
        `recording ${session} had ${end.recording.chunks} chunks and ${end.recording.bytes} bytes when it ended (entry ${entry}), this bundle has entries for ${chunks.length} chunks and ${bytes} bytes`,
      )
    const commands = this.#facts.commands.get(session) ?? 0
    if (end.commands !== undefined && end.commands !== commands)
      this.#missing(
        'entries',
        'commands-missing',
        { entry, recording: session },
        `session ${session} had ${end.commands} commands (entry ${entry}), this bundle has ${commands} of them`,
      )
  }

  #policyFiles() {
    const policy = this.#manifest!.policy
    if (!policy) return
    const changed = this.#facts.policies.find(({ payload }) => payload.version === policy.version)
    if (!changed) {
      this.#missing(
        'policy',
        'policy-unlogged',
        {},
        `no entry of this bundle says which files policy version ${policy.version} had`,
      )
      return
    }
    const { entry, payload } = changed
    for (const { path, sha256 } of payload.files)
      if (this.#policy.get(path) !== sha256)
        this.wrong(
          'policy',
          'policy-file',
          { member: `policy/${path}`, entry },
          `policy/${path} is not the file of policy version ${policy.version} (entry ${entry})`,
        )
    const logged = new Set(payload.files.map(({ path }) => path))
    for (const path of policy.files)
      if (!logged.has(path))
        this.wrong(
          'policy',
          'policy-file',
          { member: `policy/${path}`, entry },
          `policy/${path} was not part of policy version ${policy.version} (entry ${entry})`,
        )
  }

  report(): BundleReport {
    const { kept: findings, integrity, completeness } = this.#found
    const campaign = this.#campaign?.seen
    return {
      outcome: this.#found.outcome(this.#signedBy.length > 0),
      findings,
      counts: { integrity, completeness },
      parts: partsOf(this.#manifest, {
        bad: this.#bad,
        finished: this.#finished,
        trusted: this.#signedBy.length > 0,
        ...(campaign && { campaign }),
      }),
      ...(campaign?.head && { campaign }),
      ...(this.#manifest && { manifest: this.#manifest }),
      ...(this.#checkpoint && { checkpoint: this.#checkpoint, checkpointNote: this.#checkpointNote }),
      signedBy: this.#signedBy,
      cosignedBy: this.#cosignedBy,
    }
  }
}

const sessionOf = (member: string) => member.slice('recordings/'.length, -'.ndjson'.length)
