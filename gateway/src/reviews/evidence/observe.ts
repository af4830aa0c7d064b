import { Worker } from 'node:worker_threads'
import type { Observed } from './observed.ts'

export interface ObserveAsked {
  /** ISO 8601, UTC; commands at `from` belong to it, those at `to` don't. */
  from: string
  to: string
  /** Their ids; absent: all. */
  agents?: readonly string[]
  connections?: readonly string[]
  signal?: AbortSignal
  /** Told a few times a second: entries of the ledger, then recordings whose texts are shown. */
  onProgress?: (progress: ObserveProgress) => void
}

export interface ObserveProgress {
  doing: 'commands' | 'texts'
  done: number
  of: number
  /** Commands counted until now. */
  commands: number
}

/** What the thread is given. */
export interface ToObserve extends Pick<ObserveAsked, 'from' | 'to' | 'agents' | 'connections'> {
  /** The data folder. */
  folder: string
  /** Sessions that used grants, with the policies that gave them. */
  rules: readonly (readonly [string, readonly string[]])[]
}

export type FromObserving =
  | ({ is: 'progress' } & ObserveProgress)
  | { is: 'done'; observed: Observed }
  | { is: 'failed'; name: string; message: string }

/** Use could not be read, in words for who asked. */
export class ObserveFailed extends Error {
  override name = 'ObserveFailed'
}

/**
 * Reads the window in a thread of its own: nobody's commands wait for it.
 * @throws ObserveFailed; the signal's reason where that was aborted
 */
export function observe(asked: ObserveAsked, given: Pick<ToObserve, 'folder' | 'rules'>): Promise<Observed> {
  const { signal, onProgress, ...window } = asked
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const workerData: ToObserve = { ...given, ...window }
    const worker = new Worker(new URL('./observing.worker.ts', import.meta.url), { workerData })
    const end = (settle: () => void) => {
      signal?.removeEventListener('abort', aborted)
      void worker.terminate()
      settle()
    }
    const aborted = () => end(() => reject(signal!.reason))
    signal?.addEventListener('abort', aborted)
    worker.on('message', (message: FromObserving) => {
      if (message.is === 'progress') onProgress?.(message)
      else if (message.is === 'done') end(() => resolve(message.observed))
      else end(() => reject(new ObserveFailed(`What was used can’t be read: ${message.message}`)))
    })
    worker.on('error', (error) =>
      end(() => reject(new ObserveFailed(`What was used can’t be read: ${(error as Error).message}`))),
    )
    worker.on('exit', () => end(() => reject(new ObserveFailed('What was used can’t be read: reading it was ended'))))
  })
}
