/**
 * RFC 8785 (JCS): keys sorted by UTF-16 code units, ECMAScript's own forms of numbers and strings, no white space.
 * Members that are undefined are left out, as JSON.stringify does.
 * @throws TypeError for what JSON has no one form of: NaN, a lone surrogate, a Date or Map, a cycle too deep for the stack
 */
export function canonical(value: unknown): string {
  switch (typeof value) {
    case 'string':
      // UTF-8 turns every lone surrogate into the same character: two texts would have one hash.
      if (!value.isWellFormed()) throw new TypeError('a text with a lone surrogate has no canonical form')
      return JSON.stringify(value)
    case 'boolean':
      return String(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`)
      return JSON.stringify(value)
    case 'object': {
      if (value === null) return 'null'
      if (Array.isArray(value)) return value.length === 0 ? '[]' : `[${value.map(canonical).join(',')}]`
      const prototype = Object.getPrototypeOf(value)
      // A Map or Date would be `{}`, whatever is in it.
      if (prototype !== Object.prototype && prototype !== null)
        throw new TypeError('only plain objects, arrays and simple values have a canonical form')
      const members = Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, member]) => `${canonical(key)}:${canonical(member)}`)
      return `{${members.join(',')}}`
    }
    default:
      throw new TypeError(`a ${typeof value} has no canonical form`)
  }
}

/** The value of a text that is its own canonical form; undefined otherwise (so for duplicate keys, and other spellings). */
export function parseCanonical(text: string): { value: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return canonical(value) === text ? { value } : undefined
  } catch {
    return undefined
  }
}
