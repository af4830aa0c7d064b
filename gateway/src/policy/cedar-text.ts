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

/** So deep a policy may be: a bracket is ten, `||` and `&&` are one, any other link of a chain is four. */
const DEEPEST = 600
const [BRACKET, LINK, LIGHT] = [10, 4, 1]

/**
 * Whether text without comments is nested deeper than Cedar can be asked: its parser calls itself for each bracket and each
 * link of a chain (`||`, `.`, `if`, …), within a stack that, once it has overflowed, is broken for all that is asked later
 * until the process ends. Some 120 brackets do that, or 1,500 links.
 * @returns where, as a UTF-16 offset; undefined where it is shallow enough
 */
export function tooDeep(blanked: string): number | undefined {
  // Of each open bracket: links since the last comma, and the deepest that was inside of them.
  const links = [0]
  const inside = [0]
  for (const { 0: found, index } of blanked.matchAll(TOKEN)) {
    if (found[0] === '"') continue
    const at = links.length - 1
    if (found === '(' || found === '[' || found === '{') {
      links.push(0)
      inside.push(0)
      if (links.length * BRACKET > DEEPEST) return index
    } else if (found === ')' || found === ']' || found === '}') {
      if (at === 0) continue
      const deep = BRACKET + links.pop()! + inside.pop()!
      // It may be called, or asked for by what is in it.
      if (found === ']') links[at - 1]! += LINK
      inside[at - 1] = Math.max(inside[at - 1]!, deep)
    } else if (found === ';') {
      links.length = inside.length = 1
      links[0] = inside[0] = 0
    } else if (found === ',') {
      // What stands in a list side by side is as deep as the deepest of it.
      inside[at] = Math.max(inside[at]!, links[at]! + inside[at]!)
      links[at] = 0
    } else links[at]! += found === '||' || found === '&&' ? LIGHT : LINK
    const last = links.length - 1
    if (links[last]! + inside[last]! > DEEPEST) return index
  }
  return undefined
}
const TOKEN = /"(?:\\.|[^"\\])*"|[()[\]{},;.!]|\|\||&&|[-+*]|\b(?:if|when|unless)\b/gs

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
