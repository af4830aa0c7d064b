import { formatListen, isLoopback, parseListen } from './address.ts'
import type { Path } from './document.ts'
import { Connection, type ConnectionConfig, GatewayConfig, Issuer, type IssuerEntry } from './schema.ts'
import { checkApprovals } from './sense-approvals.ts'
import { checkIssuers } from './sense-issuers.ts'
import { checkMasking } from './sense-masking.ts'
import { checkRetention } from './sense-retention.ts'

/** What the checks below tell their findings to; `path` is where in the file. */
export interface Findings {
  problem(path: Path, message: string, mend: string): void
  warning(path: Path, message: string, mend: string): void
}

/** The parts of the content that have the right shape: each is checked even where another is broken. */
export interface Parts {
  whole: GatewayConfig | undefined
  issuers: [index: number, issuer: IssuerEntry][]
  connections: [name: string, connection: ConnectionConfig][]
}

export function partsOf(content: unknown): Parts {
  const at = (value: unknown, key: string) =>
    typeof value === 'object' && value !== null ? (Reflect.get(value, key) as unknown) : undefined
  const issuers = at(at(content, 'identity'), 'issuers')
  const connections = at(content, 'connections')
  return {
    whole: GatewayConfig.safeParse(content).data,
    issuers: (Array.isArray(issuers) ? issuers : []).flatMap((raw, index) => {
      const issuer = Issuer.safeParse(raw).data
      return issuer ? [[index, issuer] as [number, IssuerEntry]] : []
    }),
    connections: Object.entries(typeof connections === 'object' && connections ? connections : {}).flatMap(
      ([name, raw]) => {
        const connection = Connection.safeParse(raw).data
        return connection ? [[name, connection] as [string, ConnectionConfig]] : []
      },
    ),
  }
}

/** What has the right shape and still can't be right, or is likely not meant. */
export function checkSense(content: unknown, parts: Parts, findings: Findings): void {
  checkNotBuilt(content, parts, findings)
  checkListeners(content, findings)
  checkIssuers(parts, findings)
  checkTokens(parts, findings)
  for (const [name, connection] of parts.connections) checkConnection(name, connection, findings)
  checkMasking(parts, findings)
  checkRetention(parts, findings)
  checkApprovals(parts, findings)
  if (parts.whole) checkRoles(parts.whole, findings)
}

/**
 * What the contract knows and this version can't do yet. Where leaving it out leaves nothing open (a protocol that isn't
 * served, access that nobody gets) it is a warning; a protection or a store that is configured must be there.
 */
function checkNotBuilt(content: unknown, parts: Parts, { problem, warning }: Findings): void {
  const given: Record<string, unknown> = { ...(content as object | null) }
  const cannot = (path: Path, what: string, mend: string) => problem(path, `this version can't ${what} yet`, mend)
  if (given.http !== undefined) warning(['http'], `this version doesn't listen for HTTP yet`, 'nothing is served there')
  if (given.store !== null && typeof given.store === 'object')
    cannot(['store'], 'keep its state in PostgreSQL', 'write store: sqlite')
  if (given.recordings !== null && typeof given.recordings === 'object')
    cannot(['recordings'], 'keep recordings in S3', 'write recordings: file')
  for (const [name, connection] of parts.connections) {
    const path = ['connections', name]
    if (connection.kind !== 'postgres' && connection.kind !== 'ssh')
      warning([...path, 'kind'], `this version can't connect to ${connection.kind} yet`, 'it is refused to everybody')
  }
}

function checkListeners(content: unknown, { problem, warning }: Findings): void {
  const taken = new Map<string, string>()
  const shape = GatewayConfig.shape
  for (const name of ['api', 'postgres', 'ssh', 'http'] as const) {
    const listener = shape[name].safeParse((content as Record<string, unknown> | null)?.[name]).data
    if (!listener) continue
    const address = parseListen(listener.listen)
    const key = formatListen(address)
    const other = taken.get(key)
    if (other !== undefined && address.port !== 0)
      problem([name, 'listen'], `${name} listens on ${key}, as ${other} does`, 'give each a port of its own')
    taken.set(key, name)
    if (name !== 'api') continue
    const { url } = listener as { url?: string }
    if (url === undefined && !isLoopback(address.host))
      warning(['api', 'listen'], 'others reach this address, but api.url is not given', 'add the URL that they use')
    if (url === undefined) continue
    const { protocol, hostname } = new URL(url)
    if (protocol !== 'https:' && protocol !== 'http:')
      problem(['api', 'url'], `api.url is ${protocol}`, 'write it with https://')
    else if (protocol === 'http:' && !isLoopback(hostname))
      warning(['api', 'url'], 'tokens would go to api.url unencrypted', 'write it with https://')
  }
}

function checkTokens({ whole }: Parts, { problem }: Findings): void {
  const { lifetime = 0, max_lifetime: most = 0 } = whole?.identity.tokens ?? {}
  if (lifetime > most)
    problem(
      ['identity', 'tokens', 'lifetime'],
      'gateway tokens would live longer than max_lifetime',
      'make lifetime shorter, or max_lifetime longer',
    )
}

function checkRoles(config: GatewayConfig, { warning }: Findings): void {
  if (config.identity.roles.approver.length === 0)
    warning(
      ['identity', 'roles'],
      'nobody is an approver: what is held will expire',
      'add roles: { approver: [GROUP] }',
    )
  if (Object.keys(config.connections).length === 0)
    warning(['connections'], 'there is no connection', 'add one under connections')
  if (!config.postgres && !config.ssh)
    warning([], 'no agent can reach the gateway: there is no listener for a protocol', 'add postgres: { listen: … }')
  for (const [name, { kind }] of Object.entries(config.connections))
    if ((kind === 'postgres' || kind === 'ssh') && !config[kind] && (config.postgres || config.ssh))
      warning(
        ['connections', name],
        `nobody can reach ${name}: there is no listener for its protocol`,
        `add ${kind}: { listen: … }`,
      )
}

function checkConnection(name: string, connection: ConnectionConfig, { problem, warning }: Findings): void {
  const path = ['connections', name]
  if (connection.mode === 'observe')
    warning([...path, 'mode'], `${name} is only observed: nothing is refused or held`, 'write mode: enforce to protect')
  if (connection.kind !== 'postgres') return
  if (connection.host.includes('/'))
    problem(
      [...path, 'host'],
      `the host of ${name} is a path`,
      'write a name or an address: Unix sockets are not spoken',
    )
  const tls = connection.tls
  if (tls?.mode === 'disable' && !isLoopback(connection.host))
    problem(
      [...path, 'tls', 'mode'],
      `${name} would be reached unencrypted`,
      'disable is for loopback: use verify-full',
    )
  if (tls?.ca !== undefined && (tls.mode === 'disable' || tls.mode === 'require'))
    warning([...path, 'tls', 'ca'], `ca is not used with mode ${tls.mode}`, 'write mode: verify-full')
  else if (tls?.mode === 'require' && !isLoopback(connection.host))
    warning([...path, 'tls', 'mode'], `who answers as ${connection.host} is not checked`, 'write mode: verify-full')
}
