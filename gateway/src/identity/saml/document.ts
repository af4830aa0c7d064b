import type { Element } from './xml.ts'

export const SAML = 'urn:oasis:names:tc:SAML:2.0:assertion'
export const PROTOCOL = 'urn:oasis:names:tc:SAML:2.0:protocol'

/** A document that holds one assertion and could be good: nothing of it was verified yet. */
export interface SamlDocument {
  xml: string
  assertion: Element
  /** What the assertion stands in, if it doesn't stand by itself. */
  response: Element | undefined
}
