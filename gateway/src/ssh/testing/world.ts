import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Approval } from '@countersign/contract/approval'
import { RecordingEvent } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import { pino } from 'pino'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import { FeedClient } from '../../api/testing/world.ts'
import { loadConfig } from '../../config/config.ts'
import { type RunningGateway, startGateway } from '../../gateway.ts'
import { createTelemetry } from '../../telemetry/telemetry.ts'
import { type Way, wayOf } from './clients.ts'
import { type RunningSshd, type SshdOptions, startSshd } from './sshd.ts'

/** Who decides, reads and administers. */
export const people = {
  ada: { name: 'Ada', groups: ['oncall'] },
  aud: { name: 'Aud', groups: ['audit'] },
  max: { name: 'Max', groups: ['platform'] },
} as const
export type Person = keyof typeof people

/** Everything is allowed; what names `held` is held, what names `forbidden` is denied. */
export const policy = `permit (principal in Group::"ci", action in Action::"ssh", resource);
permit (principal, action == Action::"access:request", resource);
@id("held") @hold("oncall") @reason("It says so itself")
forbid (principal, action == Action::"ssh:exec", resource)
when { context.command.argv like "*held*" } unless { context has approval };
@id("held-files") @hold("oncall") @reason("It says so itself")
forbid (principal, action in [Action::"sftp:read", Action::"sftp:write"], resource)
when { resource.path like "*held*" } unless { context has approval };
@id("forbidden") forbid (principal, action == Action::"ssh:exec", resource)
when { context.command.argv like "*forbidden*" };
@id("forbidden-files") forbid (principal, action in [Action::"sftp:read", Action::"sftp:write"], resource)
when { resource.path like "*forbidden*" };
`

export interface SshWorldOptions {
  sshd?: SshdOptions
  /** Cedar text in the place of `policy`. */
  policy?: string
  /** Members of the connection `web-1`, as gateway.yaml has them. */
  connection?: Record<string, unknown>
  /** More connections. */
  connections?: Record<string, Record<string, unknown>>
  /** Members of gateway.yaml beside them: `limits`, `approvals`, … */
  config?: Record<string, unknown>
}

/**
 * A gateway as it is configured and served, with its issuers and a real sshd behind its connection `web-1`, for OpenSSH's
 * own programs (clients.ts): `world.sshd.direct` is the way past the gateway, `await world.through()` the one through it.
 */
export class SshWorld implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-ssh-'))
  readonly sshd: RunningSshd
  readonly issuers: { people: RunningIssuer; agents: RunningIssuer }
  /** What the gateway logged, from `debug` up: objects with `level`, `msg`, …. */
  readonly log: { level: string; msg: string; [key: string]: unknown }[] = []
  #gateway: RunningGateway | undefined
  #tokens = new Map<Person, Promise<string>>()
  #options: SshWorldOptions
  #heard = new Set<() => void>()

  constructor(sshd: RunningSshd, issuers: SshWorld['issuers'], options: SshWorldOptions) {
    this.sshd = sshd
    this.issuers = issuers
    this.#options = options
    mkdirSync(join(this.folder, 'policy'))
    this.writePolicy(options.policy ?? policy)
    this.configure()
  }

  /** Puts this policy into its folder; `reload` puts it in force. */
  writePolicy(text: string): void {
    writeFileSync(join(this.folder, 'policy', 'base.cedar'), text)
  }

  /** Writes the configuration, with other options in the place of those it was made with; `reload` puts it in force. */
  configure(changes: Partial<SshWorldOptions> = {}): void {
    this.#options = { ...this.#options, ...changes }
    const { host, port, user, privateKey, fingerprint } = this.sshd
    writeFileSync(join(this.folder, 'identity'), privateKey, { mode: 0o600 })
    const config = {
      api: { listen: '127.0.0.1:0' },
      ssh: { listen: '127.0.0.1:0' },
      identity: {
        issuers: [
          { issuer: this.issuers.agents.url, for: 'agents', audience: 'countersign' },
          { issuer: this.issuers.people.url, for: 'people', audience: 'countersign', client_id: 'console' },
        ],
        roles: { approver: ['oncall'], auditor: ['audit'], admin: ['platform'] },
      },
      limits: { sessions_per_agent: 1000, drain: '1s' },
      connections: {
        'web-1': {
          ...{ kind: 'ssh', host, port, user, private_key: { file: './identity' }, host_key: fingerprint },
          ...this.#options.connection,
        },
        ...this.#options.connections,
      },
      ...this.#options.config,
    }
    writeFileSync(this.configFile, JSON.stringify(config))
  }

  get configFile(): string {
    return join(this.folder, 'gateway.json')
  }

  get data(): string {
    return join(this.folder, 'countersign-data')
  }

  async serve(): Promise<void> {
    const loaded = await loadConfig(this.configFile)
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const write = (line: string) => {
      if (process.env.LOG) process.stderr.write(line)
      this.log.push(JSON.parse(line))
      for (const look of this.#heard) look()
    }
    const formatters = { level: (label: string) => ({ level: label }) }
    const log = pino({ level: 'debug', formatters, serializers: { error: pino.stdSerializers.err } }, { write })
    this.#gateway = await startGateway(loaded.config, { telemetry: { ...createTelemetry(), log } })
  }

  async reload(): Promise<void> {
    const result = await this.gateway.reload()
    if (!result.ok) throw new Error(JSON.stringify(result.problems))
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop()
    this.#gateway = undefined
  }

  get gateway(): RunningGateway {
    if (!this.#gateway) throw new Error('the gateway doesn’t run')
    return this.#gateway
  }

  /** Port of the SSH listener. */
  get port(): number {
    const { ssh } = this.gateway.addresses as { ssh?: string }
    if (ssh === undefined) throw new Error('this gateway listens for no SSH')
    return Number(ssh.slice(ssh.lastIndexOf(':') + 1))
  }

  get api(): string {
    return `http://${this.gateway.addresses.api}`
  }

  /** A token of the agents' issuer. */
  token(subject = 'ci', more: { expiresIn?: number; claims?: Record<string, unknown> } = {}): Promise<string> {
    return this.issuers.agents.agentToken({ subject, groups: ['ci'], ...more })
  }

  /**
   * The way through the gateway. The token is a gateway token, since OpenSSH cuts what askpass answers at 1,023 bytes.
   * @param options.connection the user, `web-1` where absent; `options.lines` more lines of ssh_config
   */
  async through(
    options: { subject?: string; connection?: string; password?: string; lines?: readonly string[] } = {},
  ): Promise<Way> {
    const { subject, connection = 'web-1', lines = [] } = options
    const password = options.password ?? (await this.exchange(await this.token(subject), connection)).access_token
    return wayOf({ folder: this.folder, port: this.port, user: connection, password, lines })
  }

  /** A gateway token for an issuer's. */
  async exchange(token: string, connection = 'web-1', more: Record<string, string> = {}) {
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      audience: connection,
      ...more,
    }
    const answer = await fetch(`${this.api}/v1/token`, { method: 'POST', body: new URLSearchParams(form) })
    if (!answer.ok) throw new Error(await answer.text())
    return (await answer.json()) as { access_token: string; token_id: string }
  }

  person(subject: Person): Promise<string> {
    const known = this.#tokens.get(subject)
    const token =
      known ?? this.issuers.people.personToken({ subject, ...people[subject], groups: [...people[subject].groups] })
    this.#tokens.set(subject, token)
    return token
  }

  /** A call of the API by a person; what isn't answered with 2xx is an error. */
  async as<T>(person: Person, path: string, body?: object, method = body ? 'POST' : 'GET'): Promise<T> {
    const headers = {
      authorization: `Bearer ${await this.person(person)}`,
      ...(body && { 'content-type': 'application/json' }),
    }
    const answer = await fetch(`${this.api}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as T
  }

  async feed(person: Person = 'ada'): Promise<FeedClient> {
    return FeedClient.connect(`${this.api.replace('http', 'ws')}/v1/feed`, await this.person(person))
  }

  /** The next approval that waits, once one does. */
  async held(): Promise<Approval> {
    const feed = await this.feed()
    try {
      for (let told = 0; ; ) {
        const { items } = await this.as<{ items: Approval[] }>('ada', '/v1/approvals?state=pending')
        if (items[0]) return items[0]
        await feed.until((messages) => messages.length > told)
        told = feed.messages.length
      }
    } finally {
      await feed.close()
    }
  }

  /** Ada decides what is held, once it is there. */
  async decide(verdict: 'approve' | 'deny', window = 'once'): Promise<Approval> {
    const held = await this.held()
    const { digest } = held.command
    await this.as('ada', `/v1/approvals/${held.id}/decisions`, {
      verdict,
      reason: `so it is, ${verdict}`,
      digest,
      window,
    })
    return held
  }

  /** Newest first. */
  async sessions(): Promise<Session[]> {
    return (await this.as<{ items: Session[] }>('aud', '/v1/sessions?limit=1000')).items
  }

  /** All that was recorded of a session. */
  async recorded(session: string): Promise<RecordingEvent[]> {
    const headers = { authorization: `Bearer ${await this.person('aud')}` }
    const answer = await fetch(`${this.api}/v1/sessions/${session}/recording`, { headers })
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
    const [, ...lines] = (await answer.text()).trimEnd().split('\n')
    return lines.map((line) => RecordingEvent.parse(JSON.parse(line)))
  }

  /** All that was recorded of the newest session, once it is over. */
  async lastRecorded(): Promise<RecordingEvent[]> {
    const feed = await this.feed('aud')
    try {
      for (let told = 0; ; ) {
        const [newest] = await this.sessions()
        if (newest && newest.state !== 'open') return await this.recorded(newest.id)
        await feed.until((messages) => messages.length > told)
        told = feed.messages.length
      }
    } finally {
      await feed.close()
    }
  }

  /** The first line of the log that this is true of, once it is there. */
  async logged(isIt: (line: SshWorld['log'][number]) => boolean): Promise<SshWorld['log'][number]> {
    for (;;) {
      const found = this.log.find(isIt)
      if (found) return found
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#heard.delete(look)
          resolve()
        }
        this.#heard.add(look)
      })
    }
  }

  async [Symbol.asyncDispose]() {
    await this.stop()
    await Promise.all([this.issuers.people.stop(), this.issuers.agents.stop(), this.sshd.stop()])
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Those of one type. */
export const eventsOf = <T extends RecordingEvent['type']>(events: readonly RecordingEvent[], type: T) =>
  events.filter((event): event is Extract<RecordingEvent, { type: T }> => event.type === type)

/** Starts it, and its gateway. */
export async function startSshWorld(options: SshWorldOptions = {}): Promise<SshWorld> {
  const [people, agents, sshd] = await Promise.all([startIssuer(), startIssuer(), startSshd(options.sshd)])
  const world = new SshWorld(sshd, { people, agents }, options)
  try {
    await world.serve()
    return world
  } catch (error) {
    await world[Symbol.asyncDispose]()
    throw error
  }
}
