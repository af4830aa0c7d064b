import type { ItemEvidence, Recommendation } from '@countersign/contract/review'
import type { Facts } from '../evidence/parts.ts'
import { revoking } from './revoking.ts'
import { NoPolicyForRule } from './rules.ts'
import type { AccessSubject, Subject } from './subject.ts'
import { NoTighterPolicy, type Tighter, tighter } from './tighter.ts'

export interface ToRecommend {
  subject: Subject
  evidence: ItemEvidence
  privilegedBecause: readonly string[]
  facts: Facts
}

type Reasons = Recommendation['reasons']

/** Not used for so many days is idle; in a shorter window half of it. */
const IDLE_DAYS = 45
/** Of an agent that came within so many days too little is known. */
const YOUNG_DAYS = 30
/** Less than that of the window known, or so much of it unreadable, is too little to take anything away by. */
const THIN = { days: 14, share: 0.5, unreadable: 0.05 }
const DAY = 86_400_000

/**
 * What is recommended of an item, and why; by the evidence alone, so that the same evidence always gives the same. Nothing
 * is taken away where too little is known: then it says so.
 */
export function recommend(asked: ToRecommend): Recommendation {
  return asked.subject.kind === 'rule' ? ofRule(asked) : ofAccess(asked, asked.subject)
}

function ofAccess({ subject, evidence, privilegedBecause, facts }: ToRecommend, access: AccessSubject): Recommendation {
  const { identity, connection, used, peers, anomalies } = evidence
  const reasons: Reasons = []
  const say = (code: Reasons[number]['code'], text: string) => void reasons.push({ code, text })
  const ranAny = used.some(({ allowed, approved, action }) => action !== 'data:reveal' && allowed + (approved ?? 0) > 0)
  const orphan = identity.orphan !== undefined && orphans[identity.orphan]
  if (orphan) say('orphan', orphan)
  if (identity.state === 'disabled') say('other', 'The agent is disabled: it can use nothing now.')
  const refusedOften = anomalies.find(({ kind }) => kind === 'refused-often')
  if (refusedOften) say('refused-often', `${refusedOften.text}.`)
  if (privilegedBecause.length > 0) say('privileged', `Privileged: it ${privilegedBecause.join('; it ')}.`)
  if (connection.mode === 'observe')
    say('observed-only', 'The connection only observes: no policy refuses anything on it, a tighter one neither.')
  else if (facts.observed > 0)
    say('observed-only', `${facts.observed} of its commands were let run against policy, while it was only observed.`)
  const few = fewKnown(evidence)
  if (few) say('thin-coverage', few)
  const young = youngSince(evidence)
  if (young) say('young', young)
  const unused = unusedSince(evidence, ranAny)
  if (unused) say(unused.code, unused.text)
  if (peers && !ranAny && peers.usedByPeers.length > 0)
    say('peers', `Of ${peers.of} agents of its groups, others use it: it is the only one that has no use of it.`)

  const nothing = { keeps: [], drops: [] }
  if (unused && (few || young)) {
    const summary = `Too little is known to take it away: ${(young ?? few)!}`
    return { verdict: 'abstain', summary, reasons, ...nothing }
  }
  if (unused) {
    const policy = revoking(access)
    return { verdict: 'revoke', summary: unused.text, reasons, policy, keeps: [], drops: ['everything'] }
  }
  const made = tighterOf(subject, evidence, say)
  if (!made) return { verdict: 'abstain', summary: reasons.at(-1)!.text, reasons, ...nothing }
  const { drops, keeps, policy } = made
  reasons.push(...unusedReasons(evidence, drops))
  if (drops.length === 0) {
    say('used', 'It used all that it may.')
    return { verdict: 'certify', summary: 'It used all that it may.', reasons, policy, keeps, drops }
  }
  if (peers && outliers(evidence) > 0)
    say('peers', `${outliers(evidence)} of what it used none of ${peers.of} agents of its groups did.`)
  if (few || young) {
    say('used', 'It is in use.')
    return {
      verdict: 'certify',
      summary: `In use; too little is known to reduce it. ${(young ?? few)!}`,
      reasons,
      // Not recommended, and there for whoever knows better.
      policy,
      keeps,
      drops,
    }
  }
  const summary = `Not used in ${daysOf(evidence)} days: ${listed(drops)}.${orphan ? ` ${orphan}` : ''}`
  return { verdict: 'reduce', summary, reasons, policy, keeps, drops }
}

const orphans = {
  'no-sponsor': 'Nobody answers for the agent: it has no sponsor.',
  'sponsor-left': 'Nobody answers for the agent: its sponsor has left.',
  'sponsor-unknown': 'Nobody answers for the agent: its sponsor is not known here.',
}

function daysOf({ window }: ItemEvidence): number {
  return Math.max(1, Math.round((Date.parse(window.to) - Date.parse(window.from)) / DAY))
}

/** Why what was read of the window is too little, in a sentence. */
function fewKnown(evidence: ItemEvidence): string | undefined {
  const { coverage, window } = evidence
  const { commands, unreadable, since } = coverage
  const to = Date.parse(window.to)
  const from = Math.max(Date.parse(window.from), since === undefined ? to : Date.parse(since))
  const days = Math.floor((to - from) / DAY)
  const wanted = Math.min(THIN.days, daysOf(evidence))
  if (days < wanted || days < daysOf(evidence) * THIN.share)
    return `Only ${days} of the ${daysOf(evidence)} days of the window are recorded.`
  if (unreadable > (commands + unreadable) * THIN.unreadable)
    return `${unreadable} of ${commands + unreadable} commands of the window can’t be read any more.`
  return undefined
}

function youngSince({ identity, window }: ItemEvidence): string | undefined {
  const { firstSeenAt } = identity
  const young = firstSeenAt === undefined || Date.parse(window.to) - Date.parse(firstSeenAt) < YOUNG_DAYS * DAY
  if (!young) return undefined
  if (firstSeenAt === undefined) return 'The agent has not come yet.'
  return `The agent came on ${firstSeenAt.slice(0, 10)} for the first time.`
}

/** Why access is of no use, in a sentence: never used, or not for long. */
function unusedSince(
  evidence: ItemEvidence,
  ranAny: boolean,
): { code: 'never-used' | 'idle'; text: string } | undefined {
  const { identity, window, used } = evidence
  if (!ranAny) {
    const tried = used.length > 0 ? ' What it tried was refused.' : ''
    const before =
      identity.lastUsedAt !== undefined && identity.lastUsedAt < window.from
        ? ` It was used on ${identity.lastUsedAt.slice(0, 10)} last.`
        : ''
    return { code: 'never-used', text: `It was not used in ${daysOf(evidence)} days.${before}${tried}` }
  }
  const last = used
    .map(({ lastAt }) => lastAt)
    .sort()
    .at(-1)!
  const days = Math.floor((Date.parse(window.to) - Date.parse(last)) / DAY)
  const long = Math.min(IDLE_DAYS, Math.ceil(daysOf(evidence) / 2))
  if (days < long) return undefined
  return { code: 'idle', text: `It has not been used for ${days} days, since ${last.slice(0, 10)}.` }
}

function tighterOf(
  subject: Subject,
  evidence: ItemEvidence,
  say: (code: 'other', text: string) => void,
): Tighter | undefined {
  try {
    return tighter(subject, evidence)
  } catch (error) {
    if (!(error instanceof NoTighterPolicy) && !(error instanceof NoPolicyForRule)) throw error
    say('other', error.message)
    return undefined
  }
}

/** What is permitted and was not used, by actions and by resources. */
function unusedReasons({ connection, window }: ItemEvidence, drops: readonly string[]): Reasons {
  const reasons: Reasons = []
  const actions = drops.filter((line) => line.includes(' on everything') && !line.includes(' but '))
  const resources = drops.filter((line) => !actions.includes(line))
  const since = `since ${window.from.slice(0, 10)}`
  if (actions.length > 0)
    reasons.push({
      code: 'unused-actions',
      text: `Not done ${since} on ${connection.name}: ${actions.map((line) => line.split(' ')[0]).join(', ')}.`,
    })
  if (resources.length > 0)
    reasons.push({
      code: 'unused-resources',
      text: `Not touched ${since}: ${resources.slice(0, 10).join('; ')}${resources.length > 10 ? '; …' : ''}.`,
    })
  return reasons
}

/** Cells that it used and nobody of its groups did. */
function outliers({ used, peers }: ItemEvidence): number {
  if (!peers || peers.of < 2) return 0
  const theirs = new Set(peers.usedByPeers.map(({ action, resource }) => `${action} ${resource}`))
  // The list of theirs is cut where it is long: then nothing can be said.
  if (peers.usedByPeers.length >= 100) return 0
  const mine = used.filter(({ action, allowed, approved }) => action !== 'data:reveal' && allowed + (approved ?? 0) > 0)
  return new Set(mine.map(({ action, resource }) => `${action} ${resource}`).filter((cell) => !theirs.has(cell))).size
}

/** The first few, and how many more. */
function listed(drops: readonly string[]): string {
  const more = drops.length - 3
  return `${drops.slice(0, 3).join('; ')}${more > 0 ? `; and ${more} more` : ''}`
}

function ofRule({ subject, evidence, privilegedBecause }: ToRecommend): Recommendation {
  const reasons: Reasons = []
  const say = (code: Reasons[number]['code'], text: string) => void reasons.push({ code, text })
  const askers = evidence.askers ?? []
  const used = askers.filter(({ grants }) => grants > 0)
  if (privilegedBecause.length > 0) say('privileged', `Privileged: it ${privilegedBecause.join('; it ')}.`)
  const few = fewKnown(evidence)
  if (few) say('thin-coverage', few)
  const nothing = { keeps: [], drops: [] }
  // One that only has people asked, or refuses, gives nobody anything.
  if (evidence.through[0]?.effect === 'forbid') {
    say('used', 'It gives nobody access: it only says when people are asked, or who is refused.')
    return { verdict: 'certify', summary: reasons.at(-1)!.text, reasons, ...nothing }
  }
  if (askers.length === 0) say('other', 'No agent that is known here meets it.')
  if (evidence.grants.length === 0) {
    say('never-used', `No access was given by it in ${daysOf(evidence)} days.`)
    if (few) return { verdict: 'abstain', summary: `Too little is known to take it away: ${few}`, reasons, ...nothing }
    try {
      const policy = revoking(subject, evidence)
      return { verdict: 'revoke', summary: reasons.at(-1)!.text, reasons, policy, keeps: [], drops: ['everything'] }
    } catch (error) {
      if (!(error instanceof NoPolicyForRule)) throw error
      say('other', error.message)
      return { verdict: 'abstain', summary: error.message, reasons, ...nothing }
    }
  }
  const grants = evidence.grants.length === 1 ? '1 grant' : `${evidence.grants.length} grants`
  const told = `${grants} to ${used.length} of the ${askers.length} agents that it lets ask`
  say('used', `It gave ${told}.`)
  const wide = askers.length >= 5 && used.length * 4 <= askers.length
  const made = wide && !few ? tighterOf(subject, evidence, say) : undefined
  if (!made) return { verdict: 'certify', summary: `In use: ${told}.`, reasons, ...nothing }
  say('unused-resources', `${askers.length - used.length} agents that it lets ask were given nothing.`)
  return { verdict: 'reduce', summary: `Wider than needed: ${told}.`, reasons, ...made }
}
