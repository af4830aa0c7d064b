import { randomBytes } from 'node:crypto'
import { recordingName } from '@countersign/contract/ledger/bundle'
import type { BundleReport } from '@countersign/contract/ledger/bundle-report'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import type { PackHead } from '@countersign/contract/ledger/campaign-pack'
import type { Place } from '@countersign/contract/ledger/findings'
import { parseVerifierKey, type VerifierKey } from '@countersign/contract/ledger/note'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'
import { ConsoleError } from '../../../console-api.ts'
import type { BundleVerdict } from '../../../witness-api.ts'
import type { BundledRecording, Comparison } from '../library/same-recording.ts'
import type { Clock } from '../ports/clock.ts'
import { type Intake, intake } from './intake.ts'
import type { LogRow, WitnessStore } from './witness-store.ts'

/** Verifies bundles: dropped on the screen in slices, or streamed from the library or the gateway. */
export interface BundleDesk extends Disposable {
  /** A bundle of so many bytes will come in slices. @throws ConsoleError where too many are coming already */
  open(name: string, bytes: number): string
  /** Resolves once it was taken, so that no more than a slice waits. @throws ConsoleError for one out of order, or after a cancel */
  slice(upload: string, offset: number, bytes: Uint8Array): Promise<void>
  /** All was sent. */
  close(upload: string): Promise<BundleVerdict>
  cancel(upload: string): void
  /** Verifies what streams in, and notes it as the state of that session's evidence. Rejects where the source does, or by `signal`. */
  verifySession(session: string, source: AsyncIterable<Uint8Array>, options: VerifyingSession): Promise<BundleVerdict>
  verdict(id: string): BundleVerdict | null
  /** Whether it is known how a session's evidence stands. */
  verified(session: string): boolean
}

export interface VerifyingSession {
  signal?: AbortSignal
  onProgress?: (bytes: number) => void
  /** How the copy that is played here compares with the one in the bundle; undefined where none is here. */
  played?: (bundled: BundledRecording) => Promise<Comparison | undefined>
}

const mostUploads = 4
/** Milliseconds without a slice after which an upload is given up: its page has gone. */
const patience = 2 * 60_000

interface Upload {
  intake: Intake
  verdict: Promise<BundleVerdict>
  cancelTimer(): void
}

export function createBundleDesk(options: {
  crypto: LedgerCrypto
  store: WitnessStore
  clock: Clock
  changed(): void
  /** A checkpoint that a trusted key signed, in a bundle of that name. */
  saw(note: string, name: string): void
}): BundleDesk {
  const { crypto, store, clock } = options
  const uploads = new Map<string, Upload>()

  async function verify(
    name: string,
    source: AsyncIterable<Uint8Array>,
    given: VerifyingSession & { session?: string } = {},
  ): Promise<BundleVerdict> {
    const logs = store.logs()
    const keys = logs.flatMap((log) => keysOf(crypto, store, log))
    const seen = logs.filter((log) => log.givenUpAt === null).flatMap((log) => store.notes(log.id))
    let bytes = 0
    const counted = (async function* () {
      for await (const chunk of source) {
        given.signal?.throwIfAborted()
        bytes += chunk.length
        yield chunk
        given.onProgress?.(bytes)
      }
    })()
    const report = await verifyBundle(crypto, counted, {
      keys: keys.map(({ key }) => key),
      seen,
      ...(given.signal && { signal: given.signal }),
    })
    // What follows a fault isn't read; whoever sends it must be able to end.
    for await (const _ of counted);
    const found = verdictOf(report, { name, bytes, at: new Date(clock.now()).toISOString(), keys })
    const verdict =
      given.session === undefined ? found : await asPlayed(ofSession(found, given.session), given.session, given)
    if (report.checkpointNote && report.signedBy.length > 0) options.saw(report.checkpointNote, name)
    store.saveVerdict(verdict)
    options.changed()
    return verdict
  }

  function upload(id: string): Upload {
    const found = uploads.get(id)
    if (found) return found
    throw new ConsoleError('no-such-upload', 'This verification was cancelled. Drop the bundle again.')
  }

  function end(id: string) {
    uploads.get(id)?.cancelTimer()
    uploads.delete(id)
  }

  function patient(id: string) {
    const one = uploads.get(id)
    one?.cancelTimer()
    if (one) one.cancelTimer = clock.after(patience, () => cancel(id))
  }

  function cancel(id: string) {
    uploads.get(id)?.intake.cancel(new ConsoleError('cancelled', 'The verification was cancelled.'))
    end(id)
  }

  return {
    open(name, bytes) {
      if (uploads.size >= mostUploads)
        throw new ConsoleError('busy', 'Some bundles are being verified already. Wait for one of them.')
      const id = `up_${randomBytes(9).toString('hex')}`
      const taking = intake(bytes)
      const verdict = verify(name, taking.source)
      verdict.catch((error: Error) => taking.cancel(error)) // told by the next slice, or by close
      uploads.set(id, { intake: taking, verdict, cancelTimer: () => {} })
      patient(id)
      return id
    },
    async slice(id, offset, bytes) {
      await upload(id).intake.push(offset, bytes)
      patient(id)
    },
    async close(id) {
      const one = upload(id)
      one.cancelTimer()
      try {
        one.intake.end()
        return await one.verdict
      } finally {
        end(id)
      }
    },
    cancel,
    async verifySession(session, source, given) {
      const verdict = await verify(`session ${session}`, source, { ...given, session })
      const { id, at, outcome, why } = verdict
      store.saveVerification({ session, outcome, why, at, verdict: id })
      options.changed()
      return verdict
    },
    verdict: (id) => store.verdict(id) ?? null,
    verified: (session) => store.verifications().some((one) => one.session === session),
    [Symbol.dispose]() {
      for (const id of [...uploads.keys()]) cancel(id)
    },
  }
}

/** Evidence of another session is none of this one, however whole it is. */
function ofSession(verdict: BundleVerdict, session: string): BundleVerdict {
  const about = verdict.about?.sessions ?? []
  if (verdict.outcome === 'broken' || about.includes(session)) return verdict
  const why = `This bundle is about ${about.join(', ') || 'nothing'}, not about this session.`
  return { ...verdict, outcome: 'broken', why }
}

/** The gateway gives a recording out by itself, too: what is played here must be the one that the bundle proves. */
async function asPlayed(verdict: BundleVerdict, session: string, { played }: VerifyingSession): Promise<BundleVerdict> {
  const bundled = verdict.about?.recordings?.find((one) => one.session === session)
  if (verdict.outcome === 'broken' || !bundled || (await played?.(bundled)) !== 'other') return verdict
  const why = `The recording on this computer, which is what is played, searched and exported here, is not the one in this bundle. Of the bundle itself this was found: ${verdict.why}`
  return { ...verdict, outcome: 'broken', why }
}

interface TrustedKey {
  key: VerifierKey
  how: LogRow['how']
}

/** Every key of a log that this desktop trusts; one that was handed over to is trusted as the pinned one is. */
function keysOf(crypto: LedgerCrypto, store: WitnessStore, log: LogRow): TrustedKey[] {
  return [log.pinned, ...store.rotations(log.id).map(({ to }) => to)].map((vkey) => ({
    key: parseVerifierKey(crypto.sha256, vkey),
    how: log.how,
  }))
}

function verdictOf(
  report: BundleReport,
  { name, bytes, at, keys }: { name: string; bytes: number; at: string; keys: TrustedKey[] },
): BundleVerdict {
  const { manifest } = report
  const vouching = keys.filter(({ key }) => report.signedBy.some((label) => label.startsWith(`${key.name}+`)))
  const trust =
    report.signedBy.length === 0
      ? 'none'
      : vouching.some(({ how }) => how === 'person')
        ? 'person'
        : (vouching[0]?.how ?? 'none')
  return {
    id: `bv_${randomBytes(9).toString('hex')}`,
    name: name.slice(0, 500),
    bytes,
    at,
    outcome: report.outcome,
    why: why(report, keys.length > 0),
    trust,
    findings: report.findings.map(({ about, code, text, where }) => ({ about, code, text, place: placeOf(where) })),
    counts: report.counts,
    parts: report.parts,
    about: manifest
      ? {
          origin: manifest.origin,
          size: manifest.size,
          madeAt: manifest.madeAt,
          madeBy: manifest.madeBy?.name ?? null,
          sessions: manifest.about.kind === 'session' ? [manifest.about.session] : manifest.about.sessions,
          campaign: manifest.about.kind === 'campaign' ? manifest.about.campaign : null,
          ...(report.campaign?.head && { review: reviewOf(report.campaign.head) }),
          entries: manifest.entries.length,
          erased: manifest.entries.filter(({ erasedBy }) => erasedBy !== undefined).length,
          policy: manifest.policy?.version ?? null,
          recordings: manifest.recordings.slice(0, 1000).flatMap(({ session }) => {
            const member = manifest.members.find(({ name }) => name === recordingName(session))
            return member ? [{ session, bytes: member.length, sha256: member.sha256 }] : []
          }),
          people: manifest.people.slice(0, 200).map(({ id, name }) => ({ id, name })),
          decisions: manifest.decisions.slice(0, 200).map(({ person, verdict, reason, at }) => ({
            person: manifest.people.find(({ id }) => id === person)?.name ?? person,
            verdict,
            reason,
            at,
          })),
        }
      : null,
    signedBy: report.signedBy,
    cosignedBy: report.cosignedBy,
  }
}

function reviewOf({ title, state, counts, signOffs, exceptions }: PackHead) {
  const { items, undecided, decisions, overlays, applications } = counts
  return {
    ...{ title: title.slice(0, 500), state, items, undecided, decisions, overlays, applications },
    signOffs: signOffs
      .slice(0, 50)
      .map(({ by, at, statement }) => ({ person: by.name, at, statement: statement.slice(0, 4000) })),
    exceptions: exceptions.map(({ code, count }) => ({ code, count })),
  }
}

/** The outcome in a sentence or two. */
function why({ outcome, findings, counts, manifest, campaign }: BundleReport, anyKeys: boolean): string {
  const first = findings.find(({ about }) => about === (outcome === 'broken' ? 'integrity' : 'completeness'))
  const more = (outcome === 'broken' ? counts.integrity : counts.completeness) - 1
  const others = more > 0 ? ` ${more} more ${more === 1 ? 'finding' : 'findings'} below.` : ''
  switch (outcome) {
    case 'whole':
      return `Every byte is what the log ${manifest?.origin ?? ''} has, and nothing that was announced is missing.${confirmed(campaign?.head)}`
    case 'incomplete':
      return `What is there is genuine, but something is missing: ${first?.text ?? 'it is not said what'}.${others}`
    case 'broken':
      return `This is not what was logged: ${first?.text ?? 'something was changed'}.${others}`
    case 'cant-tell':
      return anyKeys
        ? `Nothing contradicts itself, but this desktop knows no key of the log ${manifest?.origin ?? ''}. Get its key from somebody you trust, and pin it.`
        : 'Nothing contradicts itself, but this desktop knows no log’s key yet. Sign in at the gateway, or pin the key that you were given.'
  }
}

function confirmed(head: PackHead | undefined): string {
  if (!head) return ''
  const { items, decisions } = head.counts
  return ` Its ${items} ${items === 1 ? 'item' : 'items'} and ${decisions} ${decisions === 1 ? 'decision' : 'decisions'} are as their entries say.`
}

function placeOf({ member, entry, offset, recording, tile, row }: Place): string {
  return [
    member ?? tile ?? row,
    entry !== undefined ? `entry ${entry}` : undefined,
    !member && recording ? `recording ${recording}` : undefined,
    offset !== undefined ? `byte ${offset}` : undefined,
  ]
    .filter(Boolean)
    .join(', ')
}
