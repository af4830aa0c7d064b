import type { Permission } from '@countersign/contract/access'
import type { ItemEvidence } from '@countersign/contract/review'
import { cut } from '../evidence/samples.ts'
import type { Cell } from './cells.ts'
import type { Protocol } from './protocols.ts'

/** So many lines of what is kept or dropped are told … */
export const MOST_WORDS = 60
/** … each of so many characters at most. */
const LONGEST = 300

export function shortened(lines: readonly string[]): string[] {
  const told = lines.slice(0, MOST_WORDS).map((line) => (line.length > LONGEST ? `${cut(line, LONGEST)} …` : line))
  return lines.length > MOST_WORDS ? [...told, `and ${lines.length - MOST_WORDS} more`] : told
}

/** What is permitted and would not be any more. */
export function dropsOf(
  evidence: ItemEvidence,
  cells: readonly Cell[],
  classes: readonly string[],
  { needs }: Protocol,
): string[] {
  const { name } = evidence.connection
  const drops: string[] = []
  const lines = evidence.permitted.filter(({ verdict, action }) => verdict !== 'deny' && !needs.includes(action))
  for (const line of unique(lines)) {
    const { action, resource, verdict } = line
    const how = verdict === 'hold' ? ', which people are asked about' : ''
    const mine = cells.filter((cell) => cell.action === action)
    if (action === 'data:reveal') {
      if (resource === name) drops.push(`data:reveal of ${classes.length === 0 ? 'anything' : 'any other class'}${how}`)
      else if (!classes.includes(resource)) drops.push(`data:reveal of ${resource}${how}`)
    } else if (resource === name) {
      if (mine.length === 0) drops.push(`${action} on everything${how}`)
      else if (!mine.some(({ type }) => type === 'Connection'))
        drops.push(
          `${action} on everything but ${mine.length === 1 ? 'the one' : `the ${mine.length}`} that it used${how}`,
        )
    } else if (!mine.some((cell) => reaches(cell, resource, name)))
      drops.push(`${action} on ${resource.slice(name.length + 1)}${how}`)
  }
  drops.push(...beyondBounds(lines, cells))
  return shortened(drops)
}

/** What was only done to some rows could be done to all of them. */
function beyondBounds(lines: readonly Permission[], cells: readonly Cell[]): string[] {
  const writes = cells.filter(({ action }) => action === 'sql:write')
  if (writes.length === 0 || writes.some(({ unbounded }) => unbounded)) return []
  const may = lines.some(({ action, verdict }) => action === 'sql:write' && verdict === 'allow')
  return may ? ['writes that reach every row'] : []
}

function reaches({ type, resource }: Cell, id: string, connection: string): boolean {
  if (type === 'Connection') return resource === connection
  return type.endsWith('*') ? id.startsWith(resource) : id === resource
}

/** Of several grants that permit the same, one line. */
function unique(lines: readonly Permission[]): Permission[] {
  return [...new Map(lines.map((line) => [JSON.stringify([line.action, line.resource]), line])).values()]
}
