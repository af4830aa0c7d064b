/**
 * Makes visible what a text could hide: control, bidirectional, invisible and unusual space characters.
 * Line feeds and tabs stay as they are; everything else is left untouched.
 */

export interface Run {
  /** The characters as they were given. */
  readonly given: string
  /** What stands in their place, for example U+202E; absent where they show themselves. */
  readonly mark?: string
}

const HIDDEN =
  /(?![\n\t ])[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u115f\u1160\u2800\u3164\uffa0]|\r(?=\n)|\p{M}{4,}/gu

/** `text` in runs; the runs' `given` joined are `text`. */
export function visibleRuns(text: string): Run[] {
  const runs: Run[] = []
  let at = 0
  for (const found of text.matchAll(HIDDEN)) {
    if (found.index > at) runs.push({ given: text.slice(at, found.index) })
    runs.push({ given: found[0], mark: markOf(found[0]) })
    at = found.index + found[0].length
  }
  if (at < text.length) runs.push({ given: text.slice(at) })
  return runs
}

/** `text` with a mark such as ⟨U+202E⟩ where something hides: for files and paper, where marks can't be styled. */
export function visibleText(text: string): string {
  return visibleRuns(text)
    .map(({ given, mark }) => (mark === undefined ? given : `⟨${mark}⟩`))
    .join('')
}

/** How many characters of `text` can't be seen as they are (a carriage return before a line feed is none of them). */
export function hiddenCount(text: string): number {
  let count = 0
  for (const found of text.matchAll(HIDDEN)) if (!/^\r$/.test(found[0]) || text[found.index + 1] !== '\n') count += 1
  return count
}

/** Words that mix Latin letters with Cyrillic or Greek ones, which look alike. */
export function mixedWords(text: string): string[] {
  const words = text.match(/[\p{L}\p{M}\p{N}_]+/gu) ?? []
  return [
    ...new Set(
      words.filter((word) => /\p{Script=Latin}/u.test(word) && /[\p{Script=Cyrillic}\p{Script=Greek}]/u.test(word)),
    ),
  ]
}

/** One line for a list: white space runs become one space; hidden characters stay and are marked where it is shown. */
export function oneLine(text: string, longest = 240): string {
  const line = text
    .slice(0, longest * 4)
    .replace(/[ \t\r\n\f\v]+/g, ' ')
    .trim()
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}

function markOf(character: string): string {
  if (character === '\r') return 'CR'
  return [...character].map((c) => `U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`).join(' ')
}
