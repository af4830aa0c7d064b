import type { PersonRef } from '@countersign/contract/identity'
import type { Campaign, CampaignPlan } from '@countersign/contract/review'
import type { Transaction } from 'kysely'
import type { BaseLogger } from 'pino'
import type { ConfiguredConnection } from '../../access/connections.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import type { Permitted } from '../../policy/permitted/permitted.ts'
import type { Policies } from '../../policy/policy.ts'
import type { Used } from '../../sessions/ledger/used.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { beginCampaign } from './beginning.ts'
import { planOf } from './items.ts'
import { rowOf, sayChanged } from './making.ts'
import { CampaignRefused } from './refused.ts'
import { reviewersKnown } from './reviewers.ts'
import { type CampaignRow, refOf } from './rows.ts'
import { holdings, type ReviewSubject } from './subjects.ts'
import { type Examined, takeItems } from './taking.ts'

/** What is found out about who holds what: one pass over what was recorded, then each subject by itself. */
export interface Examining<Observed extends { coverage: NonNullable<Campaign['coverage']> }> {
  observe(asked: {
    from: string
    to: string
    connections: string[]
    signal: AbortSignal
    onProgress: (progress: { doing: 'commands' | 'texts'; done: number; of: number }) => void
  }): Promise<Observed>
  of(
    subject: ReviewSubject,
    observed: Observed,
    item: { campaign: string; item: string; at: string },
  ): Promise<Examined>
}

export interface StartingOptions<Observed extends { coverage: NonNullable<Campaign['coverage']> }> {
  store: Store
  registry: Registry
  policies: () => Policies
  permitted: (policies: Policies) => Promise<Permitted>
  connections: () => readonly ConfiguredConnection[]
  used: Pick<Used, 'connections'>
  examining: Examining<Observed>
  /** A campaign has begun: who is asked is told. */
  begun: () => void
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  clock: () => number
}

/** Takes snapshots, one after another: each reads all that was recorded in its window. */
export interface StartingRoom extends AsyncDisposable {
  /** How far it is; undefined where it isn't being started. */
  progress(campaign: string): Campaign['starting']
  /** Begins to start a draft. @throws CampaignRefused */
  start(campaign: string, by: PersonRef): Promise<void>
  /** The same in a transaction of the caller's; once that is committed, `go`. @throws CampaignRefused */
  startIn(tx: Transaction<Tables>, campaign: string, by: PersonRef | undefined): Promise<void>
  go(campaign: string): void
  /** Goes on with what an earlier run left in the middle. */
  resume(): Promise<void>
  /** Resolves when nothing is being started. */
  settled(): Promise<void>
}

const MOST_ITEMS = 10_000
/** So often is one taken anew whose policy changed meanwhile. */
const MOST_TIMES = 3
const BROKEN_OFF = 'The gateway ended while its snapshot was taken: it is taken anew.'

export function createStarting<Observed extends { coverage: NonNullable<Campaign['coverage']> }>(
  options: StartingOptions<Observed>,
): StartingRoom {
  const { store, registry, policies, examining, log, clock } = options
  const { db } = store
  const stop = new AbortController()
  const progress = new Map<string, NonNullable<Campaign['starting']>>()
  let last: Promise<unknown> = Promise.resolve()

  const say = (id: string) =>
    db
      .transaction()
      .execute((tx) => sayChanged(tx, id, new Date(clock()), 'campaign.changed', (one) => progress.get(one)))
  /** Told on the feed when it does something else, and each twentieth of it. */
  const tell = async (id: string, now: NonNullable<Campaign['starting']>) => {
    const before = progress.get(id)
    const step = Math.max(Math.ceil(now.of / 20), 1)
    progress.set(id, now)
    if (before?.doing !== now.doing || Math.floor(before.done / step) !== Math.floor(now.done / step)) await say(id)
  }

  const take = async (row: CampaignRow, plan: CampaignPlan): Promise<void> => {
    const { id } = row
    for (let times = 1; ; times++) {
      const snapshotAt = new Date(clock())
      const window = {
        from: new Date(snapshotAt.getTime() - plan.windowDays * 86_400_000).toISOString(),
        to: snapshotAt.toISOString(),
      }
      const now = policies()
      await tell(id, { done: 0, of: 0, doing: 'finding out who holds what' })
      const parts = { db, registry, permitted: await options.permitted(now), connections: options.connections() }
      const held = await holdings({ ...parts, used: options.used }, plan.scope, window, stop.signal)
      if (held.length === 0) throw new NothingToReview('Nobody holds anything of its scope: widen the scope.')
      if (held.length > MOST_ITEMS)
        throw new NothingToReview(
          `It would have ${held.length} items, and ${MOST_ITEMS} is the most that one may have: narrow its scope, by connections, tags or groups.`,
        )
      const observed = await examining.observe({
        ...window,
        // Of all agents: what others of their groups do is what each is compared with.
        connections: [...new Set(held.map(({ subject }) => subject.connection))],
        signal: stop.signal,
        onProgress: ({ doing, done, of }) => {
          tell(id, { done, of, doing: doingWords[doing] }).catch((error) =>
            log.error({ error, campaign: id }, 'how far a snapshot is could not be told'),
          )
        },
      })
      const items = await takeItems(plan, held, {
        examine: (subject, item) => examining.of(subject, observed, { campaign: id, item, at: window.to }),
        entry: registry.entry,
        onProgress: (done) => tell(id, { done, of: held.length, doing: 'weighing each item' }),
        signal: stop.signal,
      })
      if (items.length === 0) throw new NothingToReview('Nothing of its scope is privileged: widen the scope.')
      // What was found out by one set of policies says nothing of another one.
      if (policies().version !== now.version && times < MOST_TIMES) continue
      if (policies().version !== now.version)
        throw new NothingToReview('The policies changed again and again while its snapshot was taken: start it again.')
      const people = reviewersKnown(registry)
      progress.delete(id)
      await db.transaction().execute((tx) =>
        beginCampaign(tx, id, {
          ...{ plan, items, people, snapshotAt },
          by: row.started_by === null ? undefined : JSON.parse(row.started_by),
          windowFrom: window.from,
          policy: now.version,
          coverage: observed.coverage,
          at: new Date(clock()),
        }),
      )
      return
    }
  }

  const run = async (id: string): Promise<void> => {
    try {
      if (stop.signal.aborted) return
      const row = await db.selectFrom('campaigns').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
      await take(row, planOf(row.plan))
      options.begun()
    } catch (error) {
      progress.delete(id)
      // It is gone on with at the next start.
      if (stop.signal.aborted) return
      if (!(error instanceof NothingToReview)) log.error({ error, campaign: id }, 'a campaign could not be started')
      await failed(id, error instanceof NothingToReview ? error.message : OF_THE_GATEWAY)
    } finally {
      progress.delete(id)
    }
  }
  const failed = (id: string, problem: string) =>
    db.transaction().execute(async (tx) => {
      await tx
        .updateTable('campaigns')
        .set({ problem, started_at: null, started_by: null })
        .where('id', '=', id)
        .execute()
      await sayChanged(tx, id, new Date(clock()))
    })
  const startIn = async (tx: Transaction<Tables>, id: string, by: PersonRef | undefined) => {
    const row = await rowOf(tx, id)
    mustBeDraft(row, 'started')
    await tx
      .updateTable('campaigns')
      .set({
        started_at: new Date(clock()).toISOString(),
        started_by: by ? JSON.stringify(refOf(by)) : null,
        owner: row.owner ?? by?.id ?? null,
        problem: null,
      })
      .where('id', '=', id)
      .execute()
  }
  const enqueue = (id: string) => {
    progress.set(id, { done: 0, of: 0, doing: 'waiting for its turn' })
    const next = last.then(() => run(id))
    last = next.catch((error) =>
      log.error({ error, campaign: id }, 'that a campaign could not be started was not written'),
    )
  }

  return {
    progress: (campaign) => progress.get(campaign),
    async start(id, by) {
      await db.transaction().execute((tx) => startIn(tx, id, by))
      enqueue(id)
      await say(id)
    },
    startIn,
    go: enqueue,
    async resume() {
      const rows = await db
        .selectFrom('campaigns')
        .select(['id', 'problem'])
        .where('state', '=', 'draft')
        .where('started_at', 'is not', null)
        .orderBy('started_at')
        .execute()
      for (const { id, problem } of rows) {
        // Once is bad luck; what ends the gateway again and again must not.
        if (problem === BROKEN_OFF)
          await failed(id, 'The gateway ended twice while its snapshot was taken: see its log, then start it again.')
        else {
          await db.updateTable('campaigns').set({ problem: BROKEN_OFF }).where('id', '=', id).execute()
          enqueue(id)
        }
      }
    },
    async settled() {
      for (let seen: unknown; seen !== last; ) {
        seen = last
        await last
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the gateway is stopping'))
      await last
    },
  }
}

/** Why a campaign can't begin, in words for people. */
class NothingToReview extends Error {
  override name = 'NothingToReview'
}

const OF_THE_GATEWAY = 'Its snapshot could not be taken; the gateway’s log says why. Start it again.'

/** @throws CampaignRefused */
export function mustBeDraft({ state, started_at }: CampaignRow, what: string): void {
  if (state !== 'draft')
    throw new CampaignRefused('conflict', `This campaign is ${state}: only a draft can be ${what}.`)
  if (started_at !== null)
    throw new CampaignRefused('conflict', `This campaign is being started: it can’t be ${what} any more.`)
}

const doingWords = { commands: 'reading what was recorded', texts: 'looking up what is shown' }
