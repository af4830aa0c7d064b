/** A policy's text as it stands in its file. */
export interface PolicyText {
  text: string
  /** UTF-16 offset in the file. */
  start: number
}

/**
 * Cedar text with every comment turned into blanks, each line as long as before: what is commented out is no policy, and
 * an offset means the same in both.
 */
export function blankComments(source: string): string {
  // The alternatives are tried in order at each place, so `//` inside a string stays (and a `"` inside a comment goes).
  return source.replace(/"(?:\\.|[^"\\])*"|\/\/[^\r\n]*/gs, (found) =>
    found.startsWith('//') ? ' '.repeat(found.length) : found,
  )
}

/** Splits text without comments into policies: `;` ends one wherever it isn't inside a string (Cedar grammar, `Policy`). */
export function splitPolicies(blanked: string): PolicyText[] {
  const policies: PolicyText[] = []
  let start = 0
  for (const found of blanked.matchAll(/"(?:\\.|[^"\\])*"|;/gs)) {
    if (found[0] !== ';') continue
    const end = found.index + 1
    const indent = blanked.slice(start, end).search(/\S/)
    policies.push({ text: blanked.slice(start + indent, end), start: start + indent })
    start = end
  }
  return policies
}

/** 1-based line of a UTF-16 offset. */
export function lineAt(source: string, offset: number): number {
  let line = 1
  for (let i = 0; i < offset && i < source.length; i++) if (source.charCodeAt(i) === 10) line++
  return line
}

/** UTF-16 offset of a UTF-8 offset, which is what Cedar's errors give. */
export function fromByteOffset(source: string, bytes: number): number {
  return Buffer.from(source, 'utf8').subarray(0, bytes).toString('utf8').length
}
