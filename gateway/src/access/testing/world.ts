import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Grant, TokenAnswer } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { Session } from '@countersign/contract/session'
import Database from 'better-sqlite3'
import { pino } from 'pino'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import { type RunningPostgres, startPostgres } from '../../../../demo/postgres.ts'
import { FeedClient } from '../../api/testing/world.ts'
import { loadConfig } from '../../config/config.ts'
import { type RunningGateway, startGateway } from '../../gateway.ts'
import { RawClient } from '../../postgres/testing/raw.ts'
import { createTelemetry } from '../../telemetry/telemetry.ts'

/** Who decides and administers; agents are known by their subject alone. */
export const people = {
  ada: { name: 'Ada', groups: ['dba'] },
  aud: { name: 'Aud', groups: ['audit'] },
  max: { name: 'Max', groups: ['platform'] },
  mia: { name: 'Mia', groups: ['platform'] },
  rae: { name: 'Rae', groups: ['security'] },
} as const
export type Person = keyof typeof people

export const policy = `permit (principal, action in Action::"sql", resource);
permit (principal, action == Action::"access:request", resource) when { context.purpose != "never" };
@id("deletes") @hold("dba") @reason("Deletes rows")
forbid (principal, action == Action::"sql:write", resource)
when { context.command.kind == "delete" } unless { context has approval };
permit (principal, action == Action::"data:reveal", resource == DataClass::"email") when { context has grant };
@id("ask-first") @hold("dba") forbid (principal, action == Action::"sql:connect", resource)
when { context has purpose && context.purpose == "ask" } unless { context has approval };
@id("mischief") forbid (principal, action == Action::"sql:connect", resource)
when { context has purpose && context.purpose == "mischief" };
`

/**
 * A gateway as it is configured and served, with its issuers and a server: `orders` takes a grant, `files` needs none,
 * `watched` takes one and is only observed, `masked` needs none, and shows e-mail addresses by one.
 */
export class AccessWorld implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-access-'))
  readonly issuers: { people: RunningIssuer; agents: RunningIssuer }
  readonly server: RunningPostgres
  #gateway: RunningGateway | undefined
  #tokens = new Map<Person, Promise<string>>()

  private constructor(people: RunningIssuer, agents: RunningIssuer, server: RunningPostgres) {
    this.issuers = { people, agents }
    this.server = server
  }

  static async start(): Promise<AccessWorld> {
    const [people, agents, server] = await Promise.all([startIssuer(), startIssuer(), startPostgres()])
    await server.query(`create table items (id int, what text); create table customers (email text);
      insert into customers values ('jane@example.com')`)
    const world = new AccessWorld(people, agents, server)
    mkdirSync(join(world.folder, 'policy'))
    writeFileSync(join(world.folder, 'password'), server.password, { mode: 0o600 })
    world.write(policy)
    world.configure()
    await world.serve()
    return world
  }

  /** Puts this policy, or the usual one, into the folder. */
  write(text: string): void {
    writeFileSync(join(this.folder, 'policy', 'base.cedar'), text)
  }

  /** Puts the configuration into its file: members of connections may be others, the agents' issuer may be left out. */
  configure(changes: Record<string, Record<string, unknown>> = {}, { agents = true } = {}): void {
    const { host, port, user } = this.server
    const connection = { kind: 'postgres', host, port, database: 'postgres', user, password: { file: './password' } }
    const config = {
      api: { listen: '127.0.0.1:0' },
      postgres: { listen: '127.0.0.1:0' },
      identity: {
        issuers: [
          ...(agents ? [{ issuer: this.issuers.agents.url, for: 'agents', audience: 'countersign' }] : []),
          { issuer: this.issuers.people.url, for: 'people', audience: 'countersign', client_id: 'console' },
        ],
        roles: { approver: ['dba'], reviewer: ['security'], auditor: ['audit'], admin: ['platform'] },
      },
      grants: { per_agent: 1000 },
      limits: { sessions_per_agent: 1000 },
      connections: {
        orders: { ...connection, access: 'jit', ...changes.orders },
        files: { ...connection, ...changes.files },
        masked: { ...connection, data_classes: { 'public.customers.email': 'email' } },
        watched: { ...connection, access: 'jit', mode: 'observe', ...changes.watched },
      },
    }
    writeFileSync(join(this.folder, 'gateway.json'), JSON.stringify(config))
  }

  async serve(): Promise<void> {
    const loaded = await loadConfig(join(this.folder, 'gateway.json'))
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const log = pino({ level: process.env.LOG ?? 'silent' })
    this.#gateway = await startGateway(loaded.config, { telemetry: { ...createTelemetry(), log } })
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop()
    this.#gateway = undefined
  }

  async reload(): Promise<void> {
    const result = await this.#gateway!.reload()
    if (!result.ok) throw new Error(JSON.stringify(result.problems))
  }

  get data(): string {
    return join(this.folder, 'countersign-data')
  }

  get api(): string {
    return `http://${this.#gateway!.addresses.api}`
  }

  get port(): number {
    return Number(this.#gateway!.addresses.postgres!.split(':')[1])
  }

  agent(subject: string): string {
    return `${this.issuers.agents.url}#${subject}`
  }

  /** A token of the agents' issuer. */
  jwt(subject: string, more: { expiresIn?: number; claims?: Record<string, unknown> } = {}): Promise<string> {
    return this.issuers.agents.agentToken({ subject, groups: ['ci'], ...more })
  }

  person(subject: Person): Promise<string> {
    const known = this.#tokens.get(subject)
    const token =
      known ?? this.issuers.people.personToken({ subject, ...people[subject], groups: [...people[subject].groups] })
    this.#tokens.set(subject, token)
    return token
  }

  async call(path: string, token: string, body?: object, method = body ? 'POST' : 'GET'): Promise<Response> {
    const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) }
    return fetch(`${this.api}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  }

  /** As `call`, by a person; what isn't answered with 2xx is an error. */
  async as<T>(person: Person, path: string, body?: object, method?: string): Promise<T> {
    const answer = await this.call(path, await this.person(person), body, method)
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as T
  }

  /** A grant that the agent has asked for, and has. */
  async grant(token: string, changes: object = {}): Promise<Grant> {
    const asked = { connection: 'orders', actions: ['sql'], duration: '1h', purpose: 'to see what ends', ...changes }
    const answer = await this.call('/v1/grants', token, asked)
    if (answer.status !== 201) throw new Error(await answer.text())
    return (await answer.json()) as Grant
  }

  /** A gateway token for an issuer's. */
  async exchange(token: string, connection: string, more: Record<string, string> = {}): Promise<TokenAnswer> {
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      audience: connection,
      ...more,
    }
    const answer = await fetch(`${this.api}/v1/token`, { method: 'POST', body: new URLSearchParams(form) })
    if (!answer.ok) throw new Error(await answer.text())
    return (await answer.json()) as TokenAnswer
  }

  client(password: string, database = 'orders', more: Record<string, string> = {}): Promise<RawClient> {
    return RawClient.start(this.port, { database, password, ...more })
  }

  async listen(token: string): Promise<FeedClient> {
    return FeedClient.connect(`${this.api.replace('http', 'ws')}/v1/feed`, token)
  }

  async sessions(query = ''): Promise<Session[]> {
    return (await this.as<{ items: Session[] }>('aud', `/v1/sessions?limit=1000${query}`)).items
  }

  async approvals(query = ''): Promise<Approval[]> {
    return (await this.as<{ items: Approval[] }>('ada', `/v1/approvals?limit=1000${query}`)).items
  }

  /** Sign-ins that were refused, as the ledger has them. */
  refusedSignIns(): { reason: string }[] {
    const database = new Database(join(this.data, 'ledger', 'entries.sqlite'), { readonly: true })
    const rows = database.prepare("select payload from entries where type = 'sign-in' order by n").all()
    database.close()
    const said = (rows as { payload: string | Buffer }[]).map(({ payload }) => JSON.parse(String(payload)))
    return said.filter(({ outcome }) => outcome === 'refused')
  }

  async [Symbol.asyncDispose]() {
    await this.stop()
    await Promise.all([this.issuers.people.stop(), this.issuers.agents.stop(), this.server.stop()])
    rmSync(this.folder, { recursive: true, force: true })
  }
}
