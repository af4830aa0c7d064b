/** Prints rows as a table with aligned columns: the first column left, the others right. */
export function printTable(head: string[], rows: string[][]): void {
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i]!.length)))
  const line = (cells: string[]) =>
    cells.map((c, i) => (i === 0 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!))).join('   ')
  console.log(line(head))
  for (const row of rows) console.log(line(row))
}

/** The middle value; of an even number of values the lower middle one, so that it is one that was measured. */
export function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!
}
