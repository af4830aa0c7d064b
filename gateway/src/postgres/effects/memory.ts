import type { Catalog } from './catalog.ts'
import type { Analysis, StatementContext } from './effects.ts'
import { shapeOf } from './shape.ts'

/** Bytes of analyses kept for one catalog, roughly. */
const room = 16 * 1024 * 1024
/** A text larger than this isn't kept: it is hardly ever sent again. */
const largest = 64 * 1024

interface Shelf {
  entries: Map<string, { analysis: Analysis; size: number }>
  size: number
}

/** Analyses by what they depend on, for as long as the catalog that they were made with is in use. */
const shelves = new WeakMap<Catalog, Shelf>()

/**
 * Answers an earlier analysis of the same text, or of one of the same shape where that is the same, in the same
 * circumstances; or makes one. What asked for the statement
 * behind a name isn't kept. An analysis is shared: nobody may change it.
 */
export function remembered(
  text: string,
  context: StatementContext,
  make: () => { analysis: Analysis; lasting: boolean },
): Analysis {
  if (text.length > largest) return make().analysis
  let shelf = shelves.get(context.catalog)
  if (!shelf) {
    shelf = { entries: new Map(), size: 0 }
    shelves.set(context.catalog, shelf)
  }
  const { connection, searchPath, user, tempSchema, settled } = context
  // None of these but the text can hold a NUL, and how many there are is told: no two circumstances share a key.
  const temporary = tempSchema === undefined ? '?' : (tempSchema ?? '')
  const path = searchPath ?? []
  const sure = `${settled === true}${searchPath === null ? -1 : path.length}`
  const circumstances = [connection, user, temporary, sure, ...path].join('\0')
  const exact = `${circumstances}\0text\0${text}`
  const shape = shapeOf(text)
  const general = shape === undefined ? undefined : `${circumstances}\0shape\0${shape}`
  const known = taken(shelf, exact) ?? (general === undefined ? undefined : taken(shelf, general))
  if (known) return known
  const { analysis, lasting } = make()
  if (!lasting) return analysis
  const key = analysis.general && general !== undefined ? general : exact
  const size = 2 * key.length + 2 * text.length + 600 * (1 + analysis.effects.length + analysis.statements.length)
  shelf.entries.set(key, { analysis, size })
  shelf.size += size
  for (const [oldest, entry] of shelf.entries) {
    if (shelf.size <= room) break
    shelf.entries.delete(oldest)
    shelf.size -= entry.size
  }
  return analysis
}

function taken(shelf: Shelf, key: string): Analysis | undefined {
  const entry = shelf.entries.get(key)
  if (!entry) return undefined
  // The order of a Map is the order of insertion: the last used is last.
  shelf.entries.delete(key)
  shelf.entries.set(key, entry)
  return entry.analysis
}
