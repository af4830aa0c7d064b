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
  const some: string[] = []
  const lines = unique(
    evidence.permitted.filter(({ verdict, action }) => verdict !== 'deny' && !needs.includes(action)),
  )
  const onAll = new Set(lines.filter(({ resource }) => resource === name).map(({ action }) => action))
  for (const { action, resource, verdict } of lines) {
    const how = verdict === 'hold' ? ', which people are asked about' : ''
    const mine = cells.filter((cell) => cell.action === action)
    if (action === 'data:reveal') {
      if (resource === name) drops.push(`data:reveal of ${classes.length === 0 ? 'anything' : 'any other class'}${how}`)
      else if (!classes.includes(resource)) some.push(`data:reveal of ${resource}${how}`)
    } else if (mine.length === 0) {
      // What it never did anywhere is told once.
      if (resource === name) drops.push(`${action} on everything${how}`)
      else if (!onAll.has(action)) some.push(`${action} on ${resource.slice(name.length + 1)}${how}`)
    } else if (resource === name) {
      if (!mine.some(({ type }) => type === 'Connection'))
        drops.push(`${action} on everything but ${usedIn(mine)} that it used${how}`)
    } else if (!mine.some((cell) => reaches(cell, resource, name)))
      some.push(`${action} on ${resource.slice(name.length + 1)}${how}`)
  }
  drops.push(...some)
  drops.push(...otherVerbs(lines, cells), ...beyondBounds(lines, cells))
  return shortened(drops)
}

function usedIn(cells: readonly Cell[]): string {
  const places = new Set(cells.map(({ resource }) => resource)).size
  return places === 1 ? 'the one' : `the ${places}`
}

const WRITES = ['insert', 'update', 'delete', 'truncate']

/** Ways to do what was done that never were taken; where policy allows any. */
function otherVerbs(lines: readonly Permission[], cells: readonly Cell[]): string[] {
  const verbs = (action: string): Set<string> | undefined => {
    const mine = cells.filter((cell) => cell.action === action).map(({ verb }) => verb)
    const isAllowed = lines.some((line) => line.action === action && line.verdict === 'allow')
    return isAllowed && mine.length > 0 && !mine.includes('') ? new Set(mine) : undefined
  }
  const written = verbs('sql:write')
  const unwritten = written ? WRITES.filter((verb) => !written.has(verb)) : []
  return [
    ...(unwritten.length > 0 ? [`sql:write by ${unwritten.join(', ')}`] : []),
    ...(verbs('ssh:exec') ? ['ssh:exec of any other program'] : []),
  ]
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
