import { parseSync } from 'libpg-query'
import type { Classification } from '../../masking/classes.ts'
import { writeFlow } from '../../masking/flow.ts'
import type { Masking } from '../../masking/masking.ts'
import { laundering, planBlindly, type Touch, touchOf, type WriteFlow } from '../../masking/plan.ts'
import type { Meaning } from '../commands.ts'
import type { Analysis, StatementAnalysis } from '../effects/effects.ts'
import { launders, uncopied, type Words } from '../refusal.ts'
import { type CopyOut, copiesOf } from './copying.ts'

/** One statement, as far as its masking goes. */
export interface StatementTouch {
  touch: Touch
  /** What was done before it in its transaction may speak in its errors: it commits, or may. */
  settles: boolean
  copy?: CopyOut
}

/** What a text touches of classified data, for this agent at this moment. */
export interface Touched {
  readonly statements: readonly StatementTouch[]
  /** Classes that any of them may read. */
  readonly classes: readonly string[]
  /** Those of them that the agent may not see. */
  readonly hidden: readonly string[]
  /** Why it must not run, whatever policy says. */
  readonly refused?: Words
}

export interface TouchingOptions {
  masking: Masking
  /** By the catalog as it is known now. */
  classification: () => Classification
  /** Whether policy lets the agent see a class, now. */
  reveals: (dataClass: string) => boolean
  /** What a cursor that SQL declared reads, as of its DECLARE; undefined where it isn't known. */
  declared: (cursor: string) => readonly Touch[] | undefined
}

/** What the texts of a session touch of classified data, and whether they may run because of it. */
export class Touching {
  readonly #o: TouchingOptions
  /** Of texts that use no names, by what was found of them; `undefined` where there is nothing to mask. */
  #known = new WeakMap<Analysis, Touched | undefined>()
  #classification: Classification | undefined

  constructor(options: TouchingOptions) {
    this.#o = options
  }

  get masking(): Masking {
    return this.#o.masking
  }

  readonly reveals = (dataClass: string): boolean => this.#o.reveals(dataClass)

  /** Classes of the database that the agent may not see. */
  get hidden(): readonly string[] {
    return this.#o.classification().all.filter((dataClass) => !this.#o.reveals(dataClass))
  }

  /** What a text touches; undefined where nothing of it is to be masked, scrubbed or refused. */
  of(text: string, meaning: Meaning): Touched | undefined {
    const { analysis } = meaning
    const classification = this.#o.classification()
    if (classification !== this.#classification) {
      this.#known = new WeakMap()
      this.#classification = classification
    }
    if (this.#known.has(analysis)) {
      const known = this.#known.get(analysis)
      if (known === undefined || this.#stands(known)) return known
    }
    const copies = analysis.statements.some(({ session }) => session.copy === 'out')
    const touched = this.#find(text, meaning, classification, copies)
    if (meaning.named !== true && !copies) this.#known.set(analysis, touched)
    return touched
  }

  /** Whether policy still says what it said. */
  #stands({ statements }: Touched): boolean {
    return statements.every(({ touch: { classes, hidden } }) =>
      classes.every((dataClass) => this.#o.reveals(dataClass) !== hidden.includes(dataClass)),
    )
  }

  #find(text: string, meaning: Meaning, classification: Classification, copies: boolean): Touched | undefined {
    const { statements } = meaning.analysis
    const found =
      statements.length > 0 ? this.#each(text, meaning, classification) : [this.#whole(meaning, classification)]
    if (copies && statements.length > 0) {
      const copied = copiesOf(text, statements)
      found.forEach((one, at) => {
        const copy = copied[at]
        if (copy) one.copy = copy
      })
    }
    const touches = found.some(({ touch: { classes } }) => classes.length > 0)
    // A result may have a column that is newer than the catalog, and that a pattern fits.
    if (!touches && !classification.grows && this.#o.masking.detect.length === 0) return undefined
    const refused = this.#refused(found)
    return {
      statements: found,
      classes: [...new Set(found.flatMap(({ touch: { classes } }) => classes))].sort(),
      hidden: [...new Set(found.flatMap(({ touch: { hidden } }) => hidden))].sort(),
      ...(refused ? { refused } : {}),
    }
  }

  #each(text: string, meaning: Meaning, classification: Classification): StatementTouch[] {
    const { statements } = meaning.analysis
    let trees: unknown[] | undefined
    const treeOf = (at: number) => {
      trees ??= parseSync(text).stmts ?? []
      const own = trees[at]
      if (own === undefined) throw new Error('the text has fewer statements than were found in it')
      // What an EXECUTE or FETCH stands for is in the same text, or was sent before.
      return reachesNames(own) ? [trees, ...behindOf(meaning)] : own
    }
    let changed = false
    const declared = new Map<string, Touch>()
    return statements.map((statement, at) => {
      const { effects, session } = statement
      const now = this.#touch(statement, classification, changed, () => treeOf(at))
      changed ||= session.changesCatalog === true || effects.some(({ action }) => action === 'sql:unknown')
      // A cursor gives what it was declared for, whatever the same words mean by now.
      const cursor = session.fetches ?? session.declares?.cursor
      let touch = now
      if (cursor !== undefined) {
        const before = [...(this.#o.declared(cursor) ?? []), ...(declared.get(cursor) ? [declared.get(cursor)!] : [])]
        touch = before.reduce(union, now)
      }
      if (session.declares) declared.set(session.declares.cursor, touch)
      return { touch, settles: settles(statements) }
    })
  }

  #touch(statement: StatementAnalysis, classification: Classification, uncertain: boolean, tree: () => unknown): Touch {
    const { effects } = statement
    const reveal = this.#o.reveals
    const read = touchOf(effects, classification, { reveal, uncertain, flow: 'none' })
    const writes = effects.some(({ action }) => action !== 'sql:read' && action !== 'sql:connect')
    // Whatever it brings or writes: of what isn't hidden it may do anything with.
    if (!writes || classification.all.length === 0) return read
    const flow = bringsCalls(statement)
      ? 'code'
      : writesAnswers(statement)
        ? 'reads'
        : flowOf(tree, effects, classification)
    return flow === 'none' ? read : touchOf(effects, classification, { reveal, uncertain, flow })
  }

  /** What isn't known statement by statement. */
  #whole({ analysis }: Meaning, classification: Classification): StatementTouch {
    const touch = touchOf(analysis.effects, classification, {
      reveal: this.#o.reveals,
      uncertain: analysis.empty !== true,
    })
    return { touch, settles: true }
  }

  #refused(statements: readonly StatementTouch[]): Words | undefined {
    for (const { touch, copy } of statements) {
      const why = laundering(touch)
      if (why !== undefined) return launders(why)
      if (copy && copy.format === undefined && planBlindly(1, touch, this.#o.masking.styleOf).masks) return uncopied
    }
    return undefined
  }
}

/** Whether what was done before it in the transaction can speak in what the server says of a text. */
export function settles(statements: readonly StatementAnalysis[]): boolean {
  return statements.length !== 1 || !ordinary.test(statements[0]!.kind)
}

/** Kinds whose errors can only speak of what they read and write themselves. */
const ordinary = /^(select|insert|update|delete|merge|copy|explain|show|fetch|move|declare|prepare|execute|begin)$/

function flowOf(tree: () => unknown, effects: StatementAnalysis['effects'], classification: Classification): WriteFlow {
  const objects = (wanted: RegExp) =>
    effects.flatMap(({ action, object }) => (object !== undefined && wanted.test(action) ? [object] : []))
  try {
    return writeFlow(tree(), { classification, written: objects(/^sql:(write|ddl)$/), touched: objects(/./) })
  } catch {
    return 'code' // too deep or too odd to be looked through
  }
}

/** Whether what it writes may be what a function answers that isn't known to be harmless. */
function writesAnswers({ effects }: StatementAnalysis): boolean {
  return (
    effects.some(
      ({ action, command }) => action === 'sql:write' && /^(insert|update|merge)$/.test(String(command.kind)),
    ) && effects.some(({ action, resource }) => action === 'sql:call' && resource.type === 'Routine')
  )
}

/** Whether it makes something that calls functions of one's own later: defaults, checks, indexes. Of views it is known. */
function bringsCalls({ text, effects }: StatementAnalysis): boolean {
  const does = (action: string) =>
    effects.some((effect) => effect.action === action && effect.resource.type === 'Routine')
  return effects.some(({ action }) => action === 'sql:ddl') && does('sql:call') && !views.test(text)
}

/** After comments, if there are any: what isn't surely a view is something else. */
const views = /^create\s+(or\s+replace\s+)?(temp\s+|temporary\s+)?(recursive\s+)?view\b/i

function reachesNames(tree: unknown): boolean {
  return /"(ExecuteStmt|FetchStmt)"/.test(JSON.stringify(tree))
}

/** The statements behind the names that a text uses. */
function behindOf({ circumstances: { behind } }: Meaning): unknown[] {
  return Object.values((behind ?? {}) as Record<string, string | null>).map((text) => {
    if (text === null) return []
    return text.trim() === '' ? [] : parseSync(text).stmts
  })
}

/** What either touches. */
export function union(a: Touch, b: Touch): Touch {
  const earlier = new Set([...(a.earlier ?? []), ...(b.earlier ?? []), b.classification])
  earlier.delete(a.classification)
  return {
    ...a,
    ...(earlier.size > 0 ? { earlier: [...earlier] } : {}),
    classes: merged(a.classes, b.classes),
    hidden: merged(a.hidden, b.hidden),
    written: new Set([...a.written, ...b.written]),
    uncertain: a.uncertain || b.uncertain,
    explains: a.explains && b.explains,
  }
}

const merged = (a: readonly string[], b: readonly string[]) => [...new Set([...a, ...b])].sort()
