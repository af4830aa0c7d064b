import type { Freeze, GrantState } from '@countersign/contract/access'
import type { Command, ConnectionRef, Effect, Gate } from '../gate/command.ts'
import {
  type Backing,
  type Entrance,
  type Entry,
  type LiveGrant,
  type OpenedSession,
  standing,
} from '../gate/entrance.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import { type EndCause, EndReason } from '../sessions/session.ts'
import { EVERYTHING, frozenWords } from './freezes.ts'

/** What the entrance asks of grants; all of it in memory. */
export interface GrantsBehind {
  /** Those of an agent, on behalf of this one, for a connection; the same array while nothing has changed. */
  live(agent: Pick<AgentPrincipal, 'id' | 'onBehalfOf'>, connection: string): readonly LiveGrant[]
  /** A session stands on them. Quick, never throws. */
  used(grants: readonly string[], session: string): void
}

/** A grant began, ended, or was prolonged. `words` say why, without a full stop. */
export interface GrantChange {
  agent: string
  onBehalfOf?: string | undefined
  connection: string
  grant: string
  state: GrantState
  words: string
}

export interface EntranceOptions {
  /** Who disabled an agent, and why, where it is disabled. */
  disabled: (agent: string) => { by: string; reason: string } | undefined
  frozen: (connection: string) => Freeze | undefined
  grants: GrantsBehind
  preview: Gate['preview']
  /** Why a token is good no more, in words; undefined where it still is. Never rejects. */
  tokenOver: (agent: AgentPrincipal) => Promise<string | undefined>
  /** Milliseconds since the epoch. */
  clock: () => number
}

/** The way in, and what ends those who are in. */
export interface EntranceRoom extends Entrance {
  grantChanged(change: GrantChange): void
  /** @param words why, for the client, without a full stop */
  disabled(agent: string, words: string): void
  tokenEnded(token: string, words: string): void
  /** A public key is its agent's no more. */
  keyTaken(fingerprint: string): void
  frozen(freeze: Freeze): void
  /** Policy is another: who may not connect any more goes. */
  policyChanged(): void
  /** Issuers are others: whose isn't trusted any more goes. */
  issuersChanged(trusts: (issuer: string) => boolean): void
  /** How many sessions are open on a connection. */
  openOn(connection: string): number
  /** How many are in, or coming in. */
  readonly inside: number
}

/** Why a token is good no more, for the one who came with it. */
export const ISSUER_GONE = 'the issuer of its token is trusted no more'
export const KEY_TAKEN = 'the key that it came with was taken from the agent'
/** setTimeout takes no more (2^31 - 1 ms). */
const LONGEST_MS = 2_147_483_647
/** Tokens of issuers that can be asked again are asked about so often (ms). */
const RECHECK_MS = 60_000
/** Whoever keeps the grants says first, and better, that one has ended. */
const AFTER_MS = 250

/** Who may come in beside policy, and when they must go: {@link Entrance}. */
export function createEntrance(options: EntranceOptions): EntranceRoom {
  const { frozen, disabled } = options
  const byAgent = new Map<string, Set<Inside>>()
  let inside = 0

  const left = (one: Inside) => {
    const others = byAgent.get(one.agent.id)
    if (!others?.delete(one)) return
    inside--
    if (others.size === 0) byAgent.delete(one.agent.id)
  }
  const everyone = () => [...byAgent.values()].flatMap((some) => [...some])

  return {
    enter(agent, connection) {
      if (disabled(agent.id)) return { refused: 'the agent is disabled' }
      const freeze = frozen(connection.name)
      if (freeze)
        return { refused: freeze.connection === EVERYTHING ? 'everything is frozen' : 'the connection is frozen' }
      const { token } = agent
      if (token && token.connection !== connection.name) return { refused: 'the token is for another connection' }
      const one = new Inside(agent, connection, options, left)
      if (one.lacksGrant)
        return { refused: token?.grant === undefined ? 'no live grant' : 'the grant of the token is not live' }
      const others = byAgent.get(agent.id) ?? new Set()
      byAgent.set(agent.id, others.add(one))
      inside++
      return one
    },

    grantChanged({ agent, onBehalfOf, connection, words }) {
      for (const one of [...(byAgent.get(agent) ?? [])])
        if (one.connection.name === connection && (one.agent.onBehalfOf ?? '') === (onBehalfOf ?? ''))
          one.grantsChanged(words)
    },
    disabled(agent, words) {
      for (const one of [...(byAgent.get(agent) ?? [])]) one.end('agent-disabled', words)
    },
    tokenEnded(token, words) {
      for (const one of everyone()) if (one.agent.token?.id === token) one.end('token-revoked', words)
    },
    keyTaken(fingerprint) {
      for (const one of everyone()) if (one.agent.key === fingerprint) one.end('token-revoked', KEY_TAKEN)
    },
    frozen(freeze) {
      const { connection } = freeze
      for (const one of everyone())
        if (connection === EVERYTHING || one.connection.name === connection) one.end('frozen', frozenWords(freeze))
    },
    issuersChanged(trusts) {
      for (const one of everyone()) if (!trusts(one.agent.issuer)) one.end('token-revoked', ISSUER_GONE)
    },
    policyChanged() {
      for (const one of everyone()) one.decideAnew('policy-changed', (why) => `policy was changed: ${why}`)
    },
    openOn: (connection) => everyone().filter((one) => one.connection.name === connection && one.isOpen).length,
    get inside() {
      return inside
    },
  }
}

/** Somebody who was let in. Nothing is told to the session but what stands behind it, and that it must end. */
class Inside implements Entry {
  readonly agent: AgentPrincipal
  readonly connection: ConnectionRef
  readonly #options: EntranceOptions
  readonly #left: (one: Inside) => void
  readonly #needed: boolean
  #live: readonly LiveGrant[]
  #backing: Backing
  #session: OpenedSession | undefined
  #ended: EndReason | undefined
  #timer: NodeJS.Timeout | undefined
  #recheck: NodeJS.Timeout | undefined

  constructor(agent: AgentPrincipal, connection: ConnectionRef, options: EntranceOptions, left: (one: Inside) => void) {
    this.agent = agent
    this.connection = connection
    this.#options = options
    this.#left = left
    // A token that is bound to a grant is good for what that permits, also where others need none.
    this.#needed = connection.access === 'jit' || agent.token?.grant !== undefined
    this.#live = options.grants.live(agent, connection.name)
    this.#backing = this.#backingOf(this.#live)
  }

  get backing(): Backing {
    return this.#backing
  }

  /** Whether there is nothing that it could do. Where all is only observed, that is found at each command. */
  get lacksGrant(): boolean {
    return this.#needed && this.connection.mode === 'enforce' && !this.#backing.grants.some((one) => this.#holds(one))
  }

  get isOpen(): boolean {
    return this.#session !== undefined
  }

  opened(session: OpenedSession): void {
    this.#session = session
    if (this.#ended) session.end(this.#ended)
    else {
      this.#noteUse([])
      this.#watch()
      const { token, proof, key } = this.agent
      // Between its check and now it may have been revoked.
      if (token || proof !== undefined || key !== undefined) void this.#lookAtToken()
      if (proof !== undefined) this.#recheck = setInterval(() => void this.#lookAtToken(), RECHECK_MS).unref()
    }
  }

  left(): void {
    this.#stop()
    this.#left(this)
  }

  end(cause: EndCause, words: string): void {
    if (this.#ended) return
    this.#stop()
    this.#ended = new EndReason(cause, `access ended: ${words}`)
    this.#session?.end(this.#ended)
  }

  grantsChanged(words: string): void {
    const live = this.#options.grants.live(this.agent, this.connection.name)
    if (live === this.#live) return
    const before = this.#backing
    this.#live = live
    const backing = this.#backingOf(live)
    if (sameGrants(before, backing)) return
    this.#backing = backing
    if (this.lacksGrant) this.end('grant-ended', words)
    if (this.#ended) return
    this.#noteUse(before.grants)
    this.#watch()
    // Where no grant is needed policy may still ask for one.
    if (!this.#needed) this.decideAnew('grant-ended', () => words)
    const gone = before.grants.some(({ id }) => !backing.grants.some((one) => one.id === id))
    if (gone && !this.#ended) this.#session?.lessened(new EndReason('grant-ended', `access ended: ${words}`))
  }

  /** Ends it where policy would not let it connect now. */
  decideAnew(cause: EndCause, words: (why: string) => string): void {
    const { agent, connection } = this
    if (!this.#session || connection.mode === 'observe') return
    const { id, purpose, connect } = this.#session
    const { outcome, reason } = this.#options.preview(
      connecting(agent, connection, connect, id, purpose, this.#backing),
    )
    if (outcome === 'deny') this.end(cause, words(reason))
  }

  async #lookAtToken(): Promise<void> {
    const words = await this.#options.tokenOver(this.agent)
    if (words !== undefined) this.end('token-revoked', words)
  }

  #stop(): void {
    clearTimeout(this.#timer)
    clearInterval(this.#recheck)
  }

  #noteUse(before: readonly LiveGrant[]): void {
    const added = this.#backing.grants.filter(({ id }) => !before.some((known) => known.id === id)).map(({ id }) => id)
    if (added.length > 0 && this.#session) this.#options.grants.used(added, this.#session.id)
  }

  /** Ends it when the last of its grants does, even where nobody could write that down. */
  #watch(): void {
    clearTimeout(this.#timer)
    if (!this.#needed || this.connection.mode !== 'enforce' || this.#ended) return
    const last = this.#backing.grants.reduce((found, one) => (one.endsAt > found.endsAt ? one : found))
    const left = last.endsAt - this.#options.clock()
    if (left <= 0) this.end('grant-ended', `grant ${last.id} has expired`)
    else this.#timer = setTimeout(() => this.#watch(), Math.min(left + AFTER_MS, LONGEST_MS)).unref()
  }

  #backingOf(live: readonly LiveGrant[]): Backing {
    const only = this.agent.token?.grant
    const grants = only === undefined ? live : live.filter(({ id }) => id === only)
    return this.#needed || grants.length > 0 ? { needed: this.#needed, grants } : standing
  }

  #holds({ endsAt }: LiveGrant): boolean {
    return endsAt > this.#options.clock()
  }
}

function sameGrants(a: Backing, b: Backing): boolean {
  return a.grants.length === b.grants.length && a.grants.every((grant, at) => grant === b.grants[at])
}

/** Opening a connection, as a command at the gate. */
function connecting(
  agent: AgentPrincipal,
  connection: ConnectionRef,
  connect: Effect,
  id: string,
  purpose: string | undefined,
  backing: Backing,
): Command {
  return {
    protocol: protocolOf(connect),
    connection,
    agent,
    session: { id, ...(purpose === undefined ? {} : { purpose }), backing },
    text: 'connect',
    parameters: [],
    kind: 'connect',
    effects: [connect],
    meaning: {},
  }
}

/** A preview judges effects alone; the name is for whoever reads it. */
function protocolOf({ action }: Effect): Command['protocol'] {
  const protocols = { ssh: 'ssh', k8s: 'kubernetes', http: 'http', mcp: 'mcp' } as const
  return protocols[action.split(':')[0] as keyof typeof protocols] ?? 'postgres'
}
