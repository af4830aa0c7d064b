import type { Outcome, Parameter } from '@countersign/contract/approval'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import type { Command } from '../gate/command.ts'
import type { Journal } from './journal.ts'
import type { MaskedResult } from './masked/result.ts'
import { shown } from './values.ts'
import type { Column } from './wire/messages.ts'

/** How a command ended, as the recording and the approval's card show it. */
export interface Ending {
  status: 'completed' | 'failed' | 'refused'
  sqlstate?: string
  message?: string
}

/**
 * One command on its way through the server: keeps the first rows of its result for the recording, up to the recorder's
 * bound, and counts the rest.
 */
export class Run {
  readonly id: string
  readonly #journal: Journal
  readonly #report: ((outcome: Outcome) => void) | undefined
  readonly #started = performance.now()
  #columns: Column[] = []
  #described = false
  #kept: Parameter[][] = []
  #keptRows = 0
  #keptBytes = 0
  /** Whether the bound is reached: from here on rows are only counted, and need not be looked at. */
  full = false
  #truncated = false
  rows = 0
  #tags: string[] = []
  #failure: { sqlstate: string; message: string } | undefined
  ended = false
  /** What its results are masked by; absent where nothing of them can be classified. */
  readonly masked: MaskedResult | undefined
  /** As the gate has let it pass. */
  readonly command: Command

  constructor(
    id: string,
    command: Command,
    journal: Journal,
    report?: (outcome: Outcome) => void,
    masked?: MaskedResult,
  ) {
    this.id = id
    this.command = command
    this.masked = masked
    this.#journal = journal
    this.#report = report
    this.full = journal.resultBound.rows === 0 || journal.resultBound.bytes === 0
  }

  /** Whether rows are kept and `columns` hasn't said yet what they hold. */
  get undescribed(): boolean {
    return !this.#described
  }

  columns(columns: Column[]): void {
    this.flush()
    this.#columns = columns
    this.#described = true
  }

  /** @param bytes length of a row that is about to come; answers whether it is to be kept */
  keeps(bytes: number): boolean {
    if (!this.full && this.#keptBytes + bytes <= this.#journal.resultBound.bytes) return true
    this.full = true
    return false
  }

  /** A row that is not kept. */
  passed(): void {
    this.rows++
  }

  /** A row to be kept. @param bytes its length as it came */
  row(values: readonly (Buffer | null)[], bytes: number): void {
    this.#keep(
      values.map((value, at) => shown(value, this.#columns[at]?.type ?? 0, this.#columns[at]?.format ?? 0)),
      bytes,
    )
  }

  /** Data of COPY TO STDOUT to be kept, as one CopyData brought it. */
  copyRow(data: Buffer, binary: boolean, bytes: number): void {
    this.#keep([shown(data, 0, binary ? 1 : 0)], bytes)
  }

  #keep(row: Parameter[], bytes: number): void {
    this.rows++
    this.#kept.push(row)
    this.#keptBytes += bytes
    if (++this.#keptRows >= this.#journal.resultBound.rows) this.full = true
  }

  /** Gives the rows so far to the journal. To be called before they are sent on. */
  flush(): void {
    const truncated = this.rows > this.#keptRows && !this.#truncated
    if (this.#kept.length === 0 && !truncated) return
    this.#truncated ||= truncated
    const width = this.#kept[0]?.length ?? this.#columns.length
    const marks = this.masked?.marks(width)
    const columns =
      width === this.#columns.length && !marks?.some((mark) => mark !== undefined)
        ? plainColumns(this.#columns)
        : Array.from({ length: width }, (_, at) => {
            const masked = marks?.[at]
            const { name, type } = this.#columns[at] ?? { name: '', type: 0 }
            return masked ? { name, type, masked } : { name, type }
          })
    const rows = this.#kept
    this.#kept = []
    const event = { type: 'rows' as const, command: this.id, columns, rows }
    this.#journal.keep(truncated ? { ...event, truncated } : event)
  }

  tag(text: string): void {
    this.#tags.push(text)
  }

  failed(sqlstate: string, message: string): void {
    this.#failure ??= { sqlstate, message }
  }

  /** Gives what became of it to the journal, to be written before anybody is told; only the first call counts. */
  end(ending?: Ending): void {
    if (this.ended) return
    this.ended = true
    this.flush()
    const ms = Math.round((performance.now() - this.#started) * 1000) / 1000
    const { status, sqlstate, message } = ending ?? this.#ending()
    const rows = this.rows || affected(this.#tags)
    const told: Result = { type: 'result', command: this.id, status, ms }
    if (this.#tags.length > 0) told.tag = this.#tags.length === 1 ? this.#tags[0]! : this.#tags.join('; ')
    if (rows !== undefined) told.rows = rows
    if (sqlstate !== undefined) told.sqlstate = sqlstate
    if (message !== undefined) told.message = message
    this.#journal.keep(told)
    if (!this.#report) return
    const { type: _, command: __, ...outcome } = told
    this.#report({ ...outcome, status: status === 'completed' ? 'completed' : 'failed' })
  }

  #ending(): Ending {
    return this.#failure ? { status: 'failed', ...this.#failure } : completed
  }
}

type Result = Extract<NewRecordingEvent, { type: 'result' }>

const completed: Ending = { status: 'completed' }

/** Columns as a recording shows them where nothing is masked; those of one description are made once. */
const plain = new WeakMap<Column[], { name: string; type: number }[]>()

function plainColumns(columns: Column[]): { name: string; type: number }[] {
  let shown = plain.get(columns)
  if (!shown) {
    shown = columns.map(({ name, type }) => ({ name, type }))
    plain.set(columns, shown)
  }
  return shown
}

/** How many rows the commands of these CommandComplete tags read or wrote; undefined where no tag counts any. */
function affected(tags: string[]): number | undefined {
  const counts = tags.flatMap(
    (tag) => /^(?:SELECT|INSERT \d+|UPDATE|DELETE|MERGE|COPY|FETCH|MOVE) (\d+)$/.exec(tag)?.[1] ?? [],
  )
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + Number(count), 0)
}
