import {
  LegalHold,
  LiftLegalHold,
  NewLegalHold,
  RetentionRun,
  RetentionState,
  StartRetentionRun,
} from '@countersign/contract/evidence'
import { Session } from '@countersign/contract/session'
import { z } from 'zod'

/** The part of ConsoleApi (console-api.ts) about how long the gateway keeps what it has, and what holds it. */

/** What somebody may see and do of it, by their roles. */
const may = {
  mayHold: z.boolean().describe('place and lift legal holds, and see what a run would take'),
  mayRun: z.boolean().describe('have erased what is due'),
}

export const RetentionView = RetentionState.extend({
  holds: z.array(LegalHold).describe('the newest 1,000, those that were lifted too'),
  ...may,
})
export type RetentionView = z.infer<typeof RetentionView>

/** How long one session is kept. */
export const SessionRetention = z.object({
  session: Session.describe('as the gateway has it now'),
  holds: z.array(LegalHold).describe('those that keep it'),
  ...may,
})
export type SessionRetention = z.infer<typeof SessionRetention>

/** The first two answer null to whom the gateway doesn't tell. */
export const retentionCalls = {
  retention: { input: z.object({}), output: RetentionView.nullable() },
  sessionRetention: { input: z.object({ session: z.string().max(100) }), output: SessionRetention.nullable() },
  placeLegalHold: { input: NewLegalHold, output: LegalHold },
  liftLegalHold: { input: LiftLegalHold.extend({ id: z.string().max(100) }), output: LegalHold },
  runRetention: { input: StartRetentionRun, output: RetentionRun },
} as const
