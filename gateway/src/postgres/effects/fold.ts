import { literal, type Node, strings } from './scan.ts'

/** The target of an UPDATE or DELETE, as its columns are named in the statement. */
export interface Target {
  /** The alias, or the relation's name where it has none. */
  name: string
  schema?: string
  columns: ReadonlySet<string>
}

/**
 * What a condition comes to: a constant; something that depends on a row of the target, since it names a column of it;
 * or something else that may as well be true (a parameter, another table's column, a function of neither).
 */
type Folded = boolean | 'row' | 'open'

/** Whether a condition, with what is constant folded away, still names a column of the target. In doubt it doesn't. */
export function bounds(condition: unknown, target: Target): boolean {
  return condition !== undefined && fold(condition, target, 0) === 'row'
}

/** Columns that every table has beside its own; the server asks for SELECT where one is named, too. */
const systemColumns: ReadonlySet<string> = new Set(['ctid', 'tableoid', 'xmin', 'xmax', 'cmin', 'cmax'])

/** Whether a reference may be to a column of the target, or to its whole row. */
export function mayName(reference: Node, target: Target): boolean {
  const fields = (reference.fields ?? []) as Node[]
  const parts = fields.map((field) => (field.String as { sval?: string } | undefined)?.sval)
  const [first] = parts
  if (fields.length === 1)
    return first === undefined || first === target.name || target.columns.has(first) || systemColumns.has(first)
  return parts.slice(0, -1).includes(target.name)
}

/** Deeper than anybody writes by hand; beyond it is doubt. */
const deepest = 32

function fold(node: unknown, target: Target, depth: number): Folded {
  if (depth > deepest) return 'open'
  const [type, inner] = Object.entries((node ?? {}) as Record<string, Node>)[0] ?? []
  if (type === undefined || inner === undefined) return 'open'
  switch (type) {
    case 'A_Const':
    case 'TypeCast': {
      const text = literal(node)?.toLowerCase().trim()
      if (text === undefined || text === null) return type === 'TypeCast' ? anything(node, target) : 'open'
      if (/^(t(r(ue?)?)?|y(es?)?|on|1)$/.test(text)) return true
      return /^(f(a(l(se?)?)?)?|no?|off?|0)$/.test(text) ? false : 'open'
    }
    case 'BoolExpr':
      return foldBool(String(inner.boolop), (inner.args ?? []) as Node[], target, depth)
    case 'A_Expr':
      return foldOperator(inner, target)
    case 'NullTest': {
      const value = literal(inner.arg)
      if (value === undefined) return anything(inner.arg, target)
      return (value === null) === (inner.nulltesttype === 'IS_NULL')
    }
    case 'BooleanTest': {
      const value = fold(inner.arg, target, depth + 1)
      if (typeof value !== 'boolean') return value
      if (inner.booltesttype === 'IS_TRUE' || inner.booltesttype === 'IS_NOT_FALSE') return value
      return inner.booltesttype === 'IS_FALSE' || inner.booltesttype === 'IS_NOT_TRUE' ? !value : 'open'
    }
    case 'CaseExpr': {
      const results = ((inner.args ?? []) as { CaseWhen?: Node }[]).map(({ CaseWhen }) =>
        fold(CaseWhen?.result, target, depth + 1),
      )
      results.push(inner.defresult === undefined ? false : fold(inner.defresult, target, depth + 1))
      const [first] = results
      if (typeof first === 'boolean' && results.every((result) => result === first)) return first
      return anything(node, target)
    }
    case 'CoalesceExpr': {
      const first = ((inner.args ?? []) as Node[]).find((arg) => literal(arg) !== null)
      const value = fold(first, target, depth + 1)
      return typeof value === 'boolean' ? value : anything(node, target)
    }
    case 'CurrentOfExpr':
      return 'row'
    default:
      return anything(node, target)
  }
}

function foldBool(operator: string, args: Node[], target: Target, depth: number): Folded {
  const folded = args.map((arg) => fold(arg, target, depth + 1))
  if (operator === 'NOT_EXPR') return typeof folded[0] === 'boolean' ? !folded[0] : (folded[0] ?? 'open')
  if (operator === 'AND_EXPR') {
    if (folded.includes(false)) return false
    // One part that picks rows is enough, whatever the others are.
    if (folded.includes('row')) return 'row'
    return folded.every((part) => part === true) ? true : 'open'
  }
  if (folded.includes(true) || tautology(args, target)) return true
  // A part that isn't about the rows may be true for all of them.
  if (folded.includes('open')) return 'open'
  return folded.includes('row') ? 'row' : false
}

const complements: Record<string, string> = { '=': '<>', '<>': '=', '<': '>=', '>=': '<', '>': '<=', '<=': '>' }

/** `a OR NOT a` in the ways that it is written. */
function tautology(args: Node[], target: Target): boolean {
  const shape = (node: unknown) => shapeOf(node, target)
  const known = new Set(args.map(shape))
  return args.some((arg) => {
    const { NullTest: test, BoolExpr: bool, A_Expr: expression } = arg as Record<string, Node | undefined>
    if (test)
      return known.has(
        shape({ NullTest: { ...test, nulltesttype: test.nulltesttype === 'IS_NULL' ? 'IS_NOT_NULL' : 'IS_NULL' } }),
      )
    if (bool?.boolop === 'NOT_EXPR') return known.has(shape((bool.args as Node[])[0]))
    const opposite = complements[strings(expression?.name)?.[0] ?? '']
    return (
      opposite !== undefined && known.has(shape({ A_Expr: { ...expression, name: [{ String: { sval: opposite } }] } }))
    )
  })
}

function foldOperator(node: Node, target: Target): Folded {
  const name = strings(node.name)?.at(-1)
  const { lexpr: left, rexpr: right } = node
  if (node.kind === 'AEXPR_IN') {
    const list = ((right as { List?: { items?: Node[] } } | undefined)?.List?.items ?? []) as Node[]
    const value = literal(left)
    if (list.some((item) => same(item, left, target))) return 'open'
    if (value === undefined) return anything(left, target)
    return 'open'
  }
  if (same(left, right, target))
    return constant(left) && (name === '=' || name === '>=' || name === '<=') ? true : 'open'
  if (node.kind === 'AEXPR_BETWEEN' || node.kind === 'AEXPR_BETWEEN_SYM') {
    const ends = ((right as { List?: { items?: Node[] } } | undefined)?.List?.items ?? []) as Node[]
    if (ends.every((end) => same(end, left, target))) return 'open'
  }
  // A constant is looked at only where there is another to compare it with: else the answer holds for any.
  const a = literal(left)
  const b = a === undefined ? undefined : literal(right)
  if (typeof a === 'string' && typeof b === 'string') {
    if (name === '=') return a === b ? true : 'open'
    if (name === '<>') return a === b ? false : 'open'
    return 'open'
  }
  return anything({ left, right }, target)
}

/** Whether any column of the target is named, outside of and in subqueries. */
function anything(node: unknown, target: Target): 'row' | 'open' {
  return names(node, target, false) ? 'row' : 'open'
}

function names(node: unknown, target: Target, inSubquery: boolean): boolean {
  if (typeof node !== 'object' || node === null) return false
  if (Array.isArray(node)) return node.some((item) => names(item, target, inSubquery))
  return Object.entries(node).some(([key, child]) => {
    if (key === 'A_Const') return false
    if (key === 'ColumnRef') return isColumn(child as Node, target, inSubquery)
    if (key === 'SelectStmt') {
      // A correlated subquery: only qualified names are surely the target's, and only where nothing in it has that name.
      return !introduces(child, target.name) && names(child, target, true)
    }
    return names(child, target, inSubquery)
  })
}

function isColumn(reference: Node, target: Target, inSubquery: boolean): boolean {
  const parts = strings(reference.fields)
  const column = parts?.at(-1)
  if (!parts || column === undefined) return false
  // Of the system columns only ctid tells rows apart.
  if (!target.columns.has(column) && column !== 'ctid') return false
  if (parts.length === 1) return !inSubquery
  return parts.at(-2) === target.name && (parts.length === 2 || parts.at(-3) === target.schema)
}

/** Whether something in a query takes the name, as a table or as an alias. */
function introduces(node: unknown, name: string): boolean {
  if (typeof node !== 'object' || node === null) return false
  if (Array.isArray(node)) return node.some((item) => introduces(item, name))
  const { relname, aliasname } = node as Node
  if (relname === name || aliasname === name) return true
  return Object.entries(node).some(([key, child]) => key !== 'A_Const' && introduces(child, name))
}

function constant(node: unknown): boolean {
  return literal(node) != null
}

function same(a: unknown, b: unknown, target: Target): boolean {
  if (a === undefined || b === undefined || typeOf(a) !== typeOf(b)) return false
  return shapeOf(a, target) === shapeOf(b, target)
}

/** Fields that say where in the text something stood. */
const place = /location$|^(rexpr_)?list_(start|end)$/

const typeOf = (node: unknown) => Object.keys((node ?? {}) as Node)[0]

/** An expression as text, without where in the text it stood; a column of the target is written without its name. */
function shapeOf(node: unknown, target: Target): string {
  return JSON.stringify(node, (key, value) => {
    if (place.test(key)) return undefined
    if (key !== 'ColumnRef') return value
    const fields = ((value as Node).fields ?? []) as Node[]
    const own = strings(fields)?.at(-2) === target.name
    return { fields: own ? fields.slice(-1) : fields }
  })
}
