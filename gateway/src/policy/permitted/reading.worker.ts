import { parentPort, workerData } from 'node:worker_threads'
import { readPolicyTexts } from '../load.ts'
import { readableOf } from './permitted.ts'
import type { ReadAnswer } from './reading.ts'

/** Reads one set of policies, and ends: parsing takes long, and nobody's commands are to wait for it. */
const texts = workerData as { file: string; text: string }[]
parentPort!.postMessage(answer())

function answer(): ReadAnswer {
  try {
    const read = readPolicyTexts(texts)
    if (read.ok) return { ok: true, version: read.files.version, readable: readableOf(read.files.policies) }
    const [problem] = read.problems
    return { ok: false, why: problem ? `${problem.file}:${problem.line}: ${problem.message}` : 'it has no policy' }
  } catch (error) {
    return { ok: false, why: (error as Error).message }
  }
}
