import { resolve } from 'node:path'
import { FetchError } from '../identity/bounded-fetch.ts'
import { usableKeys } from '../identity/issuer-keys.ts'
import { MetadataError, readMetadata } from '../identity/saml/metadata.ts'
import { invalidity, readCertificates } from './certificate.ts'
import type { Path } from './document.ts'
import type { IssuerConfig, IssuerEntry, SecretRef } from './schema.ts'
import { readBounded, resolveSecret, SecretError } from './secret.ts'
import type { Findings } from './sense.ts'

export interface IssuerFiles {
  folder: string
  environment: NodeJS.ProcessEnv
  now: Date
  findings: Findings
}

const largestJwks = 512 * 1024
const largestMetadata = 1024 * 1024
/** Of metadata that ends soon somebody should know. */
const soon = 14 * 86_400_000

/**
 * Reads what an issuer's entry refers to: keys, authorities, a secret, metadata. What can't be had is a problem at its
 * line, and the issuer is then of no use.
 */
export async function loadIssuer(entry: IssuerEntry, path: Path, files: IssuerFiles): Promise<IssuerConfig> {
  const { jwks, ca, introspection, saml, ...rest } = entry
  const at = (...more: string[]): Path => [...path, ...more]
  const pem = ca === undefined ? undefined : await authorities(ca, at('ca'), files)
  const keys = jwks && ('url' in jwks ? jwks : await keysOf(jwks.file, at('jwks', 'file'), files))
  const secret =
    introspection && (await secretOf(introspection.client_secret, at('introspection', 'client_secret'), files))
  const metadata =
    saml && ('url' in saml.metadata ? saml.metadata : await metadataOf(saml.metadata.file, entry, path, files))
  return {
    ...rest,
    ...(keys ? { jwks: keys } : {}),
    ...(pem === undefined ? {} : { ca: pem }),
    ...(introspection ? { introspection: { ...introspection, client_secret: secret ?? '' } } : {}),
    ...(saml ? { saml: { ...saml, metadata: metadata ?? { xml: '' } } } : {}),
  }
}

async function keysOf(
  name: string,
  path: Path,
  { folder, findings }: IssuerFiles,
): Promise<{ keys: never[] } | undefined> {
  const file = resolve(folder, name)
  const text = await told(() => readBounded(file, largestJwks), path, findings)
  if (!text) return undefined
  try {
    const { keys } = usableKeys((JSON.parse(text.text) as { keys?: unknown } | null)?.keys, file)
    if (keys.length === 0)
      findings.problem(path, `${file} holds no public key for signatures`, "export the issuer's JWKS anew")
    return { keys } as { keys: never[] }
  } catch (error) {
    if (!(error instanceof FetchError || error instanceof SyntaxError)) throw error
    const why = error instanceof FetchError ? error.message : `${file} is no JSON`
    findings.problem(path, why, 'write the JWKS of the issuer into it: { "keys": [ … ] }')
    return undefined
  }
}

async function authorities(
  name: string,
  path: Path,
  { folder, now, findings }: IssuerFiles,
): Promise<string | undefined> {
  const file = resolve(folder, name)
  const read = await told(() => readCertificates(file), path, findings)
  const fault = read?.certificates.map((one) => invalidity(one, now)).find((words) => words !== undefined)
  if (fault) findings.warning(path, `a certificate in ${file} ${fault}`, 'get a new one')
  return read?.pem
}

async function secretOf(
  reference: SecretRef,
  path: Path,
  { folder, environment, findings }: IssuerFiles,
): Promise<string | undefined> {
  const secret = await told(() => resolveSecret(reference, folder, environment), path, findings)
  if (secret?.doubt) findings.warning(path, secret.doubt, 'chmod it to 0600')
  return secret?.value
}

async function metadataOf(
  name: string,
  { issuer }: IssuerEntry,
  path: Path,
  { folder, now, findings }: IssuerFiles,
): Promise<{ xml: string } | undefined> {
  const file = resolve(folder, name)
  const at = [...path, 'saml', 'metadata', 'file']
  const text = await told(() => readBounded(file, largestMetadata), at, findings)
  if (!text) return undefined
  try {
    const { validUntil } = readMetadata(text.text, issuer)
    const ends = () => new Date(validUntil).toISOString()
    if (validUntil <= now.getTime()) findings.problem(at, `the metadata ended at ${ends()}`, 'get it anew')
    else if (validUntil - now.getTime() < soon) findings.warning(at, `the metadata ends at ${ends()}`, 'get it anew')
    return { xml: text.text }
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error
    findings.problem(
      at,
      `${file}: ${error.message}`,
      "download the identity provider's metadata anew, and copy its entity id",
    )
    return undefined
  }
}

async function told<T>(work: () => Promise<T>, path: Path, findings: Findings): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof SecretError)) throw error
    findings.problem(path, error.message, error.mend)
    return undefined
  }
}
