import { Worker } from 'node:worker_threads'
import { createPermitted, type Permitted, type Readable } from './permitted.ts'

/** What the thread that reads answers. */
export type ReadAnswer = { ok: true; version: string; readable: Readable[] } | { ok: false; why: string }

/** A set of policies that can't be read, or not by this version of the gateway. */
export class PoliciesUnreadable extends Error {
  override name = 'PoliciesUnreadable'
}

/** Sets of policies by their version, read when they are asked for. */
export interface PermittedSets extends AsyncDisposable {
  /**
   * @param texts the files of that version
   * @throws PoliciesUnreadable, which says why
   */
  of(version: string, texts: () => Promise<readonly { file: string; text: string }[] | undefined>): Promise<Permitted>
}

/** So many sets are kept in memory, those asked for last … */
const MOST_KEPT = 8
/** … as long as their texts have no more characters than this together. */
const LONGEST_KEPT = 16 * 1024 * 1024

/** Reads sets in a thread of their own, one after another. */
export function createPermittedSets(): PermittedSets {
  const kept = new Map<string, { set: Promise<Permitted>; length: number }>()
  let last: Promise<unknown> = Promise.resolve()
  let worker: Worker | undefined
  let closed = false

  const drop = () => {
    let length = [...kept.values()].reduce((sum, one) => sum + one.length, 0)
    for (const [version, one] of kept) {
      if (kept.size <= MOST_KEPT && length <= LONGEST_KEPT) return
      if (kept.size === 1) return
      kept.delete(version)
      length -= one.length
    }
  }
  const read = (texts: readonly { file: string; text: string }[]): Promise<ReadAnswer> => {
    if (closed) return Promise.resolve({ ok: false, why: 'the gateway is stopping' })
    return new Promise((resolve) => {
      const mine = new Worker(new URL('./reading.worker.ts', import.meta.url), { workerData: texts })
      worker = mine
      mine.unref()
      mine.once('message', (answer: ReadAnswer) => resolve(answer))
      mine.once('error', (error) => resolve({ ok: false, why: (error as Error).message }))
      mine.once('exit', () => resolve({ ok: false, why: 'reading it was ended' }))
    })
  }

  return {
    of(version, texts) {
      const known = kept.get(version)
      if (known) {
        kept.delete(version)
        kept.set(version, known)
        return known.set
      }
      const entry = { set: undefined as unknown as Promise<Permitted>, length: 0 }
      const load = async (): Promise<Permitted> => {
        const files = await texts()
        if (!files) throw new PoliciesUnreadable(`The policies ${version} are not kept`)
        const answer = await read(files)
        if (!answer.ok) throw new PoliciesUnreadable(`The policies ${version} can’t be read: ${answer.why}`)
        // What is kept under a version is known by its digest.
        if (answer.version !== version)
          throw new PoliciesUnreadable(`The policies ${version} were changed where they are kept: run verify`)
        entry.length = files.reduce((sum, { text }) => sum + text.length, 0)
        drop()
        return createPermitted(version, answer.readable)
      }
      const next = last.then(load)
      last = next.catch(() => {})
      entry.set = next
      kept.set(version, entry)
      // What failed is tried again by who asks next.
      next.catch(() => void (kept.get(version) === entry && kept.delete(version)))
      return next
    },
    async [Symbol.asyncDispose]() {
      closed = true
      await worker?.terminate()
    },
  }
}
