import { type Approval, type ApprovalState, DecisionRequest, type Outcome } from '@countersign/contract/approval'
import type { Transaction } from 'kysely'
import type { BaseLogger } from 'pino'
import type { PersonPrincipal } from '../identity/principal.ts'
import type { Requirement } from '../policy/policy.ts'
import { appendFeed } from '../store/feed.ts'
import type { Store } from '../store/store.ts'
import type { ApprovalsTable, Tables } from '../store/tables.ts'
import { type Clock, systemClock } from './clock.ts'
import { mayDecide } from './may-decide.ts'
import { milliseconds, narrowest, unmet, type Vote } from './quorum.ts'
import { type Held, newApprovalId, newRow, type OpenApproval, readHeld } from './rows.ts'

export type { Held, OpenApproval } from './rows.ts'

/** `approvals:` of the configuration, in milliseconds. */
export interface ApprovalsConfig {
  expires: number
  use_within: number
  max_window: number
}

export type Decided =
  | { ok: true; approval: Approval }
  | { ok: false; problem: 'not-found' | 'forbidden' | 'conflict' | 'invalid'; message: string }

/** A digest that may be repeated, and who approved that. */
export interface OpenWindow {
  approval: string
  votes: Vote[]
}

export interface Approvals extends AsyncDisposable {
  /**
   * Asks for approval. With hold `fail`, the pending approval of the same digest and agent is the answer where there is one.
   * @throws where it can't be stored, or the gateway is stopping: the command must then be refused
   */
  open(request: OpenApproval): Promise<Approval>
  /** A person decides. One transaction: still pending? may this person? the same digest? enough people? */
  decide(id: string, person: PersonPrincipal, request: DecisionRequest): Promise<Decided>
  get(id: string): Promise<Approval | undefined>
  /** As `get`, with what counting needs. */
  find(id: string): Promise<Held | undefined>
  /** Newest first. `sees` leaves out what the caller may not see; `next` goes into `after`. */
  list(query: {
    state?: ApprovalState
    limit: number
    after?: string
    sees?: (approval: Approval) => boolean
  }): Promise<{ items: Approval[]; next: string | null }>
  mayDecide(person: PersonPrincipal, approval: Approval): true | string
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

type Tx = Transaction<Tables>

/** Held commands and the people who decide them. Every transition is one transaction with its message on the feed. */
export function createApprovals(options: {
  store: Store
  config: () => ApprovalsConfig
  clock?: Clock
  log?: Pick<BaseLogger, 'error'>
}): Approvals {
  const { store, config } = options
  const { db } = store
  const clock = options.clock ?? systemClock
  const now = () => clock.now()
  const waiters = new Map<string, Set<() => void>>()
  let stopping: string | undefined
  let stopped = false
  let deadline = Number.POSITIVE_INFINITY
  let callOff = () => {}

  const unsubscribe = store.feed.subscribe(({ type, data }) => {
    if (type === 'approval.opened' || type === 'approval.decided' || type === 'approval.closed')
      for (const wake of [...(waiters.get(data.id) ?? [])]) wake()
  })

  const read = async (tx: Tx | typeof db, id: string): Promise<Held | undefined> => {
    const row = await tx.selectFrom('approvals').selectAll().where('id', '=', id).executeTakeFirst()
    return row && (await readHeld(tx, [row]))[0]
  }
  const say = async (tx: Tx, type: 'approval.opened' | 'approval.decided' | 'approval.closed', id: string) => {
    const held = (await read(tx, id))!
    await appendFeed(tx, type, held.approval, now())
    return held
  }
  /** Compare and set: true for the one who came first. */
  const move = async (tx: Tx, id: string, from: ApprovalState[], to: Partial<ApprovalsTable>) => {
    const { numUpdatedRows } = await tx
      .updateTable('approvals')
      .set(to)
      .where('id', '=', id)
      .where('state', 'in', from)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }
  const close = async (tx: Tx, id: string, from: ApprovalState[], state: ApprovalState, because: string | null) => {
    const closed = { state, closed_at: now().toISOString(), closed_because: because }
    if (!(await move(tx, id, from, closed))) return false
    await say(tx, 'approval.closed', id)
    return true
  }

  const wakeAt = (at: number) => {
    if (stopped || at >= deadline) return
    deadline = at
    callOff()
    callOff = clock.wake(new Date(at), () => void expireDue())
  }
  /** Expires what is due, and sets the one timer for what is due next. */
  const expireDue = async () => {
    deadline = Number.POSITIVE_INFINITY
    try {
      const next = await db.transaction().execute(async (tx) => {
        const at = now().toISOString()
        const due = await tx
          .selectFrom('approvals')
          .select(['id', 'state'])
          .where((e) =>
            e.or([
              e('state', '=', 'pending').and('expires_at', '<=', at),
              e('state', '=', 'approved').and('use_by', '<=', at),
            ]),
          )
          .execute()
        for (const { id, state } of due) await close(tx, id, [state], 'expired', lateBecause(state))
        return tx
          .selectFrom('approvals')
          .select((e) => [
            e.fn.min('expires_at').filterWhere('state', '=', 'pending').as('pending'),
            e.fn.min('use_by').filterWhere('state', '=', 'approved').as('approved'),
          ])
          .where('state', 'in', ['pending', 'approved'])
          .executeTakeFirstOrThrow()
      })
      for (const at of [next.pending, next.approved]) if (at) wakeAt(Date.parse(at))
    } catch (error) {
      if (stopped) return
      options.log?.error({ error }, 'approvals could not be expired; trying again in a second')
      wakeAt(now().getTime() + 1000)
    }
  }
  const cancelThose = (tx: Tx, ids: { id: string }[], because: string) =>
    ids.reduce<Promise<unknown>>(
      (before, { id }) => before.then(() => close(tx, id, ['pending', 'approved'], 'cancelled', because)),
      Promise.resolve(),
    )
  const waiting = (tx: Tx) =>
    tx
      .selectFrom('approvals')
      .select('id')
      .where('hold', '=', 'wait')
      .where('state', 'in', ['pending', 'approved'])
      .execute()

  return {
    async open(request) {
      const approval = await db.transaction().execute(async (tx) => {
        // Asked inside the transaction: one that was queued before cancelWaiting must not come after it.
        if (stopping !== undefined && request.hold === 'wait') throw new Error(stopping)
        const at = now()
        if (request.hold === 'fail') {
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
        const id = newApprovalId()
        await tx
          .insertInto('approvals')
          .values(newRow(id, request, at, config().expires))
          .execute()
        return (await say(tx, 'approval.opened', id)).approval
      })
      wakeAt(Date.parse(approval.expiresAt))
      return approval
    },

    async decide(id, person, asked) {
      const parsed = DecisionRequest.safeParse(asked)
      if (!parsed.success) return refused('invalid', parsed.error.issues.map((issue) => issue.message).join('; '))
      const request = parsed.data
      const { max_window, use_within } = config()
      if (request.verdict === 'approve' && milliseconds(request.window) > max_window)
        return refused('invalid', `a window is at most ${Math.floor(max_window / 1000)}s here: choose a shorter one`)
      const decided = await db.transaction().execute(async (tx): Promise<Decided> => {
        const held = await read(tx, id)
        if (!held) return refused('not-found', `there is no approval ${id}`)
        const { approval } = held
        const may = mayDecide(person, approval)
        if (may !== true) return refused('forbidden', may)
        if (request.digest !== approval.command.digest)
          return refused('conflict', 'the command is another than the one you were shown: load it anew')
        const before = approval.decisions.find((decision) => decision.personId === person.id)
        if (before) {
          const window = request.verdict === 'deny' ? 'once' : request.window
          if (before.verdict === request.verdict && before.window === window) return { ok: true, approval }
          return refused('conflict', `you have decided already: ${before.verdict}, ${before.window}`)
        }
        if (approval.state !== 'pending')
          return refused('conflict', `it is ${approval.state} already (${approval.closedBecause ?? 'decided'})`)
        const at = now()
        if (approval.expiresAt <= at.toISOString()) {
          await close(tx, id, ['pending'], 'expired', lateBecause('pending'))
          return refused('conflict', 'it is expired already')
        }
        await tx
          .insertInto('decisions')
          .values({
            approval: id,
            person: person.id,
            person_name: person.name,
            person_groups: JSON.stringify(person.groups),
            verdict: request.verdict,
            reason: request.reason,
            window: request.verdict === 'deny' ? 'once' : request.window,
            at: at.toISOString(),
          })
          .execute()
        if (request.verdict === 'deny') {
          const because = `denied by ${person.name}${request.reason === '' ? '' : `: ${request.reason}`}`
          const closed = { state: 'denied' as const, closed_at: at.toISOString(), closed_because: because }
          await move(tx, id, ['pending'], closed)
          await say(tx, 'approval.decided', id)
          return { ok: true, approval: (await say(tx, 'approval.closed', id)).approval }
        }
        const after = (await read(tx, id))!
        if (unmet(after.requirements, after.votes).length === 0)
          await move(tx, id, ['pending'], {
            state: 'approved',
            use_by: new Date(at.getTime() + use_within).toISOString(),
          })
        return { ok: true, approval: (await say(tx, 'approval.decided', id)).approval }
      })
      if (decided.ok && decided.approval.state === 'approved') wakeAt(now().getTime() + use_within)
      return decided
    },

    get: async (id) => (await read(db, id))?.approval,
    find: (id) => read(db, id),
    mayDecide,

    async list({ state, limit, after, sees }) {
      const items: Approval[] = []
      let cursor = after === undefined ? undefined : readCursor(after)
      for (;;) {
        const rows = await db
          .selectFrom('approvals')
          .selectAll()
          .$if(state !== undefined, (q) => q.where('state', '=', state!))
          .$if(cursor !== undefined, (q) =>
            q.where((e) =>
              e.or([e('requested_at', '<', cursor!.at), e('requested_at', '=', cursor!.at).and('id', '<', cursor!.id)]),
            ),
          )
          .orderBy('requested_at', 'desc')
          .orderBy('id', 'desc')
          .limit(Math.min(limit + 1, 500))
          .execute()
        for (const { approval } of await readHeld(db, rows)) {
          if (sees && !sees(approval)) continue
          if (items.length === limit) return { items, next: cursorOf(items.at(-1)!) }
          items.push(approval)
        }
        const last = rows.at(-1)
        if (!last || rows.length < Math.min(limit + 1, 500)) return { items, next: null }
        cursor = { at: last.requested_at, id: last.id }
      }
    },

    async cancel(id, because) {
      return db.transaction().execute(async (tx) => {
        await close(tx, id, ['pending', 'approved'], 'cancelled', because)
        return (await read(tx, id))?.approval
      })
    },

    async use(id, signal) {
      try {
        return await db.transaction().execute(async (tx) => {
          const held = await read(tx, id)
          const at = now()
          if (!held?.useBy || held.useBy <= at) return false
          if (!(await close(tx, id, ['approved'], 'used', null))) return false
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
        const held = await read(tx, id)
        if (!held || held.approval.expiresAt <= now().toISOString()) return undefined
        const again = { state: 'pending' as const, requirements: JSON.stringify(requirements), use_by: null }
        if (!(await move(tx, id, ['approved'], again))) return undefined
        return (await say(tx, 'approval.opened', id)).approval
      })
      if (reopened) wakeAt(Date.parse(reopened.expiresAt))
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
        .orderBy('until', 'desc')
        .executeTakeFirst()
      const held = row && (await read(db, row.approval))
      return held && { approval: held.approval.id, votes: held.votes }
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
          const held = await read(db, id)
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
        if (numUpdatedRows === 1n) await say(tx, 'approval.closed', id)
      })
    },

    async recover() {
      await db.transaction().execute(async (tx) => cancelThose(tx, await waiting(tx), 'the gateway restarted'))
      await expireDue()
    },

    async cancelWaiting(because) {
      stopping = because
      await db.transaction().execute(async (tx) => cancelThose(tx, await waiting(tx), because))
    },

    async [Symbol.asyncDispose]() {
      stopped = true
      callOff()
      unsubscribe()
      for (const wake of [...waiters.values()].flatMap((each) => [...each])) wake()
    },
  }
}

class Withdrawn extends Error {}

function refused(problem: Extract<Decided, { ok: false }>['problem'], message: string): Decided {
  return { ok: false, problem, message }
}

function lateBecause(state: ApprovalState): string {
  return state === 'approved' ? 'approved, but not used in time' : 'nobody decided in time'
}

function cursorOf(approval: Approval): string {
  return Buffer.from(`${approval.requestedAt} ${approval.id}`).toString('base64url')
}

function readCursor(after: string): { at: string; id: string } {
  const [at = '', id = ''] = Buffer.from(after, 'base64url').toString().split(' ')
  return { at, id }
}
