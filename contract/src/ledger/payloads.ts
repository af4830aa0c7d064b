import { z } from 'zod'
import { Effect, Requirement } from '../approval.ts'
import { AgentRef, PersonRef } from '../identity.ts'
import { VerdictRecord } from '../recording.ts'
import { Probe } from '../review.ts'

/**
 * What an audit entry says, by its type. Objects are loose: a later version may add members, and an entry of a type that
 * is not here is as verifiable as any other. Times are ISO 8601; the entry's own time is in its leaf.
 */

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex')
const count = z.number().int().nonnegative()
const session = z.string().min(1)
const vkey = z.string().describe('verifier key, C2SP signed-note')

/** Whose doing it was: a person, an agent, or the gateway itself. */
export const Actor = z.discriminatedUnion('kind', [
  PersonRef.extend({ kind: z.literal('person') }),
  AgentRef.extend({ kind: z.literal('agent') }),
  z.looseObject({ kind: z.literal('gateway') }),
])
export type Actor = z.infer<typeof Actor>

const grant = z.looseObject({
  grant: z.string(),
  connection: z.string(),
  agent: z.string(),
  actions: z.array(z.string()),
  resources: z.array(z.string()).optional(),
  duration: z.string().optional(),
  expiresAt: z.string().optional(),
  purpose: z.string().optional(),
  by: Actor.optional(),
  reason: z.string().optional(),
  identity: AgentRef.optional(),
  seconds: count.optional(),
  plan: z.string().optional(),
  extends: z.string().optional(),
  approval: z.string().optional(),
  policies: z.array(z.string()).optional(),
  activeFrom: z.string().optional(),
})

const reason = z.string()
/** What an agent is to the registry beside its token. */
const registered = z.looseObject({
  agent: z.string(),
  by: PersonRef,
  name: z.string().nullish(),
  owner: z.string().nullish(),
  sponsor: z.string().nullish(),
  purpose: z.string().nullish(),
  environment: z.string().nullish(),
  keys: z.array(z.string()).optional().describe('fingerprints'),
})
const delegation = z.looseObject({
  delegation: z.string(),
  from: PersonRef,
  to: PersonRef,
  groups: z.array(z.string()),
  since: z.string(),
  until: z.string(),
  reason,
})

const freeze = z.looseObject({
  freeze: z.string().optional().describe('its id'),
  connection: z.string().describe('its name, or * for all'),
  by: PersonRef,
  reason,
})

/** How much of a recording there was when its session ended: what its chunks must add up to. */
const ended = z.looseObject({
  session,
  state: z.enum(['closed', 'terminated', 'interrupted']),
  reason: z.string(),
  recording: z.object({ bytes: count, chunks: count }),
  commands: count.optional().describe('entries of type command that the session has'),
})

const hold = z.looseObject({
  hold: z.string(),
  by: PersonRef,
  reason: z.string(),
  sessions: z.array(z.string()).optional(),
  connections: z.array(z.string()).optional(),
  agents: z.array(z.string()).optional(),
})

/** An overlay of a review, and who did something with it. */
const overlay = z.looseObject({
  overlay: z.string(),
  number: count,
  kind: z.enum(['reduce', 'revoke']),
  connection: z.string(),
  agent: z.string().optional(),
  digest: sha256.describe('of its policy text'),
  campaign: z.string().optional(),
  item: z.string().optional(),
  decision: z.string().optional(),
  by: Actor,
})

const asked = z.array(Probe).optional().describe('some of what the gate was asked, and answered')
const answers = sha256.optional().describe('of all that the gate was asked and answered, as it is kept')

export const RecordingChunk = z.looseObject({
  session,
  index: count.describe('chunks of a recording are numbered from 0 without gaps'),
  offset: count.describe('of its first byte in the recording as NDJSON, uncompressed'),
  length: z
    .number()
    .int()
    .positive()
    .max(16 * 1024 * 1024),
  sha256: sha256.describe('of the bytes'),
})
export type RecordingChunk = z.infer<typeof RecordingChunk>

/** First and last index, both included. */
export const EntryRange = z.tuple([count, count])

export const DeletionRun = z.looseObject({
  run: z.string(),
  rule: z.string().describe('the retention rule, or the request, that it carried out'),
  by: Actor,
  reason: z.string().optional(),
  entries: z.array(EntryRange).describe('entries whose payload and salt were erased'),
  recordings: z.array(z.string()).describe('sessions whose recordings were erased'),
})
export type DeletionRun = z.infer<typeof DeletionRun>

export const KeyRotated = z.looseObject({ from: vkey, to: vkey, reason: z.string(), by: Actor.optional() })
export type KeyRotated = z.infer<typeof KeyRotated>

export const SessionEnded = ended
export type SessionEnded = z.infer<typeof SessionEnded>

export const payloads = {
  'sign-in': z.looseObject({
    outcome: z.enum(['ok', 'refused']),
    via: z.string().describe('api, postgres, ssh, http, token'),
    who: Actor.optional().describe('absent where the token did not say, or could not be believed'),
    connection: z.string().optional(),
    address: z.string().optional(),
    reason: z.string().optional(),
  }),
  'session.opened': z.looseObject({
    session,
    connection: z.string(),
    protocol: z.string(),
    mode: z.enum(['enforce', 'observe']),
    agent: AgentRef,
    purpose: z.string().optional(),
    grants: z.array(z.string()).optional().describe('ids of the live grants it was opened by'),
    grant: z.string().optional().describe('the one that its token is bound to'),
    client: z.object({ address: z.string(), application: z.string().optional() }),
    policy: z.string().optional().describe('version of the policy set in force'),
  }),
  'session.closed': ended,
  'session.interrupted': ended,
  command: z.looseObject({
    session,
    command: z.string().describe('its id in the recording'),
    kind: z.string(),
    digest: z.string(),
    effects: z.array(Effect),
    verdict: VerdictRecord,
    text: z.string().optional().describe('the recording has it; here only where it is kept apart, for search'),
    approval: z.string().optional(),
  }),
  'approval.opened': z.looseObject({
    approval: z.string(),
    session: session.optional().describe('absent where access was asked for'),
    grants: z.array(z.string()).optional(),
    shown: z
      .looseObject({ text: z.string() })
      .optional()
      .describe('what people were shown, where access was asked for'),
    connection: z.string(),
    agent: z.string(),
    digest: z.string(),
    requirements: z.array(Requirement.omit({ approvedBy: true })),
    expiresAt: z.string(),
  }),
  'approval.decided': z.looseObject({
    approval: z.string(),
    session: session.optional(),
    person: PersonRef,
    verdict: z.enum(['approve', 'deny']),
    reason: z.string(),
    window: z.string(),
    digest: z.string(),
    inPlaceOf: z.array(z.string()).optional().describe('ids of people whose duty was handed over'),
    breakGlass: z.boolean().optional(),
  }),
  'approval.escalated': z.looseObject({
    approval: z.string(),
    session: session.optional(),
    groups: z.array(z.string()),
  }),
  'approval.closed': z.looseObject({
    approval: z.string(),
    session: session.optional(),
    state: z.enum(['approved', 'used', 'denied', 'expired', 'cancelled']),
    reason: z.string().optional(),
  }),
  'grant.requested': grant,
  'grant.activated': grant,
  'grant.denied': grant,
  'grant.expired': grant,
  'grant.revoked': grant,
  'token.issued': z.looseObject({
    token: z.string().describe('its id, never its text'),
    agent: AgentRef,
    connection: z.string(),
    grant: z.string().optional(),
    purpose: z.string().optional(),
    expiresAt: z.string(),
    address: z.string().optional(),
    fingerprint: sha256.optional().describe('SHA-256 of the SHA-256 (in hex) that its text is kept as'),
  }),
  'token.revoked': z.looseObject({ token: z.string(), agent: z.string(), by: Actor, reason }),
  'agent.seen': z
    .looseObject({ agent: AgentRef })
    .describe('an agent came for the first time, or with other groups, name or owner than before'),
  'agent.declared': registered,
  'agent.changed': registered,
  'agent.disabled': z.looseObject({ agent: z.string(), by: PersonRef, reason }),
  'agent.enabled': z.looseObject({ agent: z.string(), by: PersonRef, reason }),
  'person.left': z.looseObject({ person: PersonRef, by: PersonRef, reason }),
  'person.returned': z.looseObject({ person: PersonRef, by: PersonRef, reason }),
  'delegation.begun': delegation,
  'delegation.ended': z.looseObject({ delegation: z.string(), by: Actor, reason }),
  'break-glass.used': z.looseObject({
    use: z.string(),
    approval: z.string(),
    agent: z.string(),
    connection: z.string(),
    person: PersonRef,
    reason,
  }),
  'break-glass.reviewed': z.looseObject({
    use: z.string(),
    by: PersonRef,
    verdict: z.enum(['justified', 'not-justified']),
    reason,
  }),
  'connections.configured': z
    .looseObject({
      connections: z.array(
        z.looseObject({
          name: z.string(),
          kind: z.string(),
          tags: z.array(z.string()),
          access: z.enum(['standing', 'jit']),
          mode: z.enum(['enforce', 'observe']),
        }),
      ),
    })
    .describe('all connections, whenever they are others than before'),
  'policy.changed': z.looseObject({
    version: z.string(),
    files: z.array(z.object({ path: z.string(), sha256 })),
    by: Actor,
    reason: z.string().optional(),
  }),
  'config.reloaded': z.looseObject({
    outcome: z.enum(['ok', 'refused']),
    sha256: sha256.optional(),
    problems: z.array(z.string()).optional(),
  }),
  playback: z.looseObject({
    session,
    by: PersonRef,
    where: z.enum(['gateway', 'offline']),
    playedAt: z.string().optional().describe('where it was offline: when, by the clock of the console'),
  }),
  'deletion.run': DeletionRun,
  'legal-hold.placed': hold,
  'legal-hold.lifted': hold,
  annotation: z.looseObject({
    annotation: z.string(),
    session,
    by: PersonRef,
    from: z.number().nonnegative().describe('milliseconds since the recording began'),
    to: z.number().nonnegative().optional(),
    text: z.string(),
    tags: z.array(z.string()),
    madeAt: z.string().optional().describe('by the clock of the console'),
  }),
  'annotation.withdrawn': z.looseObject({
    annotation: z.string(),
    session,
    by: PersonRef,
    reason: z.string(),
  }),
  'connection.frozen': freeze,
  'connection.unfrozen': freeze,
  'key.rotated': KeyRotated,
  'template.saved': z.looseObject({
    template: z.string(),
    by: PersonRef.optional(),
    sha256,
    enabled: z.boolean(),
    removed: z.boolean().optional(),
  }),
  'campaign.created': z.looseObject({
    campaign: z.string(),
    title: z.string(),
    plan: z.looseObject({}).describe('scope, window, stages, expiry default, controls'),
    trigger: z.looseObject({ kind: z.string() }),
    by: Actor,
    owner: z.string().optional().describe('id of the person whose it is'),
  }),
  'campaign.changed': z.looseObject({
    campaign: z.string(),
    title: z.string(),
    plan: z.looseObject({}).describe('of the draft as it is after that'),
    by: Actor,
  }),
  'campaign.removed': z.looseObject({ campaign: z.string(), by: Actor }).describe('a draft was taken away'),
  'campaign.started': z.looseObject({
    campaign: z.string(),
    by: Actor,
    items: count,
    snapshotAt: z.string(),
    dueAt: z.string(),
    policy: z.string(),
    windowFrom: z.string().optional(),
    coverage: z.looseObject({}).optional(),
    owner: z.string().optional(),
  }),
  'campaign.item': z
    .looseObject({
      campaign: z.string(),
      item: z.string(),
      number: count,
      kind: z.enum(['access', 'rule']),
      agent: z.string().optional(),
      name: z.string(),
      connection: z.string(),
      privileged: z.boolean(),
      evidence: sha256.describe('of its evidence document'),
      summary: sha256.optional().describe('of what a list shows of it, canonical'),
      recommendation: z.looseObject({ verdict: z.string() }),
      reviewers: z.array(z.string()).describe('ids'),
    })
    .describe('an item of a campaign as it was when its snapshot was taken'),
  'campaign.closed': z.looseObject({
    campaign: z.string(),
    by: Actor,
    reason,
    counts: z.record(z.string(), count),
    skipped: z.array(z.string()).optional().describe('items that nobody had decided when a person closed it'),
  }),
  'campaign.signed-off': z.looseObject({ campaign: z.string(), by: PersonRef, statement: z.string() }),
  'item.decided': z.looseObject({
    campaign: z.string(),
    item: z.string(),
    decision: z.string(),
    stage: count,
    verdict: z.enum(['certify', 'reduce', 'revoke', 'abstain']),
    reason: z.string(),
    by: Actor,
    how: z.enum(['reviewer', 'expired-default', 'skipped']),
    bulk: z.string().optional(),
    policy: z.string().optional().describe('of a reduce'),
    madeAt: z.string().optional(),
    evidence: sha256.describe('of the document that it was decided on'),
    revision: count.optional().describe('of the item, after it'),
    followed: z.boolean().optional().describe('whether it is what was recommended'),
    inPlaceOf: PersonRef.optional(),
    seconds: z.number().optional().describe('how long it was open before, as the console says'),
    evidenceOpened: z.array(z.string()).optional().describe('as the console says'),
    request: sha256.optional().describe('of what was asked, so that the same again is known'),
  }),
  'item.commented': z.looseObject({
    campaign: z.string(),
    item: z.string(),
    comment: z.string(),
    by: PersonRef,
    text: z.string(),
    madeAt: z.string().optional(),
  }),
  'item.moved': z.looseObject({
    campaign: z.string(),
    item: z.string(),
    move: z.string(),
    kind: z.enum(['reassign', 'delegate']),
    from: z.string().optional().describe('id'),
    to: PersonRef,
    by: PersonRef,
    reason,
    stage: count.optional(),
    reviewers: z.array(z.string()).optional().describe('ids, after it'),
    revision: count.optional().describe('of the item, after it'),
  }),
  'item.staged': z.looseObject({
    campaign: z.string(),
    item: z.string(),
    stage: count,
    reviewers: z.array(z.string()).describe('ids'),
  }),
  'overlay.proposed': overlay.extend({ policy: z.string(), title: z.string() }),
  'overlay.applied': overlay.extend({ version: z.string() }),
  'overlay.verified': overlay.extend({ probes: count, answers, asked }),
  'overlay.failed': overlay.extend({
    reason,
    answers,
    inForce: z.boolean().optional().describe('whether it stays in force nevertheless'),
    putBack: z.boolean().optional().describe('whether it was to be taken out, and is in force again'),
    version: z.string().optional().describe('of the policy set since then, where it was taken out again'),
    asked,
  }),
  'overlay.rejected': overlay.extend({ reason }),
  'overlay.roll-back-asked': overlay.extend({ reason }),
  'overlay.roll-back-refused': overlay.extend({ reason }),
  'overlay.rolled-back': overlay.extend({ reason, version: z.string() }),
  'overlay.probed': overlay
    .extend({ probes: count, answers, asked })
    .describe('once it was taken out: that nothing else has changed'),
  'overlay.retired': overlay.extend({ reason, version: z.string() }),
  'backtest.run': z.looseObject({
    backtest: z.string(),
    by: PersonRef,
    version: z.string(),
    since: z.string(),
    until: z.string(),
  }),
  'pack.made': z.looseObject({
    campaign: z.string(),
    by: PersonRef,
    form: z.string().describe('bundle, report, csv, json'),
    pack: z.string().optional().describe('its id'),
    counts: z.record(z.string(), count).optional().describe('how much the campaign had then: items, decisions, …'),
    before: z
      .object({ size: count, entries: count })
      .optional()
      .describe('how many of the log’s first entries are of the campaign'),
  }),
  'recording.chunk': RecordingChunk,
  'gateway.started': z.looseObject({ version: z.string(), found: z.array(z.string()).optional() }),
  'gateway.stopped': z.looseObject({ reason: z.string() }),
} as const

export type EntryType = keyof typeof payloads
export type PayloadOf<T extends EntryType> = z.infer<(typeof payloads)[T]>
export type PayloadInput<T extends EntryType> = z.input<(typeof payloads)[T]>

/** Types whose payload retention must leave: without it others can't be judged. */
export const neverErased: ReadonlySet<string> = new Set<EntryType>(['deletion.run', 'key.rotated'])
