import { generateKeyPairSync, hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SignedXml } from 'xml-crypto'
import { canonicalXml } from './canonical.ts'
import { readXml } from './xml.ts'

const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#'

test.each([
  ['<a/>', '<a></a>'],
  ['<a  c="3" b = \'2\' />', '<a b="2" c="3"></a>'],
  ['<n:a xmlns:n="u" xmlns:unused="v"><n:b/></n:a>', '<n:a xmlns:n="u"><n:b></n:b></n:a>'],
  ['<a xmlns="u"><b xmlns=""><c xmlns="u"/></b></a>', '<a xmlns="u"><b xmlns=""><c xmlns="u"></c></b></a>'],
  ['<a xmlns:z="u1" xmlns:y="u2" z:k="1" y:k="2" k="3"/>', '<a xmlns:y="u2" xmlns:z="u1" k="3" z:k="1" y:k="2"></a>'],
  [
    '<a b="&quot;&#9;&#10;&#13;&lt;&amp;>">&lt;&gt;&amp;&#13;"</a>',
    '<a b="&quot;&#x9;&#xA;&#xD;&lt;&amp;>">&lt;&gt;&amp;&#xD;"</a>',
  ],
  ['<a xml:lang="de"><b/>\r\n</a>', '<a xml:lang="de"><b></b>\n</a>'],
  ['<a xmlns:n="u"><n:b/><n:c/></a>', '<a><n:b xmlns:n="u"></n:b><n:c xmlns:n="u"></n:c></a>'],
])('%s', (xml, canonical) => {
  expect(canonicalXml(readXml(xml))).toBe(canonical)
})

test('prefixes that are to be included are written where they are known, and once', () => {
  const root = readXml('<a xmlns:xs="x" xmlns="d"><b xmlns:xs="y"/></a>')
  expect(canonicalXml(root, { inclusive: ['xs', 'other'] })).toBe('<a xmlns="d" xmlns:xs="x"><b xmlns:xs="y"></b></a>')
  const inner = readXml('<n:a xmlns:n="u" xmlns="d"><n:b/></n:a>').children[0]!
  expect(canonicalXml(inner)).toBe('<n:b xmlns:n="u"></n:b>')
  expect(canonicalXml(inner, { inclusive: ['#default'] })).toBe('<n:b xmlns="d" xmlns:n="u"></n:b>')
})

test('what is to be left out is left out', () => {
  const root = readXml('<a>x<b/>y<c/></a>')
  expect(canonicalXml(root, { without: root.children[0]! })).toBe('<a>xy<c></c></a>')
})

const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
})

/** Any small document, by namespaces of three prefixes and the default one. */
const { element } = fc.letrec<{ element: string; node: string }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('x', ' ', '&amp;', '&lt;', '&#13;', 'ü', '\n'),
    tie('element'),
  ),
  element: fc
    .record({
      prefix: fc.constantFrom('', 'p:', 'q:', 'r:'),
      name: fc.constantFrom('a', 'b'),
      declared: fc.uniqueArray(fc.constantFrom('xmlns:p="u"', 'xmlns:q="u"', 'xmlns:r="w"', 'xmlns="d"'), {
        selector: (one) => one.split('=')[0],
      }),
      attributes: fc.uniqueArray(fc.constantFrom('k="1"', "j='\"'", 'p:k="&#10;"', 'r:j="&lt;"'), {
        selector: (one) => one.split('=')[0],
      }),
      content: fc.array(tie('node'), { maxLength: 4 }),
    })
    .map(({ prefix, name, declared, attributes, content }) => {
      const tag = `${prefix}${name}`
      return `<${[tag, ...declared, ...attributes].join(' ')}>${content.join('')}</${tag}>`
    }),
}))

test('is what xml-crypto makes of it, whatever it is', () => {
  fc.assert(
    fc.property(element, fc.constantFrom([], ['p'], ['q', 'r']), (inner, inclusive) => {
      const xml = `<root xmlns:p="u" xmlns:q="v" xmlns:r="w"><top ID="i">${inner}</top></root>`
      const signer = new SignedXml({
        privateKey,
        signatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256' as never,
        canonicalizationAlgorithm: EXCLUSIVE as never,
      })
      signer.addReference({
        xpath: "//*[local-name(.)='top']",
        digestAlgorithm: 'http://www.w3.org/2001/04/xmlenc#sha256' as never,
        transforms: [EXCLUSIVE] as never,
        inclusiveNamespacesPrefixList: inclusive as never,
      })
      signer.computeSignature(xml)
      const theirs = /DigestValue>([^<]+)</.exec(signer.getSignatureXml())?.[1]
      expect(hash('sha256', canonicalXml(readXml(xml).children[0]!, { inclusive }), 'base64')).toBe(theirs)
    }),
    { seed: 11, numRuns: 300 },
  )
})
