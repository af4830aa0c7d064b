import { parameterPasses } from '../../masking/scrub.ts'
import type { Entry } from '../outstanding.ts'
import { scrubbed, withoutPayload } from './reports.ts'

/**
 * What the server could still speak of that the agent may not see: of the statement that it answers, and, where that
 * commits, of all that the transaction has touched (deferred constraints, settings that are reported at its end).
 */
export class Exposure {
  readonly #masking: { readonly hidden: readonly string[] }
  /** Hidden classes touched since the server was last idle. */
  readonly #touched = new Set<string>()

  /** @param masking classes that the agent may not see, now */
  constructor(masking: { readonly hidden: readonly string[] }) {
    this.#masking = masking
  }

  /** A statement was done, or has failed. */
  add({ run }: Entry): void {
    for (const dataClass of run?.masked?.hidden ?? none) this.#touched.add(dataClass)
  }

  /** The transaction is over, and everything of it was reported. */
  clear(): void {
    this.#touched.clear()
  }

  /** An ErrorResponse in our words, where it could quote anything; undefined where it goes on as it came. */
  report(frame: Buffer, head: Entry | undefined): Buffer | undefined {
    const hidden = this.#spokenOf(head)
    return hidden.length > 0 ? scrubbed(frame, hidden) : undefined
  }

  /** The same for a NoticeResponse. */
  notice(frame: Buffer, head: Entry | undefined): Buffer | true {
    return this.report(frame, head) ?? true
  }

  notification(frame: Buffer): Buffer | true {
    const { hidden } = this.#masking
    return hidden.length > 0 ? withoutPayload(frame, hidden) : true
  }

  /** Whether a ParameterStatus goes on. They are reported when a command is over, for all that was done in it. */
  tells(name: string, head: Entry | undefined): boolean {
    const hidden = [...(head?.run?.masked?.hidden ?? none), ...this.#touched]
    return parameterPasses(name, { hidden })
  }

  #spokenOf(head: Entry | undefined): readonly string[] {
    const masked = head?.run?.masked
    const own = masked?.touch.hidden ?? head?.hidden ?? none
    const settles = masked?.settles ?? head?.settles ?? (head === undefined || head.kind === 'sync')
    return settles && this.#touched.size > 0 ? [...new Set([...own, ...this.#touched])].sort() : own
  }
}

const none: readonly string[] = []
