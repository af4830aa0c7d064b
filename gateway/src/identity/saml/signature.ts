import { constants, hash, verify, X509Certificate } from 'node:crypto'
import { TokenError } from '../principal.ts'
import { attributeText, canonicalXml } from './canonical.ts'
import { PROTOCOL, type SamlDocument } from './document.ts'
import { attributeOf, childrenOf, type Element, within } from './xml.ts'

export const XMLDSIG = 'http://www.w3.org/2000/09/xmldsig#'
const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#'
const INCLUSIVE = 'InclusiveNamespaces'
const ENVELOPED = `${XMLDSIG}enveloped-signature`
/** RSA with SHA-2, as xml-crypto checks it. SHA-1 collides, and an HMAC could be keyed with a public key. */
const methods: Record<string, { digest: string; pss?: true }> = {
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256': { digest: 'sha256' },
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512': { digest: 'sha512' },
  'http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1': { digest: 'sha256', pss: true },
}
const digests: Record<string, string> = {
  'http://www.w3.org/2001/04/xmlenc#sha256': 'sha256',
  'http://www.w3.org/2001/04/xmlenc#sha512': 'sha512',
}
/** node-saml's time grows with the square of it: more are refused, though they were signed. */
const mostSigned = 2000

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
  algorithm(method!, Object.keys(methods), 'signature method')
  if (attributeOf(reference!, 'URI') !== `#${id}`) throw refuse('the signature is over another element')
  const [transforms, digest] = shape(reference!, 'Transforms', 'DigestMethod', 'DigestValue')
  algorithm(digest!, Object.keys(digests), 'digest')
  const [enveloped, exclusive] = shape(transforms!, 'Transform', 'Transform')
  algorithm(enveloped!, [ENVELOPED], 'transform')
  algorithm(exclusive!, [EXCLUSIVE], 'transform')
  for (const empty of [method!, digest!]) shape(empty)
  // xml-crypto as a signer writes a PrefixList into the enveloped transform, too, where it means nothing.
  for (const [one, namespaces] of [
    [canonicalization!, [EXCLUSIVE]],
    [exclusive!, [EXCLUSIVE]],
    [enveloped!, [EXCLUSIVE, ENVELOPED]],
  ] as const)
    if (
      one.children.length > 1 ||
      one.children.some(
        ({ name, namespace, children }) =>
          name !== INCLUSIVE || !(namespaces as readonly string[]).includes(namespace) || children.length > 0,
      )
    )
      throw refuse('the signature is not made as SAML wants it')
}

/**
 * Which of the certificates has signed an element, by a look that costs what the element is long: whoever has no key must
 * not have node-saml busy with what they made up.
 * @param signed with a signature whose shape was checked
 * @throws TokenError signature
 */
function signerOf(signed: Element, certificates: readonly string[]): string {
  const wrong = (why: string) => new TokenError('signature', `the signature is wrong: ${why}`)
  if ([...within(signed)].length > mostSigned) throw wrong(`more than ${mostSigned} elements were signed`)
  const [signature] = childrenOf(signed, XMLDSIG, 'Signature')
  const [info, value] = signature!.children
  const [canonicalization, method, reference] = info!.children
  const [transforms, digestMethod, digest] = reference!.children
  const whole = canonicalXml(signed, { without: signature!, inclusive: prefixesOf(transforms!.children[1]!) })
  if (hash(digests[attributeOf(digestMethod!, 'Algorithm')!]!, whole, 'base64') !== digest!.text.replace(/\s/g, ''))
    throw wrong('something else was signed')
  const { digest: name, pss } = methods[attributeOf(method!, 'Algorithm')!]!
  const padding = pss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const said = Buffer.from(canonicalXml(info!, { inclusive: prefixesOf(canonicalization!) }))
  const bytes = Buffer.from(value!.text.replace(/\s/g, ''), 'base64')
  const signer = certificates.find((key) =>
    verify(name, said, { key, padding, ...(pss && { saltLength: constants.RSA_PSS_SALTLEN_AUTO }) }, bytes),
  )
  if (signer === undefined) throw wrong('no key of the metadata has made it')
  return signer
}

function prefixesOf(method: Element): string[] {
  const [inclusive] = method.children
  return (inclusive ? (attributeOf(inclusive, 'PrefixList') ?? '') : '').split(/\s+/).filter((prefix) => prefix !== '')
}

/** What node-saml would keep of requests: there are none. */
const nothing = { saveAsync: async () => null, getAsync: async () => null, removeAsync: async () => null }

/**
 * Verifies a document's assertion with node-saml, and the response's own signature where it has one.
 * @param certificates PEM of the keys of the metadata; keys that the document brings along are never looked at
 * @returns the assertion as it was signed (canonical): what alone may be read of
 * @throws TokenError signature
 */
export async function verifiedAssertion(document: SamlDocument, certificates: readonly string[]): Promise<string> {
  const { assertion, response } = document
  const signers = [signerOf(assertion, certificates)]
  const whole = response?.children.some(({ name }) => name === 'Signature') ?? false
  if (whole) signers.push(signerOf(response!, certificates))
  return verifiedByNodeSaml(whole ? document.xml : inResponse(document), whole, [...new Set(signers)])
}

/**
 * What node-saml verifies of a response. Its time grows with the square of the document: for what was signed only.
 * @throws TokenError signature
 */
export async function verifiedByNodeSaml(xml: string, whole: boolean, certificates: string[]): Promise<string> {
  // Only now: it is 150 modules, and most gateways have no issuer that speaks SAML.
  const { SAML } = await import('@node-saml/node-saml')
  const saml = new SAML({
    // Certificates of its keys are all that decides here; who it is for and when is checked by the caller, by its clock.
    idpCert: certificates,
    issuer: 'urn:countersign',
    callbackUrl: 'https://localhost/',
    audience: false,
    acceptedClockSkewMs: -1,
    wantAssertionsSigned: true,
    wantAuthnResponseSigned: whole,
    cacheProvider: nothing,
  })
  try {
    const { profile } = await saml.validatePostResponseAsync({ SAMLResponse: Buffer.from(xml).toString('base64') })
    const verified = profile?.getAssertionXml?.()
    if (verified === undefined) throw new Error('nothing was verified')
    return verified
  } catch (error) {
    throw new TokenError('signature', `the signature is wrong: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
}

/**
 * The assertion alone, where node-saml looks for one, with the namespaces that it has from around it. Whatever else a
 * response holds without a signature is anybody's, and left out.
 */
function inResponse({ xml, assertion }: SamlDocument): string {
  const scope = [...(assertion.parent?.scope ?? [])].filter(([prefix, uri]) => prefix !== 'xml' && uri !== '')
  let wrap = 'wrap'
  while (scope.some(([prefix]) => prefix === wrap)) wrap += 'p'
  const declared = [...scope, [wrap, PROTOCOL] as const].map(
    ([prefix, uri]) => ` xmlns${prefix === '' ? '' : `:${prefix}`}="${attributeText(uri)}"`,
  )
  return `<${wrap}:Response${declared.join('')}>${xml.slice(assertion.from, assertion.to)}</${wrap}:Response>`
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
