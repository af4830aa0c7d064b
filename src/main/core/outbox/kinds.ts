import { type Annotation, NewAnnotation, OfflinePlayback, WithdrawAnnotation } from '@countersign/contract/evidence'
import type { z } from 'zod'
import type { ConflictChoice, OutboxItem } from '../../../annotations-api.ts'
import type { GatewayApi } from '../gateway-api.ts'
import type { Entry } from './outbox-store.ts'

/** How one kind of thing is sent. Every kind is safe to send twice: the gateway knows it again by its id. */
export interface Kind<Body> {
  /** Kinds of one lane go one after the other, in the order in which they were written. */
  lane: string
  body: z.ZodType<Body>
  /**
   * Sends it. Answers the annotation as the gateway has it now, where it is about one.
   * @throws Unreachable, Refused
   */
  send(
    to: { api: GatewayApi; token: string },
    entry: { id: string; session: string; subject: string; body: Body },
  ): Promise<Annotation | undefined>
  /** What a person may make of a refusal. */
  choices(status: number): ConflictChoice[]
  /** What was written, for a list. */
  about(body: Body): Pick<OutboxItem, 'about' | 'note'>
}

const annotation: Kind<NewAnnotation> = {
  lane: 'annotations',
  body: NewAnnotation,
  send: ({ api, token }, { id, session, body }) => api.putAnnotation(token, session, id, body),
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
  send: ({ api, token }, { session, subject, body }) => api.withdrawAnnotation(token, session, subject, body.reason),
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

/** The kinds there are. A new one is one more line here, and a name in OutboxItem. */
export const kinds = { annotation, withdrawal, playback } as const satisfies Record<OutboxItem['kind'], unknown>
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
