import { attributesOf } from '../../policy/permitted/resources.ts'
import { pattern, quoted, uid } from './cedar.ts'

/**
 * Which resources a clause is about, as a condition of Cedar's. By their ids, as long as they are not too many and not numbered;
 * else by how they begin, which is more than they are, never less.
 */
export interface Place {
  condition: string
  /** In words. */
  words: string
}

/** @param most so many are named by their ids */
export function placesOf(connection: string, type: string, ids: readonly string[], most: number): Place[] {
  if (type === 'Connection') return [{ condition: `resource == ${uid('Connection', connection)}`, words: connection }]
  if (type.endsWith('*')) return ids.map((begins) => allWithin(connection, type.slice(0, -1), begins))
  const { families, single: few } = familiesOf(connection, type, ids)
  // An agent that has as many families as it likes is to be reduced all the same.
  const told = narrowed(families, most).map((stem) => placeOf(type, stem))
  if (few.length <= most) return few.length === 0 ? told : [...told, named(connection, type, few.sort())]
  const { stems, rest } = stemsOf(connection, type, few)
  // What doesn't tell its attributes can't be put together with others by them.
  const single = rest.length > 0 ? [named(connection, type, rest.sort())] : []
  if (rest.length > most) return [allWithin(connection, type, `${connection}/`)]
  return [...told, ...narrowed(stems, Math.max(1, Math.floor(most / 4))).map((stem) => placeOf(type, stem)), ...single]
}

function named(connection: string, type: string, ids: readonly string[]): Place {
  const words = ids.map((id) => id.slice(connection.length + 1)).join(', ')
  if (ids.length === 1) return { condition: `resource == ${uid(type, ids[0]!)}`, words }
  return { condition: `resource in [${ids.map((id) => uid(type, id)).join(', ')}]`, words }
}

/** All of a type whose id begins so: those of a schema, or all in the connection. */
function allWithin(connection: string, type: string, begins: string): Place {
  const within = begins.slice(connection.length + 1)
  const schema = within.endsWith('.') ? attributesOf('Table', `${connection}/${within}x`)?.get('schema') : undefined
  if ((type === 'Table' || type === 'Routine') && schema !== undefined)
    return placeOf(type, { equals: [['schema', schema]], begins: '', attribute: 'name' })
  return { condition: `resource is ${type}`, words: `every ${type.toLowerCase()} of ${connection}` }
}

/** Resources that are alike in some attributes and begin alike in another. */
interface Stem {
  equals: readonly (readonly [string, string])[]
  attribute: string
  begins: string
  /** How it ends, too; absent: in any way. */
  ends?: string
}

function placeOf(type: string, { equals, attribute, begins, ends = '' }: Stem): Place {
  const conditions = [
    `resource is ${type}`,
    ...equals.map(([name, value]) => `resource.${name} == ${quoted(value)}`),
    ...(begins === '' ? [] : [`resource.${attribute} like ${pattern(begins, ends)}`]),
  ]
  return {
    condition: conditions.join(' && '),
    words: [...equals.map(([, value]) => value), `${begins}*${ends}`].filter((word) => word !== '').join('.'),
  }
}

/** So many that are alike but for a number or a lot are told as what they are: tomorrow there is another one. */
const FAMILY = 3
/** Partitions and other tables by number or date (events_2026_11, measurement_y2026m02); objects of a controller's. */
const numbered: Record<string, RegExp> = {
  Table: /^(.+?[_-][a-z]?)\d(?:[\d_-]|[a-z](?=\d))*$/,
  // Logs, dumps and releases by date or number (/backups/orders-2026-11-22.sql.gz), in one folder.
  Path: /^(.*?[/_.-][a-z]?)\d[\d_.:Tt-]*?((?:\.[A-Za-z][A-Za-z0-9]*)*)$/,
  Resource: /^(.{2,}?-)(?:[a-z0-9]{6,10}-[a-z0-9]{5}|[a-z0-9]{5}|\d+)$/,
}

function familiesOf(connection: string, type: string, ids: readonly string[]): { families: Stem[]; single: string[] } {
  const found = new Map<string, { alike: Stem; ids: string[]; begin: Set<string> }>()
  const single: string[] = []
  for (const id of ids) {
    const whole = stemOf(connection, type, id)
    const [, stem, ends = ''] = (whole && numbered[type]?.exec(whole.begins)) ?? []
    // What is in a folder of numbers and nothing else may be anything: /v1/orders/42 is no log of the day.
    if (stem === undefined || (type === 'Path' && ends === '' && stem.endsWith('/'))) {
      single.push(id)
      continue
    }
    const key = JSON.stringify([whole!.equals, stem, ends])
    const alike = { ...whole!, begins: stem, ...(ends !== '' && { ends }) }
    const family = found.get(key) ?? { alike, ids: [], begin: new Set() }
    family.ids.push(id)
    // With the first digit: events_2 is any year, and not events_of_others. Lots have none in common.
    family.begin.add(type !== 'Resource' ? whole!.begins.slice(0, stem.length + 1) : stem)
    found.set(key, family)
  }
  const families: Stem[] = []
  for (const { alike, ids: mine, begin } of found.values())
    if (mine.length >= FAMILY) families.push(...[...begin].sort().map((begins) => ({ ...alike, begins })))
    else single.push(...mine)
  return { families, single }
}

function stemsOf(connection: string, type: string, ids: readonly string[]): { stems: Stem[]; rest: string[] } {
  const stems: Stem[] = []
  const rest: string[] = []
  for (const id of ids) {
    const stem = stemOf(connection, type, id)
    if (stem) stems.push(stem)
    else rest.push(id)
  }
  return { stems, rest }
}

function stemOf(connection: string, type: string, id: string): Stem | undefined {
  const within = id.slice(connection.length + 1)
  switch (type) {
    case 'Table':
    case 'Routine': {
      const told = attributesOf(type, id)
      const [schema, name] = [told?.get('schema'), told?.get('name')]
      if (schema === undefined || name === undefined) return undefined
      return { equals: [['schema', schema]], attribute: 'name', begins: name }
    }
    case 'Resource': {
      const parts = within.split('/')
      if (parts.length !== 4 && parts.length !== 5) return undefined
      const [group = '', resource = '', ...more] = parts
      const [subresource, namespace, name] = more.length === 3 ? more : ['', ...more]
      const equals = Object.entries({ group, resource, subresource: subresource!, namespace: namespace! })
      return { equals, attribute: 'name', begins: name! }
    }
    case 'Path':
      return { equals: [], attribute: 'path', begins: within }
    case 'Tool':
      return { equals: [], attribute: 'name', begins: within }
    default:
      return undefined
  }
}

/** Ways to shorten how a name begins, each to fewer beginnings than the one before. */
const shorter: readonly ((begins: string) => string)[] = [
  unnumbered,
  (begins) => /^(.*[/_.-])[^/_.-]+[/_.-]?$/s.exec(begins)?.[1] ?? begins,
  (begins) => /^(.[^/_.-]*[/_.-]?)/s.exec(begins)?.[1] ?? begins,
  () => '',
]

/**
 * Without what is numbered, dated or drawn by lot at its end: events_2026_11, web-7f9c4. That is
 * `[-_./]?[0-9a-f]*[0-9][-_.:0-9a-f]*$`, looked for from the end: names are what agents make of them, and as a regular
 * expression it takes the cube of their length.
 */
export function unnumbered(begins: string): string {
  let tail = begins.length
  while (tail > 0 && /[-_.:0-9a-f]/i.test(begins[tail - 1]!)) tail--
  const digit = begins.slice(tail).search(/\d/)
  if (digit < 0) return begins
  let start = tail + digit
  while (start > 0 && /[0-9a-f]/i.test(begins[start - 1]!)) start--
  if (start > 0 && /[-_./]/.test(begins[start - 1]!)) start--
  return begins.slice(0, start)
}

/** Shortens until there are at most so many; where that can't be, all that are alike in nothing but their equals. */
function narrowed(stems: readonly Stem[], most: number): Stem[] {
  let now = distinct(stems)
  for (const shorten of shorter) {
    if (now.length <= most) return now
    now = distinct(now.map(({ ends: _, ...stem }) => ({ ...stem, begins: shorten(stem.begins) })))
  }
  for (let equal = 3; now.length > most && equal >= 0; equal--)
    now = distinct(now.map((stem) => ({ ...stem, equals: stem.equals.slice(0, equal) })))
  return now
}

function distinct(stems: readonly Stem[]): Stem[] {
  const found = new Map(stems.map((stem) => [JSON.stringify([stem.equals, stem.begins, stem.ends]), stem]))
  return [...found.values()]
}
