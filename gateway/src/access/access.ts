import type { ConnectionRecord } from '@countersign/contract/access'
import type { Transaction } from 'kysely'
import type { BaseLogger } from 'pino'
import { cancelAllOf } from '../approvals/access.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { LoadedConfig } from '../config/config.ts'
import type { Gate } from '../gate/command.ts'
import type { Entrance } from '../gate/entrance.ts'
import { createGrants, type Grants } from '../grants/grants.ts'
import { knownAgents } from '../grants/known-agents.ts'
import { createIdentity } from '../identity/identity.ts'
import type { Identity, PersonPrincipal, Principal } from '../identity/principal.ts'
import { type AccessQuestions, createAccessQuestions } from '../identity/registry/access/questions.ts'
import { createKeySignIn, type KeySignIn } from '../identity/registry/key-sign-in.ts'
import { noting, notingSubjects } from '../identity/registry/noting.ts'
import { openRegistry, type Registry } from '../identity/registry/registry.ts'
import { createSubjectTokens } from '../identity/subject-tokens.ts'
import { bothKinds } from '../identity/tokens/both-kinds.ts'
import { createExchange, type Exchange } from '../identity/tokens/exchange.ts'
import { createTokens, type Tokens } from '../identity/tokens/tokens.ts'
import type { Policies } from '../policy/policy.ts'
import type { Used } from '../sessions/ledger/used.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import { createEntrance, type EntranceRoom, KEY_TAKEN } from './entrance.ts'
import { type Freezes, openFreezes } from './freezes.ts'
import { createWatchers, type Watchers } from './watchers.ts'

export interface AccessOptions {
  store: Store
  config: () => LoadedConfig
  policies: () => Policies
  approvals: Approvals
  /** What agents used, as it is counted beside the ledger. */
  used: Pick<Used, 'connections' | 'of' | 'days'>
  gate: Pick<Gate, 'preview'>
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Milliseconds since the epoch. */
  clock?: () => number
}

/** Who is calling, what they may open, and what ends it: the rooms of access, each by its name. */
export interface Access extends AsyncDisposable {
  /** Takes tokens of issuers and of the gateway. */
  identity: Identity
  /** Takes public keys. */
  keys: KeySignIn
  entrance: Entrance
  freezes: Freezes
  tokens: Tokens
  exchange: Exchange
  registry: Registry
  questions: AccessQuestions
  grants: Grants
  // Each room adds itself here: people.
  /** All connections that are configured, by name. */
  connections(): Omit<ConnectionRecord, 'freeze'>[]
  /**
   * Why somebody whose token is good may do nothing nevertheless, in words for them: an agent that is disabled, a person
   * who has left.
   */
  barred(who: Principal): string | undefined
  /** Whether a person is an agent's sponsor or owner. */
  answersFor(person: PersonPrincipal, agent: string): boolean
  /** For who stays connected beside sessions. */
  watch: Watchers['watch']
  /** A configuration was read anew and is in force. */
  reconfigured(changed: { policy: boolean }): void
}

/** Opens the rooms of access and ties them together. */
export async function openAccess(options: AccessOptions): Promise<Access> {
  const { store, config, gate, log } = options
  const clock = options.clock ?? Date.now
  await using stack = new AsyncDisposableStack()

  const { issuers, roles } = config().identity
  const identity = createIdentity({ issuers, roles, log, clock })
  const trusts = (issuer: string) =>
    config().identity.issuers.some((one) => one.issuer === issuer && one.for !== 'people')
  const speaksForPeople = (issuer: string) =>
    config().identity.issuers.some((one) => one.issuer === issuer && one.for !== 'agents')
  const tokens = stack.use(createTokens({ store, trusts, log, clock }))
  const freezes = await openFreezes({ store, clock })
  const registry: Registry = stack.use(
    await openRegistry({
      store,
      used: options.used,
      endAll: (agent, { by: person, because, at, write, committed }) => {
        const by = { kind: 'person' as const, ...person }
        const also = async (tx: Transaction<Tables>) => {
          await write(tx)
          await tokens.revokeAllOf(tx, agent, by, because, at)
          await cancelAllOf(tx, agent, because, at)
        }
        return grants.endAllOf(agent, { by, because, at, also, committed })
      },
      settings: () => {
        const { issuers, sponsor_from, left_after } = config().identity
        const ofAgents = issuers.filter((one) => one.for !== 'people').map(({ issuer }) => issuer)
        return { agentIssuers: new Set(ofAgents), sponsorFrom: sponsor_from, leftAfter: left_after }
      },
      log,
      clock,
    }),
  )
  const questions = stack.use(
    createAccessQuestions({
      store,
      registry,
      policies: options.policies,
      connections: () => [...config().connections.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
      used: options.used,
      clock,
    }),
  )
  const barred = (who: Principal): string | undefined => {
    const mark = who.kind === 'agent' ? registry.disabled(who.id) : registry.left(who.id)
    if (!mark) return undefined
    const what = who.kind === 'agent' ? 'this agent was disabled' : 'you were marked as having left'
    return `${what} by ${mark.by}${mark.reason === '' ? '' : `: ${mark.reason}`}`
  }
  const lookedAt = async (who: Principal) => {
    if (who.kind === 'agent' && who.key !== undefined)
      return registry.agentOfKey(who.key) === who.id ? undefined : KEY_TAKEN
    return who.kind === 'agent' && who.token ? tokens.over(who.token.id) : identity.recheck(who)
  }
  const tokenOver = (who: Principal) =>
    lookedAt(who).catch((error) => {
      log.error({ error, who: who.id }, 'a token could not be checked again')
      return 'its token could not be checked again'
    })
  const watchers = createWatchers({ barred, tokenOver })
  const connection = (name: string) => {
    const { kind, tags, mode, access } = config().connections.get(name) ?? {}
    return kind && tags && mode && access ? { name, kind, tags, mode, access } : undefined
  }
  const grants: Grants = stack.use(
    createGrants({
      store,
      approvals: options.approvals,
      policies: options.policies,
      connection,
      agents: knownAgents(registry),
      config: () => config().grants,
      asking: () => ({ ...config().limits, ...config().approvals }),
      log,
    }),
  )
  const entrance: EntranceRoom = createEntrance({
    disabled: registry.disabled,
    frozen: freezes.over,
    grants,
    preview: gate.preview,
    tokenOver,
    clock,
  })
  stack.defer(grants.onChange(entrance.grantChanged))
  stack.defer(freezes.onFrozen(entrance.frozen))
  stack.defer(
    registry.onDisabled((agent, words) => {
      entrance.disabled(agent, words)
      watchers.barred(agent, words)
    }),
  )
  stack.defer(registry.onKeyTaken(entrance.keyTaken))
  stack.defer(registry.onLeft(({ id }, _by, words) => watchers.barred(id, words)))
  stack.defer(
    tokens.onRevoked((token, words) => {
      entrance.tokenEnded(token, words)
      watchers.tokenEnded(token, words)
    }),
  )
  const exchange = createExchange({
    tokens,
    subjectTokens: notingSubjects(createSubjectTokens({ identity, db: store.db, clock }), registry),
    connection,
    entrance,
    gate,
    lifetimes: () => config().identity.tokens,
    barred,
    log,
    clock,
  })

  await grants.recover()
  /** What of connections a grant is given by. */
  const given = () =>
    JSON.stringify([...config().connections.values()].map(({ name, kind, tags }) => [name, kind, tags]))
  let givenBy = given()

  const parts = stack.move()
  return {
    identity: noting(bothKinds(identity, tokens), registry),
    keys: createKeySignIn({
      registry,
      trusts,
      tokenWithin: () => config().ssh?.tokenWithin ?? 0,
      clock,
    }),
    registry,
    questions,
    grants,
    tokens,
    exchange,
    entrance,
    freezes,
    connections() {
      const all = [...config().connections.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
      return all.map(({ name, kind, tags, access, mode }) => {
        const open = { openSessions: entrance.openOn(name), liveGrants: grants.count({ connection: name }) }
        return { name, kind, tags, access, mode, ...open }
      })
    },
    barred,
    answersFor: registry.answersFor,
    watch: watchers.watch,
    reconfigured({ policy }) {
      identity.reconfigure(config().identity)
      entrance.issuersChanged(trusts)
      watchers.issuersChanged(({ kind, issuer }) => (kind === 'agent' ? trusts(issuer) : speaksForPeople(issuer)))
      if (policy) entrance.policyChanged()
      const before = givenBy
      givenBy = given()
      if (policy || givenBy !== before)
        grants.recheck().catch((error) => log.error({ error }, 'grants could not be decided anew: revoke them by hand'))
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}
