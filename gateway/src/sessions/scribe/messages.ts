import type { LedgerHead, LedgerState } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import type { Actor } from '@countersign/contract/ledger/payloads'
import type { z } from 'zod'
import type { Erasure } from '../ledger/ledger.ts'

/** What the gateway's main thread and the scribe, which writes the ledger, say to each other. */

/** What the scribe is started with. */
export interface ScribeData {
  /** `data/ledger` */
  folder: string
  origin: string | undefined
  lives: string
  /** The data folder, where the scribe is to keep the index of the search. */
  data: string | undefined
}

export interface RecordingFiles {
  session: string
  plain: string
  sealed: string
}

/** A committed row of `audit_outbox`. */
export interface OutboxRow {
  id: number
  at: string
  type: string
  payload: string
}

/** What is to be on disk before an answer. */
export interface SyncTargets {
  /** Sessions, each with the length of its recording; null: to its end. */
  sessions: [session: string, bytes: number | null][]
  /** All that is followed and has ended, to its end. */
  rest: boolean
}

export type Question =
  | ({ ask: 'sync' } & SyncTargets)
  | ({ ask: 'signed' } & SyncTargets)
  | { ask: 'erase'; erasure: Erasure }
  | { ask: 'rotateKey'; reason: string; by: z.input<typeof Actor> }
  | { ask: 'cosign'; by: PersonRef; key: string; note: string }
  /** Count use anew. */
  | { ask: 'recount' }
  | SearchQuestion

/** What the search is asked for, whose index the scribe keeps beside the ledger. */
export type SearchQuestion =
  /** Have found what was read. */
  | { ask: 'indexed' }
  /** Take sessions out; answered when nothing of them is left. */
  | { ask: 'unindex'; sessions: readonly string[] }
  /** The index was found to be damaged. */
  | { ask: 'reindex' }

export type ToScribe =
  /** Read these along: `live` ones grow until they are said to have ended. */
  | { is: 'follow'; recordings: RecordingFiles[]; live: boolean }
  /** These have grown. */
  | { is: 'grown'; sessions: string[] }
  /** Nobody writes it any more. */
  | { is: 'ended'; session: string }
  /** `life`: of the `running` that they were handed over under; those of an earlier one don't count. */
  | { is: 'outbox'; life: string; rows: OutboxRow[] }
  | { is: 'question'; id: number; question: Question }
  /** Sign what is committed, close the log, and end. */
  | { is: 'close' }

/** How the reading of a recording came to its end. */
export type Over =
  /** `before`: the log has had its end since an earlier life. */
  | { how: 'ended'; before?: true }
  /** Its files aren't there, or hold what no recorder writes: the log says where it ends for it, if it knows of it. */
  | { how: 'lost'; why: string; end?: LostEnd }

/** How the reason of such an end begins. */
export const LOST = 'the rest of its recording is lost: '

/** The end that the log gave a session whose recording was lost. */
export interface LostEnd {
  at: string
  reason: string
  /** Of its recording, that the log vouches for. */
  bytes: number
}

export type FromScribe =
  /** The log is open, perhaps anew. `outbox`: the last row that it has: all after it are to be handed over, again too. */
  | { is: 'running'; life: string; state: LedgerState; head: LedgerHead; outbox: number; found: string[] }
  /** Nothing can be written now; it is tried again. */
  | { is: 'stopped'; message: string }
  /** The thread ends by an error that nobody expected. */
  | { is: 'dying'; message: string }
  | { is: 'committed'; outbox: number; size: number; over: { session: string; over: Over }[] }
  | { is: 'head'; head: LedgerHead; state: LedgerState }
  | { is: 'answer'; id: number; value: unknown }
  | { is: 'refused'; id: number; name: string; code: string | undefined; message: string }
  | { is: 'said'; level: 'info' | 'warn' | 'error'; fields: object; text: string }
