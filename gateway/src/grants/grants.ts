import { hash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import type { Grant, GrantExtension, GrantRequest, GrantState, Plan, PlanRequest } from '@countersign/contract/access'
import type { BaseLogger } from 'pino'
import type { z } from 'zod'
import type { Approvals } from '../approvals/approvals.ts'
import { type Clock, systemClock } from '../approvals/clock.ts'
import type { ConnectionRef } from '../gate/command.ts'
import type { LiveGrant } from '../gate/entrance.ts'
import type { Principal } from '../identity/principal.ts'
import type { Policies } from '../policy/policy.ts'
import type { Store } from '../store/store.ts'
import { endAllOf, withdraw } from './all-of.ts'
import { onOneLine } from './asked.ts'
import { type Answered, type AskingBounds, ask, type Wish } from './asking.ts'
import { createEndings } from './endings.ts'
import { createLane } from './lane.ts'
import { type GrantQuery, listGrants, listPlans, type PlanQuery, readUses } from './list.ts'
import { LiveGrants } from './live.ts'
import { recheckOne } from './recheck.ts'
import { createRefusals } from './refusals.ts'
import { GrantRefused } from './refused.ts'
import { type Ground, settle } from './releasing.ts'
import { readGrant, readGrants, readPlans } from './rows.ts'
import { actorOf, type By, doerOf, ended, moveGrant, type Tx } from './transitions.ts'
import { createUses } from './uses.ts'
import { createWishes, type KnownAgents } from './wishes.ts'

export type { GrantQuery, PlanQuery } from './list.ts'
export { type GrantFault, GrantRefused } from './refused.ts'

/** `grants:` of the configuration. */
export interface GrantsConfig {
  /** Milliseconds. */
  max_duration: number
  /** Live or asked for at a time. */
  per_agent: number
}

/** A grant has come into a state, and that is in the store; or has run out. `words` say why, without a full stop. */
export interface GrantChange {
  agent: string
  onBehalfOf?: string | undefined
  connection: string
  grant: string
  state: GrantState
  words: string
}

/** `again`: it was asked for before, and people are still to decide. */
export interface Asked {
  grant: Grant
  again: boolean
}

export interface Grants extends AsyncDisposable {
  /**
   * Somebody asks for access: an agent for itself, a person for an agent. Policy decides at once, or people have to.
   * @throws GrantRefused where it is refused, or asked for in a wrong way
   */
  request(by: Principal, request: z.output<typeof GrantRequest>): Promise<Asked>
  /** Several grants, decided as one. @throws GrantRefused */
  requestPlan(by: Principal, request: z.output<typeof PlanRequest>): Promise<{ plan: Plan; again: boolean }>
  /** The same access for longer, by a grant of its own that begins when it is given. @throws GrantRefused */
  extend(id: string, by: Principal, request: z.output<typeof GrantExtension>): Promise<Asked>
  /** Ends a grant, or a request for one, at once; what is revoked already stays so. Whether somebody may is asked before. @throws GrantRefused */
  revoke(id: string, by: Principal, reason: string): Promise<Grant>
  /**
   * Ends all of an agent, and all that it has asked for, in one transaction with `also`; none comes in between.
   * @param end because: in words, without a full stop; committed: called before anybody is told of what ended
   */
  endAllOf(
    agent: string,
    end: { by: By; because: string; at: Date; also: (tx: Tx) => Promise<void>; committed: () => void },
  ): Promise<void>
  get(id: string): Promise<Grant | undefined>
  /** The sessions that used it, the newest first. */
  usedBy(id: string): Promise<NonNullable<Grant['usedBy']>>
  plan(id: string): Promise<Plan | undefined>
  /** Newest first. @throws BadGrantCursor */
  list(query: GrantQuery): Promise<{ items: Grant[]; next: string | null }>
  /** Newest first. @throws BadGrantCursor */
  plans(query: PlanQuery): Promise<{ items: Plan[]; next: string | null }>
  /** Those of an agent, on behalf of this one, for a connection. In memory; the same array while nothing has changed. */
  live(agent: { id: string; onBehalfOf?: string | undefined }, connection: string): readonly LiveGrant[]
  /** How many are live. In memory. */
  count(of: { agent: string } | { connection: string }): number
  /** Tells of every change of what is live, at once. Must not throw. Answers the function that ends it. */
  onChange(listener: (change: GrantChange) => void): () => void
  /** A session stands on them. Quick, never throws. */
  used(grants: readonly string[], session: string): void
  /**
   * Policy, or the connections, are others: what is live and would not be given any more is revoked, what is asked for is
   * decided anew.
   */
  recheck(): Promise<void>
  /** At start-up, before anything is served: what was between two states is finished. */
  recover(): Promise<void>
}

export interface GrantsOptions {
  store: Store
  approvals: Pick<Approvals, 'cancel' | 'reopen' | 'asAsked' | 'breakGlassMost'>
  policies: () => Policies
  connection: (name: string) => ConnectionRef | undefined
  agents: KnownAgents
  config: () => GrantsConfig
  /** How long people have to decide, and how much may wait for them. */
  asking: () => Omit<AskingBounds, 'per_agent'>
  clock?: Clock
  log?: Pick<BaseLogger, 'error'>
}

/** So many are looked at in one go after policy has changed: what else is to be done comes in between. */
const AT_ONCE = 50
/** What the store could not write is tried again after so long (ms). */
const AGAIN_MS = 1000

/** Access of agents: asked for, given, used, ended. Every transition is one transaction with its entry and message. */
export function createGrants(options: GrantsOptions): Grants {
  const { store, policies, log } = options
  const { db } = store
  const clock = options.clock ?? systemClock
  const lane = createLane()
  const live = new LiveGrants()
  const listeners = new Set<(change: GrantChange) => void>()
  const refusals = createRefusals(() => clock.now().getTime())
  const wishes = createWishes({ agents: options.agents, config: options.config, connection: options.connection })
  const uses = createUses(store, clock, log)
  let stopped = false

  /** One transition, or several: the transaction, then what is kept in memory, before anybody else's. */
  const change = <T extends { grants: readonly Grant[] }>(
    work: (tx: Tx, at: Date) => Promise<T>,
    committed = () => {},
  ): Promise<T> =>
    lane(async () => {
      const done = await db.transaction().execute((tx) => work(tx, clock.now()))
      committed()
      for (const grant of done.grants) take(grant)
      return done
    })
  const take = (grant: Grant) => {
    const { id, agent, identity, connection, state } = grant
    if (state === 'active') {
      if (!live.add(grant)) return
      endings.dueAt(Date.parse(grant.expiresAt!))
    } else {
      uses.forget(id)
      // What was only asked for changes nothing of what is live.
      if (!live.remove(id)) return
    }
    tell({ agent, onBehalfOf: identity.onBehalfOf, connection, grant: id, state, words: wordsOf(grant) })
  }
  const tell = (one: GrantChange) => {
    for (const listener of listeners)
      try {
        listener(one)
      } catch (error) {
        log?.error({ error, grant: one.grant }, 'a listener of grants failed')
      }
  }
  const endings = createEndings({ live, clock, change, tell, log })
  const ground = (at: Date): Ground => ({
    policies: policies(),
    connection: options.connection,
    disabled: options.agents.disabled,
    asAsked: options.approvals.asAsked,
    breakGlassMost: options.approvals.breakGlassMost,
    at,
  })

  const asked = async (who: Principal, wish: Wish): Promise<Exclude<Answered, { outcome: 'denied' }>> => {
    refusals.mayAsk(who.id)
    // As a hash: it is kept where it is refused, and may be long.
    const question = hash(
      'sha256',
      JSON.stringify([wish.plan ?? null, wish.wanted.map(({ asked, identity, title }) => [asked, identity, title])]),
    )
    const same = refusals.same(who.id, question)
    if (same) throw same
    const answered = await change((tx, at) => {
      wishes.stillWanted(wish)
      return ask(tx, wish, {
        policies: policies(),
        bounds: { ...options.asking(), per_agent: options.config().per_agent },
        at,
      })
    })
    if (answered.outcome !== 'denied') return answered
    refusals.refused(who.id, question, answered.refused)
    throw answered.refused
  }

  /** Finishes what waited for an approval; tried again where the store fails. */
  const settled = async (approval: string): Promise<void> => {
    if (stopped) return
    try {
      const { reopen } = await change((tx, at) => settle(tx, approval, ground(at)))
      if (!reopen || (await options.approvals.reopen(approval, reopen))) return
      await options.approvals.cancel(approval, 'policy asks for more approvals by now, and time is up')
    } catch (error) {
      if (stopped) return
      log?.error({ error, approval }, 'what waited for an approval could not be finished; trying again in a second')
      clock.wake(new Date(clock.now().getTime() + AGAIN_MS), () => void settled(approval))
    }
  }
  const unsubscribe = store.feed.subscribe(({ type, data }) => {
    if ((type !== 'approval.decided' && type !== 'approval.closed') || !data.access) return
    if (data.state !== 'pending' && data.state !== 'used') void settled(data.id)
  })

  return {
    async request(by, request) {
      if (request.agent !== undefined) await options.agents.upToDate?.()
      const { grants, again } = await asked(by, wishes.grant(by, request))
      return { grant: grants[0]!, again }
    },

    async requestPlan(by, request) {
      if (request.steps.some(({ agent }) => agent !== undefined)) await options.agents.upToDate?.()
      const { plan, again } = await asked(by, wishes.plan(by, request))
      return { plan: (await readPlan(plan!))!, again }
    },

    async extend(id, by, request) {
      const before = await readGrant(db, id)
      if (!before) throw unknown(id)
      if (before.state !== 'active' || Date.parse(before.expiresAt!) <= clock.now().getTime())
        throw new GrantRefused('conflict', `Grant ${id} is not live (${before.state}): ask for a new one`)
      const { grants, again } = await asked(by, wishes.extension(by, before, request))
      return { grant: grants[0]!, again }
    },

    async revoke(id, by, reason) {
      const actor = actorOf(by)
      const said = onOneLine(reason)
      const because = `revoked by ${actor.kind === 'gateway' ? 'the gateway' : actor.name}${said === '' ? '' : `: ${said}`}`
      const { grants } = await change(async (tx, at) => {
        const before = await readGrant(tx, id)
        if (!before) throw unknown(id)
        if (before.state === 'revoked') return { grants: [before] }
        if (before.state === 'expired' || before.state === 'denied')
          throw new GrantRefused('conflict', `Grant ${id} is ${before.state} already: there is nothing left to revoke`)
        if (before.state === 'active' && before.expiresAt! <= at.toISOString())
          throw new GrantRefused('conflict', `Grant ${id} has just expired: there is nothing left to revoke`)
        const revoked = ended('revoked', actor, because, at.toISOString())
        const grant = (await moveGrant(tx, id, ['requested', 'active'], revoked, actor, at))!
        if (before.state === 'requested') await withdraw(tx, before.approval, `withdrawn by ${doerOf(actor).name}`, at)
        return { grants: [grant] }
      })
      return grants[0]!
    },

    async endAllOf(agent, { by, because, at, also, committed }) {
      await change(async (tx) => {
        await also(tx)
        return { grants: await endAllOf(tx, agent, by, because, at) }
      }, committed)
    },

    get: (id) => readGrant(db, id),
    async usedBy(id) {
      // A use of a moment ago is one.
      await uses.flush()
      return readUses(db, id)
    },
    plan: readPlan,
    list: (query) => listGrants(db, query),
    plans: (query) => listPlans(db, query),

    live: ({ id, onBehalfOf }, connection) => live.of({ agent: id, onBehalfOf, connection }),
    count: (of) => live.count(of),
    onChange(listener) {
      const own = (one: GrantChange) => listener(one)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    used: uses.used,

    async recheck() {
      refusals.forget()
      const requested = await db.selectFrom('grants').select('id').where('state', '=', 'requested').execute()
      // Those on which somebody works go first.
      const active = live.ids.sort((a, b) => Number(uses.wasUsed(b)) - Number(uses.wasUsed(a)))
      const all = [...active, ...requested.map(({ id }) => id)]
      for (let from = 0; from < all.length; from += AT_ONCE) {
        await change(async (tx, at) => {
          const grants: Grant[] = []
          for (const id of all.slice(from, from + AT_ONCE)) grants.push(...(await recheckOne(tx, id, ground(at))))
          return { grants }
        })
        // SQLite answers at once: without this nothing else would have a turn until all is done.
        await turn()
      }
    },

    async recover() {
      const rows = await db.selectFrom('grants').selectAll().where('state', '=', 'active').execute()
      const now = clock.now().toISOString()
      const going = rows.filter((row) => row.expires_at! > now)
      for (const grant of await readGrants(db, going)) take(grant)
      await endings.expireDue()
      const between = await db
        .selectFrom('grants')
        .leftJoin('approvals', 'approvals.id', 'grants.approval')
        .select('grants.approval')
        .distinct()
        .where('grants.state', '=', 'requested')
        .where((e) => e.or([e('approvals.state', 'is', null), e('approvals.state', '!=', 'pending')]))
        .execute()
      for (const { approval } of between) if (approval !== null) await settled(approval)
    },

    async [Symbol.asyncDispose]() {
      stopped = true
      unsubscribe()
      endings.stop()
      await lane(async () => {})
      await uses.flush()
    },
  }

  async function readPlan(id: string): Promise<Plan | undefined> {
    const row = await db.selectFrom('plans').selectAll().where('id', '=', id).executeTakeFirst()
    return row && (await readPlans(db, [row]))[0]
  }
}

function wordsOf({ id, state, endedBecause }: Grant): string {
  if (state === 'active') return `grant ${id} is active`
  return state === 'expired' ? `grant ${id} has expired` : `grant ${id} was ${endedBecause ?? state}`
}

function unknown(id: string): GrantRefused {
  return new GrantRefused('not-found', `There is no grant ${id}`)
}
