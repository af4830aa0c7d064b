import { Worker } from 'node:worker_threads'
import type { Recommendation } from '@countersign/contract/review'
import type { ToRecommend } from './recommend.ts'

export type FromRecommending =
  | { id: number; ok: true; recommendation: Recommendation }
  | { id: number; ok: false; message: string }

/** Recommends in a thread of its own, which is there as long as there is something to recommend. */
export interface Recommending extends AsyncDisposable {
  /** @throws Error where it could not be, with what went wrong */
  recommend(asked: ToRecommend): Promise<Recommendation>
}

/** So long the thread waits for more (ms). */
const IDLE_MS = 10_000

export function createRecommending(): Recommending {
  type Waiting = { resolve: (recommendation: Recommendation) => void; reject: (error: Error) => void }
  const waiting = new Map<number, Waiting>()
  let worker: Worker | undefined
  let idle: NodeJS.Timeout | undefined
  let ids = 0

  const ended = (mine: Worker, why: string) => {
    if (worker !== mine) return
    worker = undefined
    for (const { reject } of waiting.values()) reject(new Error(`nothing could be recommended: ${why}`))
    waiting.clear()
  }
  const start = (): Worker => {
    const mine = new Worker(new URL('./recommend.worker.ts', import.meta.url))
    mine.unref()
    mine.on('message', (answer: FromRecommending) => {
      const asked = waiting.get(answer.id)
      waiting.delete(answer.id)
      if (answer.ok) asked?.resolve(answer.recommendation)
      else asked?.reject(new Error(`nothing could be recommended: ${answer.message}`))
      if (waiting.size === 0) idle = setTimeout(() => void mine.terminate(), IDLE_MS).unref()
    })
    mine.on('error', (error) => ended(mine, (error as Error).message))
    mine.on('exit', () => ended(mine, 'its thread was ended'))
    return mine
  }

  return {
    recommend(asked) {
      clearTimeout(idle)
      worker ??= start()
      const id = ++ids
      const using = worker
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        using.postMessage({ id, asked })
      })
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(idle)
      await worker?.terminate()
    },
  }
}
