/** The value of an exact key of `data_classes` that takes a column out of what patterns say. */
export const NO_CLASS = 'none'

/** A key of `data_classes`, understood. */
export type ClassKey =
  | { is: 'column'; schema: string; table: string; column: string }
  | { is: 'pattern'; fits(schema: string, table: string, column: string): boolean }

/**
 * Reads a key: `schema.table.column`, each part as quote_ident() writes it. Where a part that isn't quoted has a `*`, the
 * key is a pattern: `*` stands for any characters or none, and parts that aren't quoted fit whatever the case is (`Email`
 * is meant by `*.*.email`). In double quotes a `*` is a letter like others.
 * @returns undefined where it is no key
 */
export function keyOf(text: string): ClassKey | undefined {
  const part = /(?:"((?:[^"\0]|"")+)"|([a-z0-9_$*]+))(\.|$)/y
  const parts: { name: string; quoted: boolean }[] = []
  for (let match = part.exec(text); match; match = part.exec(text)) {
    const quoted = match[1] !== undefined
    const name = quoted ? match[1]!.replaceAll('""', '"') : match[2]!
    if (!quoted && !name.includes('*') && !/^[a-z_]/.test(name)) return undefined
    parts.push({ name, quoted })
    if (match[3] === '') break
  }
  if (parts.length !== 3 || part.lastIndex !== text.length) return undefined
  const [schema, table, column] = parts as [Part, Part, Part]
  if (!parts.some(({ name, quoted }) => !quoted && name.includes('*')))
    return { is: 'column', schema: schema.name, table: table.name, column: column.name }
  return { is: 'pattern', fits: (s, t, c) => fits(schema, s) && fits(table, t) && fits(column, c) }
}

interface Part {
  name: string
  quoted: boolean
}

function fits({ name, quoted }: Part, text: string): boolean {
  return quoted ? name === text : matches(name, text.toLowerCase())
}

/** Whether a text fits a pattern with stars; goes back to the last star only, so that no pattern takes long. */
function matches(pattern: string, text: string): boolean {
  let at = 0
  let star = -1
  let tried = 0
  let p = 0
  while (at < text.length) {
    if (pattern[p] === '*') {
      star = p++
      tried = at
    } else if (p < pattern.length && pattern[p] === text[at]) {
      p++
      at++
    } else if (star >= 0) {
      p = star + 1
      at = ++tried
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}
