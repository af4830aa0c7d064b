import type { EntryType } from '@countersign/contract/ledger/payloads'
import type { Columns, Said, SaidRows } from './said.ts'

/** An entry whose payload could be read. */
export interface SpokenEntry {
  n: number
  at: string
  type: string
  payload: Record<string, unknown>
}

export interface AboutRow {
  key: string
  columns: Columns
}

/** A look around, for what a row must be besides what was said of it. */
export interface Around {
  said: SaidRows
  /** Rows of the store that a statement answers. */
  ask(sql: string, ...values: unknown[]): Record<string, unknown>[]
  /** Milliseconds. */
  maxWindow: number
  now: string
  /** Whether a gateway is at work. */
  live: boolean
  /** Of what the store has and the log not yet, since that time: what to do; empty where it is on its way. */
  ahead(at: string): string
}

/**
 * One table of the store against the ledger. To have another table verified, add one here: name the entries that say
 * what its rows are, and the rows in the same words.
 */
export interface Comparison {
  table: string
  /** What a row is, to a person. */
  what: string
  /** Answers all rows. A store of an older version may lack columns: then nothing is compared. */
  sql: string
  row(row: Record<string, unknown>): AboutRow
  types: readonly EntryType[]
  /** What an entry says that a row is; `before`, what earlier ones said of it. */
  says(entry: SpokenEntry, before: (key: string) => Said | undefined): AboutRow | undefined
  /** The session that a row belongs to: where its entries were erased, nothing has to be said of the row. */
  session?(row: AboutRow): string | undefined
  /** Rows that no entry tells of may be there. */
  quiet?: boolean
  /** Whether a row that was told of may be there no more: its time is over. */
  forgotten?(said: Said, around: Around): boolean
  /** When a row was made (ISO 8601), for those of a store that is older than its log: no entry can tell of them. */
  madeAt?(row: AboutRow, around: Around): string | undefined
  /** A row that the log can't tell of yet: what is behind, in words that go on after "row X"; empty where nothing is. */
  young?(row: AboutRow, around: Around): string | undefined
  /** Columns that may differ; why, `also` looks into. */
  mayDiffer?(row: Columns, column: string, said: Said): boolean
  /** Columns that retention may have emptied, with the part that its entry then names. */
  emptied?: { part: ErasedPart; columns: Columns }
  /** What else is wrong with a row, in words that go on after "row X was changed: it"; or what it lacks, after "row X". */
  also?(row: AboutRow, said: Said | undefined, around: Around): string | { lacks: string } | undefined
}

/** What a deletion entry may take of a session, besides entries. */
export type ErasedPart = 'recording' | 'approvals' | 'annotations'
export const erasedParts: readonly ErasedPart[] = ['recording', 'approvals', 'annotations']
/** Where it is kept of which sessions a deletion entry has taken a part. */
export const goneOf = (part: ErasedPart) => `gone ${part}`

export const text = (value: unknown): string => String(value)
export const orNull = (value: unknown): string | number | null =>
  value === null || value === undefined ? null : typeof value === 'number' ? value : String(value)
