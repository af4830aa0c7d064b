import { z } from 'zod'
import { Effect } from './approval.ts'
import { PersonRef } from './identity.ts'

/** Policy as people work on it: its versions, drafts, tests, and drafts run over the past (docs/policy.md). */

const time = z.iso.datetime()
const count = z.number().int().nonnegative()

export const PolicyText = z.object({ file: z.string().max(255), text: z.string().max(1_000_000) })
export type PolicyText = z.infer<typeof PolicyText>
/** What a person sends: names of the folder's files, `*.cedar` and `*.test.yaml`, without a path. */
export const PolicyFileInput = z.strictObject({
  file: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.(cedar|test\.yaml)$/, 'a name such as orders.cedar or orders.test.yaml'),
  text: z.string().max(1_000_000),
})
export const PolicyFilesInput = z.array(PolicyFileInput).max(1000)

/** `GET /v1/policy/versions`: each time that a set came into force, the newest first. */
export const PolicyVersion = z.object({
  version: z.string(),
  from: time,
  until: time.optional().describe('absent: it is in force'),
  by: z.object({ kind: z.enum(['gateway', 'person']), name: z.string() }),
  reason: z.string(),
  files: z.array(z.string()),
  changed: z.array(z.object({ file: z.string(), what: z.enum(['added', 'changed', 'removed']) })),
})
export type PolicyVersion = z.infer<typeof PolicyVersion>
/** `GET /v1/policy/versions/VERSION`: the last time that it came into force, with its files (overlays: `overlay:ID.cedar`). */
export const PolicyVersionPage = PolicyVersion.extend({ texts: z.array(PolicyText) })
export type PolicyVersionPage = z.infer<typeof PolicyVersionPage>

export const PolicyFinding = z.object({ file: z.string(), line: count, message: z.string(), mend: z.string() })
/** What one test of a `*.test.yaml` said. */
export const PolicyTestResult = z.object({
  file: z.string(),
  line: count,
  name: z.string(),
  ok: z.boolean(),
  expected: z.string(),
  got: z.string(),
  policies: z.array(z.string()).describe('that decided'),
})
export type PolicyTestResult = z.infer<typeof PolicyTestResult>
/** Answer of `POST /v1/policy/check`. */
export const PolicyCheck = z.object({
  ok: z.boolean(),
  version: z.string().optional(),
  problems: z.array(PolicyFinding),
  warnings: z.array(PolicyFinding),
  tests: z.array(PolicyTestResult),
})
export type PolicyCheck = z.infer<typeof PolicyCheck>

/** A set of policies that somebody is writing; nothing of it is enforced (`/v1/policy/drafts`). */
export const PolicyDraft = z.object({
  id: z.string(),
  title: z.string(),
  base: z.string().describe('version that it began from'),
  files: z.array(PolicyText).describe('the whole set as it would be, tests too'),
  by: PersonRef,
  at: time,
  changedBy: PersonRef,
  changedAt: time,
  revision: count,
  check: PolicyCheck,
})
export type PolicyDraft = z.infer<typeof PolicyDraft>
/** Body of `POST /v1/policy/drafts` and `PUT /v1/policy/drafts/ID`. */
export const PolicyDraftRequest = z.strictObject({
  title: z.string().trim().min(1).max(200),
  files: PolicyFilesInput,
  base: z.string().max(100).optional(),
  revision: count.optional().describe('of the one that was changed; another one there is a 409'),
})
export type PolicyDraftRequest = z.input<typeof PolicyDraftRequest>
/** The 409 of a revision that is not the one there has the draft as it is, as member `draft` (RFC 9457, section 3.2). */
export const DraftConflict = z.object({ draft: PolicyDraft })

/** Body of `POST /v1/policy/backtest`: a draft by its id, or files. */
export const BacktestRequest = z.strictObject({
  draft: z.string().max(64).optional(),
  files: PolicyFilesInput.optional(),
  since: z.string().max(40).default('30d').describe('a duration such as 30d, or an instant'),
  until: time.optional(),
  against: z
    .enum(['recorded', 'in-force'])
    .default('recorded')
    .describe('compared with what was said then, or with what policy in force would say of the same'),
  agents: z.array(z.string().max(2000)).max(1000).optional(),
  connections: z.array(z.string().max(63)).max(1000).optional(),
  overlays: z.boolean().default(true).describe('whether overlays of reviews are on top of the draft, as in force'),
})
export type BacktestRequest = z.input<typeof BacktestRequest>

export const BacktestState = z.enum(['running', 'done', 'cancelled', 'failed'])
export const Outcome3 = z.enum(['allow', 'hold', 'deny'])
/** Commands of one agent and one shape whose verdict would be another one. */
export const BacktestChange = z.object({
  change: z.enum(['newly-denied', 'newly-held', 'newly-allowed']),
  agent: z.string(),
  agentName: z.string(),
  connection: z.string(),
  shape: z.string().describe('its effects in words, for example delete public.customers, every row'),
  effects: z.array(Effect),
  commands: count,
  was: z.record(Outcome3, count),
  policies: z.array(z.string()).describe('of the draft that decide'),
  reason: z.string(),
  firstAt: time,
  lastAt: time,
  samples: z.array(
    z.object({ session: z.string(), command: z.string(), at: time, text: z.string(), was: Outcome3, now: Outcome3 }),
  ),
})
export type BacktestChange = z.infer<typeof BacktestChange>
export const BacktestResult = z.object({
  from: time,
  until: time,
  commands: count,
  unreadable: count.describe('erased by retention, or of a form that this version does not know'),
  same: z.record(Outcome3, count),
  newlyDenied: count,
  newlyHeld: count,
  newlyAllowed: count,
  changes: z.array(BacktestChange).describe('those with most commands first'),
  left: count.describe('further changes that are not told'),
  notes: z.array(z.string()),
  seconds: z.number(),
})
export type BacktestResult = z.infer<typeof BacktestResult>
/** `GET /v1/policy/backtests/ID`, and `data` of the feed’s backtest.changed (there without the result). */
export const Backtest = z.object({
  id: z.string(),
  state: BacktestState,
  by: PersonRef,
  at: time,
  title: z.string(),
  version: z.string().describe('of the draft'),
  against: z.enum(['recorded', 'in-force']),
  since: time,
  until: time,
  progress: z.object({ commands: count, of: count.optional() }),
  problem: z.string().optional(),
  check: z
    .object({ warnings: z.array(PolicyFinding) })
    .optional()
    .describe('what the Cedar validator says'),
  result: BacktestResult.optional(),
})
export type Backtest = z.infer<typeof Backtest>
