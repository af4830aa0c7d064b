import { generateKeyPairSync, randomUUID, webcrypto } from 'node:crypto'
import 'reflect-metadata' // x509 asks for it, and must come before
import * as x509 from '@peculiar/x509'
import { SignedXml } from 'xml-crypto'

export const entityId = 'https://idp.example.com/saml'
export const audience = 'countersign'
export const NS = {
  assertion: 'urn:oasis:names:tc:SAML:2.0:assertion',
  protocol: 'urn:oasis:names:tc:SAML:2.0:protocol',
  metadata: 'urn:oasis:names:tc:SAML:2.0:metadata',
  dsig: 'http://www.w3.org/2000/09/xmldsig#',
}
export const at = (ms: number) => new Date(ms).toISOString()

/** A key with its certificate, as an identity provider has them. */
export interface SamlKey {
  privatePem: string
  /** DER in base64, as it stands in metadata. */
  certificate: string
}

/** @param notAfter in the past for a certificate that has ended: of no matter in SAML */
export async function samlKey(bits = 2048, notAfter = new Date(Date.now() + 86_400_000)): Promise<SamlKey> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits })
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  const imported = async (der: Buffer, format: 'pkcs8' | 'spki', use: 'sign' | 'verify') =>
    webcrypto.subtle.importKey(format, der, algorithm, true, [use])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=idp.example.com',
    notBefore: new Date(notAfter.getTime() - 2 * 86_400_000),
    notAfter,
    signingAlgorithm: algorithm,
    keys: {
      privateKey: await imported(privateKey.export({ type: 'pkcs8', format: 'der' }), 'pkcs8', 'sign'),
      publicKey: await imported(publicKey.export({ type: 'spki', format: 'der' }), 'spki', 'verify'),
    } as never,
  })
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    certificate: Buffer.from(certificate.rawData).toString('base64'),
  }
}

/** Metadata as identity providers publish it, with keys to sign and one to encrypt. */
export function metadataOf(
  keys: SamlKey[],
  more: { entity?: string; attributes?: string; encryption?: SamlKey } = {},
): string {
  const key = (use: string, { certificate }: SamlKey) =>
    `<md:KeyDescriptor${use}><ds:KeyInfo xmlns:ds="${NS.dsig}"><ds:X509Data><ds:X509Certificate>\n${certificate.replace(/(.{64})/g, '$1\n')}\n</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`
  return `\ufeff<?xml version="1.0" encoding="UTF-8"?>
<!-- the identity provider of the example -->
<md:EntityDescriptor xmlns:md="${NS.metadata}" entityID="${more.entity ?? entityId}" ${more.attributes ?? ''}>
  <md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="${NS.protocol}">
    ${keys.map((one) => key(' use="signing"', one)).join('\n')}
    ${more.encryption ? key(' use="encryption"', more.encryption) : ''}
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example.com/sso"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>`
}

export interface AssertionParts {
  id?: string
  issuer?: string
  nameId?: string
  format?: string
  /** Milliseconds since the epoch. */
  now?: number
  seconds?: number
  audience?: string
  /** Instead of what these would be made of. */
  conditions?: string
  confirmation?: string
  subject?: string
  authn?: string
  attributes?: Record<string, string[]>
  version?: string
  more?: string
}

/** An assertion as an identity provider makes it, without a signature. */
export function assertionXml(parts: AssertionParts = {}): string {
  const now = parts.now ?? Date.now()
  const end = at(now + (parts.seconds ?? 300) * 1000)
  const attributes = Object.entries(parts.attributes ?? {}).map(
    ([name, values]) =>
      `<saml:Attribute Name="${name}">${values.map((value) => `<saml:AttributeValue xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema" xsi:type="xs:string">${value}</saml:AttributeValue>`).join('')}</saml:Attribute>`,
  )
  const confirmation =
    parts.confirmation ??
    `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="${end}" Recipient="https://gw.example.com/v1/token"/></saml:SubjectConfirmation>`
  const nameId = `<saml:NameID Format="${parts.format ?? 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'}">${parts.nameId ?? 'deployer'}</saml:NameID>`
  return `<saml:Assertion xmlns:saml="${NS.assertion}" ID="${parts.id ?? `_${randomUUID()}`}" Version="${parts.version ?? '2.0'}" IssueInstant="${at(now)}"><saml:Issuer>${parts.issuer ?? entityId}</saml:Issuer>${
    parts.subject ?? `<saml:Subject>${nameId}${confirmation}</saml:Subject>`
  }${
    parts.conditions ??
    `<saml:Conditions NotBefore="${at(now - 5000)}" NotOnOrAfter="${end}"><saml:AudienceRestriction><saml:Audience>${parts.audience ?? audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>`
  }${
    parts.authn ??
    `<saml:AuthnStatement AuthnInstant="${at(now)}"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:X509</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`
  }${attributes.length > 0 ? `<saml:AttributeStatement>${attributes.join('')}</saml:AttributeStatement>` : ''}${parts.more ?? ''}</saml:Assertion>`
}

export interface SigningOptions {
  element?: 'Assertion' | 'Response'
  signature?: string
  digest?: string
  canonicalization?: string
  transforms?: string[]
  /** PrefixList of InclusiveNamespaces. */
  inclusive?: string[]
}

/** Signs an element of a document, enveloped, behind its Issuer. */
export function sign(xml: string, key: SamlKey, options: SigningOptions = {}): string {
  const xpath = `//*[local-name(.)='${options.element ?? 'Assertion'}']`
  const signer = new SignedXml({
    privateKey: key.privatePem,
    publicCert: `-----BEGIN CERTIFICATE-----\n${key.certificate}\n-----END CERTIFICATE-----`,
    signatureAlgorithm: (options.signature ?? 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256') as never,
    canonicalizationAlgorithm: (options.canonicalization ?? 'http://www.w3.org/2001/10/xml-exc-c14n#') as never,
  })
  signer.addReference({
    xpath,
    ...(options.inclusive ? { inclusiveNamespacesPrefixList: options.inclusive as never } : {}),
    digestAlgorithm: (options.digest ?? 'http://www.w3.org/2001/04/xmlenc#sha256') as never,
    transforms: (options.transforms ?? [
      `${NS.dsig}enveloped-signature`,
      'http://www.w3.org/2001/10/xml-exc-c14n#',
    ]) as never,
  })
  signer.computeSignature(xml, {
    prefix: 'ds',
    location: { reference: `${xpath}/*[local-name(.)='Issuer']`, action: 'after' },
  })
  return signer.getSignedXml()
}

/** A response around an assertion. */
export function responseXml(assertion: string, more: { id?: string; status?: string; extra?: string } = {}): string {
  const now = at(Date.now())
  return `<samlp:Response xmlns:samlp="${NS.protocol}" ID="${more.id ?? `_${randomUUID()}`}" Version="2.0" IssueInstant="${now}"><saml:Issuer xmlns:saml="${NS.assertion}">${entityId}</saml:Issuer><samlp:Status><samlp:StatusCode Value="${more.status ?? 'urn:oasis:names:tc:SAML:2.0:status:Success'}"/></samlp:Status>${more.extra ?? ''}${assertion}</samlp:Response>`
}

export const encoded = (xml: string) => Buffer.from(xml).toString('base64url')
