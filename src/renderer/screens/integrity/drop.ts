import { base64 } from '@countersign/contract/ledger/encoding'
import { create } from 'zustand'
import { sliceBytes } from '../../../witness-api.ts'
import { wordsOf } from '../../app/api.ts'
import { core, say } from '../../app/store.ts'
import { outcomeWords } from './words.ts'

/** A file on its way to be verified. It goes on while other screens are looked at. */
export interface Dropped {
  readonly key: string
  readonly name: string
  readonly bytes: number
  readonly sent: number
  readonly state: 'waiting' | 'verifying' | 'failed'
  readonly problem?: string
  cancel(): void
}

export const useDropped = create<{ files: readonly Dropped[] }>()(() => ({ files: [] }))

let ids = 0
let working: Promise<unknown> = Promise.resolve()

const change = (key: string, to: Partial<Dropped>) =>
  useDropped.setState(({ files }) => ({ files: files.map((one) => (one.key === key ? { ...one, ...to } : one)) }))

/** Takes a file away from the list. */
export const dismiss = (key: string) =>
  useDropped.setState(({ files }) => ({ files: files.filter((one) => one.key !== key) }))

/** Verifies a file that was dropped or chosen, after those before it; `done` gets the id of its verdict. */
export function verifyFile(file: File, done: (verdict: string) => void): void {
  ids += 1
  const key = `file:${ids}`
  const stopping = new AbortController()
  const cancel = () => {
    stopping.abort()
    dismiss(key)
  }
  const dropped: Dropped = { key, name: file.name, bytes: file.size, sent: 0, state: 'waiting', cancel }
  useDropped.setState(({ files }) => ({ files: [dropped, ...files] }))
  working = working.then(async () => {
    if (stopping.signal.aborted) return
    try {
      const verdict = await send(file, key, stopping.signal)
      if (!verdict) return
      dismiss(key)
      say(`${file.name}: ${outcomeWords[verdict.outcome]}`)
      done(verdict.id)
    } catch (error) {
      if (!stopping.signal.aborted) change(key, { state: 'failed', problem: wordsOf(error) })
    }
  })
}

async function send(file: File, key: string, signal: AbortSignal) {
  change(key, { state: 'verifying' })
  const { upload } = await core().call('openBundle', { name: file.name, bytes: file.size })
  try {
    for (let offset = 0; offset < file.size; offset += sliceBytes) {
      const bytes = new Uint8Array(await file.slice(offset, offset + sliceBytes).arrayBuffer())
      if (signal.aborted) break
      await core().call('bundleSlice', { upload, offset, data: base64(bytes) })
      change(key, { sent: offset + bytes.length })
    }
    if (!signal.aborted) return await core().call('closeBundle', { upload })
  } catch (error) {
    void core()
      .call('cancelBundle', { upload })
      .catch(() => {})
    throw error
  }
  await core().call('cancelBundle', { upload })
  return undefined
}
