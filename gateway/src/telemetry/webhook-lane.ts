import type { Kysely } from 'kysely'
import type { BaseLogger } from 'pino'
import type { Counter } from 'prom-client'
import type { Clock } from '../approvals/clock.ts'
import type { Tables } from '../store/tables.ts'
import type { WebhookBounds } from './webhooks.ts'

/** What waits for one URL, told one after another. */
export interface Lane extends AsyncDisposable {
  /** There may be something to tell. */
  wake(): void
  /** Gives up the oldest where too many wait. */
  bound(): Promise<void>
}

/** How long it waits after so many tries of one delivery (ms). The last one stays. */
const delays = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000]
/** How long a receiver that fails is left alone at most, whatever waits for it (ms). */
const longestPause = 60_000

export function createLane(options: {
  db: Kysely<Tables>
  url: string
  sign: (id: string, at: Date, body: string) => string
  clock: Clock
  log: Pick<BaseLogger, 'warn' | 'error' | 'info'>
  counted: Counter<'result'>
  bounds: WebhookBounds
}): Lane {
  const { db, url, sign, clock, log, counted, bounds } = options
  // Never the whole URL: its path may be a secret between us and the receiver.
  const { host } = new URL(url)
  const stopping = new AbortController()
  let failures = 0
  let pausedUntil = 0
  let asked = false
  let running: Promise<void> | undefined
  let callOff = () => {}

  /** @returns when something is due next (ms), or undefined where nothing waits */
  const tellDue = async (): Promise<number | undefined> => {
    for (;;) {
      const next = await db
        .selectFrom('deliveries')
        .selectAll()
        .where('url', '=', url)
        .orderBy('next_at')
        .orderBy('id')
        .executeTakeFirst()
      if (!next || stopping.signal.aborted) return undefined
      const now = clock.now()
      const due = Math.max(Date.parse(next.next_at), pausedUntil)
      if (due > now.getTime()) return due
      const problem = await call(next.body, now)
      if (stopping.signal.aborted) return undefined
      if (problem === undefined) {
        failures = 0
        await db.deleteFrom('deliveries').where('id', '=', next.id).execute()
        counted.inc({ result: 'delivered' })
        continue
      }
      failures++
      const at = clock.now().getTime()
      pausedUntil = at + Math.min(longestPause, 1000 * 2 ** Math.min(failures - 1, 10))
      const again = at + delays[Math.min(next.tries, delays.length - 1)]!
      if (again >= Date.parse(next.at) + bounds.patience) {
        await db.deleteFrom('deliveries').where('id', '=', next.id).execute()
        counted.inc({ result: 'given-up' })
        log.error({ host, tries: next.tries + 1, problem }, 'a webhook was not told what happened: it is given up')
        continue
      }
      counted.inc({ result: 'failed' })
      log.warn({ host, tries: next.tries + 1, problem }, 'a webhook could not be told what happened; it is tried again')
      await db
        .updateTable('deliveries')
        .set({ tries: next.tries + 1, next_at: new Date(again).toISOString() })
        .where('id', '=', next.id)
        .execute()
    }
  }

  /** @returns what went wrong, or undefined */
  const call = async (body: string, at: Date): Promise<string | undefined> => {
    const { id } = JSON.parse(body) as { id: string }
    const timeout = AbortSignal.timeout(bounds.timeout)
    try {
      const answer = await fetch(url, {
        method: 'POST',
        // A redirect could lead away from https, or to somebody who was never configured.
        redirect: 'manual',
        signal: AbortSignal.any([timeout, stopping.signal]),
        headers: {
          'content-type': 'application/cloudevents+json; charset=utf-8',
          'user-agent': 'countersign-gateway',
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
          'webhook-signature': sign(id, at, body),
        },
        body,
      })
      // What else it says is nothing to us.
      await answer.body?.cancel()
      if (answer.status >= 200 && answer.status < 300) return undefined
      return answer.status >= 300 && answer.status < 400
        ? `it redirects (${answer.status}), which is not followed: configure the final URL`
        : `it answered ${answer.status}`
    } catch (error) {
      if (timeout.aborted) return `it did not answer within ${bounds.timeout} ms`
      const { cause } = error as { cause?: NodeJS.ErrnoException }
      return `it can't be reached (${cause?.code ?? cause?.message ?? (error as Error).message})`
    }
  }

  const wake = (): void => {
    asked = true
    if (stopping.signal.aborted || running) return
    running = (async () => {
      while (asked && !stopping.signal.aborted) {
        asked = false
        callOff()
        const due = await tellDue()
        if (due !== undefined && !stopping.signal.aborted) callOff = clock.wake(new Date(due), wake)
      }
    })()
      .catch((error) => {
        if (stopping.signal.aborted) return
        log.error({ error, host }, 'what a webhook is to be told could not be read; trying again in a second')
        callOff = clock.wake(new Date(clock.now().getTime() + 1000), wake)
      })
      .finally(() => {
        running = undefined
        if (asked && !stopping.signal.aborted) wake()
      })
  }

  return {
    wake,
    async bound() {
      const rows = await db
        .selectFrom('deliveries')
        .select('id')
        .where('url', '=', url)
        .orderBy('id', 'desc')
        .offset(bounds.queue)
        .limit(1000)
        .execute()
      if (rows.length === 0) return
      const ids = rows.map(({ id }) => id)
      await db.deleteFrom('deliveries').where('id', 'in', ids).execute()
      counted.inc({ result: 'dropped' }, ids.length)
      log.error({ host, dropped: ids.length }, 'more waits for a webhook than may: the oldest are given up')
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      callOff()
      await running
    },
  }
}
