import { parentPort, workerData } from 'node:worker_threads'
import type { PolicyText } from '@countersign/contract/policies'
import { checkPolicies } from './check.ts'

/** Checks one set, and ends: parsing takes long, and nobody's commands are to wait for it. */
const { files, overlays } = workerData as { files: PolicyText[]; overlays: PolicyText[] }
parentPort!.postMessage(checkPolicies(files, overlays))
