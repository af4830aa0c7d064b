import { type Annotation, NewAnnotation, OfflinePlayback, WithdrawAnnotation } from '@countersign/contract/evidence'
import { type CampaignItem, ItemCommentRequest, ItemDecisionRequest } from '@countersign/contract/review'
import { z } from 'zod'
import type { ConflictChoice, OutboxItem } from '../../../annotations-api.ts'
import type { GatewayApi } from '../gateway-api.ts'
import type { Entry } from './outbox-store.ts'

/** How one kind of thing is sent. Every kind is safe to send twice: the gateway knows it again by its id. */
export interface Kind<Body> {
  /** Kinds of one lane go one after the other, in the order in which they were written. */
  lane: string
  body: z.ZodType<Body>
  /** Sends it. @throws Unreachable, Refused */
  send(
    to: { api: GatewayApi; token: string },
    entry: { id: string; session: string; subject: string; body: Body },
  ): Promise<Taken | undefined>
  /** What a person may make of a refusal. */
  choices(status: number): ConflictChoice[]
  /** What was written, for a list. */
  about(body: Body): Pick<OutboxItem, 'about' | 'note' | 'review'>
}

/** What the gateway made of something: the annotation, or the item of a review (null where the answer doesn’t say). */
export type Taken =
  | { is: 'annotation'; annotation: Annotation }
  | { is: 'review'; campaign: string; item: string; told: CampaignItem | null }

const annotated = async (answer: Promise<Annotation>): Promise<Taken> => ({
  is: 'annotation',
  annotation: await answer,
})

const annotation: Kind<NewAnnotation> = {
  lane: 'annotations',
  body: NewAnnotation,
  send: ({ api, token }, { id, session, body }) => annotated(api.putAnnotation(token, session, id, body)),
  // Under an id that is somebody else's the same can never be taken; anything else may have been mended meanwhile.
  choices: (status) => (status === 409 ? ['keep', 'edit', 'discard'] : ['again', 'keep', 'edit', 'discard']),
  about: ({ text, tags, from, to }) => ({
    about: text,
    note: { from, ...(to !== undefined && { to }), text, tags },
  }),
}

const withdrawal: Kind<z.output<typeof WithdrawAnnotation>> = {
  lane: 'annotations',
  body: WithdrawAnnotation as z.ZodType<z.output<typeof WithdrawAnnotation>>,
  send: ({ api, token }, { session, subject, body }) =>
    annotated(api.withdrawAnnotation(token, session, subject, body.reason)),
  choices: () => ['again', 'discard'],
  about: ({ reason }) => ({ about: reason }),
}

const playback: Kind<OfflinePlayback> = {
  lane: 'playbacks',
  body: OfflinePlayback,
  async send({ api, token }, { id, session, body }) {
    await api.putPlayback(token, session, id, body.playedAt)
    return undefined
  },
  choices: () => ['again', 'discard'],
  about: () => ({ about: '' }),
}

const place = { campaign: z.string(), item: z.string(), title: z.string() }
/** A decision of a review as it waits; `title` says what it is about. */
export const WaitingDecision = z.object({ ...place, request: ItemDecisionRequest })
export type WaitingDecision = z.output<typeof WaitingDecision>
export const WaitingComment = z.object({ ...place, request: ItemCommentRequest })
export type WaitingComment = z.output<typeof WaitingComment>

/** Entries about a campaign stand under this in place of a session. */
export const roomOf = (campaign: string) => `campaign ${campaign}`
/** The campaign that entries of a room are about; undefined of a session. */
export const campaignIn = (room: string) => (room.startsWith('campaign ') ? room.slice('campaign '.length) : undefined)

const decision: Kind<WaitingDecision> = {
  lane: 'reviews',
  body: WaitingDecision as z.ZodType<WaitingDecision>,
  async send({ api, token }, { id, body: { campaign, item, request } }) {
    return { is: 'review', campaign, item, told: await api.putItemDecision(token, { campaign, item }, id, request) }
  },
  // Somebody was first, it is over, or the policy is none: the person decides anew on what is there now, or not at all.
  choices: (status) =>
    status === 400 || status === 409 || status === 422 ? ['edit', 'discard'] : ['again', 'discard'],
  about: ({ campaign, item, title, request }) => ({
    about: request.reason ?? '',
    review: { campaign, item, title, verdict: request.verdict },
  }),
}

const comment: Kind<WaitingComment> = {
  lane: 'reviews',
  body: WaitingComment as z.ZodType<WaitingComment>,
  async send({ api, token }, { id, body: { campaign, item, request } }) {
    return { is: 'review', campaign, item, told: await api.putItemComment(token, { campaign, item }, id, request) }
  },
  choices: () => ['again', 'discard'],
  about: ({ campaign, item, title, request }) => ({ about: request.text, review: { campaign, item, title } }),
}

/** The kinds there are. A new one is one more line here, and a name in OutboxItem. */
export const kinds = {
  annotation,
  withdrawal,
  playback,
  'review-decision': decision,
  'review-comment': comment,
} as const satisfies Record<OutboxItem['kind'], unknown>
export type KindName = keyof typeof kinds

export const lanes: readonly string[] = [...new Set(Object.values(kinds).map(({ lane }) => lane))]

/** Names of the kinds of a lane. */
export function kindsOf(lane: string): KindName[] {
  return (Object.keys(kinds) as KindName[]).filter((name) => kinds[name].lane === lane)
}

/** The kind of an entry; undefined where a newer version wrote it. */
export function kindOf(entry: Pick<Entry, 'kind'>): Kind<unknown> | undefined {
  return Object.hasOwn(kinds, entry.kind) ? (kinds[entry.kind as KindName] as Kind<unknown>) : undefined
}
