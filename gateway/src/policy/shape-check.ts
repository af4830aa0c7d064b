import { blankComments } from './cedar-text.ts'
import { type PolicyProblem, readPolicyTexts } from './load.ts'
import { overlayFile } from './overlay-text.ts'

const FILE = overlayFile('new')

/** What is wrong with a text of policies, and what the validator warns of. */
export interface ShapeCheck {
  problems: readonly PolicyProblem[]
  warnings: readonly PolicyProblem[]
}

/** So many shapes are remembered, of texts up to so many characters. */
const MOST = { shapes: 500, characters: 16_000 }
const known = new Map<string, ShapeCheck>()

/**
 * As readPolicyTexts, of the text of an overlay: remembered by the text without the ids of its entities,
 * of which the schema has none but those of actions. A campaign's end proposes hundreds of policies that differ in nothing
 * else, and asking the validator takes some 20 ms each.
 */
export function checkShape(text: string): ShapeCheck {
  const shape = shapeOf(text)
  const before = known.get(shape)
  if (before) {
    known.delete(shape)
    known.set(shape, before)
    return before
  }
  const read = readPolicyTexts([{ file: FILE, text }])
  const check = read.ok ? { problems: [], warnings: read.files.warnings } : { problems: read.problems, warnings: [] }
  if (text.length <= MOST.characters) {
    known.set(shape, check)
    if (known.size > MOST.shapes) known.delete(known.keys().next().value!)
  }
  return check
}

/**
 * The text with an empty id in each entity but actions. Whole strings are looked at, so none of what is in one is taken for
 * code; an id that isn't plain stays, since it may be none.
 */
export function shapeOf(text: string): string {
  return blankComments(text).replace(
    /((?<![\w:])[A-Za-z_]\w*\s*::\s*)?("(?:\\.|[^"\\])*")/gs,
    (found, of: string | undefined, id: string) =>
      of === undefined || /^Action\W/.test(of) || !/^"[\x20-\x5b\x5d-\x7e]*"$/.test(id) ? found : `${of}""`,
  )
}
