import type { z } from 'zod'
import type { PersonRef } from '../identity.ts'
import { type ApplicationState, type OverlayState, type Probe, Recommendation, Verdict } from '../review.ts'
import type { ItemException, PackDecision, PackItem, PackOverlay } from './campaign-item.ts'
import { type PayloadOf, payloads } from './payloads.ts'

/**
 * What the ledger's entries say of one campaign: the whole of an evidence pack's `campaign.json` and `items/ID.json` but
 * for the recommendations follows from it, so that who makes a pack and who verifies one come to the same bytes
 * (docs/formats.md, "Bundles of campaigns").
 */

type Entry<T extends keyof typeof payloads> = { entry: number; at: string; payload: PayloadOf<T> }

interface ItemFacts {
  said: Entry<'campaign.item'>
  decisions: PackDecision[]
  comments: PackItem['comments']
  moves: PackItem['moves']
  stages: PackItem['stages']
  overlays: Map<string, PackOverlay>
}

export interface FactsProblem {
  code: string
  entry: number
  text: string
}

/** Policy sets that came into force by what was decided: version, and the entry that says so. */
export interface VersionNamed {
  version: string
  entry: number
  overlay?: string
}

export class CampaignFacts {
  readonly campaign: string
  readonly items = new Map<string, ItemFacts>()
  /** Numbers of the entries that are of this campaign. */
  readonly entries: number[] = []
  readonly packs = new Map<number, Entry<'pack.made'>>()
  readonly signOffs: Entry<'campaign.signed-off'>[] = []
  /** What contradicts itself in the entries. */
  readonly problems: FactsProblem[] = []
  readonly versions: VersionNamed[] = []
  created: Entry<'campaign.created'> | undefined
  /** The draft as it was changed last. */
  changed: Entry<'campaign.changed'> | undefined
  started: Entry<'campaign.started'> | undefined
  closed: Entry<'campaign.closed'> | undefined
  readonly #numbers = new Map<number, string>()
  readonly #overlays = new Map<string, PackOverlay>()
  readonly #ids = new Set<string>()
  #skipped: ReadonlySet<string> = new Set()

  constructor(campaign: string) {
    this.campaign = campaign
  }

  /**
   * Takes an entry, by rising number.
   * @param value its payload
   * @returns `other`: it is not of this campaign
   */
  add(entry: number, type: string, at: string, value: unknown): 'taken' | 'other' | 'unreadable' {
    if (!isAbout(type) || (value as { campaign?: unknown } | null)?.campaign !== this.campaign) return 'other'
    const take = <T extends keyof typeof payloads>(
      of: T,
      use: (payload: PayloadOf<T>, said: Entry<T>) => void,
    ): 'taken' | 'unreadable' => {
      const parsed = (payloads[of] as z.ZodType).safeParse(value)
      if (!parsed.success) return 'unreadable'
      const payload = parsed.data as PayloadOf<T>
      use(payload, { entry, at, payload })
      this.entries.push(entry)
      return 'taken'
    }
    switch (type) {
      case 'campaign.created':
        return take(type, (_, said) => {
          this.#once(this.created, said, 'created')
          this.created ??= said
        })
      case 'campaign.changed':
        return take(type, (_, said) => {
          if (this.started)
            this.#problem('campaign-twice', entry, `entry ${entry} changes the campaign after its start`)
          else this.changed = said
        })
      case 'campaign.started':
        return take(type, (payload, said) => {
          this.#once(this.started, said, 'started')
          this.started ??= said
          this.versions.push({ version: payload.policy, entry })
        })
      case 'campaign.closed':
        return take(type, (_, said) => {
          this.#once(this.closed, said, 'closed')
          this.closed ??= said
          this.#skipped = new Set(this.closed.payload.skipped)
        })
      case 'campaign.signed-off':
        return take(type, (_, said) => void this.signOffs.push(said))
      case 'campaign.item':
        return take(type, (_, said) => this.#item(said))
      case 'item.decided':
        return take(type, (payload, said) => this.#decided(payload, said))
      case 'item.commented':
        return take(type, ({ item, comment, by, text, madeAt }) => {
          this.#of(item, entry, comment)?.comments.push({
            id: comment,
            entry,
            at,
            by: personOf(by),
            text,
            ...defined({ madeAt }),
          })
        })
      case 'item.moved':
        return take(type, ({ item, move, kind, from, to, by, reason, stage, reviewers }) => {
          this.#of(item, entry, move)?.moves.push({
            id: move,
            entry,
            at,
            kind,
            ...defined({ from }),
            to: personOf(to),
            by: personOf(by),
            reason,
            ...defined({ stage, reviewers }),
          })
        })
      case 'item.staged':
        return take(type, ({ item, stage, reviewers }) => {
          this.#of(item, entry)?.stages.push({ entry, at, stage, reviewers })
        })
      case 'pack.made':
        return take(type, (_, said) => void this.packs.set(entry, said))
      default:
        return type in overlayStates
          ? take(type as OverlayType, (payload, said) => this.#overlay(type as OverlayType, payload, said))
          : 'other'
    }
  }

  /**
   * The item as it stands, by the entries.
   * @param kept its recommendation as it is kept: it counts where the entry has no more of it than the verdict
   */
  item(id: string, kept?: Recommendation): PackItem | undefined {
    const facts = this.items.get(id)
    if (!facts) return undefined
    const recommendation = recommendationOf(facts, kept)
    const { entry, at, payload } = facts.said
    const { number, kind, agent, name, connection, privileged, evidence, reviewers } = payload
    const counts = this.decisionOf(facts)
    const verdict = counts?.verdict ?? 'undecided'
    const application = applicationOf(facts, counts)
    const item: Omit<PackItem, 'exceptions'> = {
      format: 'countersign-item/1',
      campaign: this.campaign,
      id,
      entry,
      at,
      number,
      kind,
      ...defined({ agent }),
      name,
      connection,
      privileged,
      evidence,
      reviewers,
      recommendation,
      verdict,
      ...(counts ? { how: counts.how, decision: counts.id } : this.#skipped.has(id) && { how: 'skipped' as const }),
      ...(application && { application }),
      decisions: facts.decisions,
      comments: facts.comments,
      moves: facts.moves,
      stages: facts.stages,
      overlays: [...facts.overlays.values()],
    }
    return { ...item, exceptions: exceptionsOf(item) }
  }

  /** The decision that counts: the last one, unless the item went on to a later stage after it. */
  decisionOf({ decisions, stages }: Pick<ItemFacts, 'decisions' | 'stages'>): PackDecision | undefined {
    const last = decisions.at(-1)
    const stage = stages.reduce((highest, one) => Math.max(highest, one.stage), 0)
    return last && last.stage >= stage ? last : undefined
  }

  #item(said: Entry<'campaign.item'>) {
    const { item, number } = said.payload
    const before = this.items.get(item)
    const taken = this.#numbers.get(number)
    if (before || taken !== undefined) {
      const again = before ? `item ${item} (entry ${before.said.entry})` : `number ${number}, which item ${taken} has`
      this.#problem('item-twice', said.entry, `entry ${said.entry} says again what is ${again}`)
      return
    }
    this.#numbers.set(number, item)
    this.items.set(item, {
      said,
      decisions: [],
      comments: [],
      moves: [],
      stages: [],
      overlays: new Map(),
    })
  }

  #decided(payload: PayloadOf<'item.decided'>, { entry, at }: Entry<'item.decided'>) {
    const facts = this.#of(payload.item, entry, payload.decision)
    if (!facts) return
    const { stage, verdict, reason, by, how, bulk, policy, madeAt, followed, seconds, evidenceOpened } = payload
    if (payload.evidence !== facts.said.payload.evidence)
      this.#problem(
        'decided-on-other',
        entry,
        `entry ${entry} decides item ${payload.item} on another evidence document than entry ${facts.said.entry} has`,
      )
    facts.decisions.push({
      id: payload.decision,
      entry,
      at,
      stage,
      verdict,
      reason,
      by,
      how,
      ...defined({ bulk, policy, madeAt, followed, seconds, evidenceOpened }),
      ...(payload.inPlaceOf && { inPlaceOf: personOf(payload.inPlaceOf) }),
    })
  }

  #overlay(type: OverlayType, payload: PayloadOf<OverlayType>, { entry, at }: { entry: number; at: string }) {
    const { overlay, item, by } = payload
    const { reason, version, asked } = payload as { reason?: string; version?: string; asked?: Probe[] }
    if (version !== undefined) this.versions.push({ version, entry, ...(type === 'overlay.applied' && { overlay }) })
    let known = this.#overlays.get(overlay)
    if (type === 'overlay.proposed') {
      const facts = item === undefined ? undefined : this.#of(item, entry)
      const { number, kind, title, policy, digest } = payload as PayloadOf<'overlay.proposed'>
      if (known) this.#problem('overlay-twice', entry, `entry ${entry} proposes overlay ${overlay} a second time`)
      if (!facts || known) return
      const { decision } = payload
      known = {
        id: overlay,
        number,
        kind,
        title,
        policy,
        digest,
        ...defined({ decision }),
        state: 'proposed',
        steps: [],
      }
      this.#overlays.set(overlay, known)
      facts.overlays.set(overlay, known)
    }
    if (!known) {
      this.#problem('overlay-unknown', entry, `entry ${entry} is about overlay ${overlay}, which no entry proposes`)
      return
    }
    if (payload.digest !== known.digest)
      this.#problem(
        'overlay-other',
        entry,
        `entry ${entry} is about another text of overlay ${overlay} than was proposed`,
      )
    known.state = overlayStates[type] ?? known.state
    known.steps.push({
      entry,
      at,
      what: type.slice('overlay.'.length),
      by,
      ...defined({ reason, version, asked }),
    })
  }

  /** The item that an entry is about. @param id of what is said of it: none is said twice */
  #of(item: string, entry: number, id?: string): ItemFacts | undefined {
    const facts = this.items.get(item)
    if (!facts) {
      this.#problem(
        'item-unknown',
        entry,
        `entry ${entry} is about item ${item}, of which there is no entry campaign.item`,
      )
      return undefined
    }
    if (id === undefined) return facts
    if (this.#ids.has(`${item} ${id}`)) {
      this.#problem('said-twice', entry, `entry ${entry} says ${id} of item ${item} a second time`)
      return undefined
    }
    this.#ids.add(`${item} ${id}`)
    return facts
  }

  #once(before: { entry: number } | undefined, { entry }: { entry: number }, what: string) {
    if (before)
      this.#problem(
        'campaign-twice',
        entry,
        `entry ${entry}: the campaign is ${what} a second time (entry ${before.entry})`,
      )
  }

  #problem(code: string, entry: number, text: string) {
    this.problems.push({ code, entry, text })
  }
}

/** What an overlay is after an entry about it; undefined: what it was before. */
const overlayStates = {
  'overlay.proposed': 'proposed',
  'overlay.applied': 'applied',
  'overlay.verified': 'verified',
  'overlay.failed': 'failed',
  'overlay.rejected': 'rejected',
  'overlay.roll-back-asked': undefined,
  'overlay.probed': undefined,
  'overlay.roll-back-refused': undefined,
  'overlay.rolled-back': 'rolled-back',
  'overlay.retired': 'retired',
} as const satisfies Partial<Record<keyof typeof payloads, OverlayState | undefined>>
type OverlayType = keyof typeof overlayStates

/** Types of entries that a campaign can have. */
export const campaignTypes = [
  'campaign.created',
  'campaign.changed',
  'campaign.started',
  'campaign.item',
  'campaign.closed',
  'campaign.signed-off',
  'item.decided',
  'item.commented',
  'item.moved',
  'item.staged',
  'pack.made',
  ...(Object.keys(overlayStates) as OverlayType[]),
] as const
const types = new Set<string>(campaignTypes)
const isAbout = (type: string) => types.has(type)

/**
 * What became of a reduce or revoke. Its overlay is proposed with it: where there is none, there is none that could do
 * what was decided.
 */
function applicationOf(facts: ItemFacts, counts: PackDecision | undefined): ApplicationState | undefined {
  if (counts?.verdict !== 'reduce' && counts?.verdict !== 'revoke') return undefined
  const overlay = overlayOf(facts.overlays.values(), counts.id)
  return overlay ? applicationStates[overlay.state] : 'not-supported'
}

const overlayOf = (overlays: Iterable<PackOverlay>, decision: string | undefined) =>
  [...overlays].findLast((one) => one.decision === decision)

const applicationStates: Record<OverlayState, ApplicationState> = {
  proposed: 'pending',
  applied: 'applied',
  verified: 'verified',
  failed: 'failed',
  rejected: 'failed',
  'rolled-back': 'failed',
  retired: 'verified',
}

function exceptionsOf(item: Omit<PackItem, 'exceptions'>): ItemException[] {
  const found: ItemException[] = []
  if (item.verdict === 'undecided') found.push('undecided')
  if (item.verdict === 'abstain') found.push('abstained')
  if (item.how === 'expired-default') found.push('expired-default')
  if (item.application === 'pending' || item.application === 'applied') found.push('application-pending')
  const last = overlayOf(item.overlays, item.decision)?.state
  if (last === 'rejected') found.push('overlay-rejected')
  else if (last === 'rolled-back') found.push('overlay-rolled-back')
  else if (item.application === 'failed') found.push('application-failed')
  if (item.application === 'not-supported') found.push('application-not-supported')
  if (item.recommendation.reasons.some(({ code }) => code === 'thin-coverage')) found.push('thin-coverage')
  return found
}

function recommendationOf({ said }: ItemFacts, kept: Recommendation | undefined): Recommendation {
  const logged = Recommendation.safeParse(said.payload.recommendation)
  if (logged.success) return logged.data
  const verdict = Verdict.catch('abstain').parse(said.payload.recommendation.verdict)
  return { summary: '', reasons: [], keeps: [], drops: [], ...kept, verdict }
}

/** A person as bundles name one, without what else an entry may say of them. */
export const personOf = ({ id, issuer, subject, name }: PersonRef): PersonRef => ({ id, issuer, subject, name })

function defined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}
