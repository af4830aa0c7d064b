import { Buffer } from 'node:buffer'
import type { z } from 'zod'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import type { VerificationProgress, witnessCalls } from '../../../witness-api.ts'
import type { BundledRecording, Comparison } from '../library/same-recording.ts'
import type { Downloads } from '../ports/downloads.ts'
import type { Witness } from './witness.ts'

type Calls = typeof witnessCalls

/** Where a session's bundle comes from: the library where it is kept there, else the gateway. @throws ConsoleError where neither has it */
export type BundleSource = (session: string, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>

export interface Evidence {
  /** The witness's part of ConsoleApi. */
  answers: { [N in keyof Calls]: (input: z.output<Calls[N]['input']>) => unknown }
  /** Verifies what the library has come to keep. */
  heed(event: ConsoleEvent): void
}

/** What screens ask of the witness, and what it does by itself. */
export function createEvidence(options: {
  witness: Witness
  /** Who acknowledges. */
  person(): string
  bundleOf: BundleSource
  /** The copy of a recording that is played here, held against the one in its bundle; undefined where none is here. */
  played?(bundled: BundledRecording, signal: AbortSignal): Promise<Comparison | undefined>
  downloads: Downloads
  say(event: ConsoleEvent): void
}): Evidence {
  const { witness } = options
  const { bundles } = witness
  const underWay = new Map<string, AbortController>()

  const progress = (verification: VerificationProgress) => options.say({ type: 'verification', verification })

  async function verifySession(session: string) {
    if (underWay.has(session)) throw new ConsoleError('busy', 'This session is being verified already.')
    const stopping = new AbortController()
    underWay.set(session, stopping)
    let told = 0
    try {
      progress({ session, bytes: 0, state: 'verifying' })
      const source = await options.bundleOf(session, stopping.signal)
      return await bundles.verifySession(session, source, {
        signal: stopping.signal,
        played: async (bundled) => options.played?.(bundled, stopping.signal),
        onProgress(bytes) {
          if (bytes - told < 1024 * 1024) return
          told = bytes
          progress({ session, bytes, state: 'verifying' })
        },
      })
    } catch (error) {
      if (stopping.signal.aborted) throw new ConsoleError('cancelled', 'The verification was cancelled.')
      throw error
    } finally {
      underWay.delete(session)
      progress({ session, bytes: told, state: 'ended' })
    }
  }

  async function exportAlarm(id: string, work: string) {
    const { name, bytes } = await witness.evidence(id)
    const told = { type: 'export' as const, work, done: 0, total: bytes.length }
    const file = await options.downloads.save(
      { name, type: 'application/x-tar' },
      (url) => options.say({ ...told, url }),
      new AbortController().signal,
    )
    if (!file) return { state: 'cancelled' }
    try {
      await file.write(bytes)
      const where = await file.close()
      return { state: 'written', ...(where !== undefined && { where }) }
    } catch (error) {
      await file.abort()
      throw error
    }
  }

  const answers: Evidence['answers'] = {
    checkLog: () => witness.check(),
    witnessedCheckpoints: ({ skip, limit }) => witness.checkpoints(skip, limit),
    checkpointNote: ({ log, size, root }) => ({ note: witness.note(log, size, root) }),
    pinKey: ({ vkey }) => witness.pin(vkey),
    acknowledgeAlarm: ({ id, reason }) => witness.acknowledge(id, options.person(), reason),
    exportAlarm: ({ id, work }) => exportAlarm(id, work),
    setCosigning: ({ on }) => witness.setCosigning(on),
    openBundle: ({ name, bytes }) => ({ upload: bundles.open(name, bytes) }),
    async bundleSlice({ upload, offset, data }) {
      await bundles.slice(upload, offset, Buffer.from(data, 'base64'))
      return {}
    },
    closeBundle: ({ upload }) => bundles.close(upload),
    cancelBundle({ upload }) {
      bundles.cancel(upload)
      return {}
    },
    bundleVerdict: ({ id }) => bundles.verdict(id),
    verifySession: ({ session }) => verifySession(session),
    cancelVerification({ session }) {
      underWay.get(session)?.abort()
      return {}
    },
  }
  const kept = new Map<string, boolean>()
  let verifying: Promise<unknown> = Promise.resolve()
  return {
    answers,
    heed(event) {
      if (event.type !== 'library') return
      for (const session of event.removed) kept.delete(session)
      for (const { session, bundle } of event.changed) {
        const before = kept.get(session)
        kept.set(session, bundle === 'kept')
        // One that was kept before is looked at when somebody asks; one that comes is looked at as it is stored.
        if (bundle !== 'kept' || before || (before === undefined && bundles.verified(session))) continue
        verifying = verifying.then(() => verifySession(session)).catch(() => {})
      }
    },
  }
}
