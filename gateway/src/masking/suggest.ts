import { type DetectedKind, detect } from './detectors.ts'
import { classByName } from './names.ts'

/** What was seen of a column. */
export interface SampledColumn {
  /** schema.table.column as quote_ident() writes the parts. */
  key: string
  name: string
  /** `text`: strings, JSON and the like; `number`: whole numbers and numeric; `other`: only the name is looked at. */
  kind: 'text' | 'number' | 'other'
  /** Values as text, without NULL; a few hundred are plenty. */
  values: readonly string[]
}

export type Confidence = 'high' | 'medium' | 'low'

/** A column that looks as if it should have a class, with what speaks for it. */
export interface ClassSuggestion {
  key: string
  dataClass: string
  confidence: Confidence
  /** How many of the sampled values hold such a thing, of how many that weren't empty. */
  evidence: { matching: number; of: number }
  /** `whole`: values are such things, and little else. `within`: they hold such things. `name`: only the name says so. */
  where: 'whole' | 'within' | 'name'
  /** The name says the same. */
  named: boolean
}

/**
 * Suggests classes by what stands in samples of columns, and by their names. No value is repeated in the answer. A
 * suggestion is for a person to judge.
 * @returns the most certain first; by content where at least one value in twenty speaks for it, and two if there are that
 * many
 */
export function suggestClasses(columns: readonly SampledColumn[]): ClassSuggestion[] {
  return columns.flatMap(suggestionsFor).sort((a, b) => rank(b) - rank(a) || (a.key < b.key ? -1 : 1))
}

function suggestionsFor({ key, name, kind, values }: SampledColumn): ClassSuggestion[] {
  const byName = classByName(name, kind)
  const filled = kind === 'other' ? [] : values.filter((value) => value.trim() !== '')
  const of = filled.length
  const found: ClassSuggestion[] = []
  for (const [dataClass, { matching, whole }] of counted(filled)) {
    if (matching < Math.max(Math.min(2, of), of / 20)) continue
    const where = whole * 2 > matching ? 'whole' : 'within'
    // Of any numbers each tenth passes Luhn: where they are cards, most do.
    if (dataClass === 'card' && where === 'whole' && matching * 2 < filled.filter(isLongNumber).length) continue
    if (kind === 'number' && (where === 'within' || matching * 2 < of)) continue
    const named = byName === dataClass
    const confidence = confidenceOf(where, matching / of, named)
    found.push({ key, dataClass, confidence, evidence: { matching, of }, where, named })
  }
  if (byName === undefined || found.some(({ dataClass }) => dataClass === byName)) return found
  const shape = shapes[byName]
  const matching = shape ? filled.filter((value) => shape.test(value.trim())).length : 0
  // A name alone counts where nothing speaks against it.
  const confidence = !shape || matching * 2 >= of ? 'medium' : 'low'
  return [...found, { key, dataClass: byName, confidence, evidence: { matching, of }, where: 'name', named: true }]
}

function counted(values: readonly string[]): Map<DetectedKind, { matching: number; whole: number }> {
  const counts = new Map<DetectedKind, { matching: number; whole: number }>()
  for (const value of values) {
    const covered = new Map<DetectedKind, number>()
    for (const { kind, start, end } of detect(value)) covered.set(kind, (covered.get(kind) ?? 0) + end - start)
    for (const [kind, length] of covered) {
      const count = counts.get(kind) ?? { matching: 0, whole: 0 }
      count.matching++
      if (length * 5 >= value.trim().length * 4) count.whole++
      counts.set(kind, count)
    }
  }
  return counts
}

const isLongNumber = (value: string) => /^\s*\d(?:[ -]?\d){11,18}\s*$/.test(value)

function confidenceOf(where: 'whole' | 'within', share: number, named: boolean): Confidence {
  if ((where === 'whole' && share >= 0.8) || (named && share >= 0.5)) return 'high'
  return share >= 0.2 || named ? 'medium' : 'low'
}

/** What values look like that no detector takes for anything without a name: national numbers. */
const shapes: Readonly<Record<string, RegExp>> = {
  phone: /^\+?[\d(][\d\s()./-]{5,24}$/,
  ssn: /^\d{3}-?\d{2}-?\d{4}$/,
  email: /^[^\s@]+@[^\s@]+$/,
  card: /^[\d *x-]{4,23}$/i,
  iban: /^[A-Z]{2}\d{2}[A-Z0-9 ]{8,40}$/i,
}

const rank = ({ confidence, evidence: { matching, of } }: ClassSuggestion) =>
  ({ high: 4, medium: 2, low: 0 })[confidence] + (of > 0 ? matching / of : 0)
