import { type DetectedKind, detect } from './detectors.ts'

/** A column that looks as if it should have a class, with what speaks for it. */
export interface ClassSuggestion {
  /** As the samples name it; write it as schema.table.column, and it can go into `data_classes`. */
  column: string
  dataClass: DetectedKind
  /** How many of the sampled values hold such a thing, of how many that weren't empty. */
  evidence: { matching: number; of: number }
  /** `whole`: the values are such things, and little else. `within`: they are texts in which such things turn up. */
  where: 'whole' | 'within'
}

/**
 * Suggests classes by what stands in samples of columns. Names of columns aren't looked at, and no value is repeated in
 * the answer. A suggestion is for a person to judge.
 * @param samples values by column, as text; a few hundred each are plenty
 * @returns the strongest first: at least one value in twenty, and two if there are that many
 */
export function suggestClasses(samples: ReadonlyMap<string, readonly string[]>): ClassSuggestion[] {
  const suggestions: ClassSuggestion[] = []
  for (const [column, values] of samples) {
    const filled = values.filter((value) => value.trim() !== '')
    const counts = new Map<DetectedKind, { matching: number; whole: number }>()
    for (const value of filled) {
      const covered = new Map<DetectedKind, number>()
      for (const { kind, start, end } of detect(value)) covered.set(kind, (covered.get(kind) ?? 0) + end - start)
      for (const [kind, length] of covered) {
        const count = counts.get(kind) ?? { matching: 0, whole: 0 }
        count.matching++
        if (length * 5 >= value.trim().length * 4) count.whole++
        counts.set(kind, count)
      }
    }
    for (const [dataClass, { matching, whole }] of counts) {
      if (matching < Math.max(Math.min(2, filled.length), filled.length / 20)) continue
      const where = whole * 2 > matching ? 'whole' : 'within'
      suggestions.push({ column, dataClass, evidence: { matching, of: filled.length }, where })
    }
  }
  const share = ({ evidence: { matching, of } }: ClassSuggestion) => matching / of
  return suggestions.sort((a, b) => share(b) - share(a) || (a.column < b.column ? -1 : 1))
}
