import { PROTOCOL } from './document.ts'
import { signingCertificate, XMLDSIG } from './signature.ts'
import { timeOf } from './time.ts'
import { attributeOf, childrenOf, type Element, readXml, within, XmlError } from './xml.ts'

const METADATA = 'urn:oasis:names:tc:SAML:2.0:metadata'
const mostKeys = 16

/** What is taken of an identity provider's metadata. */
export interface SamlMetadata {
  /** PEM of each certificate whose key may sign. */
  certificates: string[]
  /** Milliseconds since the epoch; Infinity where it doesn't say. */
  validUntil: number
}

/** Metadata that can't be used, in words for the log and for `check`. */
export class MetadataError extends Error {
  override name = 'MetadataError'
}

/**
 * Reads SAML 2 metadata (saml-metadata-2.0-os): an EntityDescriptor, by itself or within EntitiesDescriptor. Its own
 * signature is not looked at: it is trusted for where it comes from.
 * @param entity the identity provider's entity id
 * @throws MetadataError
 */
export function readMetadata(xml: string, entity: string): SamlMetadata {
  let root: Element
  try {
    root = readXml(xml, { comments: 'skip' })
  } catch (error) {
    if (error instanceof XmlError) throw new MetadataError(`it can't be read: ${error.message}`)
    throw error
  }
  const all = [...within(root)].filter(({ name, namespace }) => name === 'EntityDescriptor' && namespace === METADATA)
  if (all.length === 0) throw new MetadataError('it is no SAML 2 metadata')
  const named = all.filter((one) => attributeOf(one, 'entityID') === entity)
  const [descriptor] = named
  if (!descriptor)
    throw new MetadataError(
      `it describes ${all.length === 1 ? attributeOf(all[0]!, 'entityID')?.slice(0, 200) : `${all.length} others`}, not ${entity}`,
    )
  if (named.length > 1) throw new MetadataError(`it describes ${entity} twice`)
  const roles = childrenOf(descriptor, METADATA, 'IDPSSODescriptor').filter((role) =>
    attributeOf(role, 'protocolSupportEnumeration')?.split(/\s+/).includes(PROTOCOL),
  )
  const [role] = roles
  if (!role || roles.length > 1)
    throw new MetadataError(`it does not describe ${entity} as an identity provider of SAML 2`)
  const given = childrenOf(role, METADATA, 'KeyDescriptor')
    .filter((key) => (attributeOf(key, 'use') ?? 'signing') === 'signing')
    .flatMap((key) => [...within(key)].filter((one) => one.name === 'X509Certificate' && one.namespace === XMLDSIG))
  if (given.length > mostKeys) throw new MetadataError(`it holds more than ${mostKeys} keys`)
  const certificates = [...new Set(given.flatMap(({ text }) => signingCertificate(text) ?? []))]
  if (certificates.length === 0)
    throw new MetadataError('it holds no certificate for signing with an RSA key of 2048 bits or more')
  return { certificates, validUntil: validUntil(role) }
}

/** The earliest end of an element and of those around it. */
function validUntil(element: Element): number {
  let until = Number.POSITIVE_INFINITY
  for (let at: Element | undefined = element; at; at = at.parent) {
    const text = attributeOf(at, 'validUntil')
    if (text === undefined) continue
    const time = timeOf(text)
    if (time === undefined) throw new MetadataError('its validUntil is no time')
    until = Math.min(until, time)
  }
  return until
}
