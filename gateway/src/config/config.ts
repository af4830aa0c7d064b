import { dirname, resolve } from 'node:path'
import { isLoopback, type ListenAddress, parseListen } from './address.ts'
import { invalidity, isNamed, PairError, readCertificates, readPair, type TlsPair } from './certificate.ts'
import { type Path, parseDocument } from './document.ts'
import { hostKeyOf } from './host-key.ts'
import { loadIssuer } from './issuers.ts'
import { type LoadedMasking, maskingOf } from './masking.ts'
import type { Problem } from './problem.ts'
import { type LoadedRetention, retentionOf } from './retention.ts'
import type { GatewayConfig, IssuerConfig, PostgresConnectionConfig, SecretRef, SshConnectionConfig } from './schema.ts'
import { readBounded, resolveSecret, SecretError } from './secret.ts'
import { checkSense, type Findings, partsOf } from './sense.ts'
import { shapeProblems } from './shape.ts'

/** gateway.yaml as the gateway uses it: paths absolute, secrets and certificates read. */
export interface LoadedConfig extends Pick<GatewayConfig, 'approvals' | 'grants' | 'limits'> {
  /** Absolute path of the file that it came from. */
  file: string
  /** Absolute path of the folder for the store, recordings and keys. */
  data: string
  api: { listen: ListenAddress; url?: string }
  postgres?: { listen: ListenAddress }
  /** `tokenWithin` in milliseconds. */
  ssh?: { listen: ListenAddress; tokenWithin: number }
  /** Absent: a self-signed pair is made in the data folder. */
  tls?: TlsPair
  /** What issuers refer to (keys, authorities, secrets, metadata) is read. */
  identity: Omit<GatewayConfig['identity'], 'issuers'> & { issuers: IssuerConfig[] }
  connections: Map<string, LoadedConnection>
  retention: LoadedRetention
  /** Absolute path of the folder of *.cedar files. */
  policy: string
}

export interface LoadedPostgresConnection
  extends Omit<PostgresConnectionConfig, 'password' | 'tls' | 'masking' | 'retention'> {
  name: string
  masking: LoadedMasking
  password?: string
  /** `ca` is PEM text; absent: the authorities that Node trusts. */
  tls: { mode: 'disable' | 'require' | 'verify-ca' | 'verify-full'; ca?: string }
}

export interface LoadedSshConnection
  extends Omit<SshConnectionConfig, 'private_key' | 'password' | 'host_key' | 'masking' | 'retention'> {
  name: string
  masking: LoadedMasking
  /** The key's text, as it lies in its file. */
  privateKey?: string
  password?: string
  /** `SHA256:` and base64 without padding, as OpenSSH prints them; at least one. */
  hostKeys: string[]
}

export type LoadedConnection = LoadedPostgresConnection | LoadedSshConnection

export type ConfigResult =
  | { ok: true; config: LoadedConfig; warnings: Problem[]; lineOf: (path: Path) => number }
  | { ok: false; problems: Problem[]; warnings: Problem[] }

export interface LoadOptions {
  environment?: NodeJS.ProcessEnv
  now?: Date
}

const largest = 1024 * 1024

/**
 * Reads gateway.yaml (contract.md section 2) and everything that it refers to but the policies. Never throws for what
 * a person wrote: every problem comes at once, each with its line.
 */
export async function loadConfig(file: string, options: LoadOptions = {}): Promise<ConfigResult> {
  const problems: Problem[] = []
  const warnings: Problem[] = []
  const failed = () => ({ ok: false as const, problems: inOrder(problems), warnings: inOrder(warnings) })

  let text: string
  try {
    text = (await readBounded(resolve(file), largest)).text
  } catch (error) {
    if (!(error instanceof SecretError)) throw error
    problems.push({ file, line: 1, message: error.message, mend: error.mend })
    return failed()
  }
  const parsed = parseDocument(file, text)
  if (!parsed.ok) {
    problems.push(...parsed.problems)
    return failed()
  }
  const { document } = parsed
  problems.push(...shapeProblems(file, document))

  const findings: Findings = {
    problem: (path, message, mend) => problems.push({ file, line: document.lineOf(path), message, mend }),
    warning: (path, message, mend) => warnings.push({ file, line: document.lineOf(path), message, mend }),
  }
  const parts = partsOf(document.content)
  checkSense(document.content, parts, findings)

  const context: Context = {
    folder: dirname(resolve(file)),
    environment: options.environment ?? process.env,
    now: options.now ?? new Date(),
    findings,
  }
  const tls = parts.whole?.tls ? await loadPair(parts.whole.tls, parts.whole.api.url, context) : undefined
  const issuers: IssuerConfig[] = []
  for (const [index, entry] of parts.issuers)
    issuers.push(await loadIssuer(entry, ['identity', 'issuers', index], context))
  const connections = new Map<string, LoadedConnection>()
  for (const [name, connection] of parts.connections) {
    if (connection.kind !== 'postgres' && connection.kind !== 'ssh') continue
    const loaded =
      connection.kind === 'ssh'
        ? await loadSshConnection(name, connection, context)
        : await loadConnection(name, connection, context)
    if (parts.whole) connections.set(name, { ...loaded, masking: maskingOf(parts.whole, connection) })
  }
  if (problems.length > 0 || !parts.whole) return failed()

  const { data, api, postgres, ssh, policy, identity, approvals, grants, limits } = parts.whole
  return {
    ok: true,
    warnings: inOrder(warnings),
    lineOf: document.lineOf,
    config: {
      file: resolve(file),
      data: resolve(context.folder, data),
      api: { listen: parseListen(api.listen), ...(api.url === undefined ? {} : { url: api.url }) },
      ...(postgres ? { postgres: { listen: parseListen(postgres.listen) } } : {}),
      ...(ssh ? { ssh: { listen: parseListen(ssh.listen), tokenWithin: ssh.token_within } } : {}),
      ...(tls ? { tls } : {}),
      connections,
      policy: resolve(context.folder, policy),
      identity: { ...identity, issuers },
      approvals,
      grants,
      retention: retentionOf(parts.whole),
      limits,
    },
  }
}

export type { IssuerConfig }

interface Context {
  folder: string
  environment: NodeJS.ProcessEnv
  now: Date
  findings: Findings
}

async function loadPair(
  files: { cert: string; key: string },
  url: string | undefined,
  { folder, now, findings }: Context,
): Promise<TlsPair | undefined> {
  try {
    const { pair, leaf, doubt } = await readPair(resolve(folder, files.cert), resolve(folder, files.key), now)
    if (doubt) findings.warning(['tls', 'cert'], doubt, '')
    const host = url === undefined ? undefined : new URL(url).hostname.replace(/^\[|\]$/g, '')
    if (host !== undefined && !isNamed(leaf, host))
      findings.warning(['tls', 'cert'], `the certificate is not for ${host} of api.url`, 'get one that names it')
    return pair
  } catch (error) {
    if (!(error instanceof SecretError)) throw error
    findings.problem(['tls', error instanceof PairError ? error.at : 'cert'], error.message, error.mend)
    return undefined
  }
}

async function loadConnection(
  name: string,
  connection: PostgresConnectionConfig,
  context: Context,
): Promise<Omit<LoadedPostgresConnection, 'masking'>> {
  const { folder, now, findings } = context
  const path: Path = ['connections', name]
  const { password: reference, tls, masking: _, retention: __, ...rest } = connection
  const loaded: Omit<LoadedPostgresConnection, 'masking'> = {
    ...rest,
    name,
    tls: { mode: tls?.mode ?? (isLoopback(connection.host) ? 'disable' : 'verify-full') },
  }
  const password = reference && (await secretOf(reference, [...path, 'password'], context))
  if (password !== undefined) loaded.password = password
  if (tls?.ca !== undefined) {
    const file = resolve(folder, tls.ca)
    try {
      const { pem, certificates } = await readCertificates(file)
      loaded.tls.ca = pem
      const fault = certificates.map((certificate) => invalidity(certificate, now)).find((words) => words !== undefined)
      if (fault) findings.warning([...path, 'tls', 'ca'], `a certificate in ${file} ${fault}`, 'get a new one')
    } catch (error) {
      if (!(error instanceof SecretError)) throw error
      findings.problem([...path, 'tls', 'ca'], error.message, error.mend)
    }
  }
  return loaded
}

async function loadSshConnection(
  name: string,
  connection: SshConnectionConfig,
  context: Context,
): Promise<Omit<LoadedSshConnection, 'masking'>> {
  const { private_key: key, password, host_key: pinned, masking: _, retention: __, ...rest } = connection
  const loaded: Omit<LoadedSshConnection, 'masking'> = { ...rest, name, hostKeys: [] }
  const { findings } = context
  if (!key && !password)
    findings.problem(['connections', name], `${name} has nothing to sign in with`, 'add private_key or password')
  if (key) {
    const text = await secretOf(key, ['connections', name, 'private_key'], context)
    if (text !== undefined) loaded.privateKey = text
  }
  if (password) {
    const text = await secretOf(password, ['connections', name, 'password'], context)
    if (text !== undefined) loaded.password = text
  }
  for (const each of typeof pinned === 'string' ? [pinned] : pinned) {
    const fingerprint = hostKeyOf(each)
    if (fingerprint !== undefined) loaded.hostKeys.push(fingerprint)
    else
      findings.problem(
        ['connections', name, 'host_key'],
        `${JSON.stringify(each)} is no host key`,
        'write the fingerprint that ssh-keygen -lf prints (SHA256:…), or the line of the public key',
      )
  }
  return loaded
}

/** A secret's text; undefined, and told, where it can't be read. */
async function secretOf(
  reference: SecretRef,
  path: Path,
  { folder, environment, findings }: Context,
): Promise<string | undefined> {
  try {
    const { value, doubt } = await resolveSecret(reference, folder, environment)
    if (doubt) findings.warning(path, doubt, 'chmod it to 0600')
    return value
  } catch (error) {
    if (!(error instanceof SecretError)) throw error
    findings.problem(path, error.message, error.mend)
    return undefined
  }
}

function inOrder(problems: Problem[]): Problem[] {
  return problems.toSorted((a, b) => a.line - b.line)
}

/** Those that are databases: what has columns. */
export function postgresOf(connections: LoadedConfig['connections']): LoadedPostgresConnection[] {
  return [...connections.values()].filter((connection) => connection.kind === 'postgres')
}
