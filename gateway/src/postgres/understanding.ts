import type { Bearings, Circumstances } from './bearings.ts'
import { type Meaning, unknownEffect } from './commands.ts'
import type { Conversation } from './conversation.ts'
import { type Analysis, analyse } from './effects/effects.ts'

/** So many meanings are kept for a session, of texts of at most so many characters. */
const KEPT = { texts: 128, length: 8192 }

/** What a session's texts mean at this moment. */
export class Understanding {
  readonly #conversation: Conversation
  readonly #bearings: Bearings
  /** Meanings under `#circumstances` of texts that use no names: the same object each time, by which the gate remembers. */
  readonly #known = new Map<string, Meaning>()
  #circumstances: Circumstances | undefined

  constructor(conversation: Conversation, bearings: Bearings) {
    this.#conversation = conversation
    this.#bearings = bearings
  }

  /** What a text means now, after asking for whatever is not known; undefined where the batch has failed meanwhile. */
  of(text: string): Meaning | undefined | Promise<Meaning | undefined> {
    if (!this.#bearings.fresh) return this.#afterAsking(text)
    const meaning = this.#now(text)
    return this.#unclear(meaning) ? this.#afterAsking(text) : meaning
  }

  /** What a text means once everything sent is answered, with nothing taken from memory. */
  async anew(text: string): Promise<Meaning> {
    await this.#conversation.settle()
    await this.#bearings.again()
    return this.#now(text)
  }

  /** What stands for a portal that was made out of sight. */
  unknown(portal: string): Meaning {
    return {
      analysis: { kind: 'unknown', effects: [unknownEffect(this.#bearings.connection.name)], statements: [] },
      circumstances: { portal },
    }
  }

  async #afterAsking(text: string): Promise<Meaning | undefined> {
    const conversation = this.#conversation
    const bearings = this.#bearings
    if (!bearings.fresh) {
      await conversation.settle()
      if (conversation.dropping) return undefined
      await bearings.take()
    }
    const meaning = this.#now(text)
    if (!this.#unclear(meaning)) return meaning
    if (conversation.sqlNames > 0) await conversation.settle()
    if (conversation.dropping) return undefined
    if (isUnknown(meaning)) await bearings.lookAgain()
    return this.#now(text)
  }

  /** Whether waiting or looking again could tell more. */
  #unclear(meaning: Meaning): boolean {
    return (this.#conversation.sqlNames > 0 && meaning.named === true) || isUnknown(meaning)
  }

  #now(text: string): Meaning {
    const { circumstances } = this.#bearings
    if (circumstances !== this.#circumstances) {
      this.#known.clear()
      this.#circumstances = circumstances
    }
    const known = this.#known.get(text)
    if (known) return known
    const meaning = this.#analyse(text, circumstances)
    if (text.length <= KEPT.length && !meaning.named && !isUnknown(meaning)) {
      if (this.#known.size >= KEPT.texts) this.#known.delete(this.#known.keys().next().value!)
      this.#known.set(text, meaning)
    }
    return meaning
  }

  #analyse(text: string, circumstances: Circumstances): Meaning {
    const behind: Record<string, string | null> = {}
    const analysis = analyse(text, {
      ...circumstances,
      prepared: (name) => {
        const statement = this.#conversation.statements.get(name)?.text
        behind[`prepared ${name}`] = statement ?? null
        return statement
      },
      portal: (name) => {
        const portal = this.#conversation.portals.get(name)
        const statement = portal?.unknown ? undefined : portal?.text
        behind[`portal ${name}`] = statement ?? null
        return statement
      },
    })
    return meaningOf(analysis, circumstances, behind)
  }
}

function meaningOf(
  analysis: Analysis,
  { searchPath, user }: Circumstances,
  behind: Record<string, string | null>,
): Meaning {
  const named = Object.keys(behind).length > 0
  return {
    analysis,
    named,
    circumstances: { search_path: searchPath, role: user, ...(named ? { behind } : {}) },
  }
}

const isUnknown = ({ analysis }: Meaning) => (analysis.unresolved?.length ?? 0) > 0
