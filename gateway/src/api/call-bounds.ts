import type { FastifyInstance } from 'fastify'
import { HttpProblem } from './problem.ts'

/** What costs more than others; each kind has its own turns. */
export type CostlyKind = 'search' | 'bundle' | 'retention' | 'access' | 'policy'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of these few run at a time for one caller. */
    costly?: CostlyKind | ((request: FastifyRequest) => CostlyKind | undefined)
  }
}

export interface CallBounds {
  /** Calls a second that one caller may make for long … */
  perSecond: number
  /** … and at once, after a while without any. */
  burst: number
  /** Costly calls of a kind that run at a time for one caller … */
  costly: number
  /** … that wait for their turn … */
  waiting: number
  /** … and how long they do (ms). */
  waitMs: number
  /** Callers that are kept in mind. */
  callers: number
}

export const callBounds: CallBounds = {
  perSecond: 50,
  burst: 200,
  costly: 2,
  waiting: 8,
  waitMs: 2000,
  callers: 10_000,
}

/**
 * Bounds what one caller may ask of the API. To be called after the hook that finds out who calls.
 * Calls beyond it are answered 429 with Retry-After, in seconds.
 * @param clock milliseconds
 */
export function boundCalls(app: FastifyInstance, bounds: CallBounds, clock: () => number): void {
  const calls = new Buckets(bounds, clock)
  const turns = new Turns(bounds)
  app.addHook('onRequest', async ({ caller }) => {
    if (!caller) return
    const wait = calls.take(caller.id)
    if (wait === 0) return
    throw new HttpProblem(
      429,
      `These are too many calls of yours: ${bounds.burst} at once and ${bounds.perSecond} a second are answered. Wait a little.`,
      { 'retry-after': String(wait) },
    )
  })
  app.addHook('preHandler', async (request, reply) => {
    const { costly } = request.routeOptions.config
    const kind = typeof costly === 'function' ? costly(request) : costly
    if (!kind) return
    const end = await turns.take(`${kind} ${request.caller.id}`)
    if (!end) throw new HttpProblem(429, `${words[kind]}: wait until one has ended.`, { 'retry-after': '1' })
    if (reply.raw.destroyed || reply.raw.closed) end()
    else reply.raw.once('close', end)
  })
}

const words: Record<CostlyKind, string> = {
  search: 'Too many searches of yours run at the same time',
  bundle: 'Too many evidence bundles of yours are made at the same time',
  retention: 'Too many retention runs of yours are planned at the same time',
  access: 'Too many questions of yours about access are answered at the same time',
  policy: 'Too many checks of yours are run at the same time',
}

/** One token bucket a caller. */
export class Buckets {
  readonly #bounds: CallBounds
  readonly #clock: () => number
  readonly #buckets = new Map<string, { left: number; at: number }>()

  constructor(bounds: CallBounds, clock: () => number) {
    this.#bounds = bounds
    this.#clock = clock
  }

  get size(): number {
    return this.#buckets.size
  }

  /** @returns 0: go on; else after how many seconds there is a token again */
  take(caller: string): number {
    const { perSecond, burst, callers } = this.#bounds
    const now = this.#clock()
    const known = this.#buckets.get(caller)
    const passed = known ? Math.max(0, now - known.at) : 0
    const left = known ? Math.min(burst, known.left + (passed * perSecond) / 1000) : burst
    // Who called last stands last: who makes room has waited longest, and has most likely a full bucket.
    this.#buckets.delete(caller)
    if (this.#buckets.size >= callers) this.#buckets.delete(this.#buckets.keys().next().value!)
    this.#buckets.set(caller, { left: left >= 1 ? left - 1 : left, at: now })
    return left >= 1 ? 0 : Math.ceil((1 - left) / perSecond)
  }
}

/** At most so many at a time of each name; a few others wait for a while. */
export class Turns {
  readonly #bounds: Pick<CallBounds, 'costly' | 'waiting' | 'waitMs'>
  readonly #names = new Map<string, { running: number; waiting: Set<() => void> }>()

  constructor(bounds: Pick<CallBounds, 'costly' | 'waiting' | 'waitMs'>) {
    this.#bounds = bounds
  }

  /** @returns what ends the turn, once; undefined where there was none in time */
  async take(name: string): Promise<(() => void) | undefined> {
    const { costly, waiting: most, waitMs } = this.#bounds
    const turn = this.#names.get(name) ?? { running: 0, waiting: new Set<() => void>() }
    this.#names.set(name, turn)
    if (turn.running < costly) turn.running++
    else {
      if (turn.waiting.size >= most) return undefined
      const had = await new Promise<boolean>((resolve) => {
        const now = () => {
          clearTimeout(late)
          resolve(true)
        }
        const late = setTimeout(() => {
          turn.waiting.delete(now)
          resolve(false)
        }, waitMs)
        turn.waiting.add(now)
      })
      if (!had) return undefined
    }
    let ended = false
    return () => {
      if (ended) return
      ended = true
      const [next] = turn.waiting
      if (next) {
        // The turn is handed on.
        turn.waiting.delete(next)
        next()
        return
      }
      turn.running--
      if (turn.running === 0) this.#names.delete(name)
    }
  }
}
