import type { Effect } from '../gate/command.ts'
import { after } from './after.ts'
import { type Analyst, LARGE } from './analyst.ts'
import type { Bearings, Circumstances } from './bearings.ts'
import { type Meaning, unknownEffect } from './commands.ts'
import type { Conversation } from './conversation.ts'
import { type Analysis, analyse } from './effects/effects.ts'
import { shapeOf } from './effects/shape.ts'
import type { Portal, Prepared } from './names.ts'

/** So many meanings are kept for a session, of texts of at most so many characters. */
const KEPT = { texts: 128, length: 8192 }

/** What a session's texts mean at this moment. */
export class Understanding {
  readonly #conversation: Conversation
  readonly #bearings: Bearings
  /** Meanings under `#circumstances` of texts that use no names: the same object each time, by which the gate remembers. */
  readonly #known = new Map<string, Meaning>()
  /** The same of texts that differ in literals only, by their shape. */
  readonly #alike = new Map<string, Meaning>()
  /** What prepared statements may do, by what their text means now. */
  readonly #wholes = new WeakMap<Prepared, { now: Meaning; whole: Meaning }>()
  /** Meanings with declared types of parameters, by what they mean without. */
  readonly #types = new WeakMap<Meaning, Map<string, Meaning>>()
  #circumstances: Circumstances | undefined
  /** What the names of a text stand for is being looked at. */
  #lookingBehind = false
  readonly #analyst: Analyst
  /** The large text that was read last: it is parsed, then executed. */
  #large: { text: string; circumstances: Circumstances; meaning: Meaning } | undefined

  constructor(conversation: Conversation, bearings: Bearings, analyst: Analyst) {
    this.#conversation = conversation
    this.#bearings = bearings
    this.#analyst = analyst
  }

  /** What a text means now, after asking for whatever is not known; undefined where the batch has failed meanwhile. */
  of(text: string): Meaning | undefined | Promise<Meaning | undefined> {
    if (!this.#bearings.fresh) return this.#afterAsking(text)
    const meaning = this.#now(text)
    return !meaning || this.#unclear(meaning) ? this.#afterAsking(text) : meaning
  }

  /** What a text means once everything sent is answered, with nothing taken from memory. */
  async anew(text: string, statement?: Prepared): Promise<Meaning> {
    await this.#conversation.settle()
    await this.#bearings.again()
    const meaning = this.#now(text) ?? (await this.#apart(text))
    return statement ? this.#whole(statement, meaning) : meaning
  }

  /** What a prepared statement may do now: what its text means, and whatever else it has meant since it was made. */
  ofPrepared(statement: Prepared): Meaning | undefined | Promise<Meaning | undefined> {
    return after(this.of(statement.text), (meaning) => meaning && this.#whole(statement, meaning))
  }

  /** With what it has meant before, unless that is too much to be kept: then it may do anything. */
  #bounded(meaning: Meaning, before: readonly Effect[]): Meaning {
    if (before.length <= MOST_MEANT) return withEffects(meaning, before)
    return withEffects(meaning, [unknownEffect(this.#bearings.connection.name)])
  }

  /** To be asked whenever the server may read a prepared statement anew, so that no meaning of it is missed. */
  #whole(statement: Prepared, now: Meaning): Meaning {
    if (now.named) return this.#typed(statement, now) // what stands behind names is looked up as it runs
    const known = this.#wholes.get(statement)
    if (known?.now === now) return known.whole
    const { effects } = now.analysis
    const whole = this.#typed(statement, this.#bounded(now, missing(statement.meant ?? [], effects)))
    statement.meant = whole.analysis.effects
    this.#wholes.set(statement, { now, whole })
    return whole
  }

  /** With the types that the client has declared for its parameters: an approval is for these. The same object each time. */
  #typed({ declared }: Prepared, meaning: Meaning): Meaning {
    if (!declared) return meaning
    const typed = this.#types.get(meaning) ?? new Map<string, Meaning>()
    this.#types.set(meaning, typed)
    const key = declared.join()
    let known = typed.get(key)
    if (!known) {
      known = { ...meaning, circumstances: { ...meaning.circumstances, parameter_types: declared } }
      keep(typed, key, known)
    }
    return known
  }

  /** Whether a portal's text means what it meant when it was bound: only then does it tell what the portal will do. */
  stands({ text, bound, statement }: Portal<unknown>, now?: Meaning): boolean {
    if (bound === undefined) return true
    const meaning = now ?? this.#now(text)
    if (meaning === undefined) return false
    return same(bound, statement && !now ? this.#whole(statement, meaning) : meaning)
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
      await bearings.take(text)
    }
    const meaning = this.#now(text)
    if (!meaning) return this.#settledApart(text)
    if (!this.#unclear(meaning)) return meaning
    if (meaning.named) await conversation.settle()
    if (conversation.dropping) return undefined
    if (isUnknown(meaning)) await bearings.lookAgain()
    return this.#now(text) ?? this.#settledApart(text)
  }

  /** A large text, read by the other thread while nothing that could change its meaning is outstanding. */
  async #settledApart(text: string): Promise<Meaning | undefined> {
    const conversation = this.#conversation
    const bearings = this.#bearings
    if (!conversation.outstanding.copyIn) await conversation.settle()
    if (conversation.dropping) return undefined
    for (let again = false; ; again = true) {
      if (!bearings.fresh) await bearings.take()
      const meaning = await this.#apart(text)
      if (conversation.dropping) return undefined
      if (again || (bearings.fresh && !isUnknown(meaning))) return meaning
      if (isUnknown(meaning)) await bearings.lookAgain()
    }
  }

  async #apart(text: string): Promise<Meaning> {
    const { circumstances } = this.#bearings
    const known = this.#large
    if (known?.text === text && known.circumstances === circumstances) return known.meaning
    const { analysis, behind } = await this.#analyst.analyse(text, circumstances, (name) => this.#behind(name))
    const meaning = this.#withBehind(meaningOf(analysis, circumstances, behind), behind)
    if (!meaning.named && !analysis.refused) this.#large = { text, circumstances, meaning }
    return meaning
  }

  /** Whether waiting or looking again could tell more. */
  #unclear(meaning: Meaning): boolean {
    // What was sent may yet be refused, and with it what a name is to stand for.
    return (meaning.named === true && !this.#conversation.outstanding.empty) || isUnknown(meaning)
  }

  /** What a text means by what is known; undefined where it is too large to be read in this thread. */
  #now(text: string): Meaning | undefined {
    if (text.length > LARGE) return undefined
    const { circumstances } = this.#bearings
    if (circumstances !== this.#circumstances) {
      this.#known.clear()
      this.#alike.clear()
      this.#circumstances = circumstances
    }
    const known = this.#known.get(text)
    if (known) return known
    const shape = shapeOf(text)
    const alike = shape === undefined ? undefined : this.#alike.get(shape)
    if (alike) return alike
    const meaning = this.#analyse(text, circumstances)
    if (meaning && text.length <= KEPT.length && !meaning.named && !isUnknown(meaning)) {
      if (meaning.analysis.general && shape !== undefined) keep(this.#alike, shape, meaning)
      else keep(this.#known, text, meaning)
    }
    return meaning
  }

  #analyse(text: string, circumstances: Circumstances): Meaning | undefined {
    let large = false
    const behind: Record<string, string | null> = {}
    const noted = (name: string) => {
      const text = this.#behind(name)
      behind[name] = text ?? null
      large ||= (text?.length ?? 0) > LARGE
      return large ? undefined : text
    }
    const analysis = analyse(text, {
      ...circumstances,
      prepared: (name) => noted(`prepared ${name}`),
      portal: (name) => noted(`portal ${name}`),
    })
    return large ? undefined : this.#withBehind(meaningOf(analysis, circumstances, behind), behind)
  }

  /** With what the prepared statements that it names, by whatever many others, have meant since they were made. */
  #withBehind(meaning: Meaning, behind: Record<string, string | null>): Meaning {
    // All names that a text leads to are asked for here, so that those behind them, itself perhaps, need not be again.
    if (this.#lookingBehind) return meaning
    this.#lookingBehind = true
    try {
      return Object.keys(behind).reduce((whole, name) => this.#withMeant(whole, meaning, name), meaning)
    } finally {
      this.#lookingBehind = false
    }
  }

  #withMeant(whole: Meaning, meaning: Meaning, name: string): Meaning {
    if (!name.startsWith('prepared ')) return whole
    const statement = this.#conversation.statements.get(name.slice('prepared '.length))
    if (!statement) return whole
    // One that is too large to be read here does no more than what runs it.
    const now = this.#now(statement.text) ?? meaning
    const { effects } = this.#bounded(now, missing(statement.meant ?? [], now.analysis.effects)).analysis
    statement.meant = effects
    const before = missing(effects, now.analysis.effects)
    return withEffects(whole, missing(before, whole.analysis.effects))
  }

  /** The text behind `prepared NAME` or `portal NAME`. */
  #behind(name: string): string | undefined {
    if (name.startsWith('prepared ')) return this.#conversation.statements.get(name.slice('prepared '.length))?.text
    const portal = this.#conversation.portals.get(name.slice('portal '.length))
    return !portal || portal.unknown || !this.stands(portal) ? undefined : portal.text
  }
}

function keep(meanings: Map<string, Meaning>, key: string, meaning: Meaning): void {
  if (meanings.size >= KEPT.texts) meanings.delete(meanings.keys().next().value!)
  meanings.set(key, meaning)
}

function meaningOf(
  analysis: Analysis,
  { searchPath, user, settings }: Circumstances,
  behind: Record<string, string | null>,
): Meaning {
  const named = Object.keys(behind).length > 0
  return {
    analysis,
    named,
    circumstances: { search_path: searchPath, role: user, settings: settings ?? null, ...(named ? { behind } : {}) },
  }
}

/** More than a statement comes to mean by what is made in the ordinary course of things. */
const MOST_MEANT = 256

/** A meaning with more effects, of each of its statements. */
function withEffects(meaning: Meaning, more: readonly Effect[]): Meaning {
  if (more.length === 0) return meaning
  const { analysis } = meaning
  const effects = [...analysis.effects, ...more]
  const statements = analysis.statements.map((one) => ({ ...one, effects: [...one.effects, ...more] }))
  return { ...meaning, analysis: { ...analysis, effects, statements } }
}

/** Effects that are not among others. */
function missing(effects: readonly Effect[], among: readonly Effect[]): Effect[] {
  if (effects === among || effects.length === 0) return []
  const key = ({ action, resource: { type, id }, command, object }: Effect) =>
    JSON.stringify([action, type, id, command, object])
  const known = new Set(among.map(key))
  return effects.filter((effect) => !known.has(key(effect)))
}

function same(a: Meaning, b: Meaning): boolean {
  const means = ({ analysis, circumstances }: Meaning) => JSON.stringify([analysis.effects, circumstances.role])
  return a === b || means(a) === means(b)
}

const isUnknown = ({ analysis }: Meaning) => (analysis.unresolved?.length ?? 0) > 0
