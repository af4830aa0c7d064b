import type { PolicyText } from '@countersign/contract/policies'
import { diffWordsWithSpace, structuredPatch } from 'diff'

/** A piece of a line: `changed` is what is not in the line that it took the place of. */
export interface Piece {
  readonly text: string
  readonly changed: boolean
}
export interface DiffLine {
  readonly kind: 'same' | 'removed' | 'added'
  /** Its number before and after, from 1. */
  readonly before: number | undefined
  readonly after: number | undefined
  readonly pieces: readonly Piece[]
}
/** Lines that belong together; what lies between two of them is the same. */
export interface DiffPart {
  readonly skipped: number
  readonly lines: readonly DiffLine[]
}
export interface FileDifference {
  readonly file: string
  readonly what: 'added' | 'changed' | 'removed'
  readonly added: number
  readonly removed: number
  readonly parts: readonly DiffPart[]
}

/** How the files differ, by name; files that are the same are left out. */
export function differences(
  before: readonly PolicyText[],
  after: readonly PolicyText[],
  context = 3,
): FileDifference[] {
  const was = new Map(before.map(({ file, text }) => [file, text]))
  const is = new Map(after.map(({ file, text }) => [file, text]))
  return [...new Set([...was.keys(), ...is.keys()])]
    .sort()
    .filter((file) => was.get(file) !== is.get(file))
    .map((file) => ({
      file,
      what: was.has(file) ? (is.has(file) ? 'changed' : 'removed') : 'added',
      ...difference(was.get(file) ?? '', is.get(file) ?? '', context),
    }))
}

/** How two texts differ, line by line, and within lines that took each other's place. */
export function difference(
  before: string,
  after: string,
  context = 3,
): Pick<FileDifference, 'parts' | 'added' | 'removed'> {
  const { hunks } = structuredPatch('', '', before, after, undefined, undefined, { context })
  let end = 0
  const parts = hunks.map(({ oldStart, newStart, oldLines, lines }): DiffPart => {
    const skipped = oldStart - 1 - end
    end = oldStart - 1 + oldLines
    return { skipped, lines: numbered(lines, oldStart, newStart) }
  })
  const all = parts.flatMap(({ lines }) => lines)
  const count = (kind: DiffLine['kind']) => all.filter((line) => line.kind === kind).length
  return { parts, added: count('added'), removed: count('removed') }
}

function numbered(lines: readonly string[], oldStart: number, newStart: number): DiffLine[] {
  let before = oldStart
  let after = newStart
  const made: DiffLine[] = []
  for (let i = 0; i < lines.length; ) {
    const run = (sign: string) => {
      const from = i
      while (i < lines.length && (lines[i]!.startsWith(sign) || lines[i]!.startsWith('\\'))) i += 1
      return lines
        .slice(from, i)
        .filter((line) => !line.startsWith('\\'))
        .map((line) => line.slice(1))
    }
    if (lines[i]!.startsWith(' ')) {
      const text = lines[i]!.slice(1)
      made.push({ kind: 'same', before: before++, after: after++, pieces: [{ text, changed: false }] })
      i += 1
      continue
    }
    const start = i
    const removed = run('-')
    const added = run('+')
    if (i === start) i += 1
    const within = removed.map((text, at) => (added[at] === undefined ? undefined : piecesOf(text, added[at])))
    removed.forEach((text, at) => {
      const pieces = within[at]?.before ?? [{ text, changed: false }]
      made.push({ kind: 'removed', before: before++, after: undefined, pieces })
    })
    added.forEach((text, at) => {
      const pieces = within[at]?.after ?? [{ text, changed: false }]
      made.push({ kind: 'added', before: undefined, after: after++, pieces })
    })
  }
  return made
}

/** Longer lines aren't compared word by word. */
const LONGEST = 2000

/** What of a line took the place of what; undefined where they have little in common. */
function piecesOf(before: string, after: string): { before: Piece[]; after: Piece[] } | undefined {
  if (before.length > LONGEST || after.length > LONGEST) return undefined
  const words = diffWordsWithSpace(before, after)
  const same = words.reduce((sum, { added, removed, value }) => sum + (added || removed ? 0 : value.trim().length), 0)
  if (same * 2 < Math.max(before.trim().length, after.trim().length)) return undefined
  return {
    before: words.filter(({ added }) => !added).map(({ value, removed }) => ({ text: value, changed: removed })),
    after: words.filter(({ removed }) => !removed).map(({ value, added }) => ({ text: value, changed: added })),
  }
}
