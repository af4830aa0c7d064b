import { beforeAll, describe, expect, test } from 'vitest'
import type { IssuerConfig } from '../../config/schema.ts'
import { TokenError } from '../principal.ts'
import { entry, identityOf, outcome } from '../testing/providers.ts'
import {
  type AssertionParts,
  assertionXml,
  at,
  encoded,
  entityId,
  metadataOf,
  NS,
  responseXml,
  type SamlKey,
  samlKey,
  sign,
} from '../testing/saml.ts'
import { largestAssertion } from './reading.ts'
import { verifiedByNodeSaml } from './signature.ts'

let key: SamlKey
let stranger: SamlKey
let metadata: string
beforeAll(async () => {
  ;[key, stranger] = await Promise.all([samlKey(), samlKey()])
  metadata = metadataOf([key], { encryption: stranger })
})

const config = (more: Partial<IssuerConfig> = {}, saml: Partial<NonNullable<IssuerConfig['saml']>> = {}) =>
  entry({ issuer: entityId, saml: { metadata: { xml: metadata }, ...saml }, ...more })
const verify = (token: string, own = config(), clock = Date.now) =>
  identityOf([own], { clock }).verify({ token, type: 'saml2' })
const result = (token: string, own = config(), clock = Date.now) =>
  outcome(verify(token, own, clock).then(({ principal }) => principal))
const assertion = (parts: AssertionParts = {}) => sign(assertionXml(parts), key)
const groups = { groups: ['agents-ci', 'second'] }

describe('an assertion', () => {
  test('is whose the identity provider says', async () => {
    const now = Math.floor(Date.now() / 1000) * 1000
    const attributes = {
      ...groups,
      displayName: ['The deployer'],
      mail: ['deployer@example.com'],
      environment: ['prod'],
    }
    const own = config({ groups_from: ['environment'] })
    const { principal, once } = await verify(encoded(assertion({ id: '_one', now, attributes })), own)
    expect(principal).toEqual({
      kind: 'agent',
      id: `${entityId}#deployer`,
      issuer: entityId,
      subject: 'deployer',
      name: 'The deployer',
      groups: ['agents-ci', 'second', 'environment=prod'],
      expiresAt: new Date(now + 300_000),
    })
    expect(once).toEqual({ id: `saml ${entityId} _one`, until: new Date(now + 300_000) })
  })

  test('of people carries their roles', async () => {
    const parts = { attributes: { groups: ['dba'], mail: ['ada@example.com'] }, nameId: 'ada' }
    const { principal } = await verify(encoded(assertion(parts)), config({ for: 'people' }))
    expect(principal).toMatchObject({ kind: 'person', subject: 'ada', roles: ['approver'], email: 'ada@example.com' })
  })

  const accepted: [name: string, make: () => string, own?: () => IssuerConfig][] = [
    ['by itself', () => assertion()],
    ['with an XML declaration', () => `<?xml version="1.0" encoding="UTF-8"?>\n${assertion()}`],
    ['with lines as Windows writes them', () => assertion({ more: '\r\n' }).replace(/\n/g, '\r\n')],
    ['in a response', () => responseXml(assertion())],
    ['in a response that is signed, too', () => sign(responseXml(assertion()), key, { element: 'Response' })],
    [
      'by RSA with SHA-512',
      () => sign(assertionXml(), key, { signature: `${more}rsa-sha512`, digest: `${enc}sha512` }),
    ],
    [
      'by RSA-PSS',
      () => sign(assertionXml(), key, { signature: 'http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1' }),
    ],
    ['with namespaces that are declared around it', () => inScope(assertionXml(), key)],
    [
      'with namespaces that the signature includes (Okta, Shibboleth)',
      () => sign(assertionXml({ attributes: groups }), key, { inclusive: ['xs', 'saml', 'nowhere'] }),
    ],
    [
      'with characters that canonicalisation writes anew',
      () =>
        assertion({
          attributes: { note: ['&#13;&lt;&gt;&#x9; \n ü &quot;'] },
          more: '<x xmlns="" a=\'"&#10;&lt;\' b="1"/>',
        }),
    ],
    ['a name with an ampersand', () => assertion({ nameId: 'a&amp;b' })],
    ['one of two audiences', () => assertion(), () => config({ audience: ['other', 'countersign'] })],
    ['for the recipient', () => assertion(), () => config({}, { recipient: 'https://gw.example.com/v1/token' })],
    [
      'a name by an attribute',
      () => assertion({ format: transient, attributes: { uid: ['deployer'] } }),
      () => config({ subject: 'uid' }),
    ],
    [
      'what is required',
      () => assertion({ attributes: { tenant: ['a'] } }),
      () => config({ require: { tenant: ['a'] } }),
    ],
  ]
  const more = 'http://www.w3.org/2001/04/xmldsig-more#'
  const enc = 'http://www.w3.org/2001/04/xmlenc#'
  const transient = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'
  test.each(accepted)('is accepted %s', async (_name, make, own) => {
    expect(await result(encoded(make()), own?.())).toMatch(/^accepted: agent/)
  })

  test('is accepted in base64 as browsers post it', async () => {
    const base64 = Buffer.from(assertion()).toString('base64')
    expect(await result(base64)).toMatch(/^accepted/)
    expect(await result(base64.replace(/(.{76})/g, '$1\r\n'))).toMatch(/^accepted/)
  })

  test('is no credential by itself', async () => {
    const identity = identityOf([config()])
    expect(await outcome(identity.authenticate(encoded(assertion())))).toBe('malformed')
  })

  test('lives as its session does, where it tells', async () => {
    const now = Date.now()
    const authn = `<saml:AuthnStatement AuthnInstant="${at(now)}" SessionNotOnOrAfter="${at(now + 3_600_000)}"/>`
    const { principal, once } = await verify(encoded(assertion({ now, authn })))
    expect(principal.expiresAt.getTime()).toBe(Math.floor((now + 3_600_000) / 1000) * 1000)
    expect(once?.until.getTime()).toBeLessThanOrEqual(now + 300_000)
  })

  const window = (
    from: number,
    to: number,
    audiences = '<saml:AudienceRestriction><saml:Audience>countersign</saml:Audience></saml:AudienceRestriction>',
  ) =>
    `<saml:Conditions NotBefore="${at(Date.now() + from)}" NotOnOrAfter="${at(Date.now() + to)}">${audiences}</saml:Conditions>`
  const bearer = (data: string, method = 'bearer') =>
    `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:${method}">${data}</saml:SubjectConfirmation>`
  const later = () => at(Date.now() + 300_000)
  const restricted = (...audiences: string[]) =>
    audiences
      .map((one) => `<saml:AudienceRestriction><saml:Audience>${one}</saml:Audience></saml:AudienceRestriction>`)
      .join('')

  const said: [name: string, fault: string, parts: () => AssertionParts, own?: () => IssuerConfig][] = [
    ['of another issuer', 'issuer', () => ({ issuer: 'https://evil.example.com' })],
    ['of an issuer with a space behind', 'subject', () => ({ issuer: `${entityId} `, nameId: '' })],
    ['for another audience', 'audience', () => ({ audience: 'other' })],
    ['for an audience like ours', 'audience', () => ({ audience: 'countersign2' })],
    ['for nobody in particular', 'audience', () => ({ conditions: window(-5000, 300_000, '') })],
    [
      'for two audiences at once',
      'audience',
      () => ({ conditions: window(-5000, 300_000, restricted('countersign', 'other')) }),
    ],
    ['without conditions', 'malformed', () => ({ conditions: '' })],
    ['with two conditions', 'signature', () => ({ conditions: window(-5000, 300_000) + window(-5000, 300_000) })],
    [
      'with a condition that nobody knows',
      'malformed',
      () => ({ conditions: window(-5000, 300_000, `${restricted('countersign')}<saml:Condition/>`) }),
    ],
    ['with an end that has been', 'expired', () => ({ conditions: window(-9000, -1000) })],
    [
      'without an end',
      'malformed',
      () => ({ conditions: `<saml:Conditions>${restricted('countersign')}</saml:Conditions>` }),
    ],
    ['not yet begun', 'not-yet-valid', () => ({ conditions: window(60_000, 300_000) })],
    [
      'with a time in another zone',
      'malformed',
      () => ({ conditions: window(-5000, 300_000).replace(/Z"/g, '+02:00"') }),
    ],
    [
      'issued in the future',
      'not-yet-valid',
      () => ({
        now: Date.now() + 120_000,
        conditions: window(-5000, 300_000),
        confirmation: bearer(`<saml:SubjectConfirmationData NotOnOrAfter="${later()}"/>`),
      }),
    ],
    ['of SAML 1.1', 'malformed', () => ({ version: '1.1' })],
    ['about nobody', 'subject', () => ({ nameId: ' ' })],
    ['about nobody at all', 'malformed', () => ({ subject: '' })],
    [
      'about two',
      'malformed',
      () => ({ subject: `<saml:Subject><saml:NameID>a</saml:NameID><saml:NameID>b</saml:NameID></saml:Subject>` }),
    ],
    ['about a name with a line break', 'subject', () => ({ nameId: 'a&#10;b' })],
    ['about somebody who has another name each time', 'subject', () => ({ format: transient })],
    ['not for a bearer', 'subject', () => ({ confirmation: bearer('', 'holder-of-key') })],
    ['not confirmed', 'subject', () => ({ confirmation: '' })],
    ['confirmed without an end', 'malformed', () => ({ confirmation: bearer('<saml:SubjectConfirmationData/>') })],
    [
      'confirmed until it was over',
      'expired',
      () => ({ confirmation: bearer(`<saml:SubjectConfirmationData NotOnOrAfter="${at(Date.now() - 1000)}"/>`) }),
    ],
    ['for another recipient', 'audience', () => ({}), () => config({}, { recipient: 'https://other.example.com' })],
    [
      'of a session that has ended',
      'expired',
      () => ({ authn: `<saml:AuthnStatement SessionNotOnOrAfter="${at(Date.now() - 1000)}"/>` }),
    ],
    ['without what is required', 'subject', () => ({}), () => config({ require: { tenant: ['a'] } })],
    [
      'with another tenant than is required',
      'subject',
      () => ({ attributes: { tenant: ['b'] } }),
      () => config({ require: { tenant: ['a'] } }),
    ],
    [
      'with groups elsewhere (Entra)',
      'malformed',
      () => ({ attributes: { 'groups.link': ['https://graph.windows.net/x'] } }),
    ],
    ['with two names', 'subject', () => ({ attributes: { uid: ['a', 'b'] } }), () => config({ subject: 'uid' })],
    ['with a group that is an element', 'malformed', () => ({ attributes: { groups: ['<x>dba</x>'] } })],
  ]
  test.each(said)('is refused %s (%s)', async (_name, fault, parts, own) => {
    expect(await result(encoded(assertion(parts())), own?.())).toBe(fault)
  })

  test('cannot act for anybody by an attribute of that name', async () => {
    const parts = { attributes: { act: ['x'], iss: ['https://evil.example.com'], exp: ['1'], sub: ['admin'] } }
    const { principal } = await verify(encoded(assertion(parts)))
    expect(principal).toMatchObject({ issuer: entityId, subject: 'deployer' })
    expect(principal).not.toHaveProperty('onBehalfOf')
  })

  test('may come from a clock that is 20 seconds ahead, and ends without grace', async () => {
    const now = Date.now()
    const token = encoded(assertion({ now }))
    expect(await result(token, config(), () => now - 20_000)).toMatch(/^accepted/)
    expect(await result(token, config(), () => now + 299_999)).toMatch(/^accepted/)
    expect(await result(token, config(), () => now + 300_000)).toBe('expired')
  })
})

/** An assertion that has its namespace from the response around it, signed there. */
function inScope(xml: string, by: SamlKey): string {
  const declared = ` xmlns:saml="${NS.assertion}"`
  const around = responseXml(xml.replace(declared, '')).replace(
    '<samlp:Response',
    `<samlp:Response${declared} xmlns="urn:x" xmlns:wrap="urn:y"`,
  )
  return sign(around, by)
}

describe('attacks', () => {
  const evil = () => assertionXml({ id: '_evil', nameId: 'admin', attributes: groups })
  const good = () => assertion({ id: '_good' })
  const signatureOf = (xml: string) => /<ds:Signature[\s\S]*<\/ds:Signature>/.exec(xml)![0]
  const unsigned = (xml: string) => xml.replace(signatureOf(xml), '')
  const put = (xml: string, into: string, what: string) =>
    xml.replace(new RegExp(`</${into}>(?![\\s\\S]*</${into}>)`), `${what}</${into}>`)
  const afterIssuer = (xml: string, what: string) => xml.replace('</saml:Issuer>', `</saml:Issuer>${what}`)
  const object = (what: string) => `<ds:Object>${what}</ds:Object>`
  /** A response whose own signature is by the identity provider, as XSW 1 and 2 need it. */
  const whole = () => sign(responseXml(good(), { id: '_response' }), key, { element: 'Response' })
  const evilResponse = () => responseXml(evil(), { id: '_evil-response' })
  const doctype = (body: string) => `<!DOCTYPE x [${body}]>${good()}`

  const attacks: [name: string, fault: string, make: () => string][] = [
    [
      'XSW 1: the signed response within the signature of another',
      'malformed',
      () => {
        const signature = signatureOf(whole())
        return afterIssuer(evilResponse(), put(signature, 'ds:Signature', object(unsigned(whole()))))
      },
    ],
    [
      'XSW 2: the signed response before a detached signature',
      'malformed',
      () => afterIssuer(evilResponse(), unsigned(whole()) + signatureOf(whole())),
    ],
    ['XSW 3: another assertion before the signed one', 'malformed', () => responseXml(evil() + good())],
    [
      'XSW 4: the signed assertion within another',
      'malformed',
      () => responseXml(put(evil(), 'saml:Assertion', good())),
    ],
    [
      'XSW 5: the signature moved into another assertion',
      'malformed',
      () => responseXml(afterIssuer(evil(), signatureOf(good())) + unsigned(good())),
    ],
    [
      'XSW 6: the signed assertion within the signature of another',
      'malformed',
      () => responseXml(afterIssuer(evil(), put(signatureOf(good()), 'ds:Signature', unsigned(good())))),
    ],
    [
      'XSW 7: another assertion in Extensions',
      'malformed',
      () => responseXml(good(), { extra: `<samlp:Extensions>${evil()}</samlp:Extensions>` }),
    ],
    [
      'XSW 8: the signed assertion in an Object of another’s signature',
      'malformed',
      () => responseXml(afterIssuer(evil(), put(signatureOf(good()), 'ds:Signature', object(unsigned(good()))))),
    ],
    ['two assertions, both signed', 'malformed', () => responseXml(good() + assertion({ id: '_other' }))],
    [
      'an assertion of no namespace before the signed one',
      'malformed',
      () => responseXml(`<Assertion ID="_e"/>${good()}`),
    ],
    [
      'an assertion in Advice',
      'malformed',
      () => responseXml(assertion({ more: `<saml:Advice>${evil()}</saml:Advice>` })),
    ],
    ['a name that was changed', 'signature', () => good().replace('>deployer<', '>admin<')],
    ['a group that was added', 'signature', () => put(good(), 'saml:Assertion', '<saml:AttributeStatement/>')],
    ['an attribute that was added', 'signature', () => good().replace('Version="2.0"', 'Version="2.0" Foo="x"')],
    ['no signature', 'signature', evil],
    ['a signature of the response alone', 'signature', () => sign(responseXml(evil()), key, { element: 'Response' })],
    [
      'a signature of the response by another',
      'signature',
      () => sign(responseXml(good()), stranger, { element: 'Response' }),
    ],
    ['a key of its own', 'signature', () => sign(assertionXml(), stranger)],
    [
      'a key of its own that says whose it is',
      'signature',
      () => sign(assertionXml(), stranger).replaceAll(stranger.certificate, key.certificate),
    ],
    [
      'two signatures',
      'signature',
      () => afterIssuer(good(), signatureOf(sign(assertionXml({ id: '_good' }), stranger)).replace(/Id="[^"]*"/g, '')),
    ],
    ['SHA-1 in the signature', 'algorithm', () => sign(assertionXml(), key, { signature: `${NS.dsig}rsa-sha1` })],
    ['SHA-1 in the digest', 'algorithm', () => sign(assertionXml(), key, { digest: `${NS.dsig}sha1` })],
    [
      'an HMAC',
      'algorithm',
      () => good().replace('http://www.w3.org/2001/04/xmldsig-more#rsa-sha256', `${NS.dsig}hmac-sha1`),
    ],
    [
      'canonicalisation with comments',
      'algorithm',
      () => sign(assertionXml(), key, { canonicalization: 'http://www.w3.org/2001/10/xml-exc-c14n#WithComments' }),
    ],
    [
      'canonicalisation that knows what stands around',
      'algorithm',
      () =>
        sign(assertionXml(), key, {
          transforms: [`${NS.dsig}enveloped-signature`, 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315'],
        }),
    ],
    [
      'a transform by XPath',
      'algorithm',
      () => good().replace(`${NS.dsig}enveloped-signature`, 'http://www.w3.org/TR/1999/REC-xpath-19991116'),
    ],
    [
      'a third transform',
      'signature',
      () =>
        good().replace('<ds:Transforms>', `<ds:Transforms><ds:Transform Algorithm="${NS.dsig}enveloped-signature"/>`),
    ],
    ['a reference to another id', 'signature', () => good().replace('URI="#_good"', 'URI="#_evil"')],
    ['a reference to the whole document', 'signature', () => good().replace('URI="#_good"', 'URI=""')],
    ['a reference by XPointer', 'signature', () => good().replace('URI="#_good"', `URI="#xpointer(id('_good'))"`)],
    ['two references', 'signature', () => good().replace(/(<ds:Reference[\s\S]*<\/ds:Reference>)/, '$1$1')],
    ['two SignedInfo', 'signature', () => good().replace(/(<ds:SignedInfo[\s\S]*<\/ds:SignedInfo>)/, '$1$1')],
    ['an id that is there twice', 'malformed', () => responseXml(good(), { id: '_good' })],
    [
      'an id that is there twice, under another name',
      'malformed',
      () => responseXml(good(), { extra: '<samlp:Extensions xml:id="_good"/>' }),
    ],
    ['an assertion without an id', 'signature', () => good().replace(' ID="_good"', '')],
    ['a comment in the name', 'malformed', () => good().replace('>deployer<', '>admin<!-- -->.deployer<')],
    [
      'a comment in the name that was signed so',
      'malformed',
      () => sign(assertionXml({ nameId: 'admin<!-- -->.deployer' }), key),
    ],
    ['a comment anywhere', 'malformed', () => `<!-- x -->${good()}`],
    ['CDATA in the name', 'malformed', () => good().replace('>deployer<', '><![CDATA[admin]]><')],
    ['a processing instruction in the name', 'malformed', () => good().replace('>deployer<', '>admin<?x?>.deployer<')],
    ['a document type', 'malformed', () => doctype('')],
    ['an entity', 'malformed', () => doctype('<!ENTITY a "b">')],
    [
      'an entity from a file',
      'malformed',
      () => doctype('<!ENTITY a SYSTEM "file:///etc/passwd">').replace('>deployer<', '>&a;<'),
    ],
    ['a billion laughs', 'malformed', () => doctype('<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">')],
    ['an entity that nobody declared', 'malformed', () => good().replace('>deployer<', '>&admin;<')],
    [
      'an encrypted assertion',
      'malformed',
      () => responseXml(`<saml:EncryptedAssertion xmlns:saml="${NS.assertion}"/>`),
    ],
    [
      'an encrypted name',
      'malformed',
      () => assertion({ subject: '<saml:Subject><saml:EncryptedID/></saml:Subject>' }),
    ],
    [
      'a response that says no',
      'malformed',
      () => responseXml(good(), { status: 'urn:oasis:names:tc:SAML:2.0:status:Responder' }),
    ],
    ['a response without an assertion', 'malformed', () => responseXml('')],
    ['an assertion deep within', 'malformed', () => `<x>${good()}</x>`],
    ['a response in a response', 'malformed', () => responseXml(`<x>${responseXml(good())}</x>`)],
    ['no XML', 'malformed', () => 'hello'],
    ['nothing', 'malformed', () => ''],
    ['half of it', 'malformed', () => good().slice(0, 500)],
    ['something behind it', 'malformed', () => `${good()}<x/>`],
    ['a thousand elements within each other', 'malformed', () => '<x>'.repeat(1000) + '</x>'.repeat(1000)],
    ['UTF-16', 'malformed', () => Buffer.from(good(), 'utf16le').toString('latin1')],
  ]
  test.each(attacks)('%s is refused (%s)', async (_name, fault, make) => {
    expect(await result(encoded(make()))).toBe(fault)
  })

  test('of wrapped documents node-saml, too, gives nothing but what was signed', async () => {
    const certificate = `-----BEGIN CERTIFICATE-----\n${key.certificate}\n-----END CERTIFICATE-----`
    for (const [name, , make] of attacks.filter(([name]) => name.startsWith('XSW'))) {
      const signed = await verifiedByNodeSaml(make(), false, [certificate]).catch((error) => error as Error)
      if (typeof signed === 'string') expect(signed, name).toMatch(/ID="_good"(?![\s\S]*admin)/)
      else expect(signed, name).toBeInstanceOf(TokenError)
    }
    const whole = await verifiedByNodeSaml(responseXml(good()), false, [certificate])
    expect(whole).toContain('deployer')
  })

  const floods: [name: string, words: RegExp, make: () => string][] = [
    [
      'elements',
      /more than 5000 elements/,
      () => put(sign(assertionXml(), stranger), 'saml:Assertion', '<a/>'.repeat(20_000)),
    ],
    [
      'elements that no key has signed',
      /no key|something else/,
      () => put(sign(assertionXml(), stranger), 'saml:Assertion', '<a/>'.repeat(1900)),
    ],
    ['elements that were signed', /more than 2000 elements/, () => assertion({ more: '<a/>'.repeat(2500) })],
    [
      'namespaces',
      /more than 64 namespaces/,
      () => assertion({ more: `<a ${Array.from({ length: 62 }, (_, n) => `xmlns:a${n}="u"`).join(' ')}/>` }),
    ],
  ]
  test.each(floods)('a flood of %s does not get as far as node-saml', async (_name, words, make) => {
    await expect(verify(encoded(make()))).rejects.toThrow(words)
  })

  test('what stands around the assertion without a signature is not verified, and costs nothing', async () => {
    const filled = responseXml(good(), { extra: `<samlp:Extensions>${'<a/>'.repeat(4000)}</samlp:Extensions>` })
    expect(await result(encoded(filled))).toMatch(/^accepted/)
  })

  test('what is no base64, both kinds of it, or too long, is refused unread', async () => {
    for (const token of ['<saml:Assertion/>', 'a b', `${'a+'.repeat(20)}-_`, '=', 'aGVsbG8=='.repeat(2)])
      expect(await result(token), token).toBe('malformed')
    expect(await result('A'.repeat(largestAssertion + 1))).toBe('malformed')
    expect(await result(Buffer.from([0xff, 0xfe, 0x3c]).toString('base64url'))).toBe('malformed')
  })

  test('a JWT that names a SAML issuer, and an assertion of an issuer of JWTs, are refused', async () => {
    const jwt = ['{"alg":"RS256"}', JSON.stringify({ iss: entityId }), 'x'].map((part) =>
      Buffer.from(part).toString('base64url'),
    )
    expect(await outcome(identityOf([config()]).authenticate(jwt.join('.')))).toBe('issuer')
    expect(await result(encoded(good()), entry({ issuer: entityId, jwks: { keys: [] } }))).toBe('issuer')
  })
})
