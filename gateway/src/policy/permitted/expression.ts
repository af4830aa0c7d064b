import type * as cedar from '@cedar-policy/cedar-wasm/nodejs'

/**
 * Evaluates Cedar's expressions (its JSON policy format) where not everything is known: what depends on the unknown is
 * unknown, by Kleene's logic. What it answers beside UNKNOWN is what Cedar answers, whatever the unknown turns out to be.
 */

export const UNKNOWN: unique symbol = Symbol('unknown')
export type Unknown = typeof UNKNOWN

export interface EntityValue {
  entity: { type: string; id: string }
}
export type Value = boolean | number | string | EntityValue | readonly Value[] | ReadonlyMap<string, Value> | Unknown
export type Truth = boolean | Unknown

/** What an expression is evaluated in. */
export interface Surroundings {
  /** `principal`, `action`, `resource`; `context` is asked for by `contextHas` and `contextGet`. */
  principal: EntityValue
  action: EntityValue
  resource: EntityValue
  /** What an entity is in, itself not among it; UNKNOWN where that can't be told. */
  ancestors(entity: EntityValue): readonly EntityValue[]
  /** An attribute of an entity; undefined where it has none of that name. */
  attribute(entity: EntityValue, name: string): Value | undefined
  /** An attribute of the context; undefined where it has none of that name. */
  context(name: string): Value | undefined
}

/** What came of an expression, and whether it could have failed instead: then Cedar's answer is an error. */
export interface Evaluated {
  value: Value
  mayFail: boolean
}

export function evaluate(expression: cedar.Expr, surroundings: Surroundings): Evaluated {
  const evaluation = new Evaluation(surroundings)
  const value = evaluation.of(expression)
  return { value, mayFail: evaluation.mayFail }
}

type Binary = { left: cedar.Expr; right: cedar.Expr }
type Attribute = { left: cedar.Expr; attr: string | readonly string[] }

class Evaluation {
  mayFail = false
  readonly #in: Surroundings

  constructor(surroundings: Surroundings) {
    this.#in = surroundings
  }

  of(expression: cedar.Expr): Value {
    // The one member that says what it is; asked for very often.
    let operator = ''
    for (operator in expression) break
    const operand = (expression as unknown as Record<string, unknown>)[operator]
    const both = operand as Binary
    switch (operator) {
      case 'Value':
        return literal(operand as cedar.CedarValueJson)
      case 'Var':
        return operand === 'context' ? CONTEXT : this.#in[operand as 'principal' | 'action' | 'resource']
      case '!':
        return not(this.#truth((operand as { arg: cedar.Expr }).arg))
      case '&&':
        return this.#either(both, false)
      case '||':
        return this.#either(both, true)
      case 'if-then-else':
        return this.#if(operand as { if: cedar.Expr; then: cedar.Expr; else: cedar.Expr })
      case '==':
        return same(this.of(both.left), this.of(both.right))
      case '!=':
        return not(same(this.of(both.left), this.of(both.right)))
      case '<':
        return this.#order(both, (a, b) => a < b)
      case '<=':
        return this.#order(both, (a, b) => a <= b)
      case '>':
        return this.#order(both, (a, b) => a > b)
      case '>=':
        return this.#order(both, (a, b) => a >= b)
      case '+':
        return this.#sum(both, (a, b) => a + b)
      case '-':
        return this.#sum(both, (a, b) => a - b)
      case '*':
        return this.#sum(both, (a, b) => a * b)
      case 'in':
        return this.#isIn(this.of(both.left), this.of(both.right))
      case 'is': {
        const {
          left,
          entity_type,
          in: within,
        } = operand as {
          left: cedar.Expr
          entity_type: string
          in?: cedar.Expr
        }
        return this.#is(this.of(left), entity_type, within && this.of(within))
      }
      case 'has':
        return this.#has(operand as Attribute)
      case '.': {
        const { left, attr } = operand as { left: cedar.Expr; attr: string }
        const value = this.#get(this.of(left), attr)
        // The validator lets nobody ask for what may not be there.
        return value === undefined ? this.#fails() : value
      }
      case 'contains':
        return contains(this.of(both.left), this.of(both.right))
      case 'containsAll':
        return containsAll(this.of(both.left), this.of(both.right))
      case 'containsAny':
        return containsAny(this.of(both.left), this.of(both.right))
      case 'isEmpty': {
        const set = this.of((operand as { arg: cedar.Expr }).arg)
        return Array.isArray(set) ? set.length === 0 : UNKNOWN
      }
      case 'like': {
        const { left, pattern } = operand as { left: cedar.Expr; pattern: cedar.PatternElem[] }
        const text = this.of(left)
        return typeof text === 'string' ? like(text, pattern) : UNKNOWN
      }
      case 'Set':
        return (operand as cedar.Expr[]).map((element) => this.of(element))
      case 'Record':
        return new Map(Object.entries(operand as Record<string, cedar.Expr>).map(([name, one]) => [name, this.of(one)]))
      default:
        // Extensions (ip, decimal, …), tags, negation: policies hardly have them, and what they say may be anything.
        return this.#fails()
    }
  }

  #fails(): Unknown {
    this.mayFail = true
    return UNKNOWN
  }

  #truth(expression: cedar.Expr): Truth {
    const value = this.of(expression)
    return typeof value === 'boolean' ? value : UNKNOWN
  }

  /** `&&` where `decided` is false, `||` where it is true: one side that is so decides, whatever the other is. */
  #either({ left, right }: Binary, decided: boolean): Truth {
    const first = this.#truth(left)
    if (first === decided) return decided
    const second = this.#truth(right)
    if (second === decided) return decided
    return first === UNKNOWN ? UNKNOWN : second
  }

  #if(branches: { if: cedar.Expr; then: cedar.Expr; else: cedar.Expr }): Value {
    const condition = this.#truth(branches.if)
    if (condition !== UNKNOWN) return this.of(condition ? branches.then : branches.else)
    const first: Value = this.of(branches.then)
    const second: Value = this.of(branches.else)
    return same(first, second) === true ? first : UNKNOWN
  }

  #order({ left, right }: Binary, holds: (a: number, b: number) => boolean): Truth {
    const [a, b] = [this.of(left), this.of(right)]
    return typeof a === 'number' && typeof b === 'number' ? holds(a, b) : UNKNOWN
  }

  /** Longs overflow at 64 bits: an error. */
  #sum({ left, right }: Binary, result: (a: number, b: number) => number): Value {
    const [a, b] = [this.of(left), this.of(right)]
    const sum = typeof a === 'number' && typeof b === 'number' ? result(a, b) : Number.NaN
    return Number.isSafeInteger(sum) ? sum : this.#fails()
  }

  #isIn(left: Value, right: Value): Truth {
    if (!isEntity(left)) return UNKNOWN
    const all: readonly Value[] = Array.isArray(right) ? (right as readonly Value[]) : [right]
    const up = [left, ...this.#in.ancestors(left)]
    return some(all, (one) => (isEntity(one) ? up.some((each) => same(each, one) === true) : UNKNOWN))
  }

  #is(value: Value, type: string, within: Value | undefined): Truth {
    if (!isEntity(value)) return UNKNOWN
    if (value.entity.type !== type) return false
    return within === undefined ? true : this.#isIn(value, within)
  }

  /** `e has a.b.c`: each of them in the one before. */
  #has({ left, attr }: Attribute): Truth {
    let value = this.of(left)
    for (const name of typeof attr === 'string' ? [attr] : attr) {
      if (value === UNKNOWN) return UNKNOWN
      const next = this.#get(value, name)
      if (next === undefined) return false
      value = next
    }
    // An attribute of which nothing is known may not be there.
    return value === UNKNOWN ? UNKNOWN : true
  }

  #get(value: Value, name: string): Value | undefined {
    if (value === CONTEXT) return this.#in.context(name)
    if (value instanceof Map) return value.get(name)
    return isEntity(value) ? this.#in.attribute(value, name) : UNKNOWN
  }
}

const CONTEXT: ReadonlyMap<string, Value> = new Map()
function isEntity(value: Value): value is EntityValue {
  return typeof value === 'object' && value !== null && 'entity' in value
}

export const entity = (type: string, id: string): EntityValue => ({ entity: { type, id } })

/** A literal. Numbers that JavaScript can't hold, and values of extensions, are as good as unknown. */
function literal(json: cedar.CedarValueJson): Value {
  if (typeof json === 'boolean' || typeof json === 'string') return json
  if (typeof json === 'number') return Number.isSafeInteger(json) ? json : UNKNOWN
  if (Array.isArray(json)) return json.map(literal)
  if (json === null) return UNKNOWN
  const { __entity: named } = json as { __entity?: { type: string; id: string } }
  if (named) return entity(named.type, named.id)
  if ('__extn' in json) return UNKNOWN
  return new Map(
    Object.entries(json as Record<string, cedar.CedarValueJson>).map(([name, one]) => [name, literal(one)]),
  )
}

const not = (truth: Truth): Truth => (truth === UNKNOWN ? UNKNOWN : !truth)

function some<T>(all: readonly T[], holds: (one: T) => Truth): Truth {
  let found: Truth = false
  for (const one of all) {
    const truth = holds(one)
    if (truth === true) return true
    if (truth === UNKNOWN) found = UNKNOWN
  }
  return found
}

const every = <T>(all: readonly T[], holds: (one: T) => Truth): Truth => not(some(all, (one) => not(holds(one))))

function same(a: Value, b: Value): Truth {
  if (a === UNKNOWN || b === UNKNOWN || a === CONTEXT || b === CONTEXT) return UNKNOWN
  if (isEntity(a) || isEntity(b))
    return isEntity(a) && isEntity(b) && a.entity.type === b.entity.type && a.entity.id === b.entity.id
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b)) return false
    const [one, other] = [containsAll(a, b), containsAll(b, a)]
    return one === false || other === false ? false : one === true && other === true ? true : UNKNOWN
  }
  if (a instanceof Map || b instanceof Map) {
    if (!(a instanceof Map) || !(b instanceof Map) || a.size !== b.size) return false
    return every([...a.keys()], (name) => (b.has(name) ? same(a.get(name)!, b.get(name)!) : false))
  }
  return a === b
}

const contains = (set: Value, element: Value): Truth =>
  Array.isArray(set) ? some(set as readonly Value[], (one) => same(one, element)) : UNKNOWN

const containsAll = (set: Value, elements: Value): Truth =>
  Array.isArray(elements) ? every(elements as readonly Value[], (one) => contains(set, one)) : UNKNOWN

const containsAny = (set: Value, elements: Value): Truth =>
  Array.isArray(elements) ? some(elements as readonly Value[], (one) => contains(set, one)) : UNKNOWN

/** The literals between wildcards, each found as early as it can be: no pattern makes it slow. */
function like(text: string, pattern: readonly cedar.PatternElem[]): boolean {
  const parts: string[] = ['']
  for (const part of pattern) {
    if (part === 'Wildcard') parts.push('')
    else parts[parts.length - 1] += part.Literal
  }
  const [first = '', ...rest] = parts
  const last = rest.pop()
  if (last === undefined) return text === first
  if (!text.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}
