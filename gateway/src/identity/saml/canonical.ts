import type { Element } from './xml.ts'

export interface CanonicalOptions {
  /** An element that is left out (the enveloped-signature transform). */
  without?: Element
  /** The PrefixList of InclusiveNamespaces; `#default` stands for the default namespace. */
  inclusive?: readonly string[]
}

/**
 * Exclusive XML Canonicalization 1.0 (http://www.w3.org/2001/10/xml-exc-c14n#) of an element, in time that grows with its
 * size alone.
 */
export function canonicalXml(element: Element, { without, inclusive = [] }: CanonicalOptions = {}): string {
  const always = inclusive.map((prefix) => (prefix === '#default' ? '' : prefix))
  const parts: string[] = []
  const write = (one: Element, rendered: ReadonlyMap<string, string>): void => {
    const used = new Set([one.prefix, ...one.attributes.map(({ prefix }) => prefix).filter((prefix) => prefix !== '')])
    for (const prefix of always) if (one.scope.has(prefix)) used.add(prefix)
    used.delete('xml')
    const fresh = [...used].filter((prefix) => (rendered.get(prefix) ?? '') !== one.scope.get(prefix)).sort(byCode)
    const tag = named(one)
    parts.push('<', tag)
    for (const prefix of fresh)
      parts.push(prefix === '' ? ' xmlns="' : ` xmlns:${prefix}="`, attributeText(one.scope.get(prefix)!), '"')
    for (const attribute of one.attributes.toSorted(
      (a, b) => byCode(a.namespace, b.namespace) || byCode(a.name, b.name),
    ))
      parts.push(' ', named(attribute), '="', attributeText(attribute.value), '"')
    parts.push('>')
    const within =
      fresh.length === 0
        ? rendered
        : new Map([...rendered, ...fresh.map((prefix) => [prefix, one.scope.get(prefix)!] as const)])
    for (const node of one.content)
      if (typeof node === 'string') parts.push(inText(node))
      else if (node !== without) write(node, within)
    parts.push('</', tag, '>')
  }
  write(element, new Map())
  return parts.join('')
}

function named({ prefix, name }: { prefix: string; name: string }): string {
  return prefix === '' ? name : `${prefix}:${name}`
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

const inText = (text: string) =>
  text.replace(/[&<>\r]/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#xD;' })[one]!)
/** A text as the value of an attribute, in double quotes. */
export const attributeText = (text: string) =>
  text.replace(
    /[&<"\t\n\r]/g,
    (one) => ({ '&': '&amp;', '<': '&lt;', '"': '&quot;', '\t': '&#x9;', '\n': '&#xA;', '\r': '&#xD;' })[one]!,
  )
