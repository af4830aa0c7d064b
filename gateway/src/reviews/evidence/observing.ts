import { createHash } from 'node:crypto'
import type { EvidenceCommand, ItemEvidence } from '@countersign/contract/review'
import type { RecordedCommand } from '../../sessions/ledger/commands.ts'
import { Anomalies } from './anomalies.ts'
import { accessKey, type Observed, type ObservedAccess, type ObservedRule, ran, ruleKey, seedIn } from './observed.ts'
import { Alike, cut, sampleOf } from './samples.ts'
import { type Room, Uses } from './uses.ts'

/** So many agents on connections are told apart. */
const MOST_ACCESS = 20_000
const MOST_CLASSES = 200
const SAMPLED = 20

export interface ObservingOptions {
  from: string
  to: string
  /** Since when anything is recorded. */
  since: string | undefined
  /** Policies by whose grants a session was let do what it did. */
  rulesOf: (session: string) => readonly string[]
  room?: Room
}

/** Counts commands as they go by. What it keeps does not grow with them. */
export class Observing {
  readonly #options: ObservingOptions
  readonly #room: Room
  readonly #access = new Map<string, Access>()
  readonly #rules = new Map<string, Rule>()
  #commands = 0
  #unreadable = 0
  #left = 0

  constructor(options: ObservingOptions) {
    this.#options = options
    this.#room = options.room ?? { uses: 400_000, samples: 100_000 }
  }

  add(recorded: RecordedCommand): void {
    this.#commands++
    const { agent, connection } = recorded.session
    const key = accessKey(agent.id, connection)
    let access = this.#access.get(key)
    if (!access) {
      if (this.#access.size >= MOST_ACCESS) {
        this.#left++
        return
      }
      access = new Access(agent.id, connection, this.#room)
      this.#access.set(key, access)
    }
    access.add(recorded)
    for (const policy of this.#options.rulesOf(recorded.session.id)) this.#rule(policy, connection).add(recorded)
  }

  unreadable(commands: number): void {
    this.#unreadable += commands
  }

  /** How many were read. */
  get commands(): number {
    return this.#commands
  }

  result(): Observed {
    const { from, to, since } = this.#options
    const access = new Map([...this.#access].map(([key, one]) => [key, one.result({ to, ...(since && { since }) })]))
    const rules = new Map([...this.#rules].map(([key, one]) => [key, one.result()]))
    return { from, to, coverage: this.#coverage(), access, rules }
  }

  #rule(policy: string, connection: string): Rule {
    const key = ruleKey(policy, connection)
    let rule = this.#rules.get(key)
    if (!rule) {
      rule = new Rule(policy, connection, seedIn(this.#options, policy, connection))
      this.#rules.set(key, rule)
    }
    return rule
  }

  #coverage(): ItemEvidence['coverage'] {
    const { from, since } = this.#options
    const notes: string[] = []
    if (since === undefined) notes.push('Nothing is recorded yet.')
    else if (since > from) notes.push(`Commands are recorded since ${since} only: what was done before is not known.`)
    if (this.#unreadable > 0)
      notes.push(`${this.#unreadable} commands of the window can’t be read: retention has erased what they were.`)
    if (this.#left > 0) notes.push(`${this.#left} commands are not counted: too many agents for one review.`)
    const unreadable = this.#unreadable + this.#left
    return { commands: this.#commands - this.#left, unreadable, ...(since && { since }), notes }
  }
}

class Access {
  readonly #agent: string
  readonly #connection: string
  readonly #uses: Uses
  readonly #days = new Map<string, ObservedAccess['days'][number]>()
  readonly #refused: Alike
  readonly #held: Alike
  readonly #classes = new Map<string, number>()
  readonly #anomalies = new Anomalies()
  readonly #counts = { allowed: 0, held: 0, denied: 0, observed: 0 }
  #firstAt = '9'
  #lastAt = ''

  constructor(agent: string, connection: string, room: Room) {
    this.#agent = agent
    this.#connection = connection
    this.#uses = new Uses(connection, room)
    this.#refused = new Alike(room)
    this.#held = new Alike(room)
  }

  add(recorded: RecordedCommand): void {
    const { at, effects, verdict, classes } = recorded
    const outcome = outcomes[verdict.outcome]
    this.#counts[outcome]++
    if (verdict.observed) this.#counts.observed++
    if (at < this.#firstAt) this.#firstAt = at
    if (at > this.#lastAt) this.#lastAt = at
    const day = at.slice(0, 10)
    const known = this.#days.get(day) ?? { day, allowed: 0, held: 0, denied: 0 }
    known[outcome]++
    this.#days.set(day, known)
    const first = this.#uses.add(effects, verdict, at)
    this.#anomalies.add(recorded, first)
    if (verdict.outcome === 'deny') this.#refused.add(recorded, whyRefused(verdict))
    else if (verdict.outcome === 'hold') this.#held.add(recorded, whyHeld(verdict))
    else if (verdict.observed) this.#refused.add(recorded, whyObserved(verdict))
    if (ran(verdict))
      for (const name of classes ?? [])
        if (this.#classes.has(name) || this.#classes.size < MOST_CLASSES)
          this.#classes.set(name, (this.#classes.get(name) ?? 0) + 1)
  }

  result(window: { to: string; since?: string }): ObservedAccess {
    const { allowed, held, denied, observed } = this.#counts
    const commands = allowed + held + denied
    const [firstAt, lastAt] = [this.#firstAt, this.#lastAt]
    return {
      agent: this.#agent,
      connection: this.#connection,
      commands,
      allowed,
      held,
      denied,
      observed,
      firstAt,
      lastAt,
      used: this.#uses.list(),
      folded: this.#uses.folded,
      days: [...this.#days.values()].sort((a, b) => (a.day < b.day ? -1 : 1)),
      refused: this.#refused.list(),
      heldCommands: this.#held.list(),
      classes: [...this.#classes].map(([name, count]) => ({ class: name, commands: count })).sort(byClass),
      anomalies: this.#anomalies.list({ commands, denied, firstAt }, window),
    }
  }
}

const outcomes = { allow: 'allowed', hold: 'held', deny: 'denied' } as const
const byClass = (a: { class: string }, b: { class: string }) => (a.class < b.class ? -1 : 1)

const reasoned = (what: string, { reason }: EvidenceCommand['verdict']) =>
  cut(reason === undefined || reason === '' ? what : `${what}: ${reason}`, 500)
const whyRefused = (verdict: EvidenceCommand['verdict']) => reasoned('denied', verdict)
const whyHeld = (verdict: EvidenceCommand['verdict']) =>
  ran(verdict) ? 'held, and let run by people' : reasoned('held, and not run', verdict)
const whyObserved = (verdict: EvidenceCommand['verdict']) => reasoned('let run, since it is only observed', verdict)

/** Draws those whose hash with the seed is lowest: the same whatever order they come in. */
class Rule {
  readonly #policy: string
  readonly #connection: string
  readonly #seed: string
  #drawn: { rank: string; sample: EvidenceCommand }[] = []
  #of = 0

  constructor(policy: string, connection: string, seed: string) {
    this.#policy = policy
    this.#connection = connection
    this.#seed = seed
  }

  add(recorded: RecordedCommand): void {
    this.#of++
    const rank = createHash('sha256')
      .update(`${this.#seed}\u0000${recorded.session.id}\u0000${recorded.command}`)
      .digest('hex')
    if (this.#drawn.length >= SAMPLED && rank >= this.#drawn.at(-1)!.rank) return
    this.#drawn.push({ rank, sample: sampleOf(recorded, 'drawn from what was done by this rule') })
    this.#drawn.sort((a, b) => (a.rank < b.rank ? -1 : 1))
    this.#drawn.length = Math.min(this.#drawn.length, SAMPLED)
  }

  result(): ObservedRule {
    const commands = this.#drawn.map(({ sample }) => sample).sort((a, b) => (a.at < b.at ? -1 : 1))
    return { policy: this.#policy, connection: this.#connection, of: this.#of, seed: this.#seed, commands }
  }
}
