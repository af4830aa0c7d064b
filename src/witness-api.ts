import { z } from 'zod'

/** What core and renderer say to each other about the gateway's log: what this desktop has witnessed and verified. */

const Count = z.number().int().nonnegative()
const Instant = z.iso.datetime()

/** A checkpoint that this desktop has seen. */
export const SeenCheckpoint = z.object({
  log: Count.describe('which witnessed log; several where one was replaced by another'),
  origin: z.string(),
  size: Count,
  root: z.string().describe('base64'),
  seenAt: Instant,
  how: z.enum(['asked', 'feed', 'bundle', 'handover']).describe('how it came here'),
  from: z.string().describe('the gateway, or the name of the file'),
  signedBy: z.array(z.string()).describe('labels of keys of the log that signed it, NAME+ID'),
  cosignedBy: z.array(z.string()).describe('who cosigned it, as far as their keys are known'),
  state: z
    .enum(['proven', 'pending', 'conflict'])
    .describe('whether it was proven to be an ancestor of the newest; `conflict`: proven not to be'),
})
export type SeenCheckpoint = z.infer<typeof SeenCheckpoint>

export const AlarmKind = z.enum([
  'forked',
  'rolled-back',
  'key-changed',
  'bad-signature',
  'origin-changed',
  'wrong-tiles',
  'hidden',
])
export type AlarmKind = z.infer<typeof AlarmKind>

/** One side of the evidence: a checkpoint as it was shown. */
export const Shown = z.object({
  note: z.string().describe('verbatim'),
  origin: z.string(),
  size: Count,
  root: z.string(),
  at: Instant,
  from: z.string(),
  signedBy: z.array(z.string()).describe('as its lines claim'),
})
export type Shown = z.infer<typeof Shown>

/** A gateway did with its log what an honest one does not do. It stays until a person has acknowledged it. */
export const WitnessAlarm = z.object({
  id: z.string(),
  kind: AlarmKind,
  gateway: z.string(),
  origin: z.string(),
  foundAt: Instant,
  lastAt: Instant.describe('when it was found last'),
  text: z.string().describe('what was found, in a sentence'),
  known: Shown.nullable().describe('the checkpoint that this desktop relies on'),
  shown: Shown.nullable().describe('what was shown instead'),
  key: z.string().nullable().describe('the verifier key that this desktop trusted'),
  proof: z.array(z.string()).describe('hashes (base64) that lead to both roots; docs/verify.md says how'),
  back: z.boolean().describe('the gateway has shown a consistent log since'),
  replaces: z.boolean().describe('acknowledging it means to follow the log that the gateway shows then'),
  acknowledged: z.object({ at: Instant, by: z.string(), reason: z.string() }).nullable(),
})
export type WitnessAlarm = z.infer<typeof WitnessAlarm>

/** How things stand with the log of the gateway that the console is at. */
export const WitnessStatus = z.discriminatedUnion('state', [
  z.object({ state: z.literal('never') }),
  z.object({ state: z.literal('checking') }),
  z.object({ state: z.literal('consistent'), checkedAt: Instant }),
  z.object({ state: z.literal('no-ledger') }),
  z.object({ state: z.literal('forbidden'), problem: z.string() }),
  z.object({ state: z.literal('unproven'), since: Instant, problem: z.string() }),
  z.object({ state: z.literal('alarm') }),
])
export type WitnessStatus = z.infer<typeof WitnessStatus>

export const WitnessedKey = z.object({
  vkey: z.string(),
  /** `first-contact`: trusted because it was the first; `person`: pinned by somebody; `accepted`: after an alarm; `handover`: by the key before it. */
  how: z.enum(['first-contact', 'person', 'accepted', 'handover']),
  since: Instant,
  handedOverAt: Count.nullable().describe('size of the checkpoint by which it was handed over to the next'),
})
export type WitnessedKey = z.infer<typeof WitnessedKey>

export const WitnessedLog = z.object({
  id: Count,
  origin: z.string(),
  since: Instant,
  keys: z.array(WitnessedKey).min(1).describe('the pinned one first, the one in force last'),
  size: Count.describe('of the newest checkpoint that is proven'),
  seen: Count.describe('checkpoints that are kept'),
  pending: Count.describe('of them, those that are not proven yet'),
  growth: z.array(z.object({ at: Instant, size: Count })).describe('the oldest first, thinned'),
})
export type WitnessedLog = z.infer<typeof WitnessedLog>

export const Outcome = z.enum(['whole', 'incomplete', 'broken', 'cant-tell'])

/** What a verification of a bundle found. */
export const BundleVerdict = z.object({
  id: z.string(),
  name: z.string(),
  bytes: Count,
  at: Instant,
  outcome: Outcome,
  why: z.string().describe('the outcome in words'),
  trust: z
    .enum(['person', 'first-contact', 'accepted', 'none'])
    .describe('how the key that vouches for it came to be trusted'),
  findings: z.array(
    z.object({
      about: z.enum(['integrity', 'completeness']),
      code: z.string(),
      text: z.string(),
      place: z.string().describe('member, entry, byte: as much as is known'),
    }),
  ),
  counts: z.object({ integrity: Count, completeness: Count }),
  parts: z.array(z.object({ part: z.string(), state: z.string(), text: z.string() })),
  about: z
    .object({
      origin: z.string(),
      size: Count,
      madeAt: z.string(),
      madeBy: z.string().nullable(),
      sessions: z.array(z.string()),
      campaign: z.string().nullable(),
      review: z
        .object({
          title: z.string(),
          state: z.string(),
          items: Count,
          undecided: Count,
          decisions: Count,
          overlays: Count,
          applications: z.record(z.string(), Count),
          signOffs: z.array(z.object({ person: z.string(), at: z.string(), statement: z.string() })),
          exceptions: z.array(z.object({ code: z.string(), count: Count })),
        })
        .optional()
        .describe('of a campaign: what its entries say'),
      entries: Count,
      erased: Count,
      policy: z.string().nullable(),
      people: z.array(z.object({ id: z.string(), name: z.string() })),
      recordings: z
        .array(z.object({ session: z.string(), bytes: Count, sha256: z.string() }))
        .optional()
        .describe(
          'those that are in it, to hold against the copies that are played; absent in verdicts of earlier versions',
        ),
      decisions: z.array(
        z.object({ person: z.string(), verdict: z.enum(['approve', 'deny']), reason: z.string(), at: z.string() }),
      ),
    })
    .nullable()
    .describe('as its manifest says: believe it as far as the outcome goes'),
  signedBy: z.array(z.string()),
  cosignedBy: z.array(z.string()),
})
export type BundleVerdict = z.infer<typeof BundleVerdict>

/** When a session's evidence was last verified, and what came of it. */
export const Verification = z.object({
  session: z.string(),
  outcome: Outcome,
  why: z.string(),
  at: Instant,
  verdict: z.string().describe('id of its BundleVerdict'),
})
export type Verification = z.infer<typeof Verification>

/** Everything that screens show of it without asking. */
export const WitnessState = z.object({
  gateway: z.string().nullable(),
  status: WitnessStatus,
  log: WitnessedLog.nullable(),
  checkpoints: z.array(SeenCheckpoint).describe('the newest hundred'),
  alarms: z.array(WitnessAlarm).describe('of every gateway, the newest first; open ones before all others'),
  witnesses: z.array(
    z.object({ key: z.string(), person: z.string(), since: z.string(), size: Count.nullable(), own: z.boolean() }),
  ),
  cosigning: z.object({
    on: z.boolean(),
    possible: z.boolean().describe('false where the platform has no safe place for the key'),
    key: z.string().nullable(),
    last: z.object({ size: Count, at: Instant }).nullable(),
    problem: z.string().nullable(),
  }),
  verifications: z.array(Verification),
  verdicts: z.array(BundleVerdict.pick({ id: true, name: true, at: true, outcome: true, why: true })),
})
export type WitnessState = z.infer<typeof WitnessState>

/** Bytes of a slice of a dropped file: in base64 it fits the browser shell's longest frame. */
export const sliceBytes = 144 * 1024

const Empty = z.object({})
const Upload = z.string().max(64)

/** The calls of this room; console-api.ts has them among all others. */
export const witnessCalls = {
  /** Asks the gateway now. */
  checkLog: { input: Empty, output: WitnessState },
  /** Older checkpoints than the snapshot's: those below that place in the list. */
  witnessedCheckpoints: {
    input: z.object({ skip: Count.max(1_000_000), limit: z.number().int().positive().max(1000) }),
    output: z.array(SeenCheckpoint),
  },
  /** The signed note of a checkpoint, verbatim. */
  checkpointNote: {
    input: z.object({ log: Count, size: Count, root: z.string().max(64) }),
    output: z.object({ note: z.string() }),
  },
  pinKey: { input: z.object({ vkey: z.string().max(1000) }), output: WitnessState },
  acknowledgeAlarm: {
    input: z.object({ id: z.string().max(64), reason: z.string().trim().min(1).max(2000) }),
    output: WitnessState,
  },
  /** Writes the evidence to a file of the person's choice, for a third person to check; the page's part is told by `export`. */
  exportAlarm: {
    input: z.object({ id: z.string().max(64), work: z.string().min(1).max(64) }),
    output: z.object({ state: z.enum(['written', 'cancelled']), where: z.string().optional() }),
  },
  setCosigning: { input: z.object({ on: z.boolean() }), output: WitnessState },
  /** A dropped bundle comes in slices, each sent when the one before was taken. */
  openBundle: { input: z.object({ name: z.string().max(500), bytes: Count }), output: z.object({ upload: Upload }) },
  bundleSlice: {
    input: z.object({ upload: Upload, offset: Count, data: z.string().max(200_000).describe('base64') }),
    output: Empty,
  },
  /** All slices were sent: what was found. */
  closeBundle: { input: z.object({ upload: Upload }), output: BundleVerdict },
  cancelBundle: { input: z.object({ upload: Upload }), output: Empty },
  bundleVerdict: { input: z.object({ id: z.string().max(64) }), output: BundleVerdict.nullable() },
  /** Verifies a session's bundle: the library's where it is kept, else the gateway's. */
  verifySession: { input: z.object({ session: z.string().max(100) }), output: BundleVerdict },
  cancelVerification: { input: z.object({ session: z.string().max(100) }), output: Empty },
} as const

/** Told while a session's bundle is verified. */
export const VerificationProgress = z.object({
  session: z.string(),
  bytes: Count,
  state: z.enum(['verifying', 'ended']),
})
export type VerificationProgress = z.infer<typeof VerificationProgress>
