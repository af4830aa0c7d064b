/** A scribe that dies whenever a file `die` is there, which it removes first. */
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'
import '../scribe.worker.ts'

const die = join((workerData as { folder: string }).folder, 'die')
setInterval(() => {
  if (!existsSync(die)) return
  rmSync(die)
  throw new Error('it was told to die')
}, 5)
