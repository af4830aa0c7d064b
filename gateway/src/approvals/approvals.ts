import { setImmediate as turn } from 'node:timers/promises'
import { type Approval, type ApprovalState, DecisionRequest, type Outcome } from '@countersign/contract/approval'
import type { BaseLogger } from 'pino'
import { keptWords } from '../config/retention.ts'
import type { PersonPrincipal, Principal } from '../identity/principal.ts'
import type { Stage } from '../policy/escalation.ts'
import type { Requirement } from '../policy/policy.ts'
import type { Store } from '../store/store.ts'
import { type BreakGlassRoom, type BreakGlassRules, createBreakGlass } from './break-glass.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Decided, decideIn, refused } from './decide.ts'
import { createDelegations, type Delegations } from './delegations.ts'
import { createExpiry } from './expiry.ts'
import { isOwn, mayDecide } from './may-decide.ts'
import type { SponsorsOf } from './own.ts'
import { type Asked, milliseconds, narrowest, type Vote } from './quorum.ts'
import { type Held, newApprovalId, newRow, type OpenApproval, readHeld } from './rows.ts'
import { asAsked, escalatedTo, nextStage } from './stages.ts'
import { cancelWaitingOnes, close, move, readApproval, say, sayOpened, type Tx } from './transitions.ts'

export type { Decided } from './decide.ts'
export type { Held, OpenApproval } from './rows.ts'

/** `approvals:` of the configuration, in milliseconds. */
export interface ApprovalsConfig {
  expires: number
  use_within: number
  max_window: number
  /** Who is asked after how long, where a policy doesn't say so itself. */
  escalate?: Stage[]
  /** Who may decide alone in an emergency; absent: nobody. */
  break_glass?: BreakGlassRules | undefined
}

/** `limits:` of the configuration: how many may wait for people, or, approved, for being used. */
export interface ApprovalLimits {
  held_per_agent: number
  held: number
}

/** As many wait as may: the command must be refused. */
export class ApprovalsFull extends Error {
  override name = 'ApprovalsFull'
  /** The name of the limit. */
  readonly limit: string
  constructor(message: string, limit: string) {
    super(message)
    this.limit = limit
  }
}

/** A digest that may be repeated, and who approved that. */
export interface OpenWindow {
  approval: string
  votes: Vote[]
  /** What was asked for then. */
  requirements: Asked[]
}

export interface Approvals extends AsyncDisposable {
  /**
   * Asks for approval. With hold `fail`, the pending approval of the same digest and agent is the answer where there is one.
   * @throws ApprovalsFull
   * @throws where it can't be stored, or the gateway is stopping: the command must then be refused
   */
  open(request: OpenApproval): Promise<Approval>
  /** A person decides. One transaction: still pending? may this person? the same digest? enough people? */
  decide(id: string, person: PersonPrincipal, request: DecisionRequest): Promise<Decided>
  get(id: string): Promise<Approval | undefined>
  /** As `get`, with what counting needs. */
  find(id: string): Promise<Held | undefined>
  /**
   * Newest first. `sees` leaves out what the caller may not see; `next` goes into `after`. A page of long commands is
   * shorter than `limit`.
   */
  list(query: {
    state?: ApprovalState
    agent?: string
    limit: number
    after?: string
    sees?: (approval: Approval) => boolean
  }): Promise<{ items: Approval[]; next: string | null }>
  mayDecide(person: PersonPrincipal, approval: Approval): true | string
  /** Whether a person may approve it alone now, in an emergency. */
  mayBreakGlass(person: PersonPrincipal, approval: Approval): boolean
  /** Requirements of policy as they count now: with those to whom the same ones of an approval have escalated. */
  asAsked(now: readonly Requirement[], before: readonly Asked[]): Asked[]
  /** How long access lasts at most that one person gave alone (s): a minute where nobody may any more. */
  breakGlassMost(): number
  /** Whoever calls, with what they may do at the moment besides what their groups say. */
  knowing<P extends Principal>(caller: P): P
  readonly delegations: Delegations
  readonly breakGlass: BreakGlassRoom
  /** Ends one that wasn't used yet. @returns what it is then: cancelled, or what came first */
  cancel(id: string, because: string): Promise<Approval | undefined>
  /** approved → used, in one step; false where it isn't approved any more, too late, or `signal` is aborted before the commit. */
  use(id: string, signal: AbortSignal): Promise<boolean>
  /** approved → pending, with what is asked for now; its votes stay. False where it isn't approved any more, or out of time. */
  reopen(id: string, requirements: Requirement[]): Promise<boolean>
  /** An approved one of hold `fail` that may still be used. */
  findApproved(digest: string, agent: string): Promise<Held | undefined>
  /** A window that lets this digest be repeated now, in this session. */
  findWindow(digest: string, agent: string, session: string): Promise<OpenWindow | undefined>
  /** Resolves with what it is once it isn't pending any more. @throws the signal's reason when aborted */
  waitFor(id: string, signal: AbortSignal): Promise<Held>
  /** What became of the command; kept once, and shown on the card. */
  reportOutcome(id: string, outcome: Outcome): Promise<void>
  /** At start-up, before anything is served: cancels what waited on a connection of the process before, expires what is due. */
  recover(): Promise<void>
  /** When the gateway stops: cancels what waits on a connection, and refuses to open more such. */
  cancelWaiting(because: string): Promise<void>
}

/** So many are read at a time; each may have a statement of `limits.max_statement`. */
const LIST_AT_ONCE = 50
/** A page ends beyond so many characters of commands. */
const LARGEST_PAGE = 8 * 1024 ** 2

/** Held commands and the people who decide them. Every transition is one transaction with its message on the feed. */
export function createApprovals(options: {
  store: Store
  config: () => ApprovalsConfig
  /** Asked for each approval, so that a reload counts at once. */
  limits: () => ApprovalLimits
  /** Who answers for an agent, as the registry has it. */
  sponsorsOf?: SponsorsOf
  /** Groups that policy in force asks, at once or later: what may be handed over. */
  askedGroups?: () => ReadonlySet<string>
  clock?: Clock
  log?: Pick<BaseLogger, 'error'>
}): Approvals {
  const { store, config, limits } = options
  const { db } = store
  const clock = options.clock ?? systemClock
  const now = () => clock.now()
  const waiters = new Map<string, Set<() => void>>()
  let stopping: string | undefined
  let stopped = false
  const expiry = createExpiry(db, clock, options.log)
  const sponsorsOf = options.sponsorsOf ?? (() => [])
  const delegations = createDelegations({
    store,
    clock,
    askedGroups: () =>
      new Set([...(options.askedGroups?.() ?? []), ...(config().escalate ?? []).flatMap((s) => s.groups)]),
    log: options.log,
  })
  const breakGlass = createBreakGlass({ store, clock, rules: () => config().break_glass })

  const unsubscribe = store.feed.subscribe(({ type, data, at }) => {
    // Requests for access are opened in transactions of others' (access.ts).
    if (type === 'approval.opened') expiry.dueAt(nextDue(data, new Date(at)))
    if (type === 'approval.opened' || type === 'approval.decided' || type === 'approval.closed')
      for (const wake of [...(waiters.get(data.id) ?? [])]) wake()
  })

  return {
    async open(request) {
      const approval = await db.transaction().execute(async (tx) => {
        // Asked inside the transaction: one that was queued before cancelWaiting must not come after it.
        if (stopping !== undefined && request.hold === 'wait') throw new Error(stopping)
        const at = now()
        if (request.hold === 'fail') {
          const { id } = request.command.agent
          const disabled = tx
            .selectFrom('agents')
            .select('id')
            .where('id', '=', id)
            .where('disabled_at', 'is not', null)
          // Whatever it comes back with would outlive that.
          if (await disabled.executeTakeFirst()) throw new Error('the agent is disabled')
          const same = await tx
            .selectFrom('approvals')
            .selectAll()
            .where('digest', '=', request.digest)
            .where('agent', '=', request.command.agent.id)
            .where('state', '=', 'pending')
            .where('hold', '=', 'fail')
            .where('expires_at', '>', at.toISOString())
            .executeTakeFirst()
          if (same) return (await readHeld(tx, [same]))[0]!.approval
        }
        await mayOpen(tx, request.command.agent.id, limits())
        const id = newApprovalId()
        await tx
          .insertInto('approvals')
          .values(newRow(id, request, at, config()))
          .execute()
        return (await sayOpened(tx, id, at)).approval
      })
      expiry.dueAt(nextDue(approval, new Date(approval.requestedAt)))
      return approval
    },

    async decide(id, person, asked) {
      const parsed = DecisionRequest.safeParse(asked)
      if (!parsed.success) return refused('invalid', parsed.error.issues.map((issue) => issue.message).join('; '))
      const request = parsed.data
      const { max_window, use_within, break_glass } = config()
      if (request.verdict === 'approve' && milliseconds(request.window) > max_window)
        return refused('invalid', `a window is at most ${keptWords(max_window)} here: choose a shorter one`)
      const decided = await db.transaction().execute((tx) =>
        decideIn(tx, id, person, request, {
          at: now(),
          useWithin: use_within,
          sponsorsOf,
          dutiesIn: delegations.dutiesIn,
          breakGlass: break_glass,
        }),
      )
      if (request.breakGlass && decided.ok) await breakGlass.wasUsed()
      if (decided.ok && decided.approval.state === 'approved') expiry.dueAt(now().getTime() + use_within)
      return decided
    },

    get: async (id) => (await readApproval(db, id))?.approval,
    find: (id) => readApproval(db, id),
    delegations,
    breakGlass,
    mayDecide: (person, approval) =>
      mayDecide(person, approval, { sponsorsOf, duties: delegations.dutiesOf(person.id) }),
    mayBreakGlass(person, approval) {
      if (approval.state !== 'pending' || !breakGlass.isOf(person) || breakGlass.full) return false
      const before = approval.decisions.find(({ personId }) => personId === person.id)
      return (!before || before.verdict === 'approve') && isOwn(person, approval, sponsorsOf) === undefined
    },
    asAsked: (now, before) => asAsked(now, before, config().escalate),
    breakGlassMost: () => Math.floor((config().break_glass?.max ?? 60_000) / 1000),
    knowing(caller) {
      if (caller.kind === 'agent') return caller
      const standing = () => ({ duties: delegations.dutiesOf(caller.id), breakGlass: breakGlass.isOf(caller) })
      return { ...caller, standing }
    },

    async list({ state, agent, limit, after, sees }) {
      const items: Approval[] = []
      const many = Math.min(limit + 1, LIST_AT_ONCE)
      let cursor = after === undefined ? undefined : readCursor(after)
      for (let size = 0; ; ) {
        const rows = await db
          .selectFrom('approvals')
          .selectAll()
          .$if(state !== undefined, (q) => q.where('state', '=', state!))
          .$if(agent !== undefined, (q) => q.where('agent', '=', agent!))
          .$if(cursor !== undefined, (q) =>
            q.where((e) =>
              e.or([e('requested_at', '<', cursor!.at), e('requested_at', '=', cursor!.at).and('id', '<', cursor!.id)]),
            ),
          )
          .orderBy('requested_at', 'desc')
          .orderBy('id', 'desc')
          .limit(many)
          .execute()
        for (const { approval } of await readHeld(db, rows)) {
          if (sees && !sees(approval)) continue
          if (items.length === limit || size > LARGEST_PAGE) return { items, next: cursorOf(items.at(-1)!) }
          items.push(approval)
          size += approval.command.text.length + JSON.stringify(approval.command.parameters).length
        }
        const last = rows.at(-1)
        if (!last || rows.length < many) return { items, next: null }
        cursor = { at: last.requested_at, id: last.id }
        // SQLite answers at once: without this nobody else would have a turn until all is read.
        await turn()
      }
    },

    async cancel(id, because) {
      return db.transaction().execute(async (tx) => {
        await close(tx, id, ['pending', 'approved'], { state: 'cancelled', because, at: now() })
        return (await readApproval(tx, id))?.approval
      })
    },

    async use(id, signal) {
      try {
        return await db.transaction().execute(async (tx) => {
          const held = await readApproval(tx, id)
          const at = now()
          if (!held?.useBy || held.useBy <= at) return false
          if (!(await close(tx, id, ['approved'], { state: 'used', because: null, at }))) return false
          const window = narrowest(
            held.votes.map((vote) => vote.window),
            config().max_window,
          )
          // What the approver chose began when they chose it, not when the agent came back.
          const approvedAt = Date.parse(held.approval.decisions.at(-1)!.at)
          if (window.repeats)
            await tx
              .insertInto('windows')
              .values({
                approval: id,
                digest: held.approval.command.digest,
                agent: held.approval.agent,
                connection: held.approval.connection,
                session: window.session ? held.approval.session : null,
                until: new Date(approvedAt + window.ms).toISOString(),
              })
              .execute()
          // Whoever aborted up to here is told that nothing ran, and nothing will.
          if (signal.aborted) throw new Withdrawn()
          return true
        })
      } catch (error) {
        if (error instanceof Withdrawn) return false
        throw error
      }
    },

    async reopen(id, requirements) {
      const reopened = await db.transaction().execute(async (tx) => {
        const held = await readApproval(tx, id)
        if (!held || held.approval.expiresAt <= now().toISOString()) return undefined
        const at = now()
        const asked = asAsked(requirements, held.requirements, config().escalate)
        const to = escalatedTo(asked)
        const again = {
          state: 'pending' as const,
          requirements: JSON.stringify(asked.map(({ escalatedTo: _, ...requirement }) => requirement)),
          use_by: null,
          // Those who are asked now have as long as those before them had.
          asked_at: at.toISOString(),
          escalated_to: to ? JSON.stringify(to) : null,
          escalates_at: nextStage(asked, held.votes, at)?.toISOString() ?? null,
        }
        if (!(await move(tx, id, ['approved'], again))) return undefined
        return (await sayOpened(tx, id, at)).approval
      })
      if (reopened) expiry.dueAt(nextDue(reopened, now()))
      return reopened !== undefined
    },

    async findApproved(digest, agent) {
      const row = await db
        .selectFrom('approvals')
        .selectAll()
        .where('digest', '=', digest)
        .where('agent', '=', agent)
        .where('state', '=', 'approved')
        .where('hold', '=', 'fail')
        .where('use_by', '>', now().toISOString())
        .orderBy('requested_at')
        .executeTakeFirst()
      return row && (await readHeld(db, [row]))[0]
    },

    async findWindow(digest, agent, session) {
      const row = await db
        .selectFrom('windows')
        .select('approval')
        .where('digest', '=', digest)
        .where('agent', '=', agent)
        .where('until', '>', now().toISOString())
        .where((e) => e.or([e('session', 'is', null), e('session', '=', session)]))
        // What was allowed before an agent was disabled is not when it is enabled again.
        .where((e) =>
          e.not(
            e.exists(
              e
                .selectFrom('agent_states')
                .innerJoin('approvals', 'approvals.id', 'windows.approval')
                .select('agent_states.id')
                .whereRef('agent_states.agent', '=', 'windows.agent')
                .where('agent_states.state', '=', 'disabled')
                .whereRef('agent_states.at', '>=', 'approvals.requested_at'),
            ),
          ),
        )
        .orderBy('until', 'desc')
        .executeTakeFirst()
      const held = row && (await readApproval(db, row.approval))
      return held && { approval: held.approval.id, votes: held.votes, requirements: held.requirements }
    },

    async waitFor(id, signal) {
      for (;;) {
        let wake = () => {}
        const changed = new Promise<void>((resolve) => {
          wake = resolve
        })
        const others = waiters.get(id) ?? new Set()
        waiters.set(id, others.add(wake))
        signal.addEventListener('abort', wake, { once: true })
        try {
          const held = await readApproval(db, id)
          signal.throwIfAborted()
          if (stopped) throw new Error('the gateway stopped')
          if (!held) throw new Error(`there is no approval ${id}`)
          if (held.approval.state !== 'pending') return held
          await changed
        } finally {
          signal.removeEventListener('abort', wake)
          others.delete(wake)
          if (others.size === 0 && waiters.get(id) === others) waiters.delete(id)
        }
      }
    },

    async reportOutcome(id, outcome) {
      await db.transaction().execute(async (tx) => {
        const { numUpdatedRows } = await tx
          .updateTable('approvals')
          .set({ outcome: JSON.stringify(outcome) })
          .where('id', '=', id)
          .where('state', '=', 'used')
          .where('outcome', 'is', null)
          .executeTakeFirst()
        if (numUpdatedRows === 1n) await say(tx, 'approval.outcome', id, now())
      })
    },

    async recover() {
      await db.transaction().execute((tx) => cancelWaitingOnes(tx, 'the gateway restarted', now()))
      await expiry.expireDue()
      await delegations.settle()
      await breakGlass.recover()
    },

    async cancelWaiting(because) {
      stopping = because
      await db.transaction().execute((tx) => cancelWaitingOnes(tx, because, now()))
    },

    async [Symbol.asyncDispose]() {
      stopped = true
      expiry.stop()
      unsubscribe()
      await delegations[Symbol.asyncDispose]()
      for (const wake of [...waiters.values()].flatMap((each) => [...each])) wake()
    },
  }
}

class Withdrawn extends Error {}

/** When something is due of one that waits for people (ms): its end, or that others are asked too. */
function nextDue({ expiresAt, requirements }: Approval, askedAt: Date): number {
  const stage = nextStage(requirements as Asked[], [], askedAt)
  return Math.min(Date.parse(expiresAt), stage?.getTime() ?? Number.POSITIVE_INFINITY)
}

/** Approved ones count, too: they may come to wait again. @throws ApprovalsFull */
export async function mayOpen(tx: Tx, agent: string, { held_per_agent, held }: ApprovalLimits): Promise<void> {
  const { all, own } = await tx
    .selectFrom('approvals')
    .select((e) => [
      e.fn.countAll<number>().as('all'),
      e.fn.countAll<number>().filterWhere('agent', '=', agent).as('own'),
    ])
    .where('state', 'in', ['pending', 'approved'])
    .executeTakeFirstOrThrow()
  if (Number(own) >= held_per_agent)
    throw new ApprovalsFull(
      `${own} commands of this agent are held already, as many as may be (limits.held_per_agent)`,
      'limits.held_per_agent',
    )
  if (Number(all) >= held)
    throw new ApprovalsFull(`${all} commands are held already, as many as may be (limits.held)`, 'limits.held')
}

function cursorOf(approval: Approval): string {
  return Buffer.from(`${approval.requestedAt} ${approval.id}`).toString('base64url')
}

function readCursor(after: string): { at: string; id: string } {
  const [at = '', id = ''] = Buffer.from(after, 'base64url').toString().split(' ')
  return { at, id }
}
