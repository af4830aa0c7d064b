import { attribute, call, cast, operator, sampling } from './calls.ts'
import { command } from './commands.ts'
import { nodes } from './nodes.ts'
import { insert, merge, select, updateOrDelete } from './queries.ts'
import { isRangeVar, nameRelation } from './relations.ts'
import { emitUnknown, type Node, type Place, type Scan, strings } from './scan.ts'
import { refusedSet } from './settings.ts'
import { statements } from './statements.ts'

/** Fields whose node stands in the tree without its type's name around it. */
const bare: Readonly<Record<string, string>> = {
  larg: 'SelectStmt',
  rarg: 'SelectStmt',
  funccall: 'FuncCall',
  setstmt: 'VariableSetStmt',
  base: 'CreateStmt',
  typeName: 'TypeName',
}

/**
 * Looks through any part of a parse tree. All fields of all nodes are followed, whether anything is known of them or
 * not, so that no query and no call hides in an unexpected place.
 */
export function visit(scan: Scan, value: unknown, place: Place): void {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (const item of value) visit(scan, item, place)
    return
  }
  for (const [field, child] of Object.entries(value as Node)) {
    if (typeof child !== 'object' || child === null) continue
    const type = /^[A-Z]/.test(field) ? field : (bare[field] ?? (isRangeVar(child as Node) ? 'RangeVar' : undefined))
    if (type !== undefined && !Array.isArray(child)) visitNode(scan, type, child as Node, place)
    else visit(scan, child, place)
  }
}

function visitNode(scan: Scan, type: string, node: Node, place: Place): void {
  if (type.endsWith('Stmt')) {
    statement(scan, type, node, place)
    return
  }
  const known = nodes[type]
  if (known === undefined || known === 'never') emitUnknown(scan, `what ${type} does`, place.kind)
  switch (type) {
    case 'RangeVar':
      if (isRangeVar(node)) nameRelation(scan, node, place)
      break
    case 'TableLikeClause': {
      visit(scan, node, { ...place, naming: 'sql:read' })
      return
    }
    case 'ColumnDef':
      // Its type is declared, nothing is cast.
      visit(scan, { ...node, typeName: undefined }, place)
      return
    case 'A_Const':
      // There is nothing in it, and to look is to depend on it (constants.ts).
      return
    case 'FuncCall':
      call(scan, node, place)
      break
    case 'TypeName': {
      const names = strings(node.names)
      if (names && names.length > 0) cast(scan, names, place)
      break
    }
    case 'ColumnRef': {
      const fields = (node.fields ?? []) as Node[]
      const last = fields.length > 1 ? strings(fields.slice(-1))?.[0] : undefined
      const of = strings(fields.slice(-2, -1))?.[0]
      if (last !== undefined) attribute(scan, last, () => of === undefined || isFunctionInFrom(scan, of), place)
      return
    }
    case 'A_Indirection':
      for (const step of (node.indirection ?? []) as Node[]) {
        const name = strings([step])?.[0]
        if (name !== undefined) attribute(scan, name, () => true, place)
      }
      break
    case 'A_Expr':
      if (/BETWEEN/.test(String(node.kind))) for (const end of ends) operator(scan, end, place)
      else operator(scan, node.name, place)
      break
    case 'SubLink':
      operator(scan, node.operName ?? equals, place)
      break
    case 'SortBy':
      operator(scan, node.useOp, place)
      break
    case 'CaseExpr':
      if (node.arg !== undefined) operator(scan, equals, place)
      break
    case 'JoinExpr':
      if (node.usingClause !== undefined || node.isNatural) operator(scan, equals, place)
      break
    case 'Constraint':
      for (const exclusion of (node.exclusions ?? []) as { List?: { items?: Node[] } }[]) {
        operator(scan, (exclusion.List?.items?.[1] as { List?: { items?: Node[] } } | undefined)?.List?.items, place)
      }
      break
    case 'RangeTableSample':
      sampling(scan, node.method, place)
      break
  }
  visit(scan, node, place)
}

const named = (operator: string) => [{ String: { sval: operator } }]
const equals = named('=')
/** What BETWEEN and NOT BETWEEN compare with. */
const ends = ['>=', '<=', '<', '>'].map(named)

/**
 * Whether something in FROM by this name may be a function: one that gives no row but a value is, by its name, that value
 * (transformWholeRowRef), so that `SELECT f.g FROM h(x) AS f` calls g(h(x)).
 */
function isFunctionInFrom(scan: Scan, name: string): boolean {
  const { functionsInFrom: known } = scan
  for (const statement of scan.statements.splice(0)) collectFunctionsInFrom(statement, known)
  return known.has(name) || known.has('')
}

/** Gathers the names of functions in FROM; '' stands for one whose name isn't written down. */
function collectFunctionsInFrom(node: unknown, into: Set<string>): void {
  if (typeof node !== 'object' || node === null) return
  for (const [key, child] of Object.entries(node)) {
    if (key === 'A_Const') continue
    if (key === 'RangeFunction') into.add((child as { alias?: { aliasname?: string } }).alias?.aliasname ?? '')
    collectFunctionsInFrom(child, into)
  }
}

/** A statement, be it the whole or inside another. */
function statement(scan: Scan, type: string, node: Node, place: Place): void {
  const row = statements[type]
  if (type === 'VariableSetStmt') scan.refused ??= refusedSet(node)
  switch (row?.does) {
    case undefined:
      emitUnknown(scan, `what ${type} does`, 'unknown')
      {
        visit(scan, node, place)
        return
      }
    case 'select': {
      select(scan, node, place)
      return
    }
    case 'insert': {
      insert(scan, node, place)
      return
    }
    case 'update':
    case 'delete': {
      updateOrDelete(scan, node, row.does, place)
      return
    }
    case 'merge': {
      merge(scan, node, place)
      return
    }
    default: {
      command(scan, row!, type, node, place)
      return
    }
  }
}
