import { Worker } from 'node:worker_threads'
import type { PolicyCheck, PolicyText } from '@countersign/contract/policies'

/** Checks sets in threads of their own. */
export interface Checking extends AsyncDisposable {
  /**
   * What {@link checkPolicies} says; one that takes longer than a minute, or more memory than there is for it, has that for
   * a problem.
   */
  check(files: readonly PolicyText[], overlays: readonly PolicyText[]): Promise<PolicyCheck>
}

const LONGEST_MS = 60_000
const MEMORY_MB = 512

/** One at a time: whoever saves often waits for none but others who do. */
export function createChecking(options: { longestMs?: number } = {}): Checking {
  const { longestMs = LONGEST_MS } = options
  let last: Promise<unknown> = Promise.resolve()
  let worker: Worker | undefined
  let closed = false

  const checked = (files: readonly PolicyText[], overlays: readonly PolicyText[]): Promise<PolicyCheck> => {
    if (closed) return Promise.resolve(failed('the gateway is stopping', 'try again shortly'))
    return new Promise((resolve) => {
      const mine = new Worker(new URL('./check.worker.ts', import.meta.url), {
        workerData: { files, overlays },
        resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
      })
      worker = mine
      mine.unref()
      const late = setTimeout(() => {
        resolve(
          failed(`checking it took longer than ${longestMs / 1000} s`, 'make it smaller: fewer policies or tests'),
        )
        void mine.terminate()
      }, longestMs)
      const settle = (check: PolicyCheck) => {
        clearTimeout(late)
        resolve(check)
      }
      mine.once('message', settle)
      mine.once('error', (error) => settle(failed((error as Error).message, 'report this as a fault of Countersign')))
      mine.once('exit', () => settle(failed('checking it was ended', 'try again')))
    })
  }

  return {
    check(files, overlays) {
      const next = last.then(() => checked(files, overlays))
      last = next
      return next
    },
    async [Symbol.asyncDispose]() {
      closed = true
      await worker?.terminate()
    },
  }
}

function failed(message: string, mend: string): PolicyCheck {
  return { ok: false, problems: [{ file: '', line: 0, message, mend }], warnings: [], tests: [] }
}
