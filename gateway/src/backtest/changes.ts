import type { BacktestChange } from '@countersign/contract/policies'
import type { RecordedCommand } from '../sessions/ledger/commands.ts'
import type { Outcome, Said } from './again.ts'
import { effectsOfShape, shapeKey, shapeWords } from './shape.ts'

/** A command to be shown for others like it; its text is read later. */
export interface Sample {
  session: string
  openedAt: string
  command: string
  at: string
  was: Outcome
  now: Outcome
}

export type Change = Omit<BacktestChange, 'samples'> & { samples: Sample[] }

/** So many changes are told, those with most commands first; */
export const MOST_TOLD = 300
/** and so many told apart while they are counted. */
const MOST_APART = 10_000
const SAMPLES = 3
const POLICIES = 20

const names = { deny: 'newly-denied', hold: 'newly-held', allow: 'newly-allowed' } as const

/** Commands whose verdict would be another one, by agent, connection and shape. */
export class Changes {
  readonly #all = new Map<string, Change>()
  #commandsOfOthers = 0
  readonly counts = { newlyDenied: 0, newlyHeld: 0, newlyAllowed: 0 }

  add(command: RecordedCommand, was: Outcome, now: Said): void {
    const change = names[now.outcome]
    if (now.outcome === 'deny') this.counts.newlyDenied++
    else if (now.outcome === 'hold') this.counts.newlyHeld++
    else this.counts.newlyAllowed++
    const { session, effects, at } = command
    const key = `${change} ${session.agent.id} ${session.connection} ${shapeKey(effects)}`
    let known = this.#all.get(key)
    if (!known) {
      if (this.#all.size >= MOST_APART) {
        this.#commandsOfOthers++
        return
      }
      known = begun(change, command, now)
      this.#all.set(key, known)
    }
    known.commands++
    known.was[was]++
    if (at < known.firstAt) known.firstAt = at
    if (at > known.lastAt) known.lastAt = at
    for (const policy of now.policies)
      if (known.policies.length < POLICIES && !known.policies.includes(policy)) known.policies.push(policy)
    sampled(known.samples, {
      session: session.id,
      openedAt: session.openedAt,
      command: command.command,
      at,
      was,
      now: now.outcome,
    })
  }

  /** Those with most commands first; `left`: how many there are beside them. */
  told(): { changes: Change[]; left: number; notes: string[] } {
    const all = [...this.#all.values()].sort(
      (a, b) => b.commands - a.commands || (a.firstAt < b.firstAt ? -1 : a.firstAt > b.firstAt ? 1 : 0),
    )
    const others = this.#commandsOfOthers
    return {
      changes: all.slice(0, MOST_TOLD).map((one) => ({
        ...one,
        samples: one.samples.toSorted((a, b) => (a.at < b.at ? -1 : 1)),
      })),
      left: Math.max(0, all.length - MOST_TOLD),
      notes:
        others > 0
          ? [
              `More than ${MOST_APART} kinds of commands would change; ${others} commands of further kinds are only counted.`,
            ]
          : [],
    }
  }
}

function begun(change: Change['change'], { session, effects, at }: RecordedCommand, now: Said): Change {
  const { agent, connection } = session
  return {
    change,
    agent: agent.id,
    agentName: agent.name,
    connection,
    shape: shapeWords(effects, connection),
    effects: effectsOfShape(effects),
    commands: 0,
    was: { allow: 0, hold: 0, deny: 0 },
    policies: [],
    reason: now.reason.slice(0, 500),
    firstAt: at,
    lastAt: at,
    samples: [],
  }
}

/** The first one, and the last ones of other sessions than those that are shown already. */
function sampled(samples: Sample[], one: Sample): void {
  if (samples.length < SAMPLES) {
    samples.push(one)
    return
  }
  if (samples.some(({ session }, at) => at < SAMPLES - 1 && session === one.session)) return
  if (samples[SAMPLES - 1]!.session !== one.session) samples.splice(1, 1)
  else samples.pop()
  samples.push(one)
}
