import type { AgentAccess, AgentUse, Permission } from '@countersign/contract/access'
import type { CampaignItemPage, ObservedUse } from '@countersign/contract/review'
import { figure, many } from './words.ts'

/** One of the three questions with its answer in a word, and what it rests on. */
export interface Answer {
  readonly question: string
  readonly answer: string
  readonly tone: 'ok' | 'warn' | 'danger' | 'plain'
  readonly facts: readonly string[]
}

const orphans = {
  'no-sponsor': 'Nobody is its sponsor',
  'sponsor-left': 'Its sponsor has left',
  'sponsor-unknown': 'Its sponsor has never signed in',
} as const

/** @param age how long ago an instant was, in words */
export function answersOf(page: CampaignItemPage, age: (at: string) => string): readonly Answer[] {
  const { evidence, item } = page
  const { identity, coverage } = evidence
  const days = Math.max(1, Math.round((Date.parse(evidence.window.to) - Date.parse(evidence.window.from)) / 86_400_000))
  /** Nothing is said of a time of which there is no record. */
  const begun =
    coverage.since !== undefined && Date.parse(coverage.since) > Date.parse(evidence.window.from) + 86_400_000
  const ago = begun ? `since the record begins, ${age(coverage.since!)} ago` : ''
  const span = many(days, 'day')
  const rule = item.kind === 'rule'

  const gone = identity.state !== 'active' && !rule
  const used = identity.lastUsedAt ? `Last used ${age(identity.lastUsedAt)} ago.` : 'Never used here.'
  const sponsor = identity.sponsorName ?? identity.sponsor
  const who: Answer = {
    question: rule ? 'Is it still the right rule?' : 'Is it still who it was?',
    answer: rule ? 'look' : gone ? identity.state : identity.orphan ? 'no' : 'yes',
    tone: rule ? 'plain' : gone || identity.orphan ? 'danger' : 'ok',
    facts: [
      ...(identity.orphan ? [`${orphans[identity.orphan]}${sponsor ? `: ${sponsor}` : ''}.`] : []),
      ...(!identity.orphan && sponsor
        ? [`Sponsor ${sponsor}${identity.owner ? `, owner ${identity.owner}` : ''}.`]
        : []),
      ...(identity.purpose
        ? [`Purpose: ${identity.purpose}.`.replace(/\.\.$/, '.')]
        : rule
          ? []
          : ['No purpose is stated.']),
      used,
    ],
  }

  const unused = Math.max(0, item.permittedCells - item.usedCells)
  const seen = `${many(item.commands, 'command')} seen here, of ${figure(coverage.commands)} in the window.`
  const askers = evidence.askers ?? []
  const asked = askers.filter(({ grants }) => grants > 0).length
  const grants = evidence.grants.length
  const needed: Answer = {
    question: 'Is it asked for?',
    answer: grants === 0 ? 'no' : 'yes',
    tone: grants === 0 ? 'danger' : 'ok',
    facts: [
      `${many(grants, 'grant')} by it ${ago || `in ${span}`}.`,
      ...(evidence.askers ? [`${figure(asked)} of the ${many(askers.length, 'agent')} that it lets ask had one.`] : []),
      seen,
    ],
  }
  const need: Answer = {
    question: 'Does it need all it may?',
    answer: item.permittedCells === 0 ? 'nothing' : item.commands === 0 ? 'unused' : unused === 0 ? 'yes' : 'no',
    tone: item.permittedCells === 0 ? 'plain' : item.commands === 0 ? 'danger' : unused === 0 ? 'ok' : 'warn',
    facts: [
      item.permittedCells === 0
        ? 'Policy permits it nothing by itself.'
        : unused === 0
          ? `All ${many(item.permittedCells, 'privilege')} used ${ago || `in ${span}`}.`
          : `${figure(unused)} of ${many(item.permittedCells, 'privilege')} unused ${ago || `for ${span}`}.`,
      seen,
      ...(coverage.unreadable > 0 ? [`${many(coverage.unreadable, 'command')} can’t be read any more.`] : []),
    ],
  }

  const masked = evidence.masked.reduce((sum, each) => sum + each.commands, 0)
  const odd = evidence.anomalies.length
  const all = item.refused + item.held + masked + odd
  const against: Answer = {
    question: 'Anything against its purpose?',
    answer: all === 0 ? 'nothing' : item.refused > 0 || odd > 0 ? 'look' : 'little',
    tone: all === 0 ? 'ok' : item.refused > 0 || odd > 0 ? 'warn' : 'plain',
    facts: [
      `${many(item.refused, 'denial')}, ${many(item.held, 'hold')}, ${many(masked, 'read')} of masked columns.`,
      odd === 0 ? 'Hours and volume as usual.' : `${many(odd, 'thing')} out of the usual.`,
    ],
  }
  return [who, rule ? needed : need, against]
}

/** Verbs into which a write is told apart, whether they were used or not. */
const written = ['insert', 'update', 'delete'] as const

/** What it may beside what it did, a verb a column: a permission to write is one to insert, to update and to delete. */
export function byVerb(
  permitted: readonly Permission[],
  used: readonly ObservedUse[],
): Pick<AgentAccess, 'permitted' | 'used'> {
  const kinds = new Set<string>(written)
  for (const use of used) if (use.action === 'sql:write') kinds.add(use.kind)
  const uses = new Map<string, AgentUse>()
  for (const use of used) {
    const action = verbOf(use.action, use.kind)
    const key = JSON.stringify([action, use.connection, use.resource])
    const known = uses.get(key)
    if (!known) {
      uses.set(key, { ...use, action })
      continue
    }
    uses.set(key, {
      ...known,
      allowed: known.allowed + use.allowed,
      held: known.held + use.held,
      denied: known.denied + use.denied,
      firstAt: [known.firstAt, use.firstAt].sort()[0]!,
      lastAt: [known.lastAt, use.lastAt].sort()[1]!,
    })
  }
  return {
    permitted: permitted.flatMap((each) =>
      each.action === 'sql:write'
        ? [...kinds].map((kind) => ({ ...each, action: kind }))
        : [{ ...each, action: verbOf(each.action, '') }],
    ),
    used: [...uses.values()],
  }
}

function verbOf(action: string, kind: string): string {
  if (action === 'sql:write') return kind
  return action.startsWith('sql:') ? action.slice('sql:'.length) : action
}
