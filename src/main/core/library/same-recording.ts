import { createHash } from 'node:crypto'
import type { RecordingFile } from './recording-file.ts'

/** A recording as a bundle has it. */
export interface BundledRecording {
  session: string
  bytes: number
  /** Of its bytes, in lower-case hex. */
  sha256: string
}

/** `same`: byte for byte. `more`: it begins with it (the bundle was made before the end). `less`: too short to be held against it. */
export type Comparison = 'same' | 'more' | 'less' | 'other'

/**
 * Holds the copy that is played, searched and exported against the recording in a bundle: the gateway gives the two out
 * by different answers, and only the bundle is proven by the log.
 * @throws Damaged
 */
export async function compareRecording(
  file: RecordingFile,
  bundled: BundledRecording,
  signal?: AbortSignal,
): Promise<Comparison> {
  if (file.bytes < bundled.bytes) return 'less'
  const hash = createHash('sha256')
  let left = bundled.bytes
  for await (const { bytes } of file.blocks()) {
    signal?.throwIfAborted()
    hash.update(bytes.subarray(0, left))
    left -= Math.min(left, bytes.length)
    if (left === 0) break
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (hash.digest('hex') !== bundled.sha256) return 'other'
  return file.bytes > bundled.bytes ? 'more' : 'same'
}
