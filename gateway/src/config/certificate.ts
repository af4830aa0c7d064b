import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { readBounded, SecretError } from './secret.ts'

/** A certificate chain and its key, both PEM, checked to belong together. */
export interface TlsPair {
  cert: string
  key: string
}

const largest = 1024 * 1024
const day = 86_400_000
const pemCertificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/**
 * Reads the certificates of a PEM file.
 * @throws SecretError where there is none, or one can't be parsed
 */
export async function readCertificates(file: string): Promise<{ pem: string; certificates: X509Certificate[] }> {
  const { text: pem } = await readBounded(file, largest)
  return { pem, certificates: parseCertificates(file, pem) }
}

/**
 * Reads a server's certificate and key.
 * @returns the pair, and `doubt` in words where the certificate ends within 14 days
 * @throws SecretError with `at` 'cert' or 'key', where one can't be used or they don't belong together
 */
export async function readPair(
  certFile: string,
  keyFile: string,
  now = new Date(),
): Promise<{ pair: TlsPair; leaf: X509Certificate; doubt?: string }> {
  const { pem: cert, certificates } = await readCertificates(certFile).catch(tag('cert'))
  const leaf = certificates[0]!
  const validity = invalidity(leaf, now)
  if (validity) throw new PairError('cert', `the certificate ${certFile} ${validity}`, 'get a new one', 'ended')
  const { text: key } = await readBounded(keyFile, largest).catch(tag('key'))
  let fits: boolean
  try {
    fits = leaf.checkPrivateKey(createPrivateKey(key))
  } catch (error) {
    const encrypted = /ENCRYPTED/.test(key) || (error as { code?: string }).code === 'ERR_MISSING_PASSPHRASE'
    throw encrypted
      ? new PairError('key', `the key ${keyFile} has a passphrase`, 'write it without one, mode 0600')
      : new PairError('key', `${keyFile} is no private key in PEM`, 'name the key that belongs to the certificate')
  }
  if (!fits)
    throw new PairError('key', `the key ${keyFile} does not belong to the certificate ${certFile}`, 'name its own key')
  const left = leaf.validToDate.getTime() - now.getTime()
  const doubt =
    left < 14 * day ? `the certificate ${certFile} ends at ${leaf.validToDate.toISOString()}: renew it` : undefined
  return { pair: { cert, key }, leaf, ...(doubt === undefined ? {} : { doubt }) }
}

/** A fault of one of the two files. */
export class PairError extends SecretError {
  readonly at: 'cert' | 'key'
  constructor(at: 'cert' | 'key', message: string, mend: string, code?: SecretError['code']) {
    super(message, mend, code)
    this.at = at
  }
}

/** Why a certificate can't be used now: it has ended, or not begun. Undefined where it can. */
export function invalidity(certificate: X509Certificate, now: Date): string | undefined {
  if (certificate.validToDate <= now) return `ended at ${certificate.validToDate.toISOString()}`
  if (certificate.validFromDate > now) return `begins only at ${certificate.validFromDate.toISOString()}`
  return undefined
}

/** Whether a certificate is for this host name or address. */
export function isNamed(certificate: X509Certificate, host: string): boolean {
  return (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined
}

function parseCertificates(file: string, pem: string): X509Certificate[] {
  const blocks = pem.match(pemCertificate)
  if (!blocks) throw new SecretError(`${file} holds no certificate in PEM`, 'name a file that does')
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch {
      throw new SecretError(`certificate ${index + 1} in ${file} is damaged`, 'copy it anew')
    }
  })
}

function tag(at: 'cert' | 'key') {
  return (error: unknown): never => {
    if (error instanceof SecretError) throw new PairError(at, error.message, error.mend, error.code)
    throw error
  }
}
