import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cooldown } from '../issuer-keys.ts'
import { entry, identityOf, outcome, type Served, serve } from '../testing/providers.ts'
import { assertionXml, at, encoded, entityId, metadataOf, NS, type SamlKey, samlKey, sign } from '../testing/saml.ts'
import { MetadataError, readMetadata } from './metadata.ts'
import { metadataFresh, metadataStale, rolloverCooldown } from './saml.ts'
import { readXml, within, XmlError } from './xml.ts'

let keys: [SamlKey, SamlKey, SamlKey]
let small: SamlKey
let ended: SamlKey
beforeAll(async () => {
  keys = await Promise.all([samlKey(), samlKey(), samlKey()])
  small = await samlKey(1024)
  ended = await samlKey(2048, new Date(Date.now() - 86_400_000))
})

describe('metadata', () => {
  test('holds all keys that sign, and until when it is valid', () => {
    const until = Date.now() + 86_400_000
    const read = readMetadata(
      metadataOf([keys[0], keys[1], small, keys[1]], { attributes: `validUntil="${at(until)}"`, encryption: keys[2] }),
      entityId,
    )
    expect(read.certificates).toHaveLength(2)
    expect(read.validUntil).toBe(until)
    expect(readMetadata(metadataOf([keys[0]]), entityId).validUntil).toBe(Number.POSITIVE_INFINITY)
  })

  test('says by itself which keys are good: a certificate that has ended is one of them', () => {
    expect(readMetadata(metadataOf([ended]), entityId).certificates).toHaveLength(1)
  })

  test('may describe others, too', () => {
    const many = (...all: string[]) =>
      `<md:EntitiesDescriptor xmlns:md="${NS.metadata}" validUntil="${at(5_000)}">${all.map((xml) => xml.slice(xml.indexOf('<md:'))).join('')}</md:EntitiesDescriptor>`
    const other = metadataOf([keys[1]], { entity: 'https://other.example.com' })
    const read = readMetadata(many(other, metadataOf([keys[0]])), entityId)
    expect(read).toEqual({ ...readMetadata(metadataOf([keys[0]]), entityId), validUntil: 5_000 })
    expect(() => readMetadata(many(metadataOf([keys[0]]), metadataOf([keys[1]])), entityId)).toThrow(/twice/)
    expect(() => readMetadata(many(other, other), entityId)).toThrow(/2 others/)
  })

  const refused: [name: string, words: RegExp, xml: () => string][] = [
    ['nothing', /can't be read/, () => ''],
    ['a page', /can't be read|no SAML 2 metadata/, () => '<html><p>Sign in</html>'],
    ['other XML', /no SAML 2 metadata/, () => '<a/>'],
    [
      'another entity',
      /describes https:\/\/other/,
      () => metadataOf([keys[0]], { entity: 'https://other.example.com' }),
    ],
    ['no key', /no certificate/, () => metadataOf([])],
    ['only keys that are too short', /no certificate/, () => metadataOf([small])],
    ['a key that is none', /no certificate/, () => metadataOf([{ certificate: 'AAAA', privatePem: '' }])],
    ['seventeen keys', /more than 16/, () => metadataOf(Array(17).fill(keys[0]))],
    ['an end that is no time', /validUntil/, () => metadataOf([keys[0]], { attributes: 'validUntil="soon"' })],
    [
      'a service provider',
      /identity provider/,
      () => metadataOf([keys[0]]).replaceAll('IDPSSODescriptor', 'SPSSODescriptor'),
    ],
    [
      'SAML 1.1',
      /identity provider/,
      () => metadataOf([keys[0]]).replace(NS.protocol, 'urn:oasis:names:tc:SAML:1.1:protocol'),
    ],
    [
      'an entity',
      /document type/,
      () => metadataOf([keys[0]]).replace('<md:Entity', '<!DOCTYPE x [<!ENTITY a "b">]><md:Entity'),
    ],
  ]
  test.each(refused)('of %s is of no use', (_name, words, xml) => {
    expect(() => readMetadata(xml(), entityId)).toThrow(MetadataError)
    expect(() => readMetadata(xml(), entityId)).toThrow(words)
  })
})

describe('keys that are rolled over', () => {
  let server: Served
  let time: number
  const publish = (...published: SamlKey[]) => server.documents.set('/metadata', metadataOf(published))
  const config = () => entry({ issuer: entityId, saml: { metadata: { url: `${server.url}/metadata` } } })
  const room = () => identityOf([config()], { clock: () => time })
  const by = async (identity: ReturnType<typeof room>, key: SamlKey) => {
    const token = encoded(sign(assertionXml({ now: time }), key))
    return outcome(identity.verify({ token, type: 'saml2' }).then(({ principal }) => principal))
  }
  beforeEach(async () => {
    server = await serve()
    time = Date.now()
  })
  afterEach(() => server[Symbol.asyncDispose]())

  test('are all good while they are published, and the old one is not after that', async () => {
    const identity = room()
    publish(keys[0], keys[1])
    expect(await by(identity, keys[0])).toMatch(/^accepted/)
    expect(await by(identity, keys[1])).toMatch(/^accepted/)
    expect(server.asked).toHaveLength(1)
    publish(keys[1])
    time += metadataFresh
    expect(await by(identity, keys[0])).toBe('signature')
    expect(await by(identity, keys[1])).toMatch(/^accepted/)
  })

  test('are asked for when one isn’t known, and rarely', async () => {
    const identity = room()
    publish(keys[0])
    await by(identity, keys[0])
    publish(keys[1])
    expect(await by(identity, keys[1])).toMatch(/^accepted/)
    expect(server.asked).toHaveLength(2)
    for (let n = 0; n < 5; n++) expect(await by(identity, keys[2])).toBe('signature')
    expect(server.asked).toHaveLength(2)
    time += rolloverCooldown
    expect(await by(identity, keys[2])).toBe('signature')
    expect(server.asked).toHaveLength(3)
  })

  test('cannot be had while it is down: what was had is used, but not for ever', async () => {
    const identity = room()
    expect(await by(identity, keys[0])).toBe('issuer-unreachable')
    publish(keys[0])
    expect(await by(identity, keys[0])).toBe('issuer-unreachable')
    time += cooldown
    expect(await by(identity, keys[0])).toMatch(/^accepted/)
    server.documents.delete('/metadata')
    time += metadataFresh
    expect(await by(identity, keys[0])).toMatch(/^accepted/)
    time += metadataStale
    expect(await by(identity, keys[0])).toBe('issuer-unreachable')
  })

  test('end with their metadata', async () => {
    const identity = room()
    const until = `validUntil="${at(time + 60_000)}"`
    server.documents.set('/metadata', metadataOf([keys[0]], { attributes: until }))
    expect(await by(identity, keys[0])).toMatch(/^accepted/)
    time += 60_000
    expect(await by(identity, keys[0])).toBe('issuer-unreachable')
    const file = { ...config(), saml: { metadata: { xml: metadataOf([keys[0]], { attributes: until }) } } }
    expect(await by(identityOf([file], { clock: () => time }), keys[0])).toBe('issuer-unreachable')
  })

  test('are kept over a reload that changes nothing of them', async () => {
    const identity = room()
    publish(keys[0])
    await by(identity, keys[0])
    identity.reconfigure({
      issuers: [{ ...config(), groups: 'other' }],
      roles: { approver: [], reviewer: [], auditor: [], admin: [] },
    })
    expect(await by(identity, keys[0])).toMatch(/^accepted/)
    expect(server.asked).toHaveLength(1)
  })

  const spoilt: [name: string, answer: Parameters<Served['documents']['set']>[1]][] = [
    ['redirects', (_req, res) => res.writeHead(302, { location: '/metadata' }).end()],
    ['is a page', '<html><body>Sign in</body></html>'],
    ['is larger than a mebibyte', 'x'.repeat(1024 * 1024 + 1)],
    ['is an entity bomb', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
  ]
  test.each(spoilt)('where the metadata %s: no assertion is good', async (_name, answer) => {
    server.documents.set('/metadata', answer)
    expect(await by(room(), keys[0])).toBe('issuer-unreachable')
  })
})

describe('the reader of XML', () => {
  const refused = [
    '',
    ' ',
    'x',
    '<',
    '<a',
    '<a>',
    '<a></b>',
    '<a/><b/>',
    '<a/>x',
    'x<a/>',
    '<a b></a>',
    '<a b=c/>',
    '<a b="1" b="2"/>',
    '<a b="<"/>',
    '<a:b/>',
    '<a xmlns:a=""/>',
    '<a xmlns:xml="x"/>',
    '<a xmlns:xmlns="x"/>',
    '<a xmlns="http://www.w3.org/2000/xmlns/"/>',
    '<a xmlns:b="u" xmlns:c="u" b:d="1" c:d="2"/>',
    '<a xmlns="u" xmlns="v"/>',
    '<a>&x;</a>',
    '<a>&</a>',
    '<a>&#0;</a>',
    '<a>&#x110000;</a>',
    '<a>&#xD800;</a>',
    '<a>&#65</a>',
    '<a>]]></a>',
    '<a>\0</a>',
    '<a>\u0001</a>',
    '<a>\ufffe</a>',
    '<!-- x --><a/>',
    '<a><!----></a>',
    '<a><![CDATA[x]]></a>',
    '<?x?><a/>',
    '<a><?xml version="1.0"?></a>',
    '<?xml version="1.1"?><a/>',
    '<?xml version="1.0" encoding="latin1"?><a/>',
    '<!DOCTYPE a><a/>',
    '<é/>',
    '< a/>',
    '<a / >',
    '</a>',
    `<a ${Array.from({ length: 65 }, (_, n) => `a${n}=""`).join(' ')}/>`,
    '<a>'.repeat(65) + '</a>'.repeat(65),
    `<a>${'<b/>'.repeat(20_000)}</a>`,
  ]
  test.each(refused)('refuses %j', (xml) => {
    expect(() => readXml(xml)).toThrow(XmlError)
  })

  test('resolves names, references and nothing else', () => {
    const root = readXml(
      `<?xml version='1.0'?>\r\n<a:b xmlns:a="u" xmlns="v" c='1&#10;&lt;"' a:c="2\t"><d xmlns="">x&amp;&#x1F600;</d>\r\ny</a:b >\n`,
    )
    expect(root).toMatchObject({
      name: 'b',
      namespace: 'u',
      text: '\ny',
      attributes: [
        { name: 'c', namespace: '', value: '1\n<"' },
        { name: 'c', namespace: 'u', value: '2 ' },
      ],
    })
    expect(root.children).toMatchObject([{ name: 'd', namespace: '', text: 'x&😀', parent: root }])
    expect(readXml('<!-- - --><?p ?><a><!--x-->b<?q?>c</a><!-- -->', { comments: 'skip' }).text).toBe('bc')
  })

  test('reads or refuses whatever there is, in little time', () => {
    const piece = fc.constantFrom(
      '<a>',
      '</a>',
      '<b c="d"/>',
      '&amp;',
      '&x;',
      '<!--',
      '-->',
      '<?',
      '?>',
      '<![CDATA[',
      ']]>',
      ' ',
      '"',
      "'",
      '<',
      '>',
      'xmlns:a="u"',
      '<a:b>',
      '</a:b>',
      '\0',
      'é',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.boolean(), (pieces, skip) => {
        try {
          return [...within(readXml(pieces.join(''), skip ? { comments: 'skip' } : {}))].length > 0
        } catch (error) {
          return error instanceof XmlError
        }
      }),
      { seed: 9, numRuns: 2000 },
    )
    for (const flood of ['<a>', '<a b="', '&', '<!--', '<a xmlns:b="c">', '<a '].map((one) => one.repeat(20_000)))
      expect(() => readXml(flood, { comments: 'skip' })).toThrow(XmlError)
  })
})
