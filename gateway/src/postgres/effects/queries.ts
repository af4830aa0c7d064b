import type { Catalog, Relation } from './catalog.ts'
import { bounds, mayName, type Target } from './fold.ts'
import { create, type RangeVar, referencing, referencingColumns, resolve, touch, touchFound } from './relations.ts'
import { emitOnConnection, type Node, type Place, type Scan } from './scan.ts'

/** SELECT, VALUES, TABLE, set operations, and SELECT INTO. */
export function select(scan: Scan, node: Node, outer: Place): void {
  const place = withCtes(scan, node, { ...outer, kind: 'select', naming: 'sql:read' })
  const into = (node.intoClause as { rel?: RangeVar } | undefined)?.rel
  if (into) create(scan, into, { kind: 'create', bounded: true })
  for (const clause of (node.lockingClause ?? []) as { LockingClause?: Node }[])
    lock(scan, node, clause.LockingClause, place)
  visitOthers(scan, node, place, ['withClause', 'intoClause', 'lockingClause'])
}

export function insert(scan: Scan, node: Node, outer: Place): void {
  const place = withCtes(scan, node, { ...outer, kind: 'insert', naming: 'sql:read' })
  const range = node.relation as RangeVar
  const targets = touch(scan, range, 'sql:write', { kind: 'insert', bounded: true })
  const conflict = node.onConflictClause as Node | undefined
  // What is inserted instead is an update of rows that were there.
  if (conflict?.action === 'ONCONFLICT_UPDATE') {
    touch(scan, range, 'sql:write', { kind: 'update', bounded: true })
    cascadeUpdate(scan, targets, assigned(conflict.targetList), true)
  }
  const fields = { conflict, returningClause: node.returningClause }
  if (conflict?.infer !== undefined || reads(fields, target(range, targets)))
    touch(scan, range, 'sql:read', { kind: 'insert', bounded: true })
  visitOthers(scan, node, place, ['withClause', 'relation'])
}

export function updateOrDelete(scan: Scan, node: Node, kind: 'update' | 'delete', outer: Place): void {
  const place = withCtes(scan, node, { ...outer, kind, naming: 'sql:read' })
  const range = node.relation as RangeVar
  const columns = target(range, resolve(scan, range).candidates)
  const bounded = bounds(node.whereClause, columns)
  const targets = touch(scan, range, 'sql:write', { kind, bounded })
  if (kind === 'delete') cascade(scan, targets, bounded)
  else cascadeUpdate(scan, targets, assigned(node.targetList), bounded)
  if (reads({ ...node, relation: undefined, withClause: undefined }, columns)) {
    touch(scan, range, 'sql:read', { kind, bounded: true })
  }
  visitOthers(scan, node, place, ['withClause', 'relation'])
}

/** MERGE: an effect of its own, and those of the actions that it may take. */
export function merge(scan: Scan, node: Node, outer: Place): void {
  const place = withCtes(scan, node, { ...outer, kind: 'merge', naming: 'sql:read' })
  const range = node.relation as RangeVar
  const columns = target(range, resolve(scan, range).candidates)
  const joined = bounds(node.joinCondition, columns)
  const actions = new Map<string, boolean>()
  for (const { MergeWhenClause: when } of (node.mergeWhenClauses ?? []) as { MergeWhenClause?: Node }[]) {
    const command = /^CMD_(INSERT|UPDATE|DELETE)$/.exec(String(when?.commandType))?.[1]?.toLowerCase()
    if (command === undefined || !when) continue
    const conditioned = bounds(when.condition, columns)
    const bounded = command === 'insert' || conditioned || (joined && when.matchKind === 'MERGE_WHEN_MATCHED')
    actions.set(command, bounded && actions.get(command) !== false)
  }
  const targets = touch(scan, range, 'sql:write', { kind: 'merge', bounded: ![...actions.values()].includes(false) })
  for (const [kind, bounded] of actions) touch(scan, range, 'sql:write', { kind, bounded })
  if (actions.has('delete')) cascade(scan, targets, actions.get('delete') === true)
  for (const { MergeWhenClause: when } of (node.mergeWhenClauses ?? []) as { MergeWhenClause?: Node }[]) {
    if (when?.commandType === 'CMD_UPDATE')
      cascadeUpdate(scan, targets, assigned(when.targetList), actions.get('update') === true)
  }
  touch(scan, range, 'sql:read', { kind: 'merge', bounded: true })
  visitOthers(scan, node, place, ['withClause', 'relation'])
}

/** The place inside a statement with WITH: visits the queries, each with what it sees of the others. */
function withCtes(scan: Scan, node: Node, place: Place): Place {
  const clause = node.withClause as { ctes?: { CommonTableExpr?: Node }[]; recursive?: boolean } | undefined
  if (!clause) return place
  const all = (clause.ctes ?? []).flatMap(({ CommonTableExpr: cte }) => (cte === undefined ? [] : [cte]))
  // The outer ones are asked after the inner, not copied: a text may have very many.
  const visible = new Set<string>()
  const ctes = { has: (name: string) => visible.has(name) || place.ctes.has(name) }
  if (clause.recursive) for (const cte of all) visible.add(String(cte.ctename))
  for (const cte of all) {
    scan.visit(cte, { ...place, ctes })
    visible.add(String(cte.ctename))
  }
  return { ...place, ctes }
}

/** FOR UPDATE and its kin write what they lock: the tables named, or all in FROM, also in its subqueries. */
function lock(scan: Scan, query: Node, clause: Node | undefined, place: Place): void {
  const named = ((clause?.lockedRels ?? []) as { RangeVar?: RangeVar }[]).flatMap(
    (item) => item.RangeVar?.relname ?? [],
  )
  const all = rangesIn(query.fromClause, place.ctes)
  const matching = all.filter((found) => named.includes(found.within))
  const chosen = matching.length > 0 ? matching : all
  for (const { range } of chosen) touch(scan, range, 'sql:write', { kind: 'lock', bounded: true })
  if (chosen.length === 0) emitOnConnection(scan, 'sql:connect', { kind: 'lock', bounded: true })
}

/** Relations in FROM, each with the alias of the item at the top that it is in. */
function rangesIn(from: unknown, ctes: Place['ctes'], within?: string): { range: RangeVar; within: string }[] {
  if (typeof from !== 'object' || from === null) return []
  if (Array.isArray(from)) return from.flatMap((item) => rangesIn(item, ctes, within))
  return Object.entries(from as Record<string, Node>).flatMap(([key, child]) => {
    if (key === 'RangeVar') {
      const range = child as unknown as RangeVar
      if (range.schemaname === undefined && ctes.has(range.relname)) return []
      return [{ range, within: within ?? range.alias?.aliasname ?? range.relname }]
    }
    if (key === 'RangeSubselect') {
      const alias = (child.alias as { aliasname?: string } | undefined)?.aliasname
      return rangesIn(child.subquery, ctes, within ?? alias ?? '')
    }
    if (key === 'withClause' || key === 'SubLink' || key === 'alias' || key === 'A_Const') return []
    return rangesIn(child, ctes, within)
  })
}

/** ON DELETE of the foreign keys that point here: the server asks nobody's leave for those rows. */
function cascade(scan: Scan, targets: Relation[], bounded: boolean): void {
  const tables = behindViews(scan.catalog, targets)
  for (const table of referencing(scan.catalog, tables, 'c'))
    touchFound(scan, table, 'sql:write', { kind: 'delete', bounded })
  for (const table of referencing(scan.catalog, tables, 'nd'))
    touchFound(scan, table, 'sql:write', { kind: 'update', bounded })
}

/** ON UPDATE of the foreign keys that point at a column that is assigned to. */
function cascadeUpdate(scan: Scan, targets: Relation[], columns: ReadonlySet<string>, bounded: boolean): void {
  const tables = behindViews(scan.catalog, targets)
  for (const table of referencingColumns(scan.catalog, tables, columns))
    touchFound(scan, table, 'sql:write', { kind: 'update', bounded })
}

/** The columns that SET names; a view may call them otherwise, so there any column may be meant. */
function assigned(list: unknown): ReadonlySet<string> {
  const targets = (list ?? []) as { ResTarget?: { name?: string } }[]
  return new Set(targets.map(({ ResTarget: target }) => target?.name ?? ''))
}

/** The relations and, where they are views, whatever those are made of. */
function behindViews(catalog: Catalog, targets: readonly Relation[]): Relation[] {
  const found = new Map(targets.map((relation) => [relation.oid, relation]))
  // A Map's iteration goes on to what is added meanwhile.
  for (const relation of found.values()) {
    if (relation.kind !== 'v') continue
    for (const oid of relation.rules.flatMap((rule) => rule.names)) {
      const named = catalog.relation(oid)
      if (named) found.set(oid, named)
    }
  }
  return [...found.values()]
}

/** Whether the statement names the target's columns, so that the server asks for SELECT. */
function reads(node: unknown, of: Target): boolean {
  if (typeof node !== 'object' || node === null) return false
  if (Array.isArray(node)) return node.some((item) => reads(item, of))
  return Object.entries(node).some(([key, child]) => {
    if (key === 'ColumnRef') return mayName(child as Node, of)
    if (key === 'A_Const') return false
    // There the rows have other names too: OLD, NEW, and whatever WITH (OLD AS …) says.
    if (key === 'returningClause') return JSON.stringify(child)?.includes('"ColumnRef"') === true
    return reads(child, of)
  })
}

function target(range: RangeVar, relations: readonly Relation[]): Target {
  return {
    name: range.alias?.aliasname ?? range.relname,
    ...(range.schemaname === undefined ? {} : { schema: range.schemaname }),
    columns: new Set(relations.flatMap((relation) => [...relation.columns])),
  }
}

function visitOthers(scan: Scan, node: Node, place: Place, but: string[]): void {
  const { ...others } = node
  for (const field of but) delete others[field]
  scan.visit(others, place)
}
