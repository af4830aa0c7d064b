/** Something wrong in a file that a person wrote: where, what, and how to mend it. */
export interface Problem {
  /** The file, as the person named it. */
  file: string
  /** From 1. */
  line: number
  message: string
  mend: string
}

/** `file:line: what; the mend`, which terminals and editors make clickable. */
export function formatProblem(problem: Problem): string {
  const mend = problem.mend ? `; ${problem.mend}` : ''
  return `${problem.file}:${problem.line}: ${problem.message}${mend}`
}

/** ` (did you mean "listen"?)`-words for a misspelt one of `known`; undefined where none of them is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance && distance < candidate.length) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Levenshtein's, with a swap of neighbours as one step. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, rows[i - 2]![j - 2]! + 1)
      row.push(least)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
