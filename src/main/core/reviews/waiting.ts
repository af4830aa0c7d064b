import type { Me } from '@countersign/contract/identity'
import type { CampaignItem } from '@countersign/contract/review'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import {
  choiceOf,
  type DecidedAnew,
  type ItemDecided,
  type PendingReview,
  type ReviewChoice,
} from '../../../reviews-api.ts'
import { campaignIn, kindOf, roomOf, WaitingComment, WaitingDecision } from '../outbox/kinds.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { Entry } from '../outbox/outbox-store.ts'
import type { Clock } from '../ports/clock.ts'

/** Decisions and comments that the gateway doesn’t have yet: made here, with or without it (outbox/). */
export interface Waiting {
  /** All, or those of a campaign, in the order in which they are sent. */
  pending(campaign?: string): PendingReview[]
  /** Items of a campaign with a decision of this person that waits, or was refused. */
  decided(campaign: string): Set<string>
  decide(decided: ItemDecided, item: CampaignItem | undefined): PendingReview
  comment(at: { campaign: string; item: string; text: string }, item: CampaignItem | undefined): PendingReview
  takeBack(id: string): boolean
  /** `item`: as the gateway has it now. */
  resolve(
    id: string,
    choice: ReviewChoice,
    anew: DecidedAnew | undefined,
    itemOf: (id: string) => CampaignItem | undefined,
  ): void
  /** Tells the screens what waits of a campaign; of all where none is named. */
  tell(campaign: string | undefined): void
}

export function createWaiting(options: {
  sending: () => Outbox['sending']
  clock: Clock
  me(): Me | null
  say(event: ConsoleEvent): void
}): Waiting {
  const { clock, say } = options
  const now = () => new Date(clock.now()).toISOString()
  /** Campaigns of which something waited when it was last told. */
  const told = new Set<string>()

  const pendingOf = (entry: Entry): PendingReview[] => {
    const campaign = campaignIn(entry.session)
    if (campaign === undefined) return []
    const state = entry.conflict ? 'conflict' : options.sending().isSending(entry.id) ? 'sending' : 'waiting'
    const said = {
      id: entry.id,
      campaign,
      at: entry.at,
      state: state as PendingReview['state'],
      ...(entry.conflict && { status: entry.conflict.status, problem: entry.conflict.problem }),
      choices: choicesOf(entry),
    }
    const comment = entry.kind === 'review-comment'
    const body = (comment ? WaitingComment : WaitingDecision).safeParse(entry.body)
    // What can't be read is still there, and can be thrown away.
    if (!body.success) return [{ ...said, kind: comment ? 'comment' : 'decision', item: itemIn(entry), text: '' }]
    const { item, request } = body.data
    if ('text' in request) return [{ ...said, kind: 'comment', item, text: request.text }]
    const { verdict, reason, policy, revision } = request
    return [
      { ...said, kind: 'decision', item, verdict, text: reason, revision, ...(policy !== undefined && { policy }) },
    ]
  }
  const pending = (campaign?: string) =>
    (campaign === undefined
      ? options.sending().entriesUnder(roomOf(''))
      : options.sending().entriesOf(roomOf(campaign))
    ).flatMap(pendingOf)
  const one = (id: string): PendingReview => {
    const entry = options.sending().entry(id)
    const found = entry && pendingOf(entry)[0]
    if (found) return found
    throw new ConsoleError('sent', 'It was sent meanwhile: look at the item again.')
  }
  const waits = (item: string, room: string) =>
    options
      .sending()
      .entriesOf(room)
      .some((entry) => entry.kind === 'review-decision' && itemIn(entry) === item)

  return {
    pending,
    decided: (campaign) =>
      new Set(
        pending(campaign)
          .filter(({ kind }) => kind === 'decision')
          .map(({ item }) => item),
      ),

    decide(decided, item) {
      const { campaign, item: id, ...rest } = decided
      if (waits(id, roomOf(campaign)))
        throw new ConsoleError('decided-already', 'You decided this already: it waits to be sent, or for your choice.')
      if (item && !open(item, options.me()))
        throw new ConsoleError('decided-already', 'This was decided already: look at the item again.')
      if (item && item.revision !== decided.revision)
        throw new ConsoleError('changed', 'It changed while you looked at it: look again, then decide.')
      needReason(decided)
      const entry = options.sending().add('review-decision', {
        session: roomOf(campaign),
        subject: `decision on ${id}`,
        body: { campaign, item: id, title: titleOf(item), request: { ...rest, madeAt: now() } },
      })
      return one(entry.id)
    },

    comment({ campaign, item: id, text }, item) {
      const entry = options.sending().add('review-comment', {
        session: roomOf(campaign),
        body: { campaign, item: id, title: titleOf(item), request: { text, madeAt: now() } },
      })
      return one(entry.id)
    },

    takeBack: (id) => options.sending().takeBack(id),

    resolve(id, choice, anew, itemOf) {
      const entry = options.sending().entry(id)
      if (choice !== 'anew' || !entry) return options.sending().resolve(id, choiceOf[choice])
      const body = WaitingDecision.safeParse(entry.body)
      if (!body.success) throw new ConsoleError('no-choice', 'This can only be discarded.')
      const item = itemOf(body.data.item)
      if (!item || !open(item, options.me()))
        throw new ConsoleError('decided-already', 'It is decided by now: keep what stands there.')
      if (anew?.revision !== undefined && anew.revision !== item.revision)
        throw new ConsoleError('changed', 'It changed while you looked at it: look again, then decide.')
      const request = {
        ...body.data.request,
        ...(anew?.verdict !== undefined && { verdict: anew.verdict }),
        ...(anew?.reason !== undefined && { reason: anew.reason }),
        ...(anew?.policy !== undefined && { policy: anew.policy }),
        revision: item.revision,
        madeAt: now(),
      }
      needReason(request)
      options.sending().resolve(id, 'edit', { ...body.data, request })
    },

    tell(campaign) {
      if (campaign !== undefined) {
        const items = pending(campaign)
        if (items.length > 0) told.add(campaign)
        say({ type: 'pending-reviews', campaign, items })
        return
      }
      const all = Map.groupBy(pending(), (each) => each.campaign)
      for (const each of new Set([...told, ...all.keys()]))
        say({ type: 'pending-reviews', campaign: each, items: all.get(each) ?? [] })
      told.clear()
      for (const each of all.keys()) told.add(each)
    },
  }
}

/** Whether it may still be decided: also where somebody abstained, or by who decided it before it is enforced. */
function open(item: CampaignItem, me: Me | null): boolean {
  return item.verdict === 'undecided' || item.verdict === 'abstain' || item.decidedBy?.id === me?.id
}

function needReason({ verdict, reason }: { verdict?: string; reason?: string | undefined }): void {
  if (verdict !== 'certify' && !reason?.trim())
    throw new ConsoleError('bad-input', 'Say why: only what is certified needs no reason.')
}

function choicesOf(entry: Entry): ReviewChoice[] {
  const kind = kindOf(entry)
  if (!entry.conflict) return []
  const { status } = entry.conflict
  if (!kind || status === 0) return ['discard']
  const offered = kind.choices(status)
  return (['anew', 'again', 'discard'] as const).filter((choice) => offered.includes(choiceOf[choice]))
}

const itemIn = (entry: Entry): string => {
  const item = (entry.body as { item?: unknown } | undefined)?.item
  return typeof item === 'string' ? item : entry.subject.replace(/^decision on /, '')
}

const titleOf = (item: CampaignItem | undefined) => (item ? `${item.name} → ${item.connection}` : '')
