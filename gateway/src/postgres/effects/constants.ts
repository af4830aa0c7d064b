import type { Node } from './scan.ts'
import { type Token, tokensOf } from './shape.ts'

/** Tells whether anybody looked at the value of a constant. */
export interface Watch {
  read: boolean
}

/** Statements that texts of one shape may share an analysis of. */
const shared = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt'])

/**
 * Puts a watch on the constants of a statement, so that what is then made of it is known to hold for every text of the
 * same shape (shape.ts) if the watch says that none was read. Every literal of the text must be the value of a constant
 * of the tree: then the grammar did nothing else with it. Of what it does use otherwise, float(24) and int[3] say which
 * type is meant; ORDER BY 1, where a constant is a column's number, is left out as well.
 * @param statement as libpg-query gives it; is changed: the constants' values become getters
 * @returns undefined where the text has no shape, or a literal that isn't a constant of the tree
 */
export function watchConstants(text: string, statement: Node | undefined): Watch | undefined {
  if (!shared.has(Object.keys(statement ?? {})[0] ?? '')) return undefined
  const tokens = tokensOf(text)
  if (!tokens) return undefined
  const literals = new Map<number, Token>()
  tokens.forEach((token, index) => {
    if (token.kind === 'word' || token.kind === 'quoted' || token.kind === 'operator') return
    literals.set(token.start, token)
    // A constant with a sign stands where the sign does (doNegate in gram.y).
    const sign = tokens[index - 1]
    if (sign && text.slice(sign.start, sign.end) === '-') literals.set(sign.start, token)
  })
  const found = new Set<Token>()
  const watch: Watch = { read: false }
  if (!watchWithin(statement)) return undefined
  return [...literals.values()].every((token) => found.has(token)) ? watch : undefined

  function watchWithin(value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return true
    if (Array.isArray(value)) return value.every(watchWithin)
    return Object.entries(value as Node).every(([key, child]) => {
      if (key === 'A_Const') {
        watchOne(child as Node)
        return true
      }
      if (key === 'SortBy' && isConstant((child as Node).node)) return false
      if ((key === 'groupClause' || key === 'distinctClause') && (child as unknown[]).some(isConstant)) return false
      return watchWithin(child)
    })
  }

  function watchOne(constant: Node): void {
    const token = literals.get(Number(constant.location ?? 0))
    const field = token?.kind === 'string' ? 'sval' : token?.kind === 'int4' ? 'ival' : 'fval'
    const value = constant[field]
    if (!token || !isValueOf(value, field, text.slice(token.start, token.end))) return
    found.add(token)
    Object.defineProperty(constant, field, {
      enumerable: true,
      get: () => {
        watch.read = true
        return value
      },
    })
  }
}

const isConstant = (node: unknown) => (node as Node | undefined)?.A_Const !== undefined

function isValueOf(value: unknown, field: 'sval' | 'ival' | 'fval', written: string): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { sval = '', ival = 0, fval = '' } = value as { sval?: string; ival?: number; fval?: string }
  if (field === 'sval') return sval === written.slice(1, -1).replaceAll("''", "'")
  if (field === 'fval') return fval === written || fval === `-${written}`
  return Math.abs(ival) === Number(written)
}
