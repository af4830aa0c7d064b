import { join } from 'node:path'
import { openEntries } from '../../ledger/entries.ts'

export interface ReadEntry {
  n: number
  at: string
  type: string
  // biome-ignore lint/suspicious/noExplicitAny: what a test looks into
  payload: any
}

/** All entries of a data folder's ledger that are committed, as another process sees them. */
export function entriesIn(data: string): ReadEntry[] {
  using entries = openEntries(join(data, 'ledger'))
  return Array.from({ length: entries.count() }, (_, n) => {
    const { at, type, payload } = entries.entry(n)!
    return { n, at, type, payload: payload && JSON.parse(Buffer.from(payload).toString()) }
  })
}
