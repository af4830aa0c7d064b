import type { RowsMark } from '@countersign/contract/recording'
import { type CopyRewriter, CopyShapeError, copyRewriter } from '../../masking/copy.ts'
import type { Masking } from '../../masking/masking.ts'
import { copiedColumns, planBlindly, planResult, type ResultColumn, type Touch } from '../../masking/plan.ts'
import type { Column } from '../wire/messages.ts'
import { Cursor, message, T } from '../wire/messages.ts'
import type { ColumnMasks, RowPlan } from './columns.ts'
import { rowPlan } from './columns.ts'
import type { CopyOut } from './copying.ts'
import { type StatementTouch, type Touched, union } from './touching.ts'

/** What the agent gets of a row, and what the recording. */
export interface MaskedRow {
  /** Undefined where it goes on as it came. */
  frame: Buffer | undefined
  values: (Buffer | null)[]
}

/** What a command's results are masked by, from the first to the last of its statements. */
export class MaskedResult {
  #touched: Touched
  readonly #masking: Masking
  readonly #reveals: (dataClass: string) => boolean
  #at = 0
  #plan: RowPlan | undefined
  #copy: { agent: CopyRewriter | undefined; record: CopyRewriter | undefined; withheld: boolean } | undefined
  /** Columns of the query that a COPY is about to write, as the server has described them. */
  copied: readonly Column[] | undefined

  constructor(touched: Touched, masking: Masking, reveals: (dataClass: string) => boolean) {
    this.#touched = touched
    this.#masking = masking
    this.#reveals = reveals
  }

  /** What the statement touches that is answered now. */
  get touch(): Touch {
    return this.#statement.touch
  }

  /** What it reads was settled earlier, when it touched this. */
  settled(before: readonly Touch[]): void {
    const { statements, ...rest } = this.#touched
    if (before.every(({ classification }) => classification === statements[0]?.touch.classification)) return
    const all = statements.map((one) => ({ ...one, touch: before.reduce(union, one.touch) }))
    this.#touched = { ...rest, statements: all }
  }

  /** Policy may hide more than when it began; it never reveals more. */
  hide(now: Touched): void {
    const { statements, hidden, ...rest } = this.#touched
    const known = now.hidden.every((dataClass) => hidden.includes(dataClass))
    if (known && this.#masking.detect.length === 0) return
    const also = (before: readonly string[]) => [...new Set([...before, ...now.hidden])].sort()
    const all = statements.map(({ touch, ...one }) => {
      const reveal = (dataClass: string) => touch.reveal(dataClass) && this.#reveals(dataClass)
      return { ...one, touch: { ...touch, hidden: also(touch.hidden), reveal } }
    })
    this.#touched = { ...rest, statements: all, hidden: also(hidden) }
    this.#plan = undefined
  }

  /** Whether it shows what policy hides by now. */
  get showsHidden(): boolean {
    const { classes, hidden } = this.#touched
    return classes.some((dataClass) => !hidden.includes(dataClass) && !this.#reveals(dataClass))
  }

  /** What one of its statements touches, by its place in the text. */
  touchAt(place: number): Touch | undefined {
    return this.#touched.statements[place]?.touch
  }

  /** Whether what its transaction did before may speak in what the server says now. */
  get settles(): boolean {
    return this.#statement.settles
  }

  /** Classes that its statements touch. */
  get classes(): readonly string[] {
    return this.#touched.classes
  }

  /** Those of them that the agent may not see. */
  get hidden(): readonly string[] {
    return this.#touched.hidden
  }

  /** The query of a COPY that has to be described before it runs. */
  get copyQuery(): string | undefined {
    return this.#statement.copy?.query
  }

  /** The next statement of the text is answered from here on. */
  next(): void {
    this.#at++
    this.#plan = undefined
    this.#copy = undefined
  }

  /** Its rows come as a RowDescription says; undefined where there was none. */
  described(columns: readonly Column[] | undefined): void {
    if (columns && columns.length > 0) this.#planned(columns.map(resultColumn))
    else this.#plan = undefined
  }

  get isDescribed(): boolean {
    return this.#plan !== undefined
  }

  /** Whether rows can't go on without being looked at. */
  get masksRows(): boolean {
    return this.#copy ? this.#copy.agent !== undefined : (this.#plan?.masks ?? true)
  }

  /** A DataRow. */
  row(frame: Buffer, recorded: boolean): MaskedRow {
    const count = frame.readUInt16BE(5)
    if (!this.#plan || this.#plan.columns.length !== count) {
      this.#plan = rowPlan(planBlindly(count, this.touch, this.#masking.styleOf), [], this.#masking, this.#reveals)
    }
    return maskedRow(frame, count, this.#plan, recorded)
  }

  /** A CopyOutResponse has come. @returns its columns' marks */
  copyBegins(frame: Buffer): void {
    const cursor = new Cursor(frame)
    cursor.byte()
    const count = cursor.int16() & 0xffff
    const formats = Array.from({ length: count }, () => (cursor.int16() === 1 ? 1 : 0) as 0 | 1)
    const { copy, touch } = this.#statement
    const known = this.#copiedColumns(copy, formats[0] ?? 0)
    const columns = known?.length === count ? known : undefined
    const plan = columns
      ? planResult(columns, touch, this.#masking.styleOf)
      : planBlindly(count, touch, this.#masking.styleOf, copy?.table)
    const masks = rowPlan(plan, columns ?? textColumns(formats), this.#masking, this.#reveals)
    this.#plan = masks
    const format = copy?.format
    if (!masks.masks && !masks.records) this.#copy = { agent: undefined, record: undefined, withheld: false }
    else if (!format) {
      if (plan.masks) throw new CopyShapeError('its options are not known')
      // Only what detectors could find, or what the agent may see: the recording does without it.
      this.#copy = { agent: undefined, record: undefined, withheld: true }
    } else {
      const rewriter = (which: 'agent' | 'record') =>
        copyRewriter({ format, columns: masks.columns.map((column) => copyMask(column, which)) })
      const same = masks.columns.every(({ agent, record }) => agent === record)
      const agent = masks.masks ? rewriter('agent') : undefined
      const record = same || !masks.records ? undefined : rewriter('record')
      this.#copy = { agent, record, withheld: false }
    }
  }

  /** A CopyData. Answers what goes on, undefined for what came, and what is recorded. */
  copy(frame: Buffer, recorded: boolean): { frame: Buffer | undefined; data: Buffer } {
    const payload = frame.subarray(5)
    const copy = this.#copy
    if (!copy) throw new Error('COPY data has come that was not announced')
    if (copy.withheld) return { frame: undefined, data: withheld }
    const agent = copy.agent?.push(payload)
    // A rewriter that has missed a part can't go on: once rows aren't recorded any more, none is.
    if (!recorded) copy.record = undefined
    const data = copy.record ? copy.record.push(payload) : (agent ?? payload)
    return { frame: agent && (agent.length > 0 ? message(T.CopyData, agent) : nothing), data }
  }

  /** CopyDone. Answers what is left for the agent; empty where nothing is. */
  copyEnds(): Buffer {
    const rest = this.#copy?.agent?.end() ?? nothing
    return rest.length > 0 ? message(T.CopyData, rest) : nothing
  }

  /** What the recording says of so many columns; data of a COPY is one. */
  marks(width: number): (RowsMark[] | undefined)[] | undefined {
    const plan = this.#plan
    if (!plan) return undefined
    const marks = plan.columns.map(({ mark }, at) => (mark ? [mark] : plan.found.get(at)))
    plan.found.clear()
    if (!this.#copy) return marks.length === width ? marks : undefined
    const unlike = new Map(marks.flatMap((some) => some ?? []).map((mark) => [JSON.stringify(mark), mark]))
    return unlike.size > 0 ? [[...unlike.values()]] : undefined
  }

  get #statement(): StatementTouch {
    const { statements } = this.#touched
    const found = statements[this.#at]
    if (found) return found
    // More results than statements: what they are of isn't known, and may be all.
    const { touch } = statements.at(-1)!
    return { touch: { ...touch, classes: this.classes, hidden: this.hidden, uncertain: true }, settles: true }
  }

  #planned(columns: readonly ResultColumn[]): void {
    const plan = planResult(columns, this.touch, this.#masking.styleOf)
    this.#plan = rowPlan(plan, columns, this.#masking, this.#reveals)
  }

  #copiedColumns(copy: CopyOut | undefined, format: 0 | 1): ResultColumn[] | undefined {
    const { touch } = this
    if (copy?.table !== undefined) return copiedColumns(touch.classification, copy.table, copy.names, format)
    return this.copied?.map((column) => ({ ...resultColumn(column), format }))
  }
}

const nothing = Buffer.alloc(0)
const withheld = Buffer.from('[masked: COPY data in a form that cannot be read]\n')

const resultColumn = ({ name, type, format, table, attnum }: Column): ResultColumn => ({
  name,
  tableOid: table,
  attnum,
  typeOid: type,
  format: format === 1 ? 1 : 0,
})

/** Stands for columns of which only the format is known: as text, in which detectors may look. */
const textColumns = (formats: readonly (0 | 1)[]): ResultColumn[] =>
  formats.map((format) => ({ name: '', tableOid: 0, attnum: 0, typeOid: 25, format }))

function copyMask(
  column: ColumnMasks,
  which: 'agent' | 'record',
): ((value: Buffer | undefined) => Buffer | null) | undefined {
  const mask = column[which]
  // Of what is too long to be kept nothing is shown.
  return mask && ((value) => (value === undefined ? null : mask(value)))
}

/** @throws RangeError where the row is malformed */
function maskedRow(frame: Buffer, count: number, plan: RowPlan, recorded: boolean): MaskedRow {
  const values: (Buffer | null)[] = []
  const agent: (Buffer | null)[] = []
  let changed = false
  let at = 7
  let size = 7
  for (let n = 0; n < count; n++) {
    const length = frame.readInt32BE(at)
    at += 4
    size += 4
    if (length < 0) {
      agent.push(null)
      if (recorded) values.push(null)
      continue
    }
    if (at + length > frame.length) throw new RangeError('a row shorter than it says')
    const value = frame.subarray(at, at + length)
    at += length
    const { agent: seen, record } = plan.columns[n]!
    const shown = seen ? seen(value) : value
    if (shown !== value) changed = true
    agent.push(shown)
    size += shown?.length ?? 0
    if (recorded) values.push(record === seen ? shown : record ? record(value) : value)
  }
  return { frame: changed ? dataRow(agent, size) : undefined, values }
}

function dataRow(values: readonly (Buffer | null)[], size: number): Buffer {
  const out = Buffer.allocUnsafe(size)
  out[0] = T.DataRow
  out.writeUInt32BE(size - 1, 1)
  out.writeUInt16BE(values.length, 5)
  let at = 7
  for (const value of values) {
    out.writeInt32BE(value === null ? -1 : value.length, at)
    at += 4
    if (value !== null) at += value.copy(out, at)
  }
  return out
}
