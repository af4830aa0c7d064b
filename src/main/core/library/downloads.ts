import { statfs } from 'node:fs/promises'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { ConsoleError } from '../../../console-api.ts'
import { type GatewayApi, Unreachable } from '../gateway-api.ts'
import { keepBundle } from './bundle-file.ts'
import type { KeptFiles } from './kept-files.ts'
import type { RecordingFile } from './recording-file.ts'

/** With whom to speak, while the link is live. */
export type Asking = () => Promise<{ api: GatewayApi; token: string } | undefined>

/** A recording on its way here. */
export interface Pull {
  /** Rejects where it could not be fetched; what came until then is kept. */
  readonly done: Promise<void>
  /** Resolves once there is something to show; never, where it is over before that. */
  readonly enough: Promise<void>
  readonly stop: AbortController
}

/** So much of a large recording is fetched before it is shown; the rest comes while one reads. */
const enoughBytes = 1024 * 1024
const enoughMs = 800
const saveEveryBytes = 8 * 1024 * 1024
/** So often a broken connection is taken up again without anything having come. */
const patience = 3
export const noGateway = () =>
  new ConsoleError('not-connected', 'There is no connection to the gateway. Try again once it is live.')

/**
 * Fetches what is missing of a recording: from the byte after the last whole line, again after each cut, checking each
 * line before it counts.
 */
export function pullRecording(
  given: {
    files: KeptFiles
    asking: Asking
    /** Told as bytes come, and when they are on disk. */
    progress(file: RecordingFile, saved: boolean): void
    room: () => Promise<void>
  },
  session: string,
  /** Whoever follows a session asks so often that what is little isn't saved each time. */
  lazily = false,
): Pull {
  const stop = new AbortController()
  const { promise: enough, resolve: isEnough } = Promise.withResolvers<void>()
  const done = (async () => {
    using held = await given.files.takeOrMake(session)
    const { file } = held
    let saved = file.bytes
    const timer = setInterval(() => file.header && isEnough(), enoughMs)
    try {
      for (let tries = 0; !file.ended; ) {
        const before = file.bytes
        try {
          const now = await given.asking()
          if (!now) throw noGateway()
          await given.room()
          const { from, stream } = await now.api.recording(now.token, session, file.bytes, stop.signal)
          let known = file.bytes - from
          for await (const bytes of stream) {
            stop.signal.throwIfAborted()
            // A gateway that knows no ranges begins at the beginning.
            const fresh = known > 0 ? bytes.subarray(Math.min(known, bytes.length)) : bytes
            known -= bytes.length - fresh.length
            if (fresh.length === 0) continue
            await file.append(fresh)
            if (file.bytes >= enoughBytes) isEnough()
            given.progress(file, false)
            if (file.bytes - saved >= saveEveryBytes) {
              await file.save()
              saved = file.bytes
              given.progress(file, true)
              await given.room()
            }
            await new Promise((resolve) => setImmediate(resolve))
          }
          file.forgetBegun()
          break
        } catch (error) {
          file.forgetBegun()
          stop.signal.throwIfAborted()
          if (!(error instanceof Unreachable)) throw error
          tries = file.bytes > before ? 1 : tries + 1
          if (tries >= patience) throw error
        }
      }
    } finally {
      clearInterval(timer)
      const little = lazily && !file.ended && file.unsaved < enoughBytes
      if (!little) await file.save()
      given.progress(file, !little)
    }
  })()
  done.catch(() => {})
  return { done, enough, stop }
}

/**
 * Fetches a session's bundle and checks it as it comes. Without a key that somebody has pinned, a check can only find
 * that it contradicts itself.
 * @returns what is wrong with it, in words; undefined where nothing was found
 */
export async function pullBundle(
  files: KeptFiles,
  asking: Asking,
  session: string,
  signal: AbortSignal,
  progress: (bytes: number) => void,
  room: () => Promise<void>,
): Promise<string | undefined> {
  const now = await asking()
  if (!now) throw noGateway()
  const source = await now.api.bundle(now.token, session, signal)
  const { place, key } = await files.bundlePlace(session)
  const kept = keepBundle(place, key, source)
  let bytes = 0
  let looked = 0
  const counted = {
    async next() {
      const step = await kept.next()
      if (!step.done) {
        bytes += step.value.length
        progress(bytes)
        // A bundle says nowhere how long it is: one without an end must not fill the disk.
        if (bytes - looked >= saveEveryBytes) {
          await room()
          looked = bytes
        }
      }
      return step
    },
    // What is wrong at one place must not keep the rest from being kept: it is evidence, too.
    return: async () => ({ done: true as const, value: undefined }),
    [Symbol.asyncIterator]() {
      return this
    },
  }
  try {
    const report = await verifyBundle(nodeCrypto, counted, { signal })
    while (!(await counted.next()).done);
    const [first] = report.findings
    if (report.outcome === 'cant-tell' || report.outcome === 'whole') return undefined
    return `The gateway’s bundle is ${report.outcome}: ${first?.text ?? ''}`
  } finally {
    await kept.return(undefined)
  }
}

/** @throws ConsoleError where the disk has no room left: less than `reserve` bytes */
export async function checkRoom(folder: string, reserve: number): Promise<void> {
  const free = await freeBytes(folder)
  if (free !== null && free < reserve)
    throw new ConsoleError(
      'disk-full',
      `This disk has only ${Math.floor(free / 2 ** 20)} MiB left: recordings are fetched again once there is room.`,
    )
}

/** Bytes that this account may still write; null where the system doesn't tell. */
export async function freeBytes(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch {
    return null
  }
}
