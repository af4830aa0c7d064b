import type { Policies, Requirement } from '../policy/policy.ts'
import type { Command } from './command.ts'
import { covering } from './covering.ts'
import type { Backing } from './entrance.ts'

/** What policy says of a whole command: the strictest of what it says of each effect. */
export type Judgement =
  | { outcome: 'allow'; policies: string[] }
  /** `uncovered`: policy was not asked, since no live grant covers it. */
  | { outcome: 'deny'; policies: string[]; reason: string; uncovered?: true }
  | { outcome: 'hold'; policies: string[]; requirements: Requirement[]; reason: string }

interface Remembered extends Pick<Command, 'agent' | 'connection' | 'effects'> {
  policies: Policies
  purpose: string | undefined
  backing: Backing | undefined
  /** Policy knows no finer time. */
  hour: number
  /** When the first of the grants that it took ends (ms). */
  until: number
  judgement: Judgement
}

const memory = new WeakMap<Command['meaning'], Remembered>()

/**
 * What `judge` says, without asking again where this very statement was judged by these policies within the hour.
 * @param now milliseconds since the epoch
 */
export function remembered(policies: Policies, command: Command, now: number): Judgement {
  const { agent, connection, effects, meaning, session } = command
  const hour = Math.floor(now / 3_600_000)
  const known = memory.get(meaning)
  if (
    known &&
    known.policies === policies &&
    known.effects === effects &&
    known.agent === agent &&
    known.connection === connection &&
    known.purpose === session.purpose &&
    known.backing === session.backing &&
    known.hour === hour &&
    now < known.until
  )
    return known.judgement
  const { judgement, until } = judged(policies, command, new Date(now))
  const { purpose, backing } = session
  memory.set(meaning, { policies, effects, agent, connection, purpose, backing, hour, until, judgement })
  return judgement
}

/**
 * Decides each effect; the strictest wins: deny, then hold, then allow (contract.md section 4, Deciding).
 * @param approval who has approved, for the decision at release
 */
export function judge(
  policies: Policies,
  command: Command,
  time: Date,
  approval?: { groups: string[]; people: string[] },
): Judgement {
  return judged(policies, command, time, approval).judgement
}

function judged(
  policies: Policies,
  command: Command,
  time: Date,
  approval?: { groups: string[]; people: string[] },
): { judgement: Judgement; until: number } {
  let until = Number.POSITIVE_INFINITY
  const answer = (judgement: Judgement) => ({ judgement, until })
  if (command.effects.length === 0)
    return answer({
      outcome: 'deny',
      policies: [],
      reason: 'the command has no known effect, so nothing can permit it',
    })
  const allowing = new Set<string>()
  const requirements = new Map<string, Requirement>()
  const { purpose, backing } = command.session
  let denied: Judgement | undefined
  for (const effect of command.effects) {
    const grant = backing && covering(backing, effect, time.getTime())
    if (grant) until = Math.min(until, grant.endsAt)
    if (backing?.needed && !grant) {
      denied ??= { outcome: 'deny', policies: [], reason: uncovered(effect), uncovered: true }
      continue
    }
    const decision = policies.decide({
      principal: command.agent,
      connection: command.connection,
      effect,
      context: { ...(purpose === undefined ? {} : { purpose }), ...(grant ? { grant: grant.id } : {}), time },
      ...(approval === undefined ? {} : { approval }),
    })
    if (decision.outcome === 'deny') {
      denied ??= { outcome: 'deny', policies: decision.policies, reason: denial(policies, effect, decision) }
    } else if (decision.outcome === 'hold') {
      for (const requirement of decision.requirements) requirements.set(requirement.policy, requirement)
    } else {
      for (const id of decision.policies) allowing.add(id)
    }
  }
  if (denied) return answer(denied)
  if (requirements.size === 0) return answer({ outcome: 'allow', policies: [...allowing].sort() })
  const asked = [...requirements.values()].sort((a, b) => (a.policy < b.policy ? -1 : 1))
  return answer({
    outcome: 'hold',
    policies: asked.map((requirement) => requirement.policy),
    requirements: asked,
    reason: `held by policy ${asked.map(named).join(', ')}`,
  })
}

/** How a denial by policy begins where no policy is named: nothing else that refuses says so. */
const unnamed = [
  'the command has no known effect, so nothing can permit it',
  'no live grant covers ',
  'policy could not be decided',
  'no policy permits ',
]

/**
 * Whether a recorded denial is one that policy gave, and not a limit, a record that could not be written, or whatever
 * else refuses commands.
 */
export function saidByPolicy({ policies, reason }: { policies: readonly string[]; reason: string }): boolean {
  return policies.length > 0 || unnamed.some((beginning) => reason.startsWith(beginning))
}

function uncovered({ action, resource }: Command['effects'][number]): string {
  return `no live grant covers ${action} on ${resource.id}`
}

function named({ policy, reason }: Requirement): string {
  return reason === undefined ? policy : `${policy} (${reason})`
}

function denial(
  policies: Policies,
  effect: Command['effects'][number],
  decision: { policies: string[]; errors: string[] },
): string {
  const what = `${effect.action} on ${effect.resource.id}`
  if (decision.errors.length > 0) return `policy could not be decided for ${what}: ${decision.errors.join('; ')}`
  if (decision.policies.length === 0) return `no policy permits ${what}`
  const named = decision.policies.map((id) => {
    const reason = policies.reasonOf(id)
    return reason === undefined ? id : `${id} (${reason})`
  })
  return `denied by policy ${named.join(', ')}: ${what}`
}

interface Revealed {
  policies: Policies
  connection: Command['connection']
  purpose: string | undefined
  backing: Backing | undefined
  hour: number
  classes: Map<string, boolean>
}

const revealed = new WeakMap<Command['agent'], Revealed>()

/**
 * Whether policy permits data:reveal of a class, remembered while nothing is another that it depends on.
 * @param now milliseconds since the epoch
 */
export function reveals(
  policies: Policies,
  { agent, connection, session: { purpose, backing } }: Pick<Command, 'agent' | 'connection' | 'session'>,
  dataClass: string,
  now: number,
): boolean {
  const hour = Math.floor(now / 3_600_000)
  let known = revealed.get(agent)
  if (
    known?.policies !== policies ||
    known.connection !== connection ||
    known.purpose !== purpose ||
    known.backing !== backing ||
    known.hour !== hour
  ) {
    known = { policies, connection, purpose, backing, hour, classes: new Map() }
    revealed.set(agent, known)
  }
  let verdict = known.classes.get(dataClass)
  if (backing && backing.grants.length > 0) {
    // A grant ends at a moment that no memory by the hour knows.
    const grant = covering(backing, revealing(dataClass), now)
    if (!grant && backing.needed) return false
    return decideReveal(grant?.id) === 'allow'
  }
  if (backing?.needed) return false
  if (verdict === undefined) {
    const outcome = decideReveal(undefined)
    verdict = outcome === 'allow'
    known.classes.set(dataClass, verdict)
  }
  return verdict

  function decideReveal(grant: string | undefined) {
    return policies.decide({
      principal: agent,
      connection,
      effect: revealing(dataClass),
      context: {
        ...(purpose === undefined ? {} : { purpose }),
        ...(grant === undefined ? {} : { grant }),
        time: new Date(now),
      },
    }).outcome
  }
}

function revealing(dataClass: string): Command['effects'][number] {
  return { action: 'data:reveal', resource: { type: 'DataClass', id: dataClass }, command: {} }
}
