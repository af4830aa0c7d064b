import type { ObservedUse } from '@countersign/contract/review'
import { protocolOf } from './protocols.ts'

/** Something that is to stay permitted: an action on a resource by a verb. */
export interface Cell {
  action: string
  /** Cedar entity type; with `*` behind it, `resource` is how those that are meant begin. */
  type: string
  resource: string
  /** Empty: any. */
  verb: string
  /** Whether it may reach every row. */
  unbounded: boolean
  /** Whether it may have metacharacters of the shell. */
  shell: boolean
  /** Of a program: the command lines that it is to stay with; absent: any. */
  lines?: readonly string[]
}

/** A program whose command lines came so often each, in the middle, is run with these words and no others. */
const OFTEN = 3

/** What ran in the window is to stay; a verb that the policy can't tell apart is any. */
export function cellsOf(used: readonly ObservedUse[], kind: string): Cell[] {
  const { verb } = protocolOf(kind)
  return used
    .filter(({ allowed, approved }) => allowed + (approved ?? 0) > 0)
    .map(({ action, type, resource, connection, kind: told, unbounded, shell, argv, allowed, approved }) => ({
      action,
      ...placeIn(connection, type, resource),
      verb: verb?.(action) === undefined ? '' : told,
      unbounded: unbounded > 0,
      shell: (shell ?? 0) > 0,
      ...(argv && (shell ?? 0) === 0 && allowed + (approved ?? 0) >= OFTEN * argv.length && { lines: argv }),
    }))
}

/** Temporary tables are a session's own, by other names each time: they are one place. */
function placeIn(connection: string, type: string, resource: string): Pick<Cell, 'type' | 'resource'> {
  const own = `${connection}/pg_temp.`
  return type === 'Table' && resource.startsWith(own) ? { type: 'Table*', resource: own } : { type, resource }
}

/** How an action on some resources may be done: by these verbs, and by these only while it doesn't reach every row. */
export interface Manner {
  /** undefined: any. */
  verbs: readonly string[] | undefined
  bounded: boolean
  shell: boolean
  /** Command lines, word for word; absent: any of these verbs. */
  lines?: readonly string[]
}

/** Cells of one action that may be done in the same manner, by type. */
export interface Clause {
  action: string
  manner: Manner
  type: string
  resources: string[]
}

/** Puts together what is done in the same manner, so that a person can read it. */
export function clausesOf(cells: readonly Cell[]): Clause[] {
  const places = new Map<string, { action: string; type: string; resource: string; cells: Cell[] }>()
  for (const cell of cells) {
    const { action, type, resource } = cell
    const key = JSON.stringify([action, type, resource])
    const place = places.get(key) ?? { action, type, resource, cells: [] }
    place.cells.push(cell)
    places.set(key, place)
  }
  const clauses = new Map<string, Clause>()
  for (const { action, type, resource, cells: mine } of places.values())
    for (const manner of mannersOf(action, mine)) {
      const key = JSON.stringify([action, type, manner])
      const clause = clauses.get(key) ?? { action, manner, type, resources: [] }
      clause.resources.push(resource)
      clauses.set(key, clause)
    }
  return [...clauses].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, clause]) => clause)
}

/** What on one resource was done by several verbs is at most two manners: in bounds, and beyond. */
function mannersOf(action: string, cells: readonly Cell[]): Manner[] {
  const isWrite = action === 'sql:write'
  const manner = (some: readonly Cell[], bounded: boolean, shell: boolean): Manner[] => {
    if (some.length === 0) return []
    const any = some.some(({ verb }) => verb === '')
    return [{ verbs: any ? undefined : verbsOf(action, some), bounded, shell }]
  }
  if (action === 'ssh:exec')
    return [
      ...linesOf(cells),
      ...manner(
        cells.filter(({ shell, lines }) => !shell && !lines),
        false,
        false,
      ),
      ...manner(
        cells.filter(({ shell }) => shell),
        false,
        true,
      ),
    ]
  return [
    ...manner(
      cells.filter(({ unbounded }) => isWrite && !unbounded),
      true,
      false,
    ),
    ...manner(
      cells.filter(({ unbounded }) => !isWrite || unbounded),
      false,
      false,
    ),
  ]
}

function linesOf(cells: readonly Cell[]): Manner[] {
  const lines = [...new Set(cells.flatMap((cell) => cell.lines ?? []))].sort()
  return lines.length === 0 ? [] : [{ verbs: undefined, bounded: false, shell: false, lines }]
}

/** EXPLAIN of what is read shows no row of it, and tools do it unasked. */
function verbsOf(action: string, cells: readonly Cell[]): string[] {
  const verbs = new Set(cells.map(({ verb }) => verb))
  if (action === 'sql:read') verbs.add('explain')
  if (action === 'http:read' && verbs.has('GET')) verbs.add('HEAD')
  return [...verbs].sort()
}
