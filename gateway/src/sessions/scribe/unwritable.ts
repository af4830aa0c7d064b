import type { NewLedgerEntry } from '../ledger/log.ts'
import { wellFormed } from './line.ts'

/** What comes into the ledger where an entry can't be written as it was. */

/** What a row of the outbox says; one that says nothing that can be read makes no entry, and that is written. */
export function payloadOf(text: string): Record<string, unknown> | undefined {
  try {
    return wellFormed(JSON.parse(text) as Record<string, unknown>, text)
  } catch {
    return undefined
  }
}

const LEAF_TIME = /^\d{4}-.*Z$/

/** What is written in the place of an entry that can't be: surely one that can. */
export function instead({ at, type, session, payload }: NewLedgerEntry, why: string): NewLedgerEntry {
  const day = new Date(at)
  const time = Number.isNaN(day.getTime()) || !LEAF_TIME.test(day.toISOString()) ? new Date() : day
  return {
    at: time.toISOString(),
    type: /^[a-z0-9][a-z0-9._-]{0,99}$/.test(type) ? type : 'unwritable',
    session,
    payload: { ...(session !== undefined && { session }), unwritable: why.toWellFormed(), size: sizeOf(payload) },
  }
}

/** In characters of JSON; 0 where it has none. */
function sizeOf(payload: unknown): number {
  try {
    return JSON.stringify(payload)?.length ?? 0
  } catch {
    return 0
  }
}

export const unwritable = 'an entry could not be written into the ledger as it was: the ledger says so instead'
