import type { Classification } from './classes.ts'
import type { WriteFlow } from './plan.ts'
import { DERIVED } from './style.ts'

type Node = Record<string, unknown>

/** Which relations the statement writes and touches: out of its effects. */
export interface FlowFacts {
  classification: Classification
  /** OIDs of the relations that it writes. */
  written: Iterable<string>
  /** OIDs of all that it reads or writes. */
  touched: Iterable<string>
}

/**
 * Whether what a statement writes may come from columns that it reads: INSERT … SELECT, CREATE TABLE AS, SET a = b.
 * Cautious: `none` only where it is certain that values are constants, parameters, or computed from the very column
 * that they go to, or from unclassified columns of the same table. `code` where it brings code of its own (DO, CREATE
 * FUNCTION, CREATE RULE, CREATE TRIGGER), which may read and write anything, now or later, without being seen.
 * @param tree the statement as libpg-query parses it; for EXECUTE and FETCH the statement behind it
 */
export function writeFlow(tree: unknown, facts: FlowFacts): WriteFlow {
  const own = new Set<string>()
  const classified = new Set<string>()
  const { catalog } = facts.classification
  for (const oid of facts.written) for (const { name } of catalog.relation(oid)?.columns.values() ?? []) own.add(name)
  for (const oid of [...facts.touched, ...facts.written]) {
    for (const { attnum, name } of catalog.relation(oid)?.columns.values() ?? []) {
      const classes = facts.classification.ofColumn(oid, attnum)
      if (!classes || classes.length > 0) classified.add(name)
      if (classes?.includes(DERIVED)) own.delete(name)
    }
  }
  const harmless = (name: string, target: string | undefined) =>
    own.has(name) && (name === target || !classified.has(name))
  if (mentions(tree, code)) return 'code'
  return flows(tree, harmless) ? 'reads' : 'none'
}

/** Whatever runs what the agent has chosen later, unseen, or sends rows elsewhere. */
const code = new Set([
  'DoStmt',
  'CreateFunctionStmt',
  'RuleStmt',
  'CreateTrigStmt', // tsvector_update_trigger() puts words of a column into another
  'CreateEventTrigStmt',
  'CreatePublicationStmt',
  'AlterPublicationStmt',
  'CreateSubscriptionStmt',
  // A table of another server, which may be this one again, or one of its files: it has no class.
  'CreateForeignTableStmt',
  'ImportForeignSchemaStmt',
  'CreateForeignServerStmt',
  'AlterForeignServerStmt',
  'CreateUserMappingStmt',
  'AlterUserMappingStmt',
])

function mentions(value: unknown, types: ReadonlySet<string>): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some((item) => mentions(item, types))
  return Object.entries(value).some(([type, child]) => types.has(type) || mentions(child, types))
}

type Harmless = (column: string, target: string | undefined) => boolean

/** Looks at every statement that writes, wherever it stands in the tree. */
function flows(value: unknown, harmless: Harmless): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some((item) => flows(item, harmless))
  const node = value as Node
  for (const [type, child] of Object.entries(node)) {
    if (typeof child !== 'object' || child === null) continue
    if (writers[type]?.(child as Node, harmless)) return true
    if (type === 'intoClause' || flows(child, harmless)) return true
  }
  return false
}

const writers: Readonly<Record<string, (node: Node, harmless: Harmless) => boolean>> = {
  CreateTableAsStmt: () => true,
  // USING of a new type, a default, a generated column: values go from column to column.
  AlterTableStmt: () => true,
  InsertStmt: (node, harmless) => {
    const source = (node.selectStmt as { SelectStmt?: Node } | undefined)?.SelectStmt
    if (source && (source.fromClause || source.larg || source.withClause || source.intoClause)) return true
    if (source && names(source.targetList ?? source.valuesLists, () => false)) return true
    if (names(node.cols, () => false)) return true
    const conflict = node.onConflictClause as Node | undefined
    return conflict !== undefined && assigns(conflict.targetList, harmless, 'excluded')
  },
  UpdateStmt: (node, harmless) => {
    const alone = !node.fromClause && !node.withClause
    return assigns(node.targetList, alone ? harmless : () => false)
  },
  MergeWhenClause: (node) => names(node.targetList, () => false) || names(node.values, () => false),
}

function assigns(targets: unknown, harmless: Harmless, input?: string): boolean {
  for (const target of Array.isArray(targets) ? targets : []) {
    const { name, val, indirection } = ((target as { ResTarget?: Node }).ResTarget ?? {}) as {
      name?: string
      val?: unknown
      indirection?: unknown
    }
    // A subscript is kept as well: as a key of jsonb, as a bound of an array.
    for (const value of [val, indirection]) {
      if (names(value, (column) => harmless(column, name), input)) return true
    }
  }
  return false
}

/** Whether an expression names anything but columns that may be named. */
function names(value: unknown, may: (column: string) => boolean, input?: string): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some((item) => names(item, may, input))
  for (const [type, child] of Object.entries(value as Node)) {
    if (type === 'SubLink' || type === 'SelectStmt') return true
    if (type !== 'ColumnRef') {
      if (names(child, may, input)) return true
      continue
    }
    const fields = ((child as Node).fields as { String?: { sval?: string } }[] | undefined) ?? []
    const parts = fields.map((field) => field.String?.sval)
    if (input !== undefined && parts.length === 2 && parts[0] === input && parts[1] !== undefined) continue
    const column = parts.at(-1)
    if (column === undefined || !may(column)) return true
  }
  return false
}
