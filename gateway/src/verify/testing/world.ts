import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import { type RunningPostgres, startPostgres } from '../../../../demo/postgres.ts'
import { loadConfig } from '../../config/config.ts'
import { type RunningGateway, startGateway } from '../../gateway.ts'
import { createTelemetry } from '../../telemetry/telemetry.ts'
import { type StoreReport, type VerifyStoreOptions, verifyStore } from '../verify.ts'

const policy = `permit (principal, action, resource);
@id("deletes") @hold("dba") @reason("Deletes rows") forbid (principal, action == Action::"sql:write", resource)
when { context.command.kind == "delete" } unless { context has approval };
@id("access") @hold("dba") forbid (principal, action == Action::"access:request", resource)
when { context.purpose == "held" } unless { context has approval };
@id("no-truncate") forbid (principal, action == Action::"sql:write", resource) when { context.command.kind == "truncate" };
`

/** A gateway with an agent that works and people who decide, on a folder of its own. */
export class GatewayWorld implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-verified-'))
  readonly #issuers: { people: RunningIssuer; agents: RunningIssuer }
  readonly #server: RunningPostgres
  #gateway: RunningGateway | undefined
  #days = 0

  private constructor(people: RunningIssuer, agents: RunningIssuer, server: RunningPostgres) {
    this.#issuers = { people, agents }
    this.#server = server
  }

  static async start(): Promise<GatewayWorld> {
    const [people, agents, server] = await Promise.all([startIssuer(), startIssuer(), startPostgres()])
    await server.query(
      'create table orders (id int primary key, what text); insert into orders values (1, $$a$$), (2, $$b$$)',
    )
    const world = new GatewayWorld(people, agents, server)
    const { folder } = world
    mkdirSync(join(folder, 'policy'))
    writeFileSync(join(folder, 'policy', 'base.cedar'), policy)
    writeFileSync(join(folder, 'password'), server.password, { mode: 0o600 })
    const orders = { kind: 'postgres', host: server.host, port: server.port, database: 'postgres', user: server.user }
    const config = {
      api: { listen: '127.0.0.1:0' },
      postgres: { listen: '127.0.0.1:0' },
      identity: {
        issuers: [
          { issuer: agents.url, for: 'agents', audience: 'countersign' },
          { issuer: people.url, for: 'people', audience: 'countersign', client_id: 'console' },
        ],
        roles: { approver: ['dba', 'leads'], reviewer: ['security'], auditor: ['audit'], admin: ['platform'] },
      },
      connections: { orders: { ...orders, password: { file: './password' } } },
      approvals: { escalate: [{ after: '9m', groups: ['leads'] }], break_glass: { groups: ['leads'] } },
    }
    writeFileSync(world.config, JSON.stringify(config))
    return world
  }

  get config(): string {
    return join(this.folder, 'gateway.json')
  }
  get data(): string {
    return join(this.folder, 'countersign-data')
  }

  /** @param file of a configuration in the folder, where it is another */
  async serve(file = 'gateway.json'): Promise<RunningGateway> {
    const loaded = await loadConfig(join(this.folder, file))
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const telemetry = { ...createTelemetry(), log: pino({ level: 'silent' }) }
    const gateway = await startGateway(loaded.config, { telemetry })
    if (file === 'gateway.json') this.#gateway = gateway
    return gateway
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop()
    this.#gateway = undefined
  }

  async client(subject = 'deployer', options = ''): Promise<pg.Client> {
    const [host, port] = this.#gateway!.addresses.postgres!.split(':') as [string, string]
    const password = await this.#issuers.agents.agentToken({ subject, groups: ['ci'] })
    const client = new pg.Client({ host, port: Number(port), database: 'orders', user: 'x', password, options })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** A gateway token for the connection, as the agent asks for it. */
  async token(asked: Record<string, string> = {}): Promise<{ access_token: string; token_id: string }> {
    const urn = 'urn:ietf:params:oauth'
    const form = {
      grant_type: `${urn}:grant-type:token-exchange`,
      subject_token: await this.#issuers.agents.agentToken({ subject: 'deployer', groups: ['ci'] }),
      subject_token_type: `${urn}:token-type:jwt`,
      audience: 'orders',
      ...asked,
    }
    const url = `http://${this.#gateway!.addresses.api}/v1/token`
    const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(form) })
    if (!answer.ok) throw new Error(await answer.text())
    return (await answer.json()) as { access_token: string; token_id: string }
  }

  /** The agent asks the API for something. */
  async ask<T>(path: string, body: object): Promise<T> {
    const token = await this.#issuers.agents.agentToken({ subject: 'deployer', groups: ['ci'] })
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const url = `http://${this.#gateway!.addresses.api}${path}`
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(await answer.text())
    return (await answer.json()) as T
  }

  /** A plan, a session on its grants, and one that people gave in its place, and took away again. */
  async workByGrants(): Promise<void> {
    const step = { connection: 'orders', actions: ['sql'], resources: ['orders/*'], duration: '1h' }
    const plan = { title: 'Clean up', purpose: 'order', steps: [1, 2].map((n) => ({ ...step, title: `part ${n}` })) }
    const { grants } = await this.ask<{ grants: { id: string }[] }>('/v1/plans', plan)
    const client = await this.client()
    await client.query('select 1')
    await client.end()
    const longer = { duration: '2h', purpose: 'held' }
    const { id } = await this.ask<{ id: string }>(`/v1/grants/${grants[1]!.id}/extend`, longer)
    await this.decide('approve')
    const revoke = { method: 'POST', body: JSON.stringify({ reason: 'enough' }) }
    for (;;) {
      const grant = (await (await this.call(`/v1/grants/${id}`, aud)).json()) as { state: string }
      if (grant.state === 'active') break
    }
    if ((await this.call(`/v1/grants/${id}/revoke`, ada, revoke)).status !== 200) throw new Error('not revoked')
  }

  /** Admins say who answers for an agent, have another one disabled and enabled, and mark somebody who has left. */
  async register(): Promise<void> {
    const { items } = (await (await this.call('/v1/agents?text=deployer', max)).json()) as { items: { id: string }[] }
    const path = `/v1/agents/${encodeURIComponent(items[0]!.id)}`
    const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP1Mlul0UqtWYWfGjUVgpM4bNQdFvUIG02YUVyxFoDgI bot@host'
    const told = {
      name: 'Deployer',
      owner: 'team-a',
      sponsor: 'ben',
      purpose: 'deploys',
      environment: 'production',
      keys: [key],
    }
    for (const body of [told, { disabled: true, reason: 'a look at it' }])
      if ((await this.call(path, max, { method: 'PATCH', body: JSON.stringify(body) })).status !== 200)
        throw new Error('not changed')
    const gone = { subject: 'gone', groups: ['audit'] }
    await this.call('/v1/me', gone)
    const person = encodeURIComponent(`${this.#issuers.people.url}#gone`)
    const left = { method: 'POST', body: JSON.stringify({ left: true, reason: 'retired' }) }
    for (;;) {
      const { status } = await this.call(`/v1/people/${person}/left`, max, left)
      if (status === 200) return
      if (status !== 404) throw new Error(`not marked: ${status}`)
    }
  }

  /** Bea decides in Ada's place while she is away, then alone in an emergency, which somebody else looks at. */
  async standIn(): Promise<void> {
    const post = (path: string, as: typeof ada, body: object) =>
      this.call(path, as, { method: 'POST', body: JSON.stringify(body) })
    await this.call('/v1/me', bea)
    const until = new Date(Date.now() + 3_600_000).toISOString()
    const away = { to: `${this.#issuers.people.url}#bea`, until, reason: 'a holiday' }
    let begun = await post('/v1/delegations', ada, away)
    // Who has just signed in is written down in a moment.
    while (begun.status === 400) begun = await post('/v1/delegations', ada, away)
    const client = await this.client('deployer')
    const one = client.query('delete from orders where id = 77')
    await this.decide('approve', 'once', bea)
    await one
    const { id } = (await begun.json()) as { id: string }
    await post(`/v1/delegations/${id}/end`, ada, { reason: 'back' })
    const two = client.query('delete from orders where id = 78')
    await this.decide('approve', 'once', bea, { breakGlass: true })
    await two
    await client.end()
    const uses = await this.call('/v1/break-glass', aud)
    const [use] = ((await uses.json()) as { items: { id: string }[] }).items
    const review = { verdict: 'not-justified', reason: 'ada was there' }
    const { status } = await post(`/v1/break-glass/${use!.id}/review`, aud, review)
    if (status !== 200) throw new Error(`not reviewed: ${status}`)
  }

  async call(path: string, as: { subject: string; groups: string[] }, init: RequestInit = {}): Promise<Response> {
    const token = await this.#issuers.people.personToken({ ...as, name: as.subject })
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    return fetch(`http://${this.#gateway!.addresses.api}${path}`, { ...init, headers })
  }

  /** Ada decides what is held, once it is there. */
  async decide(verdict: 'approve' | 'deny', window = 'once', as = ada, more: object = {}): Promise<string> {
    for (;;) {
      const answer = await this.call('/v1/approvals?state=pending', as)
      const [held] = ((await answer.json()) as { items: { id: string; command: { digest: string } }[] }).items
      if (!held) continue
      const { digest } = held.command
      const body = JSON.stringify({ verdict, reason: `so it is, ${verdict}`, digest, window, ...more })
      const decided = await this.call(`/v1/approvals/${held.id}/decisions`, as, { method: 'POST', body })
      if (decided.status !== 200) throw new Error(await decided.text())
      return held.id
    }
  }

  async sessions(): Promise<string[]> {
    const answer = await this.call('/v1/sessions', aud)
    return ((await answer.json()) as { items: { id: string }[] }).items.map(({ id }) => id)
  }

  /** A day at work: what is allowed, refused, held and approved, denied, expired with its client; then all have gone. */
  async work(): Promise<void> {
    const one = await this.client('deployer', '-c countersign.purpose=cleaning')
    await one.query('select * from orders')
    await one.query('insert into orders select max(id) + 1, $1 from orders', ['c'])
    await one.query('truncate orders').catch(() => {})
    await one.query('select nothing').catch(() => {})
    // Another one each day: what was approved for an hour is not held again.
    const held = one.query(`delete from orders where id = ${++this.#days * 1000}`)
    await this.decide('approve', '1h')
    await held
    const denied = one.query('delete from orders where id = 2').catch(() => {})
    await this.decide('deny')
    await denied
    const two = await this.client('reporter')
    for (let i = 0; i < 20; i++) await two.query(`select ${i} as number, what from orders`)
    await Promise.all([one.end(), two.end()])
  }

  /** A copy of the data folder, to be tampered with. */
  copy(): string {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-tampered-'))
    cpSync(this.data, folder, { recursive: true })
    return folder
  }

  async [Symbol.asyncDispose]() {
    await this.stop()
    await Promise.all([this.#issuers.people.stop(), this.#issuers.agents.stop(), this.#server.stop()])
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export const ada = { subject: 'ada', groups: ['dba'] }
export const bea = { subject: 'bea', groups: ['leads'] }
export const max = { subject: 'max', groups: ['platform'] }
export const aud = { subject: 'aud', groups: ['audit'] }
export const rae = { subject: 'rae', groups: ['security'] }
export const ron = { subject: 'ron', groups: ['security'] }

/** Verifies a data folder as the command does. */
export const verify = (data: string, options: Partial<VerifyStoreOptions> = {}): Promise<StoreReport> =>
  verifyStore({ data, keys: [], maxWindow: 8 * 3_600_000, ...options })

/** All files below a folder, by their path in it. */
export function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .map((name) => relative(folder, join(folder, name)))
    .sort()
}

/** Flips one bit of a file. */
export function flip(file: string, bit: number): void {
  const bytes = readFileSync(file)
  bytes[bit >> 3]! ^= 1 << (bit & 7)
  writeFileSync(file, bytes)
}
