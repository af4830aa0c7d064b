import type { Anomaly, ObservedUse } from '@countersign/contract/review'
import type { RecordedCommand } from '../../sessions/ledger/commands.ts'
import { ran } from './observed.ts'
import { cut, Newest } from './samples.ts'

/** What an agent did before is its habit once there was so much of it. */
const HABIT = { days: 14, commands: 20 }
const HABIT_OF_HOURS = { days: 7, commands: 200 }
/** A burst has so many commands within an hour, and so many times what is usual. */
const BURST = { commands: 100, times: 10, hours: 24 }
const OFTEN = { refused: 10, share: 0.2 }
const NEW_WITHIN_DAYS = 14
/** Entries of sessions that are open at once come out of order by less than that. */
const OPEN_HOURS = 72
const MOST = 5
/** What agents call things is in the words. */
const LONGEST = 1000
const DAY = 86_400_000

type Seen = Omit<Anomaly, 'kind'>

/** Looks, while the commands of an agent on a connection go by, for what is unlike the ones before. The same commands always give the same. */
export class Anomalies {
  #commands = 0
  #firstDay: number | undefined
  readonly #days = new Set<number>()
  readonly #hoursOfDay = new Uint32Array(24)
  readonly #newTables = new Newest<Seen>(MOST)
  readonly #newHours = new Newest<Seen>(MOST)
  readonly #unbounded = new Newest<Seen>(MOST)
  readonly #hours = new Map<number, Seen & { count: number }>()
  /** Hours by the logarithm of their commands. */
  readonly #sizes = new Uint32Array(40)
  #peaks: (Seen & { count: number })[] = []

  /** @param first uses that never ran before this command */
  add(recorded: RecordedCommand, first: readonly ObservedUse[]): void {
    const { at, effects, verdict } = recorded
    const time = Date.parse(at)
    const day = Math.floor(time / DAY)
    const seen = (text: string): Seen => ({
      text: cut(text, LONGEST),
      at,
      session: recorded.session.id,
      command: recorded.command,
    })
    this.#firstDay = Math.min(this.#firstDay ?? day, day)
    if (ran(verdict)) {
      const hasHabit = this.#commands >= HABIT.commands && day - this.#firstDay >= HABIT.days
      if (hasHabit)
        for (const { action, resource, type, kind } of first)
          if (type !== 'Connection' && !type.endsWith('*'))
            this.#newTables.add(seen(`${action} (${kind}) on ${resource} for the first time`))
      const wide = effects.find(({ action, bounded }) => bounded === false && action.endsWith(':write'))
      if (wide) this.#unbounded.add(seen(`${wide.kind} of every row of ${wide.resource.id}`))
    }
    const hour = Math.floor(time / 3_600_000)
    this.#newHour(hour % 24, day, seen)
    this.#count(hour, seen)
    this.#commands++
    if (this.#days.size < HABIT_OF_HOURS.days) this.#days.add(day)
  }

  /** @param said what was counted of the same commands  @param since since when there are any commands at all */
  list(said: { commands: number; denied: number; firstAt: string }, window: { to: string; since?: string }): Anomaly[] {
    for (const hour of [...this.#hours.keys()]) this.#close(hour)
    const { commands, denied, firstAt } = said
    const found: Anomaly[] = []
    const young = new Date(Date.parse(window.to) - NEW_WITHIN_DAYS * DAY).toISOString()
    const known = new Date(Date.parse(window.to) - 2 * NEW_WITHIN_DAYS * DAY).toISOString()
    if (firstAt >= young && window.since !== undefined && window.since <= known)
      found.push({ kind: 'first-time', text: 'Its first command on this connection in the window', at: firstAt })
    if (denied >= OFTEN.refused && denied >= commands * OFTEN.share)
      found.push({ kind: 'refused-often', text: `${denied} of its ${commands} commands were denied` })
    found.push(...told('unbounded', this.#unbounded))
    found.push(...told('new-table', this.#newTables))
    found.push(...told('new-hour', this.#newHours))
    const usual = this.#usual()
    if (usual !== undefined)
      for (const { count, text: _, ...peak } of this.#peaks)
        if (count >= BURST.commands && count >= usual * BURST.times)
          found.push({ kind: 'burst', ...peak, text: `${count} commands within an hour; up to ${usual} are usual` })
    return found
  }

  #newHour(hour: number, day: number, seen: (text: string) => Seen): void {
    const before = this.#hoursOfDay
    const near = before[hour]! + before[(hour + 23) % 24]! + before[(hour + 1) % 24]!
    const hasHabit = this.#commands >= HABIT_OF_HOURS.commands && this.#days.size >= HABIT_OF_HOURS.days
    if (near === 0 && hasHabit && day > this.#firstDay!)
      this.#newHours.add(seen(`at ${String(hour).padStart(2, '0')} o’clock UTC, at which it never was there before`))
    before[hour] = before[hour]! + 1
  }

  #count(hour: number, seen: (text: string) => Seen): void {
    const known = this.#hours.get(hour)
    if (known) known.count++
    else {
      this.#hours.set(hour, { ...seen(''), count: 1 })
      // The one that was begun first: commands come almost in order.
      const [first] = this.#hours.keys()
      if (this.#hours.size > OPEN_HOURS) this.#close(first!)
    }
  }

  #close(hour: number): void {
    const one = this.#hours.get(hour)!
    this.#hours.delete(hour)
    const size = Math.floor(Math.log2(one.count))
    this.#sizes[size] = this.#sizes[size]! + 1
    if (this.#peaks.length === MOST && one.count <= this.#peaks.at(-1)!.count) return
    this.#peaks = [...this.#peaks, one].sort((a, b) => b.count - a.count).slice(0, MOST)
  }

  /** What half of its hours don't have more of, rounded up to a power of two; undefined where they are too few to say. */
  #usual(): number | undefined {
    const hours = this.#sizes.reduce((sum, count) => sum + count, 0)
    if (hours < BURST.hours) return undefined
    let sum = 0
    for (const [size, count] of this.#sizes.entries()) {
      sum += count
      if (sum * 2 >= hours) return 2 ** (size + 1)
    }
    return undefined
  }
}

function told(kind: Anomaly['kind'], { list, count }: Newest<Seen>): Anomaly[] {
  const left = count - list.length
  return [
    ...list.map((one) => ({ kind, ...one })),
    ...(left > 0 ? [{ kind, text: `and ${left} more of this kind before` }] : []),
  ]
}
