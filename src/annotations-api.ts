import { Annotation, Note } from '@countersign/contract/evidence'
import { z } from 'zod'

/** The part of ConsoleApi (console-api.ts) about what people note on recordings, and about what waits to be sent. */

/** An annotation as this console knows it, the gateway's ones and those that only this computer has. */
export const AnnotationView = Annotation.extend({
  mine: z.boolean(),
  state: z
    .enum(['here', 'sending', 'sent', 'logged', 'conflict'])
    .describe('only on this computer · on its way · the gateway has it · the ledger has it · the gateway refused it'),
  problem: z.string().optional().describe('why the gateway refused it'),
  withdrawing: z
    .object({ reason: z.string(), state: z.enum(['here', 'sending', 'conflict']), problem: z.string().optional() })
    .optional()
    .describe('its withdrawal, while the gateway does not have that'),
})
export type AnnotationView = z.infer<typeof AnnotationView>

/** What a person can make of something that the gateway refused. `again` sends the same, `keep` the same as a new one. */
export const ConflictChoice = z.enum(['keep', 'edit', 'again', 'discard'])
export type ConflictChoice = z.infer<typeof ConflictChoice>

export const OutboxItem = z.object({
  id: z.string(),
  kind: z.enum(['annotation', 'withdrawal', 'playback', 'review-decision', 'review-comment']),
  session: z.string().describe('of a decision or comment of a review: nothing that is a session'),
  review: z
    .object({ campaign: z.string(), item: z.string(), title: z.string(), verdict: z.string().optional() })
    .optional(),
  at: z.iso.datetime(),
  about: z.string().describe('what was written; of a playback nothing'),
  note: z
    .object({ from: z.number(), to: z.number().optional(), text: z.string(), tags: z.array(z.string()) })
    .optional(),
  state: z.enum(['waiting', 'sending', 'conflict']),
  problem: z.string().optional(),
  choices: z.array(ConflictChoice).describe('where it is a conflict'),
})
export type OutboxItem = z.infer<typeof OutboxItem>

/** What the person who is signed in wrote and the gateway has not taken yet. */
export const OutboxState = z.object({
  waiting: z.number().int(),
  conflicts: z.number().int(),
  notes: z.number().int().describe('of those waiting, the ones that a person wrote; others are playbacks to be told'),
  reviews: z.number().int().describe('of these, decisions and comments of reviews'),
  others: z.number().int().describe('what others wrote here, or this person for another gateway: it waits for them'),
  sealed: z.boolean().describe('whether it is kept encrypted: not where the system has no place for the key'),
  problem: z.string().optional().describe('why sending paused'),
  items: z.array(OutboxItem).describe('conflicts first, then in the order of sending; at most 500'),
})
export type OutboxState = z.infer<typeof OutboxState>

export const noOutbox: OutboxState = {
  waiting: 0,
  conflicts: 0,
  notes: 0,
  reviews: 0,
  others: 0,
  sealed: true,
  items: [],
}

export const annotationCalls = {
  annotations: {
    input: z.object({ session: z.string() }),
    output: z.object({
      items: z.array(AnnotationView),
      tags: z.array(z.string()).describe('used on any session, most used first'),
      mayAnnotate: z.boolean().describe('whether the roles of who is signed in let them'),
      source: z.enum(['gateway', 'local']),
    }),
  },
  /** With `id`, one that is not sent yet becomes this. */
  annotate: {
    input: z.object({ session: z.string(), id: z.string().optional(), note: Note }),
    output: AnnotationView,
  },
  /** One that was never sent is simply gone. */
  withdrawAnnotation: {
    input: z.object({ session: z.string(), id: z.string(), reason: z.string().max(2000).default('') }),
    output: z.object({}),
  },
  /** `note` goes with `edit`. */
  resolveConflict: {
    input: z.object({ id: z.string(), choice: ConflictChoice, note: Note.optional() }),
    output: z.object({}),
  },
} as const

/** Each replaces what the renderer had: all annotations of the session, the whole outbox. */
export const annotationEvents = [
  z.object({ type: z.literal('annotations'), session: z.string(), items: z.array(AnnotationView) }),
  z.object({ type: z.literal('outbox'), outbox: OutboxState }),
] as const
