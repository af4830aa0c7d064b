import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Child, startChild } from './child.ts'
import { type RunningHost, startHost } from './host/host.ts'
import { type RunningIssuer, startIssuer } from './issuer.ts'
import { agents, people } from './people.ts'
import { type PostgresOptions, type RunningPostgres, startPostgres } from './postgres.ts'

export interface WorldOptions {
  /** Where the gateway's configuration, data and policy go. */
  folder: string
  /** Ports on 127.0.0.1; 0 for any free one. */
  ports?: Ports
  /** Whether it has an SSH host, `web-1`, and the gateway listens for SSH. */
  host?: boolean
  /** Replaces parts of the gateway's configuration, key by key on the first level. */
  config?: Record<string, unknown>
  /** More keys of the connection `orders`, data classes for example. */
  connection?: Record<string, unknown>
  /** More connections beside it. */
  connections?: (orders: Record<string, unknown>) => Record<string, Record<string, unknown>>
  /** `approvals` of the configuration. */
  approvals?: Record<string, unknown>
  /** Environment variables of the gateway, besides one's own. */
  env?: Record<string, string>
  /** How its database is started. */
  server?: PostgresOptions
  /** Other policy files than demo/policy: name → text. */
  policy?: Record<string, string>
  /** What the gateway logs, a line a call. */
  log?: (line: string) => void
}

export interface Ports {
  api: number
  postgres: number
  ssh?: number
}

export interface World extends AsyncDisposable {
  folder: string
  /** The organisation's provider for people, and another for its agents: roles come from the first alone. */
  people: RunningIssuer
  agents: RunningIssuer
  database: RunningPostgres
  /** HTTP address of the gateway's API. */
  api: string
  /** Where agents connect by PostgreSQL's protocol. */
  postgres: { host: string; port: number }
  /** Where they connect by SSH; undefined without a host. */
  ssh: { host: string; port: number } | undefined
  gateway: Child
  configFile: string
  /** SIGHUP, and waits until the gateway has said what became of it. */
  reload(): Promise<void>
  /** Ends the gateway (by SIGKILL where asked) and starts it anew on the same data and ports. */
  restartGateway(how?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  stop(): Promise<void>
}

const here = import.meta.dirname
const gatewayBin = join(here, '..', 'gateway', 'bin', 'countersign-gateway.js')

/** The sample world without its console and agents: issuer, database and gateway, all real, all on loopback. */
export async function startWorld(options: WorldOptions): Promise<World> {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  const stack = new AsyncDisposableStack()
  try {
    const [forPeople, forAgents, database, host] = await Promise.all([
      startIssuer({ people }).then((started) => stack.use(started)),
      startIssuer({ agents }).then((started) => stack.use(started)),
      startPostgres(options.server).then((started) => stack.use(started)),
      options.host ? startHost().then((started) => stack.use(started)) : undefined,
    ])
    await database.query('CREATE DATABASE orders')
    await database.query(readFileSync(join(here, 'shop.sql'), 'utf8'), 'orders')

    const policy = join(options.folder, 'policy')
    mkdirSync(policy, { recursive: true })
    for (const [name, text] of Object.entries(options.policy ?? samplePolicy())) writeFileSync(join(policy, name), text)
    writeFileSync(join(options.folder, 'orders-password'), 'app_rw', { mode: 0o600 })
    if (host) writeFileSync(join(options.folder, 'web-1-key'), host.privateKey, { mode: 0o600 })

    const configFile = join(options.folder, 'gateway.yaml')
    const write = (ports: Ports) =>
      writeFileSync(
        configFile,
        JSON.stringify(
          { ...sampleConfig({ forPeople, forAgents, database, host }, ports, options), ...options.config },
          null,
          2,
        ),
      )
    write(options.ports ?? { api: 0, postgres: 0 })

    const world: Pick<World, 'gateway' | 'api' | 'postgres' | 'ssh'> = {
      gateway: undefined as unknown as Child,
      api: '',
      postgres: { host: '', port: 0 },
      ssh: undefined,
    }
    const startGateway = async () => {
      world.gateway = startChild([gatewayBin, 'serve', '--config', configFile], {
        ...(options.env ? { env: options.env } : {}),
        ...(options.log ? { onError: options.log } : {}),
      })
      const ready = await world.gateway.line(
        /^countersign-gateway ready api=(\S+):(\d+) postgres=(\S+):(\d+)(?: ssh=(\S+):(\d+))?/,
      )
      world.api = `http://${ready[1]}:${ready[2]}`
      world.postgres = { host: ready[3]!, port: Number(ready[4]) }
      world.ssh = ready[5] === undefined ? undefined : { host: ready[5], port: Number(ready[6]) }
    }
    stack.defer(async () => void (await world.gateway?.stop()))
    await startGateway()
    const whole = stack.move()
    return Object.assign(world, {
      folder: options.folder,
      people: forPeople,
      agents: forAgents,
      database,
      configFile,
      async reload() {
        const told = world.gateway.errorLine(/reload/i)
        world.gateway.process.kill('SIGHUP')
        await told
      },
      async restartGateway(how: 'SIGTERM' | 'SIGKILL' = 'SIGTERM') {
        if (how === 'SIGKILL') world.gateway.process.kill('SIGKILL')
        await world.gateway.stop()
        write({
          api: Number(new URL(world.api).port),
          postgres: world.postgres.port,
          ...(world.ssh && { ssh: world.ssh.port }),
        })
        await startGateway()
      },
      stop: () => whole.disposeAsync(),
      [Symbol.asyncDispose]: () => whole.disposeAsync(),
    })
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** What `npm start` masks. Tests and measurements that want it say so: they compare with what the database holds. */
export const sampleMasking = {
  connection: { data_classes: { '*.*.email': 'email', '*.*.phone': 'phone' } },
  config: {
    masking: {
      style: 'partial',
      classes: { email: 'hash' },
      detect: ['card', 'iban', 'ssn', 'email', 'phone', 'jwt', 'pem', 'cloud-key'],
    },
  },
} satisfies Pick<WorldOptions, 'connection' | 'config'>

/** The policy files of the sample world, name → text, and more. */
export function samplePolicy(more: Record<string, string> = {}): Record<string, string> {
  const folder = join(here, 'policy')
  const files = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')])
  return { ...Object.fromEntries(files), ...more }
}

function sampleConfig(
  {
    forPeople,
    forAgents,
    database,
    host,
  }: {
    forPeople: RunningIssuer
    forAgents: RunningIssuer
    database: RunningPostgres
    host: RunningHost | undefined
  },
  ports: Ports,
  { connection = {}, connections = () => ({}), approvals = { expires: '10m' } }: WorldOptions,
) {
  const orders = {
    kind: 'postgres',
    tags: ['production'],
    host: database.host,
    port: database.port,
    database: 'orders',
    user: 'app_rw',
    password: { file: './orders-password' },
    tls: { mode: 'disable' },
    ...connection,
  }
  const web = host && {
    kind: 'ssh',
    tags: ['production'],
    host: host.host,
    port: host.port,
    user: host.user,
    private_key: { file: './web-1-key' },
    host_key: host.hostKey,
  }
  const { url: issuer, clientId: client_id, resource } = forPeople
  return {
    data: './data',
    api: { listen: `127.0.0.1:${ports.api}` },
    postgres: { listen: `127.0.0.1:${ports.postgres}` },
    ...(web && { ssh: { listen: `127.0.0.1:${ports.ssh ?? 0}` } }),
    identity: {
      issuers: [
        {
          issuer,
          for: 'people',
          audience: 'countersign',
          client_id,
          resource,
          scopes: ['openid', 'profile', 'groups', 'offline_access'],
        },
        { issuer: forAgents.url, for: 'agents', audience: 'countersign' },
      ],
      roles: {
        approver: ['oncall-dba', 'support-leads'],
        reviewer: ['security'],
        auditor: ['audit'],
        admin: ['platform'],
      },
    },
    connections: { orders, ...(web && { 'web-1': web }), ...connections(orders) },
    policy: './policy',
    approvals,
    limits: { drain: '5s' },
  }
}
