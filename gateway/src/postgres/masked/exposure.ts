import { parameterPasses } from '../../masking/scrub.ts'
import type { Entry } from '../outstanding.ts'
import { scrubbed, withoutPayload } from './reports.ts'

/** What is made of an ErrorResponse or NoticeResponse. */
export interface Heard {
  /** For the agent; undefined where it goes on as it came. */
  agent: Buffer | undefined
  /** For the recording, and for whoever approved. */
  recorded: Buffer
}

/**
 * What the server could speak of: the statement that it answers, and, where that commits, all that the transaction has
 * touched (deferred constraints, settings that are reported at its end).
 */
export class Exposure {
  readonly #masking: { readonly hidden: readonly string[] }
  /** Classes touched since the server was last idle, and those of them that the agent may not see. */
  readonly #classes = new Set<string>()
  readonly #hidden = new Set<string>()

  /** @param masking classes of the database that the agent may not see, now */
  constructor(masking: { readonly hidden: readonly string[] }) {
    this.#masking = masking
  }

  /** A statement was done, or has failed. */
  add({ run, hidden = none }: Entry): void {
    for (const dataClass of run?.masked?.classes ?? hidden) this.#classes.add(dataClass)
    for (const dataClass of run?.masked?.hidden ?? hidden) this.#hidden.add(dataClass)
  }

  /** The transaction is over, and everything of it was reported. */
  clear(): void {
    this.#classes.clear()
    this.#hidden.clear()
  }

  /** An ErrorResponse, in our words where the server's could quote anything. */
  report(frame: Buffer, head: Entry | undefined): Heard {
    const settles = head?.run?.masked?.settles ?? head?.settles ?? (head === undefined || head.kind === 'sync')
    return this.#heard(frame, head, settles)
  }

  /** @param settles whether it may speak of all that the transaction has touched */
  #heard(frame: Buffer, head: Entry | undefined, settles: boolean): Heard {
    const masked = head?.run?.masked
    // Of a text that commits, its earlier statements too.
    const own = masked && (settles ? masked : masked.touch)
    const hidden = merged(own?.hidden ?? head?.hidden ?? none, settles ? this.#hidden : none)
    const classes = merged(own?.classes ?? head?.hidden ?? none, settles ? this.#classes : none)
    return {
      agent: hidden.length > 0 ? scrubbed(frame, hidden) : undefined,
      recorded: classes.length > 0 ? scrubbed(frame, classes) : frame,
    }
  }

  /**
   * A NoticeResponse: what goes on, true for what came. Whatever closes a portal (Close, Bind, another Query) makes the
   * server speak of what that has done, where it logs plans to its clients.
   */
  notice(frame: Buffer, head: Entry | undefined): Buffer | true {
    return this.#heard(frame, head, true).agent ?? true
  }

  /** A NotificationResponse: what goes on, true for what came. */
  notification(frame: Buffer): Buffer | true {
    const { hidden } = this.#masking
    return hidden.length > 0 ? withoutPayload(frame, hidden) : true
  }

  /** Whether a ParameterStatus goes on. They are reported when a command is over, for all that was done in it. */
  tells(name: string, head: Entry | undefined): boolean {
    const own = head?.run?.masked?.hidden
    return parameterPasses(name, { hidden: own && own.length > 0 ? own : [...this.#hidden] })
  }
}

const none: readonly string[] = []

function merged(own: readonly string[], before: Iterable<string>): readonly string[] {
  return [...new Set([...own, ...before])].sort()
}
