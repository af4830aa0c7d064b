import { isUtf8 } from 'node:buffer'
import type { RowsMark } from '@countersign/contract/recording'
import { type DetectedKind, detect, withoutDetected } from '../../masking/detectors.ts'
import type { Masking } from '../../masking/masking.ts'
import type { ResultColumn, ResultPlan, Treatment } from '../../masking/plan.ts'
import { maskValue } from '../../masking/style.ts'

/** Masks one value; null for NULL. The very same buffer where nothing of it is masked. */
export type Mask = (value: Buffer) => Buffer | null

/** What becomes of the values of one column. */
export interface ColumnMasks {
  /** For the agent; absent where it gets them as they are. */
  agent?: Mask
  /** For the recording; absent where it holds them as they are. Given what the agent would get where that is the same. */
  record?: Mask
  /** What the recording says of the column as a whole. */
  mark?: RowsMark
}

/** What becomes of a result, ready to be done to its rows. */
export interface RowPlan {
  /** Whether the agent may get something else than the server sent. */
  masks: boolean
  /** Whether the recording may hold something else than the server sent. */
  records: boolean
  columns: readonly ColumnMasks[]
  /** What detectors have found so far, by the column's place. */
  found: Map<number, RowsMark[]>
}

/**
 * Makes a plan's treatments into functions, and puts detectors where nothing else is to be done.
 * @param columns of the result; of fewer than the plan has, nothing is known of the rest
 */
export function rowPlan(
  plan: ResultPlan,
  columns: readonly ResultColumn[],
  { key, detect: kinds }: Pick<Masking, 'key' | 'detect'>,
  reveals: (dataClass: string) => boolean,
): RowPlan {
  const found: RowPlan['found'] = new Map()
  const seeks = kinds.length > 0 ? new Set(kinds) : undefined
  const unseen = kinds.filter((kind) => !reveals(kind))
  const masks = plan.columns.map((treatment, at): ColumnMasks => {
    const column = columns[at] ?? unknown
    if (treatment.does !== 'pass') return masked(treatment, column, key)
    const shape = seeks && shapeOf(column)
    if (!shape) return {}
    const record = seeker(shape, seeks, column, key, (kind) => note(found, at, kind, reveals(kind)))
    if (unseen.length === 0) return { record }
    // Whatever is found is the agent's to see or not, by its kind: what the recording leaves out is known of both.
    return { agent: seeker(shape, new Set(unseen), column, key), record }
  })
  return {
    masks: masks.some(({ agent }) => agent !== undefined),
    records: masks.some(({ record }) => record !== undefined),
    columns: masks,
    found,
  }
}

const empty = Buffer.alloc(0)
const unknown: ResultColumn = { name: '', tableOid: 0, attnum: 0, typeOid: 0, format: 0 }

function masked(treatment: Exclude<Treatment, { does: 'pass' }>, column: ResultColumn, key: Buffer): ColumnMasks {
  const { does, dataClass, style } = treatment
  const of = { typeOid: column.typeOid, format: column.format, dataClass }
  // Redacted, all values of most types are the same: it is made once for the whole result.
  const fixed = style === 'redact' ? maskValue(empty, style, of, key) : null
  const mask: Mask = fixed ? () => fixed : (value) => maskValue(value, style, of, key)
  const mark: RowsMark = { class: dataClass, style, revealed: does === 'reveal' }
  return does === 'mask' ? { agent: mask, record: mask, mark } : { record: mask, mark }
}

function note(found: RowPlan['found'], at: number, kind: DetectedKind, revealed: boolean): void {
  const marks = found.get(at) ?? []
  if (marks.some((mark) => mark.class === kind)) return
  found.set(at, [...marks, { class: kind, style: 'redact', revealed, detected: true }])
}

type Shape = 'text' | 'json' | 'jsonb' | 'other'

/** How the text of a value is to be found; undefined where there is none to be looked through. */
function shapeOf({ typeOid, format }: ResultColumn): Shape | undefined {
  // name, text, unknown, bpchar, varchar, xml
  if ([19, 25, 705, 1042, 1043, 142].includes(typeOid)) return 'text'
  if (typeOid === 114) return 'json'
  if (typeOid === 3802) return 'jsonb'
  // json[] text[] bpchar[] varchar[] jsonb[] record, and what isn't the server's own: as it is written in text.
  if (format === 0 && ([199, 1009, 1014, 1015, 3807, 2249].includes(typeOid) || typeOid >= 16384)) return 'other'
  return undefined
}

function seeker(
  shape: Shape,
  kinds: ReadonlySet<DetectedKind>,
  { typeOid, format }: ResultColumn,
  key: Buffer,
  found?: (kind: DetectedKind) => void,
): Mask {
  const versioned = shape === 'jsonb' && format === 1
  return (value) => {
    const bytes = versioned ? value.subarray(1) : value
    if (!isUtf8(bytes)) return value
    const text = bytes.toString()
    const detected = detect(text, { kinds })
    if (detected.length === 0) return value
    if (found) for (const { kind } of detected) found(kind)
    const whole = () => maskValue(value, 'redact', { typeOid, format, dataClass: detected[0]!.kind }, key)
    // An array, a record, a type that isn't known: a part can't be replaced with certainty that it stays one.
    if (shape === 'other') return whole()
    const without = withoutDetected(text, detected)
    if (shape === 'text') return Buffer.from(without)
    if (!isJson(without)) return whole()
    return Buffer.from(versioned ? `\x01${without}` : without)
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
