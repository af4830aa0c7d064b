import {
  Backtest,
  BacktestRequest,
  PolicyCheck,
  PolicyDraft,
  PolicyFilesInput,
  PolicyText,
  PolicyVersion,
} from '@countersign/contract/policies'
import { Overlay, OverlayAnswer, OverlayExport, OverlayPage } from '@countersign/contract/review'
import { z } from 'zod'

/** The part of ConsoleApi (console-api.ts) about policy: in force, its past, drafts, backtests, overlays of reviews. */

const Time = z.iso.datetime()
const Source = z.enum(['gateway', 'local'])

/** The lists of the screen; each may be another role's, or unknown to an older gateway. */
export const PolicyPart = z.enum(['in-force', 'versions', 'drafts', 'backtests', 'overlays'])
export type PolicyPart = z.infer<typeof PolicyPart>

/** A list: when it was last told, and why it could not be. */
export const PartState = z.object({
  at: Time.nullable().describe('when the gateway told it; null where it never did'),
  problem: z.string().optional(),
  refused: z.enum(['forbidden', 'unknown']).optional().describe('this role may not see it; this gateway has none'),
})
export type PartState = z.infer<typeof PartState>

export const InForce = z.object({
  version: z.string(),
  texts: z.array(PolicyText).describe('overlays of reviews behind the folder’s files'),
  tests: z.array(PolicyText).optional().describe('*.test.yaml of the folder as they are now'),
})
export type InForce = z.infer<typeof InForce>
/** A draft in the list: its files are asked for by `policyDraft`. */
export const DraftHead = PolicyDraft.omit({ files: true, check: true }).extend({
  ok: z.boolean(),
  files: z.array(z.string()),
})
export type DraftHead = z.infer<typeof DraftHead>
/** A backtest in the list: its result is asked for by `backtest`. */
export const BacktestHead = Backtest.omit({ result: true })
export type BacktestHead = z.infer<typeof BacktestHead>

/**
 * What somebody writes of a draft and has not saved: kept on this computer until it is, through restarts and sign-outs,
 * for this person and gateway alone. One without `revision` was never at the gateway.
 */
export const DraftWork = z.object({
  id: z.string().min(1).max(100),
  title: z.string().max(200),
  base: z.string().max(100),
  files: z.array(PolicyText),
  revision: z.number().int().nonnegative().optional(),
  at: Time,
})
export type DraftWork = z.infer<typeof DraftWork>

/** What the screen shows without asking further. */
export const PolicyView = z.object({
  inForce: InForce.nullable(),
  versions: z.array(PolicyVersion).describe('the latest first'),
  moreVersions: z.boolean(),
  drafts: z.array(DraftHead),
  works: z.array(DraftWork.omit({ files: true })).describe('drafts with something that is not saved'),
  backtests: z.array(BacktestHead).describe('the latest first'),
  overlays: z.array(Overlay).describe('the latest first'),
  parts: z.record(PolicyPart, PartState),
  loading: z.boolean(),
})
export type PolicyView = z.infer<typeof PolicyView>

const id = z.object({ id: z.string().min(1).max(100) })
const Files = z.object({ work: z.string() })
const Written = z.object({ state: z.enum(['written', 'cancelled']), where: z.string().optional() })

export const policyCalls = {
  /** All of it as it is kept here; the gateway is asked what is new where somebody looks. */
  policy: { input: z.object({ look: z.boolean().default(true) }), output: PolicyView },
  /** The files of a version; null where they are neither here nor there. */
  policyVersion: {
    input: z.object({ version: z.string().max(100) }),
    output: z.object({ texts: z.array(PolicyText).nullable(), source: Source }),
  },
  /** A draft as the gateway has it, and what is not saved of it. */
  policyDraft: {
    input: id,
    output: z.object({ draft: PolicyDraft.nullable(), work: DraftWork.nullable(), source: Source }),
  },
  keepDraftWork: { input: DraftWork, output: z.object({}) },
  dropDraftWork: { input: id, output: z.object({}) },
  /**
   * Saves what somebody wrote; with `over` it replaces the revision that is there, whoever changed it meanwhile.
   * `conflict` has the draft as it is. @throws ConsoleError not-connected, refused, unreachable
   */
  saveDraft: {
    input: z.object({ work: DraftWork, over: z.number().int().nonnegative().optional() }),
    output: z.object({ state: z.enum(['saved', 'conflict']), draft: PolicyDraft }),
  },
  deleteDraft: { input: id, output: z.object({}) },
  /** What the validator and the tests say of files that are not saved. */
  checkPolicy: { input: z.object({ files: PolicyFilesInput }), output: PolicyCheck },
  startBacktest: { input: BacktestRequest, output: Backtest },
  backtest: { input: id, output: z.object({ backtest: Backtest.nullable(), source: Source }) },
  cancelBacktest: { input: id, output: BacktestHead },
  overlay: { input: id, output: z.object({ overlay: OverlayPage.nullable(), source: Source }) },
  /** Applies, rejects, rolls back or retires: the gateway's at once or not at all. */
  answerOverlay: {
    input: OverlayAnswer.extend({ id: z.string(), does: z.enum(['apply', 'reject', 'roll-back', 'retire']) }),
    output: Overlay,
  },
  /** Overlays in force as edits of the policy folder. */
  overlayEdits: {
    input: z.object({}),
    output: OverlayExport,
  },
  /**
   * Writes files for the policy folder: one as it is, several as one tar, or what differs from `before` as one patch.
   * The same `work` comes with the `export` events of it.
   */
  savePolicyFiles: {
    input: Files.extend({
      name: z.string().max(200),
      form: z.enum(['file', 'tar', 'patch']),
      files: z.array(PolicyText).max(1000),
      before: z.array(PolicyText).optional(),
    }),
    output: Written,
  },
} as const

export const policyEvents = [
  z.object({ type: z.literal('policy'), changed: PolicyView.partial() }),
  /** One that was asked for by `backtest` or runs: with its result once it is there. */
  z.object({ type: z.literal('backtest'), backtest: Backtest }),
  z.object({ type: z.literal('overlay'), overlay: Overlay }),
] as const
