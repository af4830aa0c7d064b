import { z } from 'zod'
import { AgentRef } from './identity.ts'

export const SessionState = z.enum(['open', 'closed', 'terminated', 'interrupted'])
export type SessionState = z.infer<typeof SessionState>

export const Session = z.object({
  id: z.string(),
  state: SessionState,
  connection: z.string(),
  connectionTags: z.array(z.string()),
  protocol: z.string(),
  mode: z.enum(['enforce', 'observe']),
  agent: z.string().describe('agent id, ISSUER#SUBJECT'),
  identity: AgentRef,
  purpose: z.string().optional(),
  grants: z
    .array(z.string())
    .optional()
    .describe('ids of the live grants it was opened by; absent where there were none'),
  client: z.object({ address: z.string(), application: z.string().optional() }),
  openedAt: z.iso.datetime(),
  closedAt: z.iso.datetime().optional(),
  closedBecause: z.string().optional(),
  counts: z.object({
    commands: z.number().int(),
    held: z.number().int(),
    denied: z.number().int(),
    errors: z.number().int(),
  }),
  recording: z.object({ bytes: z.number().int(), complete: z.boolean() }),
  retention: z
    .object({
      until: z.iso.datetime().optional().describe('when the recording goes by the rules in force; absent: never'),
      heldBy: z.array(z.string()).describe('legal holds that keep it, whatever the rules say'),
      erasedAt: z.iso.datetime().optional().describe('when the gateway erased the recording: copies are to go, too'),
    })
    .optional(),
})
export type Session = z.infer<typeof Session>

/** Body of `POST /v1/sessions/ID/terminate`. */
export const TerminateRequest = z.strictObject({ reason: z.string().max(2000).default('') })
export type TerminateRequest = z.input<typeof TerminateRequest>
