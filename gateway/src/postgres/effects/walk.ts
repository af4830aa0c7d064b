import { attribute, call, cast, operator, sampling } from './calls.ts'
import { command } from './commands.ts'
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
      if (last !== undefined) attribute(scan, last, 'row', place)
      return
    }
    case 'A_Indirection':
      for (const step of (node.indirection ?? []) as Node[]) {
        const name = strings([step])?.[0]
        if (name !== undefined) attribute(scan, name, 'value', place)
      }
      break
    case 'A_Expr':
      operator(scan, node.name, place)
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

const equals = [{ String: { sval: '=' } }]

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
