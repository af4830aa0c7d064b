import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { formatListen, isLoopback, type ListenAddress } from './config/address.ts'
import type { TlsPair } from './config/certificate.ts'
import { type LoadedConfig, type LoadedConnection, loadConfig } from './config/config.ts'
import type { Problem } from './config/problem.ts'
import { selfSignedPair } from './config/tls.ts'
import type { Logged } from './logged.ts'
import { overlayOf } from './policy/overlay-text.ts'
import type { OverlayFiles } from './policy/overlays.ts'
import { loadPolicies, type Policies } from './policy/policy.ts'
import { StartError } from './start-error.ts'
import type { Logger } from './telemetry/telemetry.ts'

export type ReloadResult = { ok: true; warnings: Problem[] } | { ok: false; problems: Problem[] }

/** What a reload replaces, at once and whole. */
export interface InForce {
  config: LoadedConfig
  policies: Policies
  pair: TlsPair
}

/** What of the policy in force is kept in the store, beside the folder. */
export type ReadOverlays = () => Promise<OverlayFiles>

/** Everything is read and checked before any of it counts. Overlays stay: they are read with the folder's files. */
export async function reloaded(
  before: InForce,
  takeIn: (next: InForce) => void,
  overlays: ReadOverlays,
  logged: Logged,
  log: Logger,
): Promise<ReloadResult> {
  const { file } = before.config
  const refused = async (problems: Problem[]): Promise<ReloadResult> => {
    await logged.refused(file, problems)
    return { ok: false, problems }
  }
  const loaded = await loadConfig(file)
  if (!loaded.ok) return refused(loaded.problems)
  const { config } = loaded
  const files = await overlays()
  if (!files.ok) {
    log.error({ problems: files.problems }, 'an overlay of a review can’t be used: nothing was reloaded')
    return refused(files.problems)
  }
  const policies = await loadPolicies(config.policy, { overlays: files.files })
  if (!policies.ok) return refused(policies.problems.map((p) => inFolder(config.policy, p)))
  // Where data lies is decided at the start: the pair is beside the store that is in use.
  const pair = await pairOf({ ...config, data: before.config.data }, log)
  await logged.reloaded(file, { config, policies: policies.policies })
  takeIn({ config, policies: policies.policies, pair })
  for (const what of fixedAtStart(before.config, config)) log.warn(`${what} has changed: that takes a restart`)
  return { ok: true, warnings: [...loaded.warnings, ...policies.warnings.map((p) => inFolder(config.policy, p))] }
}

/** Connections that open sessions must not go on with: changed in anything but the secrets, or gone. */
export function changedConnections(before: LoadedConfig, after: LoadedConfig): string[] {
  const known = (connection: LoadedConnection | undefined) =>
    connection && { ...connection, password: '', ...(connection.kind === 'ssh' && { privateKey: '' }) }
  return [...before.connections]
    .filter(([name, connection]) => !isDeepStrictEqual(known(connection), known(after.connections.get(name))))
    .map(([name]) => name)
}

function fixedAtStart(before: LoadedConfig, after: LoadedConfig): string[] {
  const listen = (address: ListenAddress | undefined) => address && formatListen(address)
  const changed: [string, unknown, unknown][] = [
    ['data', before.data, after.data],
    ['api.listen', listen(before.api.listen), listen(after.api.listen)],
    ['api.url', before.api.url, after.api.url],
    ['postgres.listen', listen(before.postgres?.listen), listen(after.postgres?.listen)],
    ['ssh.listen', listen(before.ssh?.listen), listen(after.ssh?.listen)],
    ['whether there is tls', before.tls !== undefined, after.tls !== undefined],
  ]
  return changed.filter(([, a, b]) => a !== b).map(([name]) => name)
}

/**
 * The set to start with: the folder's files, and what the store has beside them. What was applied while the gateway was
 * killed is in it.
 * @throws StartError
 */
export async function policiesOf(config: LoadedConfig, overlays: ReadOverlays, log: Logger): Promise<Policies> {
  const files = await overlays()
  if (!files.ok) throw new StartError('overlays of reviews can’t be used', files.problems)
  const loaded = await loadPolicies(config.policy, { overlays: files.files })
  if (!loaded.ok) {
    const problems = loaded.problems.map((problem) => inFolder(config.policy, problem))
    throw new StartError(`the policies in ${config.policy} can't be used`, problems)
  }
  for (const warning of loaded.warnings) log.warn(inFolder(config.policy, warning), 'policy')
  return loaded.policies
}

function inFolder(folder: string, problem: Problem): Problem {
  if (overlayOf(problem.file) !== undefined) return problem
  return { ...problem, file: problem.file.startsWith(folder) ? problem.file : join(folder, problem.file) }
}

export async function pairOf(config: LoadedConfig, log: Logger): Promise<TlsPair> {
  if (config.tls) return config.tls
  const hosts = [config.api.listen.host, ...(config.postgres ? [config.postgres.listen.host] : [])]
  if (config.api.url !== undefined) hosts.push(new URL(config.api.url).hostname)
  const { pair, made, certFile } = await selfSignedPair(config.data, hosts)
  if (made) log.info({ certificate: certFile, because: made }, 'made a self-signed certificate')
  return pair
}

/** Plain text is for loopback, and only where no certificate was configured (contract.md section 2). */
export function needsTls(config: LoadedConfig, address: ListenAddress): boolean {
  return config.tls !== undefined || !isLoopback(address.host)
}

/** What puts policy in force while the gateway runs, beside reloads. */
export interface Enforcement {
  /**
   * One change after another, those of reloads too: what is in force when `work` begins is so until it puts another set
   * there.
   * @throws GatewayStopping
   */
  change<T>(work: () => Promise<T>): Promise<T>
  policies(): Policies
  /** The ledger knows of a set (putInForce, committed): it decides from now on, and open sessions are told. */
  takeIn(policies: Policies): Promise<void>
}

/** Nothing is put in force any more. */
export class GatewayStopping extends Error {
  override name = 'GatewayStopping'
  constructor() {
    super('The gateway is stopping: try again once it is back.')
  }
}
