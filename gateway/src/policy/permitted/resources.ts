/** A resource by its id. Without a type it may be of any that goes with the action. */
export interface NamedResource {
  id: string
  type?: string
}

/** Types of resources of which there are many in a connection; classes of data are in none. */
export const resourceTypes = ['Table', 'Routine', 'Resource', 'Path', 'Tool', 'DataClass'] as const

/**
 * The attributes of a resource, as its id tells them; undefined where it doesn't, or not for sure: then nothing that
 * depends on them is known.
 */
export function attributesOf(type: string, id: string): ReadonlyMap<string, string> | undefined {
  const rest = id.slice(id.indexOf('/') + 1)
  if (type === 'Tool') return new Map([['name', rest]])
  if (type !== 'Table' && type !== 'Routine') return undefined
  const [schema, name, ...more] = identifiersIn(rest) ?? []
  if (schema === undefined || name === undefined || more.length > 0) return undefined
  return new Map([
    ['schema', schema],
    ['name', name],
  ])
}

/** What quote_ident() has made of names, with a dot between them; undefined where it has not. */
function identifiersIn(text: string): string[] | undefined {
  const names: string[] = []
  for (let at = 0; ; ) {
    const quoted = /"((?:[^"]|"")+)"/y
    const plain = /[a-z_][a-z0-9_$]*/y
    const which = text[at] === '"' ? quoted : plain
    which.lastIndex = at
    const found = which.exec(text)
    if (!found) return undefined
    names.push(found[1] === undefined ? found[0] : found[1].replaceAll('""', '"'))
    at += found[0].length
    if (at === text.length) return names
    if (text[at] !== '.') return undefined
    at++
  }
}
