import { X509Certificate } from 'node:crypto'
import { SAML as NodeSaml } from '@node-saml/node-saml'
import { TokenError } from '../principal.ts'
import { attributeOf, type Element, within } from './xml.ts'

export const XMLDSIG = 'http://www.w3.org/2000/09/xmldsig#'
const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#'
const ENVELOPED = `${XMLDSIG}enveloped-signature`
/** RSA with SHA-2, as xml-crypto checks it. SHA-1 collides, and an HMAC could be keyed with a public key. */
const methods = [
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
  'http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1',
]
const digests = ['http://www.w3.org/2001/04/xmlenc#sha256', 'http://www.w3.org/2001/04/xmlenc#sha512']

/**
 * Checks that a signature has the one shape that SAML allows (core, section 5.4): an enveloped signature over the element
 * that it stands in, with exclusive canonicalisation without comments and nothing else in it that a verifier could look at.
 * @param id of the element that it stands in
 * @throws TokenError
 */
export function checkSignatureShape(signature: Element, id: string): void {
  const refuse = (why: string) => new TokenError('signature', why)
  const shape = (element: Element, ...names: string[]): Element[] => {
    const given = element.children.map(({ name, namespace }) =>
      namespace === XMLDSIG ? name : `{${namespace}}${name}`,
    )
    if (given.join(' ') !== names.join(' ')) throw refuse('the signature is not made as SAML wants it')
    return element.children
  }
  const algorithm = (element: Element, allowed: string[], what: string) => {
    const value = attributeOf(element, 'Algorithm')
    if (value === undefined || !allowed.includes(value))
      throw new TokenError('algorithm', `the ${what} ${JSON.stringify(value?.slice(0, 80) ?? '')} is not accepted`)
  }
  if (signature.namespace !== XMLDSIG || id === '' || !/^[\w.-]+$/.test(id))
    throw refuse('the signature is not made as SAML wants it')
  // One of each, whatever namespace it has: a verifier that looks for a name finds what was looked at here.
  for (const name of ['SignedInfo', 'CanonicalizationMethod', 'SignatureMethod', 'SignatureValue', 'Reference'])
    if ([...within(signature)].filter((one) => one.name === name).length !== 1)
      throw refuse('the signature is not made as SAML wants it')

  const withKey = signature.children.some(({ name }) => name === 'KeyInfo')
  const [info] = shape(signature, 'SignedInfo', 'SignatureValue', ...(withKey ? ['KeyInfo'] : []))
  const [canonicalization, method, reference] = shape(info!, 'CanonicalizationMethod', 'SignatureMethod', 'Reference')
  algorithm(canonicalization!, [EXCLUSIVE], 'canonicalisation')
  algorithm(method!, methods, 'signature method')
  if (attributeOf(reference!, 'URI') !== `#${id}`) throw refuse('the signature is over another element')
  const [transforms, digest] = shape(reference!, 'Transforms', 'DigestMethod', 'DigestValue')
  algorithm(digest!, digests, 'digest')
  const [enveloped, exclusive] = shape(transforms!, 'Transform', 'Transform')
  algorithm(enveloped!, [ENVELOPED], 'transform')
  algorithm(exclusive!, [EXCLUSIVE], 'transform')
}

/** What node-saml would keep of requests: there are none. */
const nothing = { saveAsync: async () => null, getAsync: async () => null, removeAsync: async () => null }

/**
 * Verifies a response's assertion with node-saml, and its own signature where it has one.
 * @param certificates PEM of the keys of the metadata; keys that the document brings along are never looked at
 * @returns the assertion as it was signed (canonical): what alone may be read of
 * @throws TokenError signature
 */
export async function verifiedAssertion(
  xml: string,
  response: 'none' | 'unsigned' | 'signed',
  certificates: string[],
): Promise<string> {
  const saml = new NodeSaml({
    // Certificates of its keys are all that decides here; who it is for and when is checked by the caller, by its clock.
    idpCert: certificates,
    issuer: 'urn:countersign',
    callbackUrl: 'https://localhost/',
    audience: false,
    acceptedClockSkewMs: -1,
    wantAssertionsSigned: true,
    wantAuthnResponseSigned: response === 'signed',
    cacheProvider: nothing,
  })
  const document = response === 'none' ? inResponse(xml) : xml
  try {
    const { profile } = await saml.validatePostResponseAsync({ SAMLResponse: Buffer.from(document).toString('base64') })
    const verified = profile?.getAssertionXml?.()
    if (verified === undefined) throw new Error('nothing was verified')
    return verified
  } catch (error) {
    throw new TokenError('signature', `the signature is wrong: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
}

/** An assertion by itself, where node-saml looks for one. Its signature knows nothing of a namespace outside of it. */
function inResponse(xml: string): string {
  const assertion = xml.replace(/^\ufeff?(?:<\?xml[^>]*\?>)?\s*/, '')
  return `<wrap:Response xmlns:wrap="urn:oasis:names:tc:SAML:2.0:protocol">${assertion}</wrap:Response>`
}

/**
 * A certificate of metadata as PEM, where its key may sign: RSA of 2,048 bits at least. Whether the certificate has ended
 * says nothing (SAML V2.0 Metadata Interoperability Profile, section 2.6.1): the metadata is what is trusted.
 * @param base64 DER in base64
 * @returns undefined for any other key
 */
export function signingCertificate(base64: string): string | undefined {
  try {
    const certificate = new X509Certificate(Buffer.from(base64.replace(/\s/g, ''), 'base64'))
    const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey
    if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < 2048) return undefined
    return certificate.toString()
  } catch {
    return undefined
  }
}
