import { randomBytes } from 'node:crypto'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isNamed, readPair, type TlsPair } from './certificate.ts'
import { SecretError } from './secret.ts'

const day = 86_400_000
/** What clients accept at most (Apple's 825 days). */
const validFor = 820 * day
const renewBefore = 30 * day

export interface SelfSigned {
  pair: TlsPair
  /** Why a new pair was made: `first` where there was none. Undefined where the one in the folder was used. */
  made?: 'first' | 'renewed' | 'other-names' | 'unusable'
  /** Path of the certificate, for clients to trust. */
  certFile: string
}

/**
 * The self-signed pair of a gateway without `tls:`: `tls/gw.crt` and `tls/gw.key` (mode 0600) in the data folder, made
 * where it is missing, ends within 30 days, doesn't name every host, or can't be used.
 * @param hosts names and addresses that clients use; localhost and its addresses are always there
 */
export async function selfSignedPair(data: string, hosts: readonly string[], now = new Date()): Promise<SelfSigned> {
  const folder = join(data, 'tls')
  const certFile = join(folder, 'gw.crt')
  const keyFile = join(folder, 'gw.key')
  const names = namesFor(hosts)
  const kept = await usable(certFile, keyFile, names, now)
  if (typeof kept === 'object') return { pair: kept, certFile }

  await mkdir(folder, { recursive: true, mode: 0o700 })
  const pair = await makePair(names, now)
  // Key first: a crash in between leaves two that don't fit, and the next start makes both anew.
  await replace(keyFile, pair.key, 0o600)
  await replace(certFile, pair.cert, 0o644)
  return { pair, made: kept, certFile }
}

async function usable(
  certFile: string,
  keyFile: string,
  names: string[],
  now: Date,
): Promise<TlsPair | NonNullable<SelfSigned['made']>> {
  try {
    const { pair, leaf } = await readPair(certFile, keyFile, now)
    if (leaf.validToDate.getTime() - now.getTime() < renewBefore) return 'renewed'
    return names.every((name) => isNamed(leaf, name)) ? pair : 'other-names'
  } catch (error) {
    if (!(error instanceof SecretError)) throw error
    return ({ missing: 'first', ended: 'renewed', unusable: 'unusable' } as const)[error.code]
  }
}

/** An address that means all of them names nobody: clients then come by the machine's name. */
function namesFor(hosts: readonly string[]): string[] {
  const named = hosts.flatMap((host) => {
    const bare = host.replace(/^\[|\]$/g, '')
    return bare === '0.0.0.0' || bare === '::' ? [hostname()] : [bare]
  })
  return [...new Set([...named.map((name) => name.toLowerCase()), 'localhost', '127.0.0.1', '::1'])]
}

async function makePair(names: string[], now: Date): Promise<TlsPair> {
  // Only now: it is 200 modules, for what a gateway does once in two years.
  await import('reflect-metadata') // x509 asks for it, and must come after
  const x509 = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: `00${randomBytes(16).toString('hex')}`,
    name: 'CN=Countersign gateway',
    notBefore: new Date(now.getTime() - 3_600_000),
    notAfter: new Date(now.getTime() + validFor),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      // Its own authority, so that a client that is given gw.crt as root verifies it.
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const lines = pkcs8.match(/.{1,64}/g)!.join('\n')
  return {
    cert: `${certificate.toString('pem').trimEnd()}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
  }
}

async function replace(file: string, text: string, mode: number): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  await writeFile(draft, text, { mode, flag: 'wx', flush: true })
  await rename(draft, file)
}
