/** An element of a document, with its namespaces resolved. */
export interface Element {
  /** Empty where it has none. */
  prefix: string
  name: string
  namespace: string
  attributes: { prefix: string; name: string; namespace: string; value: string }[]
  /** Elements and texts within it, in their order. */
  content: (Element | string)[]
  /** Elements within it, in their order. */
  children: Element[]
  /** All text that stands in it directly, whitespace included. */
  text: string
  parent: Element | undefined
  /** Prefix → namespace, as it is known in it. */
  scope: ReadonlyMap<string, string>
  /** Where it begins and ends in the document (characters). */
  from: number
  to: number
}

/** A text that isn't the XML that is read here, in words for the log. */
export class XmlError extends Error {
  override name = 'XmlError'
}

export interface XmlOptions {
  /** `skip` leaves comments and processing instructions out; without it a document that holds one is refused. */
  comments?: 'skip'
  /** The most elements; absent: 20,000. */
  elements?: number
}

const most = { depth: 64, elements: 20_000, attributes: 64, namespaces: 64 }
const NAME = '[A-Za-z_][A-Za-z0-9_.-]*'
const openTag = new RegExp(`<(?:(${NAME}):)?(${NAME})`, 'y')
const attribute = new RegExp(`\\s+(?:(${NAME}):)?(${NAME})\\s*=\\s*(?:"([^"<]*)"|'([^'<]*)')`, 'y')
const tagEnd = /\s*(\/?)>/y
const closeTag = new RegExp(`</(?:(${NAME}):)?(${NAME})\\s*>`, 'y')
const characters = /[^<]+/y
const declaration =
  /^<\?xml\s+version=(["'])1\.0\1(?:\s+encoding=(["'])utf-8\2)?(?:\s+standalone=(["'])(?:yes|no)\3)?\s*\?>/i
const XML = 'http://www.w3.org/XML/1998/namespace'
const XMLNS = 'http://www.w3.org/2000/xmlns/'
const outermost: ReadonlyMap<string, string> = new Map([
  ['xml', XML],
  ['', ''],
])

/**
 * Reads the part of XML 1.0 that SAML needs, and refuses the rest: document types and entities (which reach files and
 * grow without bound), CDATA, and comments and processing instructions (which cut a text in two for one reader and not for
 * another). What passes here is well-formed by every rule, so that no two parsers differ about it.
 * @throws XmlError
 */
export function readXml(given: string, options: XmlOptions = {}): Element {
  const text = given.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n')
  if (/[^\t\n\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(text))
    throw new XmlError('it holds characters that XML forbids')
  let at = declaration.exec(text)?.[0].length ?? 0
  let elements = 0
  const mostElements = options.elements ?? most.elements
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found) at += found[0].length
    return found
  }
  const skipTo = (from: number, end: string): boolean => {
    const found = text.indexOf(end, from)
    if (found < 0) return false
    at = found + end.length
    return true
  }
  const skipped = (): boolean => {
    if (options.comments !== 'skip') return false
    if (text.startsWith('<!--', at)) return skipTo(at + 4, '-->')
    return text.startsWith('<?', at) && !/^<\?xml[\s?]/i.test(text.slice(at, at + 6)) && skipTo(at + 2, '?>')
  }
  const between = () => {
    do match(/\s+/y)
    while (skipped())
  }

  const root: { element?: Element } = {}
  const open: { element: Element; tag: string }[] = []
  const fail = (what: string): never => {
    throw new XmlError(`${what} (character ${at + 1})`)
  }

  between()
  while (at < text.length) {
    const inside = open.at(-1)
    if (inside && text[at] !== '<') {
      const [raw] = match(characters)!
      if (raw.includes(']]>')) fail('"]]>" in a text')
      const written = unescaped(raw, fail)
      inside.element.text += written
      inside.element.content.push(written)
      continue
    }
    if (text.startsWith('<!DOCTYPE', at) || text.startsWith('<!ENTITY', at))
      fail('a document type: no entities are read')
    if (inside && text.startsWith('</', at)) {
      const end = match(closeTag)
      if (!end || tagOf(end) !== inside.tag) fail(`${inside.tag} is not closed`)
      open.pop()
      inside.element.to = at
      if (open.length === 0) break
      continue
    }
    if (skipped()) continue
    if (text.startsWith('<!', at) || text.startsWith('<?', at))
      fail('a comment, CDATA section or processing instruction, which is not taken here')
    const from = at
    const start = match(openTag) ?? fail('no element where one should be')
    if (++elements > mostElements) fail(`more than ${mostElements} elements`)
    if (open.length >= most.depth) fail(`more than ${most.depth} elements within each other`)
    const tag = tagOf(start)
    const raw: { prefix: string | undefined; name: string; value: string }[] = []
    for (let one = match(attribute); one; one = match(attribute)) {
      const [, prefix, name = '', double, single] = one
      // Whitespace in a value is a space (XML 1.0, section 3.3.3), but where it is written as a reference.
      const value = unescaped((double ?? single ?? '').replace(/[\t\n]/g, ' '), fail)
      if (raw.push({ prefix, name, value }) > most.attributes) fail(`more than ${most.attributes} attributes`)
    }
    const closed = match(tagEnd) ?? fail(`${tag} is not written right`)
    const declared = new Map<string, string>()
    for (const { prefix, name, value } of raw) {
      if (prefix !== 'xmlns' && !(prefix === undefined && name === 'xmlns')) continue
      const own = prefix === 'xmlns' ? name : ''
      if (declared.has(own)) fail('a namespace is declared twice')
      if (own === 'xmlns' || (own === 'xml') !== (value === XML) || value === XMLNS || (own !== '' && value === ''))
        fail('a namespace that may not be declared')
      declared.set(own, value)
    }
    const around = inside?.element.scope ?? outermost
    const scope = declared.size === 0 ? around : new Map([...around, ...declared])
    if (scope.size > most.namespaces) fail(`more than ${most.namespaces} namespaces`)
    const resolve = (prefix: string): string => scope.get(prefix) ?? fail(`the prefix ${prefix} has no namespace`)
    const element: Element = {
      prefix: start[1] ?? '',
      name: start[2]!,
      namespace: resolve(start[1] ?? ''),
      attributes: [],
      content: [],
      children: [],
      text: '',
      parent: inside?.element,
      scope,
      from,
      to: at,
    }
    for (const { prefix, name, value } of raw) {
      if (prefix === 'xmlns' || (prefix === undefined && name === 'xmlns')) continue
      const namespace = prefix === undefined ? '' : resolve(prefix)
      if (element.attributes.some((other) => other.name === name && other.namespace === namespace))
        fail(`${name} is there twice`)
      element.attributes.push({ prefix: prefix ?? '', name, namespace, value })
    }
    if (inside) {
      inside.element.children.push(element)
      inside.element.content.push(element)
    } else root.element = element
    if (closed[1] === '') open.push({ element, tag })
    else if (!inside) break
  }
  between()
  if (!root.element || open.length > 0) return fail('it ends too early')
  if (at < text.length) fail('something stands behind its end')
  return root.element
}

/** An element and all within it, in the order of the document. */
export function* within(element: Element): Generator<Element> {
  yield element
  for (const child of element.children) yield* within(child)
}

/** The children of that name. */
export function childrenOf(element: Element, namespace: string, name: string): Element[] {
  return element.children.filter((child) => child.name === name && child.namespace === namespace)
}

/** An attribute without a namespace. */
export function attributeOf(element: Element, name: string): string | undefined {
  return element.attributes.find((one) => one.name === name && one.namespace === '')?.value
}

function tagOf([, prefix, name]: RegExpExecArray): string {
  return prefix === undefined ? name! : `${prefix}:${name}`
}

const named: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function unescaped(raw: string, fail: (what: string) => never): string {
  if (!raw.includes('&')) return raw
  return raw.replace(/&([^;&]{0,12};)?/g, (_whole, reference: string | undefined) => {
    const name = reference?.slice(0, -1) ?? ''
    if (Object.hasOwn(named, name)) return named[name]!
    const digits = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name)
    const code = digits ? Number.parseInt(digits[1] ?? digits[2]!, digits[1] ? 16 : 10) : 0
    const allowed =
      code === 9 || code === 10 || code === 13 || (code >= 0x20 && code <= 0xd7ff) || (code >= 0xe000 && code <= 0xfffd)
    if (!allowed && !(code >= 0x10000 && code <= 0x10ffff)) fail('a reference to an entity, which is not taken here')
    return String.fromCodePoint(code)
  })
}
