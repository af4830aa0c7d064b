import { shown } from './text.ts'

/** Rows as columns, under headings. Cells may come from outside. The last column is as wide as it needs to be. */
export function table(headings: string[], rows: string[][]): string[] {
  const safe = [headings, ...rows.map((row) => row.map(shown))]
  const widths = headings.map((_, column) => Math.max(...safe.map((row) => row[column]?.length ?? 0)))
  return safe.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
}

/** Names with their values, one a line, aligned; values that are absent are left out. Values are shown as they are. */
export function facts(pairs: [name: string, value: string | undefined][]): string[] {
  const there = pairs.filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== '')
  const width = Math.max(...there.map(([name]) => name.length))
  return there.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
}
