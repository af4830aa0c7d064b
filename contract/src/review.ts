import { z } from 'zod'
import { AgentUse, OrphanReason, Permission } from './access.ts'
import { PersonRef } from './identity.ts'
import { VerdictRecord } from './recording.ts'

/** Access reviews: campaigns, their items, what is decided of them, and what comes of it (docs/reviews.md). */

const time = z.iso.datetime()
const count = z.number().int().nonnegative()
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex')
/** Ids that the one who writes makes, so that the same is never taken twice: annotations, decisions, comments. */
export const ClientId = z.string().regex(/^[A-Za-z0-9_-]{8,64}$/, '8 to 64 characters of A-Z, a-z, 0-9, _ and -')

export const CampaignState = z.enum(['draft', 'active', 'closed'])
export type CampaignState = z.infer<typeof CampaignState>
export const ItemVerdict = z.enum(['undecided', 'certify', 'reduce', 'revoke', 'abstain'])
export type ItemVerdict = z.infer<typeof ItemVerdict>
export const Verdict = ItemVerdict.exclude(['undecided'])
export type Verdict = z.infer<typeof Verdict>
export const ApplicationState = z.enum(['pending', 'applied', 'verified', 'failed', 'not-supported'])
export type ApplicationState = z.infer<typeof ApplicationState>
export const ClosedHow = z.enum(['reviewer', 'expired-default', 'skipped'])
export type ClosedHow = z.infer<typeof ClosedHow>
/** What becomes of items that nobody decided until the campaign was due. */
export const ExpiryDefault = z.enum(['keep', 'revoke', 'recommendation'])
export type ExpiryDefault = z.infer<typeof ExpiryDefault>

/** What a campaign looks at; members narrow each other, an absent one narrows nothing. */
export const CampaignScope = z.strictObject({
  connections: z.array(z.string().max(63)).max(1000).optional(),
  tags: z.array(z.string().max(100)).max(100).optional().describe('connections that have one of them'),
  agents: z.array(z.string().max(2000)).max(10_000).optional(),
  groups: z.array(z.string().max(500)).max(1000).optional().describe('agents of one of them'),
  classes: z.array(z.string().max(100)).max(100).optional().describe('data classes that the agent may see'),
  access: z.enum(['standing', 'jit']).optional(),
  rules: z.boolean().optional().describe('also the rules by which access is given just in time, with sampled uses'),
  privileged: z.boolean().optional().describe('only what is privileged'),
  orphans: z.boolean().optional().describe('only agents that nobody answers for'),
  idleDays: z.number().int().positive().max(3650).optional().describe('only access not used for so many days'),
})
export type CampaignScope = z.infer<typeof CampaignScope>

/** Who decides: the first of a stage's list that anybody can act for; at the end everybody who is a reviewer. */
export const ReviewerRule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('sponsor') }),
  z.strictObject({ kind: z.literal('owner') }),
  z.strictObject({ kind: z.literal('group'), group: z.string().min(1).max(500) }),
  z.strictObject({ kind: z.literal('person'), person: z.string().min(1).max(2000).describe('id, e-mail or subject') }),
  z.strictObject({ kind: z.literal('role') }).describe('everybody who has the role reviewer'),
])
export type ReviewerRule = z.infer<typeof ReviewerRule>
export const ReviewStage = z.strictObject({
  title: z.string().trim().min(1).max(200),
  reviewers: z.array(ReviewerRule).min(1).max(10),
})
export type ReviewStage = z.infer<typeof ReviewStage>

/** Controls that a pack names as served by the campaign, for example `soc2:CC6.3`. */
export const ControlId = z.string().regex(/^[a-z0-9-]+:[A-Za-z0-9.()-]+$/)

/** What a campaign is made of; body of `POST /v1/campaigns`, and what a template holds. */
export const CampaignPlan = z.strictObject({
  title: z.string().trim().min(1).max(200),
  description: z.string().trim().max(4000).default(''),
  scope: CampaignScope.default({}),
  windowDays: z.number().int().min(1).max(730).default(90).describe('so far back use is looked at'),
  stages: z
    .array(ReviewStage)
    .min(1)
    .max(5)
    .default([{ title: 'Review', reviewers: [{ kind: 'role' }] }]),
  days: z.number().int().min(1).max(365).default(14).describe('until it is due, from its start'),
  onExpiry: ExpiryDefault.default('revoke'),
  controls: z.array(ControlId).max(50).default([]),
  template: z.string().max(64).optional(),
})
export type CampaignPlan = z.infer<typeof CampaignPlan>
export type CampaignPlanInput = z.input<typeof CampaignPlan>
const planned = CampaignPlan.shape
/** Body of `PATCH /v1/campaigns/ID`, of a draft: what is given replaces what there is. */
export const CampaignPatch = z.strictObject({
  title: planned.title.optional(),
  description: planned.description.unwrap().optional(),
  scope: planned.scope.unwrap().optional(),
  windowDays: planned.windowDays.unwrap().optional(),
  stages: planned.stages.unwrap().optional(),
  days: planned.days.unwrap().optional(),
  onExpiry: planned.onExpiry.unwrap().optional(),
  controls: planned.controls.unwrap().optional(),
})
export type CampaignPatch = z.infer<typeof CampaignPatch>

export const Cadence = z.strictObject({
  every: z.enum(['week', 'month', 'quarter', 'half-year', 'year']),
  from: z.iso.date().describe('the first day of the first one (UTC)'),
})
export const TriggerKind = z.enum(['new-privilege', 'unusual-use', 'sponsor-left'])
/** A campaign that is begun again and again: by a calendar, or when something changes. */
export const CampaignTemplate = z.object({
  id: z.string(),
  plan: CampaignPlan,
  builtIn: z.boolean().describe('one of those that come with Countersign; made one’s own by saving it'),
  cadence: Cadence.optional(),
  triggers: z.array(TriggerKind).describe('begins a campaign about the agents concerned'),
  enabled: z.boolean(),
  nextAt: time.optional(),
  lastCampaign: z.string().optional(),
  by: PersonRef.optional(),
  changedAt: time.optional(),
})
export type CampaignTemplate = z.infer<typeof CampaignTemplate>
/** Body of `PUT /v1/campaign-templates/ID`. */
export const TemplateRequest = z.strictObject({
  plan: CampaignPlan,
  cadence: Cadence.nullable().default(null),
  triggers: z.array(TriggerKind).max(3).default([]),
  enabled: z.boolean().default(true),
})

export const CampaignCounts = z.object({
  items: count,
  undecided: count,
  certify: count,
  reduce: count,
  revoke: count,
  abstain: count,
  privileged: count,
  mine: count.describe('undecided ones that the caller may decide'),
  applications: z.record(ApplicationState, count),
})
/** `GET /v1/campaigns`, and `data` of the feed's campaign.started, campaign.changed, campaign.closed. */
export const Campaign = z.object({
  id: z.string(),
  state: CampaignState,
  title: z.string(),
  description: z.string(),
  scope: CampaignScope,
  window: z.object({ days: count, from: time.optional(), to: time.optional() }),
  stages: z.array(ReviewStage),
  onExpiry: ExpiryDefault,
  controls: z.array(z.string()),
  template: z.string().optional(),
  trigger: z
    .object({ kind: z.enum(['person', 'cadence', ...TriggerKind.options]), about: z.string().optional() })
    .describe('what began it'),
  days: count,
  createdAt: time,
  createdBy: PersonRef.optional().describe('absent where a template did'),
  starting: z
    .object({ done: count, of: count, doing: z.string() })
    .optional()
    .describe('its snapshot is being taken: so far'),
  problem: z.string().optional().describe('why it could not be started'),
  startedAt: time.optional(),
  startedBy: PersonRef.optional(),
  snapshotAt: time.optional(),
  policy: z.string().optional().describe('version of the policy at the snapshot'),
  coverage: z
    .object({ commands: count, unreadable: count, since: time.optional(), notes: z.array(z.string()) })
    .optional()
    .describe('what of the window could be read'),
  dueAt: time.optional(),
  closedAt: time.optional(),
  closedBy: PersonRef.optional().describe('absent where it was due'),
  closedBecause: z.string().optional(),
  signedOffBy: z.array(z.object({ person: PersonRef, at: time, statement: z.string() })),
  counts: CampaignCounts,
})
export type Campaign = z.infer<typeof Campaign>

/** What a reminder says (`campaign.reminder`): only to the one who can act. */
export const CampaignReminder = z.object({
  campaign: z.string(),
  title: z.string(),
  person: z.string().describe('id of the one whom it is for'),
  open: count,
  dueAt: time,
  kind: z.enum(['started', 'half', 'soon', 'last-day', 'stage']),
})
export type CampaignReminder = z.infer<typeof CampaignReminder>

/** One row of a campaign: an agent's access to a connection, or a rule that gives access just in time. */
export const CampaignItem = z.object({
  id: z.string(),
  campaign: z.string(),
  number: count.describe('from 1, in the order in which they are best worked through: the riskiest first'),
  kind: z.enum(['access', 'rule']),
  agent: z.string().optional().describe('id; absent of a rule'),
  name: z.string().describe('of the agent, or the id of the rule’s policy'),
  sponsor: z.string().optional(),
  owner: z.string().optional(),
  groups: z.array(z.string()),
  connection: z.string(),
  connectionTags: z.array(z.string()),
  access: z.enum(['standing', 'jit']),
  privileged: z.boolean(),
  privilegedBecause: z.array(z.string()),
  orphan: OrphanReason.optional(),
  lastUsedAt: time.optional().describe('last command on this connection'),
  commands: count.describe('in the window'),
  refused: count.describe('of these denied'),
  held: count,
  permittedCells: count.describe('pairs of action and resource that it may'),
  usedCells: count,
  recommendation: z.object({ verdict: Verdict, summary: z.string() }),
  stage: count.describe('from 0'),
  stages: count,
  reviewers: z.array(PersonRef).describe('who may decide it now'),
  mine: z.boolean().describe('whether the caller is one of them'),
  verdict: ItemVerdict,
  how: ClosedHow.optional(),
  decidedBy: PersonRef.optional(),
  decidedAt: time.optional(),
  bulk: z.boolean().optional(),
  application: ApplicationState.optional().describe('of a reduce or revoke'),
  overlay: z.string().optional(),
  overlayState: z
    .lazy(() => OverlayState)
    .optional()
    .describe('of that overlay: tells what was rejected, or rolled back, from what failed'),
  evidence: sha256.describe('of its evidence document, as the ledger has it'),
  revision: count.describe('rises with each change; what was decided on an older one is a conflict'),
  comments: count,
})
export type CampaignItem = z.infer<typeof CampaignItem>

/** What was done, counted from commands that were recorded in the window. */
export const ObservedUse = AgentUse.extend({
  type: z
    .string()
    .describe(
      'Cedar entity type of the resource; with * behind it, the resource is how several begin that were too many to be told apart',
    ),
  kind: z.string().describe('the verb: select, insert, …; of other protocols the program, method or tool'),
  approved: count.optional().describe('of the held: those that people let run; absent where there are none'),
  unbounded: count.describe('of those that ran: reached every row'),
  shell: count.optional().describe('of those that ran, by ssh:exec: had a metacharacter of the shell'),
  functions: z.array(z.string()).optional().describe('functions that it called, as policies name them'),
  argv: z
    .array(z.string())
    .optional()
    .describe('of ssh:exec: the command lines of this program that ran, word for word; absent where they were many'),
})
export type ObservedUse = z.infer<typeof ObservedUse>

/** A command that says something, with where it is recorded. */
export const EvidenceCommand = z.object({
  session: z.string(),
  command: z.string(),
  entry: count.optional().describe('of the ledger'),
  at: time,
  text: z.string().describe('as it was recorded, its first 2,000 characters; empty where it is erased'),
  verdict: VerdictRecord,
  purpose: z.string().optional(),
  why: z.string().describe('why it is shown, in words'),
})
export type EvidenceCommand = z.infer<typeof EvidenceCommand>

export const Anomaly = z.object({
  kind: z.enum(['first-time', 'new-table', 'new-hour', 'burst', 'unbounded', 'refused-often', 'own-approver', 'other']),
  text: z.string(),
  at: time.optional(),
  session: z.string().optional(),
  command: z.string().optional(),
})
export type Anomaly = z.infer<typeof Anomaly>

/** The three questions' answers: fixed at the snapshot, canonical JSON, its SHA-256 in the ledger. */
export const ItemEvidence = z.object({
  format: z.literal('countersign-evidence/1'),
  campaign: z.string(),
  item: z.string(),
  at: time,
  window: z.object({ from: time, to: time }),
  coverage: z.object({ commands: count, unreadable: count, since: time.optional(), notes: z.array(z.string()) }),
  /** Is the identity still right? */
  identity: z.object({
    agent: z.string().optional(),
    name: z.string(),
    issuer: z.string().optional(),
    state: z.string(),
    sponsor: z.string().optional(),
    sponsorName: z.string().optional(),
    owner: z.string().optional(),
    orphan: OrphanReason.optional(),
    purpose: z.string().optional(),
    environment: z.string().optional(),
    groups: z.array(z.string()),
    actsFor: z.array(z.string()),
    firstSeenAt: time.optional(),
    lastSeenAt: time.optional(),
    lastUsedAt: time.optional().describe('on this connection'),
    lastCertified: z.object({ campaign: z.string(), at: time, by: z.string() }).optional(),
  }),
  /** Is what it may more than it needs? */
  connection: z.object({
    name: z.string(),
    kind: z.string(),
    tags: z.array(z.string()),
    access: z.enum(['standing', 'jit']),
    mode: z.enum(['enforce', 'observe']),
  }),
  permitted: z.array(Permission),
  used: z.array(ObservedUse),
  through: z
    .array(
      z.object({
        policy: z.string(),
        file: z.string(),
        effect: z.enum(['permit', 'forbid']),
        text: z.string(),
        group: z.string().optional().describe('by which group it is met'),
        reason: z.string().optional(),
      }),
    )
    .describe('policies that give and take it, groups expanded'),
  grants: z.array(
    z.object({
      grant: z.string(),
      state: z.string(),
      actions: z.array(z.string()),
      at: time,
      until: time.optional(),
      purpose: z.string(),
      approvedBy: z.array(z.string()),
    }),
  ),
  days: z.array(z.object({ day: z.iso.date(), allowed: count, held: count, denied: count })),
  peers: z
    .object({
      of: count.describe('agents of the same groups'),
      usedByPeers: z.array(z.object({ action: z.string(), resource: z.string(), peers: count })),
    })
    .optional(),
  /** Of a rule: agents that it lets ask, by policy as it is now, with the grants that they had by it in the window. */
  askers: z
    .array(
      z.object({
        agent: z.string(),
        name: z.string(),
        verdict: z.enum(['allow', 'hold', 'depends']),
        grants: count,
      }),
    )
    .optional(),
  /** Did it do something against its purpose? */
  refused: z.array(EvidenceCommand),
  heldCommands: z.array(EvidenceCommand),
  masked: z
    .array(z.object({ class: z.string(), commands: count }))
    .describe('commands that ran and may have read values of a class that policy does not plainly reveal'),
  anomalies: z.array(Anomaly),
  /** Of a rule: uses that were drawn, and how. */
  sampled: z.object({ of: count, seed: z.string(), commands: z.array(EvidenceCommand) }).optional(),
})
export type ItemEvidence = z.infer<typeof ItemEvidence>

export const Recommendation = z.object({
  verdict: Verdict,
  summary: z.string(),
  reasons: z.array(
    z.object({
      code: z.enum([
        'idle',
        'never-used',
        'unused-actions',
        'unused-resources',
        'orphan',
        'peers',
        'refused-often',
        'young',
        'thin-coverage',
        'used',
        'privileged',
        'observed-only',
        'other',
      ]),
      text: z.string(),
    }),
  ),
  policy: z
    .string()
    .optional()
    .describe('Cedar, formatted: what a reduce would forbid, recommended or not; what a recommended revoke would'),
  keeps: z.array(z.string()).describe('in words, for example sql:read on public.customers'),
  drops: z.array(z.string()),
})
export type Recommendation = z.infer<typeof Recommendation>

/** One decision of one person at one stage; none is ever changed or taken away. */
export const ItemDecision = z.object({
  id: z.string(),
  item: z.string(),
  stage: count,
  verdict: Verdict,
  reason: z.string(),
  policy: z.string().optional().describe('of a reduce: the tighter policy that was decided on'),
  by: PersonRef.optional().describe('absent where the campaign was due'),
  inPlaceOf: PersonRef.optional(),
  at: time,
  madeAt: time.optional().describe('by the clock of the console, where it was made offline'),
  how: ClosedHow,
  bulk: z.string().optional().describe('what was decided with it bears the same'),
  seconds: z.number().nonnegative().optional().describe('how long it was open before, as the console says'),
  evidenceOpened: z.array(z.string()).optional().describe('which parts were looked at, as the console says'),
  followed: z.boolean().describe('whether it is what was recommended'),
})
export type ItemDecision = z.infer<typeof ItemDecision>

export const ItemComment = z.object({
  id: z.string(),
  item: z.string(),
  by: PersonRef,
  text: z.string(),
  at: time,
  madeAt: time.optional(),
})
export type ItemComment = z.infer<typeof ItemComment>
export const ItemMove = z.object({
  id: z.string(),
  item: z.string(),
  kind: z.enum(['reassign', 'delegate']),
  from: PersonRef.optional(),
  to: PersonRef,
  by: PersonRef,
  reason: z.string(),
  at: time,
  stage: count.optional().describe('of the item when it was moved'),
})
export type ItemMove = z.infer<typeof ItemMove>

/** `GET /v1/campaigns/ID/items/ITEM`. */
export const CampaignItemPage = z.object({
  item: CampaignItem,
  evidence: ItemEvidence,
  recommendation: Recommendation,
  decisions: z.array(ItemDecision),
  comments: z.array(ItemComment),
  moves: z.array(ItemMove),
})
export type CampaignItemPage = z.infer<typeof CampaignItemPage>

/** Body of `PUT /v1/campaigns/ID/items/ITEM/decisions/DECISION`: the same again is 200 and counts once. */
export const ItemDecisionRequest = z.strictObject({
  verdict: Verdict,
  reason: z.string().trim().max(4000).default(''),
  revision: count,
  policy: z.string().max(64_000).optional().describe('of a reduce; absent: what is recommended'),
  madeAt: time.optional(),
  seconds: z.number().nonnegative().max(1e7).optional(),
  evidenceOpened: z.array(z.string().max(50)).max(20).optional(),
})
export type ItemDecisionRequest = z.input<typeof ItemDecisionRequest>
/** What is answered to a decision: with 201 where it was made, 200 where it was there already, the same. */
export const ItemDecisionAnswer = z.object({ item: CampaignItem, decision: ItemDecision })
export type ItemDecisionAnswer = z.infer<typeof ItemDecisionAnswer>
/** Body of `PUT …/items/ITEM/comments/COMMENT`; it is answered with an ItemComment. */
export const ItemCommentRequest = z.strictObject({ text: z.string().trim().min(1).max(4000), madeAt: time.optional() })
export type ItemCommentRequest = z.input<typeof ItemCommentRequest>
/** Body of `POST …/items/ITEM/reassign` and `…/delegate`. */
export const ItemMoveRequest = z.strictObject({
  to: z.string().min(1).max(2000),
  reason: z.string().trim().min(1).max(2000),
})
export type ItemMoveRequest = z.input<typeof ItemMoveRequest>
export const ItemMoveAnswer = z.object({ item: CampaignItem, move: ItemMove })
export type ItemMoveAnswer = z.infer<typeof ItemMoveAnswer>

/** Body of `POST /v1/campaigns/ID/bulk`: first without `preview`, then with the one that was answered. */
export const BulkRequest = z.strictObject({
  items: z
    .array(z.strictObject({ id: z.string().max(64), revision: count }))
    .min(1)
    .max(10_000),
  verdict: Verdict.exclude(['reduce']),
  reason: z.string().trim().min(1, 'say why').max(4000),
  preview: sha256.optional(),
})
export type BulkRequest = z.input<typeof BulkRequest>
export const BulkPreview = z.object({
  preview: sha256,
  verdict: Verdict,
  items: z.array(
    z.object({ id: z.string(), name: z.string(), connection: z.string(), recommended: Verdict, followed: z.boolean() }),
  ),
  refused: z
    .array(z.object({ id: z.string(), why: z.string() }))
    .describe('privileged ones, and those that are decided or not the caller’s'),
  done: z.boolean(),
})
export type BulkPreview = z.infer<typeof BulkPreview>

/** `GET /v1/campaigns/ID/signals`: how it was decided, for its owner, auditors and admins. */
export const ReviewSignals = z.object({
  reviewers: z.array(
    z.object({
      person: PersonRef,
      decided: count,
      certified: count,
      bulk: count,
      followed: count,
      medianSeconds: z.number().nonnegative().optional(),
      withoutEvidence: count.describe('decided without a look at any evidence'),
      flags: z.array(
        z.object({ code: z.enum(['fast', 'always-certifies', 'no-evidence', 'mostly-bulk']), text: z.string() }),
      ),
    }),
  ),
  burnDown: z.array(z.object({ day: z.iso.date(), open: count })),
})
export type ReviewSignals = z.infer<typeof ReviewSignals>

/** A question that the gate was asked to see whether an overlay does what it says. */
export const Probe = z.object({
  action: z.string(),
  resource: z.string(),
  kind: z.string(),
  bounded: z.boolean().optional(),
  shell: z.boolean().optional().describe('of SSH: with metacharacters of the shell'),
  expect: z.enum(['deny', 'as-before']),
  before: z.string(),
  got: z.string(),
  ok: z.boolean(),
  agent: z.string().optional().describe('of which it was asked, where that is another'),
  connection: z.string().optional().describe('by which it was asked, where that is another'),
})
export type Probe = z.infer<typeof Probe>
/** `retired`: the policy folder has the same by now. */
export const OverlayState = z.enum(['proposed', 'applied', 'verified', 'failed', 'rejected', 'rolled-back', 'retired'])
export type OverlayState = z.infer<typeof OverlayState>
const Said = z.object({ by: PersonRef, at: time, reason: z.string() })
/** A forbid beside the policy folder, by a decision of a review (`GET /v1/overlays`). */
export const Overlay = z.object({
  id: z.string(),
  number: count,
  state: OverlayState,
  kind: z.enum(['reduce', 'revoke']),
  title: z.string(),
  agent: z.string().optional(),
  connection: z.string(),
  campaign: z.string().optional(),
  item: z.string().optional(),
  decision: z.string().optional(),
  policy: z.string().describe('Cedar: forbid … unless'),
  digest: sha256.describe('of the policy text; who applies says which one'),
  proposed: z.object({ by: PersonRef.optional(), at: time, reason: z.string() }),
  approved: Said.optional().describe('the second pair of eyes'),
  appliedAt: time.optional(),
  version: z.string().optional().describe('of the policy set that has it'),
  inForce: z.boolean().optional().describe('whether it is enforced now: one that failed may be, or be taken out again'),
  probes: z.array(Probe).describe('in lists and on the feed only some, those that went wrong first'),
  probed: z.object({ asked: count, refused: count, failed: count }).optional().describe('how many in all'),
  failedBecause: z.string().optional(),
  rejected: Said.optional(),
  rollBack: Said.optional().describe('asked for; another person must say it too'),
  rolledBack: Said.optional(),
  retired: Said.optional(),
})
export type Overlay = z.infer<typeof Overlay>
/** `GET /v1/overlays/ID`: also what its agent may on the connection without it and with it, as policy is now. */
export const OverlayPage = Overlay.extend({
  before: z.array(Permission).optional().describe('without it; absent where it can’t be told, for example of a rule'),
  after: z.array(Permission).optional().describe('with it'),
  notes: z.array(z.string()).optional().describe('what the two leave out, in sentences'),
})
export type OverlayPage = z.infer<typeof OverlayPage>
/** `GET /v1/overlays/export`: overlays in force as edits of the policy folder, for those who keep it in git. */
export const OverlayExport = z.object({
  overlays: z.array(z.string()).describe('ids of those that are in it'),
  files: z.array(z.object({ file: z.string(), text: z.string() })).describe('that are new or changed, whole'),
  patch: z.string().describe('the same as one unified diff that git apply takes'),
  redundant: z
    .array(z.string())
    .optional()
    .describe('ids of those of which the folder in force has every policy already: an admin may retire them'),
  notes: z.array(z.string()).optional(),
})
export type OverlayExport = z.infer<typeof OverlayExport>
/** Body of `POST /v1/overlays/ID/apply`, `…/reject`, `…/roll-back`, `…/retire`. */
export const OverlayAnswer = z.strictObject({
  reason: z.string().trim().max(2000).default(''),
  digest: sha256.optional(),
  confirms: time
    .optional()
    .describe('of a roll-back that another admin asked for: `rollBack.at` as it was shown; without it 409'),
})

/** Body of `POST /v1/campaigns/ID/close` (reviewers, admins) and `…/sign-off` (reviewers). */
export const CloseRequest = z.strictObject({ reason: z.string().trim().min(1).max(2000) })
export const SignOffRequest = z.strictObject({ statement: z.string().trim().min(1).max(4000) })
