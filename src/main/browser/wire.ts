import { z } from 'zod'
import type { ConsoleEvent } from '../../console-api.ts'

/** From the page: a call. One JSON object a text frame. */
export const FromPage = z.strictObject({
  id: z.number().int().positive(),
  call: z.string().max(64),
  input: z.unknown(),
})

/** To the page: the answer of a call, or an event. */
export type FromShell =
  | { id: number; output: unknown }
  | { id: number; error: { code: string; message: string } }
  | { event: ConsoleEvent }

/** Bytes of a frame from the page: the longest is a decision with its reason. */
export const longestFrame = 256 * 1024
/** Calls of one page that may wait at once. */
export const mostCalls = 64
/** Bytes that may wait to be sent to a page that has stopped reading. */
export const mostUnsent = 512 * 1024 * 1024
