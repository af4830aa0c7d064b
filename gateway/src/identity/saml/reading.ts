import { TokenError } from '../principal.ts'
import { PROTOCOL, SAML, type SamlDocument } from './document.ts'
import { checkSignatureShape } from './signature.ts'
import { attributeOf, childrenOf, type Element, readXml, within, XmlError } from './xml.ts'

const SUCCESS = 'urn:oasis:names:tc:SAML:2.0:status:Success'

/** Larger ones are refused unread (characters of base64). */
export const largestAssertion = 128 * 1024
const mostElements = 5000

/**
 * Decodes and reads an assertion, or a response with one, and refuses every shape in which two readers could see two
 * things: a second assertion anywhere, a signature elsewhere than in what it signs, an id that is there twice.
 * @param token base64url as RFC 8693 wants it, or base64 as browsers post it
 * @throws TokenError
 */
export function readAssertion(token: string): SamlDocument {
  if (token.length > largestAssertion)
    throw new TokenError('malformed', `the assertion is longer than ${largestAssertion} characters`)
  const text = token.replace(/[\r\n]/g, '')
  if (!/^(?:[A-Za-z0-9+/]+|[A-Za-z0-9_-]+)={0,2}$/.test(text))
    throw new TokenError('malformed', 'the assertion is not in base64url')
  let xml: string
  let root: Element
  try {
    // Newlines as node-saml and the reader take them: what is verified is what is read.
    xml = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'base64')).replace(/\r\n?/g, '\n')
    root = readXml(xml, { elements: mostElements })
  } catch (error) {
    const why = error instanceof XmlError ? error.message : 'it is no UTF-8'
    throw new TokenError('malformed', `the assertion can't be read: ${why}`, { cause: error })
  }
  const assertion = onlyAssertion(root)
  checkIds(root)
  const response = root === assertion ? undefined : root
  checkSignatures(root, assertion)
  if (response) checkStatus(response)
  return { xml, assertion, response }
}

/**
 * The issuer that an assertion names. Not to be trusted yet.
 * @throws TokenError
 */
export function issuerOfAssertion({ assertion }: SamlDocument): string {
  return issuerIn(assertion)
}

/** @throws TokenError where there is not exactly one issuer in it */
export function issuerIn(assertion: Element): string {
  const [issuer, ...others] = childrenOf(assertion, SAML, 'Issuer')
  if (!issuer || others.length > 0 || issuer.children.length > 0)
    throw new TokenError('issuer', 'the assertion does not name one issuer')
  return issuer.text.trim()
}

function onlyAssertion(root: Element): Element {
  const all = [...within(root)]
  const refuse = (why: string) => new TokenError('malformed', why)
  if (all.some(({ name }) => name.startsWith('Encrypted')))
    throw refuse('it is encrypted: turn the encryption of assertions off for this application, TLS protects them')
  const assertions = all.filter(({ name }) => name === 'Assertion')
  const [assertion] = assertions
  if (!assertion) throw refuse('there is no assertion in it')
  if (assertions.length > 1) throw refuse('there are several assertions in it')
  if (all.some((one) => one !== root && (one.name === 'Response' || one.name === 'Advice')))
    throw refuse('a response or advice stands within another element')
  if (assertion.namespace !== SAML) throw refuse('the assertion is not of SAML 2.0')
  if (assertion === root) return assertion
  if (root.name !== 'Response' || root.namespace !== PROTOCOL || assertion.parent !== root)
    throw refuse('the assertion is not where a response has it')
  return assertion
}

/** References go by id, whatever the attribute is called: one that two elements have could mean either. */
function checkIds(root: Element): void {
  const seen = new Set<string>()
  for (const { attributes } of within(root))
    for (const { name, value } of attributes) {
      if (name.toLowerCase() !== 'id') continue
      if (seen.has(value)) throw new TokenError('malformed', 'two elements have the same id')
      seen.add(value)
    }
}

function checkSignatures(root: Element, assertion: Element): void {
  let ofAssertion = 0
  for (const signature of within(root)) {
    if (signature.name !== 'Signature') continue
    const { parent } = signature
    if (parent !== assertion && parent !== root)
      throw new TokenError('signature', 'a signature stands elsewhere than in what it signs')
    checkSignatureShape(signature, attributeOf(parent, 'ID') ?? '')
    if (parent.children.filter(({ name }) => name === 'Signature').length > 1)
      throw new TokenError('signature', 'there are several signatures for one element')
    if (parent === assertion) ofAssertion++
  }
  if (ofAssertion !== 1)
    throw new TokenError('signature', 'the assertion itself is not signed: let the identity provider sign assertions')
}

function checkStatus(response: Element): void {
  const [status, ...others] = childrenOf(response, PROTOCOL, 'Status')
  const [code] = status ? childrenOf(status, PROTOCOL, 'StatusCode') : []
  if (others.length > 0 || !code || attributeOf(code, 'Value') !== SUCCESS)
    throw new TokenError('malformed', 'the response does not say Success')
}
