import { Worker } from 'node:worker_threads'
import type { BacktestResult } from '@countersign/contract/policies'
import type { Progress, Replay } from './replay.ts'

export type FromReplay =
  | { is: 'progress'; progress: Progress }
  | { is: 'done'; result: BacktestResult }
  | { is: 'failed'; why: string }

/** A replay that could not be done; its message says why. */
export class ReplayFailed extends Error {
  override name = 'ReplayFailed'
}

/** What a replay may take at most, beside what Cedar takes (MB). */
const MEMORY_MB = 768

/**
 * Has a replay done in a thread of its own.
 * @param signal ends the thread at once, wherever it is
 * @throws ReplayFailed; the reason of the signal
 */
export async function replayed(
  asked: Replay,
  { onProgress, signal }: { onProgress?: (progress: Progress) => void; signal?: AbortSignal } = {},
): Promise<BacktestResult> {
  signal?.throwIfAborted()
  const worker = new Worker(new URL('./backtest.worker.ts', import.meta.url), {
    workerData: asked,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  })
  const { promise, resolve, reject } = Promise.withResolvers<BacktestResult>()
  const aborted = () => {
    reject(signal!.reason)
    void worker.terminate()
  }
  signal?.addEventListener('abort', aborted, { once: true })
  worker.on('message', (message: FromReplay) => {
    if (message.is === 'progress') onProgress?.(message.progress)
    else if (message.is === 'done') resolve(message.result)
    else reject(new ReplayFailed(message.why))
  })
  worker.once('error', (error) => reject(new ReplayFailed((error as Error).message)))
  worker.once('exit', () => reject(new ReplayFailed('the thread that replayed it ended')))
  try {
    return await promise
  } finally {
    signal?.removeEventListener('abort', aborted)
  }
}
