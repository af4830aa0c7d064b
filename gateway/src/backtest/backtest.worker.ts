import { parentPort, workerData } from 'node:worker_threads'
import { type Replay, replay } from './replay.ts'
import type { FromReplay } from './running.ts'

/** One replay, in a thread of its own: whoever waits at the gateway waits for none of it. */
const say = (message: FromReplay) => parentPort!.postMessage(message)

try {
  const result = await replay(workerData as Replay, (progress) => say({ is: 'progress', progress }))
  say({ is: 'done', result })
} catch (error) {
  say({ is: 'failed', why: error instanceof Error ? error.message : String(error) })
}
