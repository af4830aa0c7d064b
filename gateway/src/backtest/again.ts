import type { Effect as EffectRecord } from '@countersign/contract/approval'
import type { VerdictRecord } from '@countersign/contract/recording'
import type { Command, Effect } from '../gate/command.ts'
import type { Backing } from '../gate/entrance.ts'
import { judge, saidByPolicy } from '../gate/judge.ts'
import { effectOf } from '../gate/recorded.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import { type ClassifiedPolicies, classified } from '../policy/classes.ts'
import type { Policies } from '../policy/policy.ts'
import type { RecordedCommand } from '../sessions/ledger/commands.ts'
import type { Then, ThenConnection } from './then.ts'

export type Outcome = 'allow' | 'hold' | 'deny'

/** What a set of policies says of a recorded command, as the gate would have said it then. */
export interface Said {
  outcome: Outcome
  /** Of those that decide. */
  policies: string[]
  reason: string
  /** Something of what it was decided by was not recorded, and policy asks for it. */
  guessed: boolean
}

/**
 * Decides recorded commands again, by what stood beside policy when they came.
 * @param policies any set; none of its text is run but by Cedar
 * @returns undefined of a command whose effects are of a form that this version doesn't know
 */
export function decideAgain(policies: Policies, then: Then): (command: RecordedCommand) => Said | undefined {
  const asked = classified(policies)
  const [byTime, byPurpose] = [asked.mentions('time'), asked.mentions('purpose')]
  const classes = new Classes()
  const memory = new Memory<Said>()
  return (recorded) => {
    const { session, at, effects } = recorded
    const time = new Date(at)
    const connection = then.connection(session)
    const backing = then.backing(session, time.getTime())
    const who = classes.of(session.agent, connection, byPurpose ? session.purpose : undefined)
    const hours = byTime ? hourOfWeek(time) : 0
    const key = `${who} ${hours} ${backing.grants.map(({ id }) => id).join(' ')} ${backing.needed} ${JSON.stringify(effects)}`
    const known = memory.get(key)
    if (known) return known
    const said = decided(asked, recorded, { connection, backing, time })
    if (said) memory.put(key, said)
    return said
  }
}

function decided(
  policies: ClassifiedPolicies,
  { session, effects, kind }: RecordedCommand,
  { connection, backing, time }: { connection: ThenConnection; backing: Backing; time: Date },
): Said | undefined {
  const made = effectsOf(effects)
  if (!made) return undefined
  const command: Command = {
    protocol: session.protocol as Command['protocol'],
    connection,
    agent: session.agent as unknown as AgentPrincipal,
    session: { id: session.id, ...(session.purpose !== undefined && { purpose: session.purpose }), backing },
    text: '',
    parameters: [],
    kind,
    effects: made.effects,
    meaning: {},
  }
  const judgement = judge(policies, command, time)
  const reason = judgement.outcome === 'allow' ? 'allowed' : judgement.reason
  const guessed =
    (!made.complete && policies.mentions('functions')) ||
    (!connection.known && (policies.mentions('tags') || policies.mentions('kind')))
  return { outcome: judgement.outcome, policies: judgement.policies, reason, guessed }
}

function effectsOf(records: readonly EffectRecord[]): { effects: Effect[]; complete: boolean } | undefined {
  const effects: Effect[] = []
  let complete = true
  for (const record of records) {
    const one = effectOf(record)
    if (!one) return undefined
    effects.push(one.effect)
    complete &&= one.complete
  }
  return { effects, complete }
}

/**
 * What policy had said of a command when it came, whether it was held to it (mode observe) or not. `beside`: it was
 * refused by something else than policy, as by a limit, or since it could not be recorded.
 */
export function saidThen({ outcome, policies, reason = '', observed }: VerdictRecord): Outcome | 'beside' {
  if (observed) {
    const [, said] = /^(deny|hold): /.exec(reason) ?? []
    return (said as Outcome | undefined) ?? outcome
  }
  return outcome === 'deny' && !saidByPolicy({ policies, reason }) ? 'beside' : outcome
}

/** So many agents on connections, with purposes where they count, are kept apart in memory. */
const MOST_CLASSES = 100_000

/** Whose command it is, as a number: agent, connection and purpose are the same objects, or the same text, very often. */
class Classes {
  #byAgent = new Map<object, Map<object, Map<string | undefined, number>>>()
  #kept = 0
  #next = 0

  of(agent: object, connection: object, purpose: string | undefined): number {
    const known = this.#byAgent.get(agent)?.get(connection)?.get(purpose)
    if (known !== undefined) return known
    // Purposes are whatever agents say; numbers are never used again, so that forgetting is safe.
    if (this.#kept++ >= MOST_CLASSES) {
      this.#byAgent = new Map()
      this.#kept = 1
    }
    const number = this.#next++
    within(within(this.#byAgent, agent), connection).set(purpose, number)
    return number
  }
}

/** The map under a key, made where there is none yet. */
function within<K, L, V>(maps: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let known = maps.get(key)
  if (!known) {
    known = new Map()
    maps.set(key, known)
  }
  return known
}

/** Characters of keys, in each of two generations: what is asked for again moves to the younger one. */
const ROOM = 8 * 1024 * 1024
const LONGEST = 16 * 1024

class Memory<T> {
  #young = new Map<string, T>()
  #old = new Map<string, T>()
  #size = 0

  get(key: string): T | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.put(key, old)
    return old
  }

  put(key: string, value: T): void {
    if (key.length > LONGEST) return
    // What the value takes counts, too.
    this.#size += key.length + 200
    this.#young.set(key, value)
    if (this.#size < ROOM) return
    this.#old = this.#young
    this.#young = new Map()
    this.#size = 0
  }
}

const hourOfWeek = (time: Date) => time.getUTCDay() * 24 + time.getUTCHours()
