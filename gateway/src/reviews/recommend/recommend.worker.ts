import { parentPort } from 'node:worker_threads'
import { recommend, type ToRecommend } from './recommend.ts'
import type { FromRecommending } from './recommending.ts'

/** Recommends, one item after another: formatting and validating a policy takes long enough to keep commands waiting. */
parentPort!.on('message', ({ id, asked }: { id: number; asked: ToRecommend }) => {
  parentPort!.postMessage(answer(id, asked))
})

function answer(id: number, asked: ToRecommend): FromRecommending {
  try {
    return { id, ok: true, recommendation: recommend(asked) }
  } catch (error) {
    return { id, ok: false, message: (error as Error).message }
  }
}
