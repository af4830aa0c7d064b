import type { z } from 'zod'
import type { Manifest } from './bundle.ts'
import { payloadValue } from './entry.ts'
import { DeletionRun, KeyRotated, type PayloadOf, payloads, RecordingChunk, SessionEnded } from './payloads.ts'
import { Ranges } from './ranges.ts'

/** What the opened entries of a bundle say, as far as other parts of it can be held against them. */
export class BundleFacts {
  readonly chunks = new Map<string, { entry: number; chunk: RecordingChunk }[]>()
  readonly ends = new Map<string, { entry: number; end: SessionEnded }>()
  readonly commands = new Map<string, number>()
  readonly rotations: { entry: number; payload: KeyRotated }[] = []
  readonly deletions = new Map<number, { entries: Ranges<true>; recordings: ReadonlySet<string> }>()
  readonly decided = new Map<number, { at: string; payload: PayloadOf<'approval.decided'> }>()
  readonly policies: { entry: number; payload: PayloadOf<'policy.changed'> }[] = []

  /** Takes an entry whose payload was found to be the one committed to. False where it is not of its type's form. */
  add(entry: number, type: string, at: string, bytes: Uint8Array): boolean {
    const value = payloadValue(bytes)
    if (value === undefined) return false
    const take = <T>(schema: z.ZodType<T>, use: (payload: T) => void): boolean => {
      const parsed = schema.safeParse(value)
      if (parsed.success) use(parsed.data)
      return parsed.success
    }
    switch (type) {
      case 'recording.chunk':
        return take(RecordingChunk, (chunk) => {
          const known = this.chunks.get(chunk.session)
          if (known) known.push({ entry, chunk })
          else this.chunks.set(chunk.session, [{ entry, chunk }])
        })
      case 'session.closed':
      case 'session.interrupted':
        return take(SessionEnded, (end) => this.ends.set(end.session, { entry, end }))
      case 'command':
        return take(payloads.command, ({ session }) =>
          this.commands.set(session, (this.commands.get(session) ?? 0) + 1),
        )
      case 'key.rotated':
        return take(KeyRotated, (payload) => this.rotations.push({ entry, payload }))
      case 'deletion.run':
        return take(DeletionRun, ({ entries, recordings }) => {
          const ranges = new Ranges<true>()
          for (const [first, last] of entries) ranges.add(first, last, true)
          ranges.sort()
          this.deletions.set(entry, { entries: ranges, recordings: new Set(recordings) })
        })
      case 'approval.decided':
        return take(payloads['approval.decided'], (payload) => this.decided.set(entry, { at, payload }))
      case 'policy.changed':
        return take(payloads['policy.changed'], (payload) => this.policies.push({ entry, payload }))
      default:
        return true
    }
  }

  /** Whether deletion entry `by` says that entry `n` was erased. */
  erases(by: number, n: number): boolean {
    return by > n && this.deletions.get(by)?.entries.valueOf(n) === true
  }

  erasesRecording(by: number, session: string): boolean {
    return this.deletions.get(by)?.recordings.has(session) === true
  }

  /** Whether the manifest's decision is the one that stands in the log. */
  confirms(decision: Manifest['decisions'][number]): boolean {
    const known = this.decided.get(decision.entry)
    return (
      known !== undefined &&
      known.at === decision.at &&
      known.payload.approval === decision.approval &&
      known.payload.person.id === decision.person &&
      known.payload.verdict === decision.verdict &&
      known.payload.reason === decision.reason
    )
  }
}
