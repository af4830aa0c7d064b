import { randomBytes } from 'node:crypto'
import type { Transaction } from 'kysely'
import type { BaseLogger } from 'pino'
import type { Counter } from 'prom-client'
import { Webhook } from 'standardwebhooks'
import type { Clock } from '../approvals/clock.ts'
import type { StoredMessage } from '../store/feed.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import { eventOf, isTold, type WebhookContent } from './webhook-event.ts'
import { createLane, type Lane } from './webhook-lane.ts'

export interface WebhooksConfig {
  webhooks: string[]
  webhook_content: WebhookContent
}

export interface WebhookBounds {
  /** How long something is tried to be told (ms). */
  patience: number
  /** What waits for one URL at most; beyond it the oldest are given up. */
  queue: number
  /** How long a receiver may take to answer (ms). */
  timeout: number
}

export const webhookBounds: WebhookBounds = { patience: 86_400_000, queue: 10_000, timeout: 10_000 }

export interface WebhooksOptions {
  store: Store
  config: () => WebhooksConfig
  /** `whsec_…`, each of which signs. */
  secrets: readonly string[]
  /** URI of this gateway. */
  source: string
  version: string
  clock: Clock
  log: Pick<BaseLogger, 'warn' | 'error' | 'info'>
  /** By result: delivered, failed, given-up, dropped. */
  counted: Counter<'result'>
  bounds?: Partial<WebhookBounds>
}

export interface Webhooks extends AsyncDisposable {
  /** Starts telling what is said on the feed from now on, and what an earlier run still had to tell. */
  start(): Promise<void>
  /** Other URLs may be configured now: what waits for those that are gone is given up. */
  reconfigured(): void
  /** How many deliveries wait. */
  waiting(): Promise<number>
}

/** So many messages of the feed are taken at a time. */
const AT_ONCE = 200
/** Where nothing is to be told, how far the feed was read is written down every so many messages only. */
const KEPT_EVERY = 1000

/**
 * Tells webhooks what happens: CloudEvents, signed as Standard Webhooks has it, at least once. The feed's log is the
 * outbox: a message is in it in the very transaction of the change; what is to be told comes out of it in its order, in
 * one transaction with how far it was read. So nothing is left out by a kill, and nothing told that wasn't committed.
 */
export function createWebhooks(options: WebhooksOptions): Webhooks {
  const { store, config, clock, log, counted } = options
  const { db } = store
  const bounds = { ...webhookBounds, ...options.bounds }
  const signers = options.secrets.map((secret) => new Webhook(secret))
  const lanes = new Map<string, Lane>()
  let stopped = false
  let started = false
  let taking: Promise<void> | undefined
  let again = false

  const sign = (id: string, at: Date, body: string) => signers.map((signer) => signer.sign(id, at, body)).join(' ')
  const laneOf = (url: string): Lane => {
    const lane = lanes.get(url) ?? createLane({ db, url, sign, clock, log, counted, bounds })
    lanes.set(url, lane)
    return lane
  }

  /** The last message of the feed that was looked at, and the last that is remembered to have been. */
  let position: number | undefined
  let kept = 0
  /** The URLs for which everything is tidied up. */
  let tidied: string | undefined

  /** Takes what was said since, in its order. */
  const takeNow = async (): Promise<void> => {
    const { webhooks: urls, webhook_content: content } = config()
    if (tidied !== urls.join('\n')) await tidy(urls)
    tidied = urls.join('\n')
    if (urls.length === 0) return
    position ??= (await db.selectFrom('webhook_cursor').select('seq').executeTakeFirst())?.seq
    if (position === undefined) {
      position = await store.feed.newest()
      await db.transaction().execute((tx) => keep(tx, position!))
    }
    for (;;) {
      const page = await store.feed.since(position, AT_ONCE)
      if (page.reset) log.error('more was said than is kept: webhooks are not told some of what happened before')
      const messages = page.reset ? [] : page.messages
      const last: number = page.reset ? page.seq : (messages.at(-1)?.seq ?? position)
      const rows = messages.flatMap((message) => rowsOf(message, urls, content))
      if (rows.length > 0 || last - kept >= KEPT_EVERY || page.reset)
        await db.transaction().execute(async (tx) => {
          for (const row of rows) await tx.insertInto('deliveries').values(row).execute()
          await keep(tx, last)
        })
      position = last
      if (rows.length > 0) for (const url of urls) await laneOf(url).bound()
      if (messages.length < AT_ONCE && !page.reset) break
    }
    for (const url of urls) laneOf(url).wake()
  }
  const keep = async (tx: Transaction<Tables>, seq: number) => {
    await tx
      .insertInto('webhook_cursor')
      .values({ one: 1, seq })
      .onConflict((c) => c.column('one').doUpdateSet({ seq }))
      .execute()
    kept = seq
  }
  const rowsOf = (message: StoredMessage, urls: readonly string[], content: WebhookContent) => {
    const id = `evt_${randomBytes(12).toString('hex')}`
    const { source, version } = options
    const event = eventOf(message, { id, source, version, content })
    if (!event) return []
    const { at, seq } = message
    const told = { body: JSON.stringify(event), at, next_at: at }
    return urls.map((url, n) => ({ id: `${String(seq).padStart(15, '0')}.${n}`, url, ...told }))
  }
  /** Gives up what waits for URLs that aren't configured any more. */
  const tidy = async (urls: readonly string[]) => {
    for (const [url, lane] of lanes)
      if (!urls.includes(url)) {
        lanes.delete(url)
        await lane[Symbol.asyncDispose]()
      }
    if (urls.length > 0) return void (await db.deleteFrom('deliveries').where('url', 'not in', urls).execute())
    // Whoever configures one later is told what happens from then on.
    position = undefined
    await db.deleteFrom('webhook_cursor').execute()
    await db.deleteFrom('deliveries').execute()
  }
  const take = (): void => {
    again = true
    if (stopped || !started || taking) return
    taking = (async () => {
      while (again && !stopped) {
        again = false
        await takeNow()
      }
    })()
      .catch((error) => {
        if (stopped) return
        log.error({ error }, 'what webhooks are to be told could not be read; trying again in a second')
        clock.wake(new Date(clock.now().getTime() + 1000), take)
      })
      .finally(() => {
        taking = undefined
        if (again && !stopped) take()
      })
  }
  const unsubscribe = store.feed.subscribe(({ type, seq }) => {
    if (isTold(type) || seq - (position ?? kept) >= KEPT_EVERY) take()
  })

  return {
    async start() {
      started = true
      take()
      await taking
    },
    reconfigured: take,
    async waiting() {
      const row = await db
        .selectFrom('deliveries')
        .select((e) => e.fn.countAll<number>().as('waiting'))
        .executeTakeFirstOrThrow()
      return Number(row.waiting)
    },
    async [Symbol.asyncDispose]() {
      stopped = true
      unsubscribe()
      await taking
      await Promise.all([...lanes.values()].map((lane) => lane[Symbol.asyncDispose]()))
    },
  }
}
