import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'
import type { CampaignItem } from '@countersign/contract/review'
import type { z } from 'zod'
import type { annotationCalls, OutboxState } from '../../../annotations-api.ts'
import type { ConsoleEvent } from '../../../console-api.ts'
import type { GatewayApi } from '../gateway-api.ts'
import type { Clock } from '../ports/clock.ts'
import type { SecureStorage } from '../ports/secure-storage.ts'
import { campaignIn } from './kinds.ts'
import { createNotes, mayAnnotate } from './notes.ts'
import { type Entry, type Owner, openOutboxStore } from './outbox-store.ts'
import { sealFor } from './seal.ts'
import { createSending, type Sender, type Sending } from './sending.ts'

type Calls = typeof annotationCalls
type Answers = {
  [N in keyof Calls]: (
    input: z.output<Calls[N]['input']>,
  ) => z.output<Calls[N]['output']> | Promise<z.output<Calls[N]['output']>>
}

/**
 * What a person wrote, with or without a gateway: kept here until it is sent, then kept as what the gateway has.
 * Approvals never come through here (decisions.ts): they are for now, or not at all.
 */
export interface Outbox extends AsyncDisposable {
  /** The calls of ConsoleApi that are answered here. */
  readonly answers: Answers
  state(): OutboxState
  /** What people decide and say in reviews is put in line, looked at and answered by these (reviews/waiting.ts). */
  readonly sending: Pick<Sending, 'add' | 'takeBack' | 'resolve' | 'entriesOf' | 'entriesUnder' | 'entry' | 'isSending'>
  /** Who is signed in, and where: whose entries are shown and sent. */
  belongTo(gateway: string | undefined, me: Me | null): void
  /** The way to the gateway while the link is live, undefined while it isn't. */
  connect(sender: Sender | undefined): void
  /** A recording was played from this computer: the gateway shall know of it. */
  played(session: string): void
  /** Every message of the feed. */
  heard(message: FeedMessage | { type: 'unknown' }): void
  /** The feed has a gap: looks again at the annotations of all sessions that are kept here. */
  lookAgain(): void
  /** Fetches a session's annotations, to be there without a network. @throws Unreachable, Refused, SignedOut */
  fetch(session: string): Promise<void>
  /** Annotations of a session as they are known here, for exports. */
  annotations(session: string): ReturnType<ReturnType<typeof createNotes>['view']>
  /** Forgets what the gateway told (a sign-out); what waits to be sent stays for who wrote it. */
  forget(): void
}

/** Heeds what the gateway makes of decisions and comments of reviews. */
export interface ReviewsOutcome {
  /** Something about what waits of this campaign has changed; undefined: of all. */
  changed(campaign: string | undefined): void
  /** `told`: the item as the gateway has it now, null where it didn’t say. */
  took(campaign: string, item: string, told: CampaignItem | null, entry: Entry): void
  refused(entry: Entry, status: number, problem: unknown): void
}

/** Opening a recording again within this time is one playback. */
const samePlaybackMs = 5 * 60_000
/** News of a session, and of the whole, are told at most this often. */
const everyMs = 100

/** Opens the outbox of the console in `folder` (outbox.sqlite). @throws Error when a newer version wrote it */
export async function openOutbox(options: {
  folder: string
  secrets: SecureStorage
  clock: Clock
  emit(event: ConsoleEvent): void
  /** What comes of decisions and comments in reviews. */
  reviews?: ReviewsOutcome
}): Promise<Outbox> {
  const { clock } = options
  const seal = await sealFor(options.secrets)
  const store = openOutboxStore(options.folder, seal)
  let owner: Owner | undefined
  let me: Me | null = null
  let sender: Sender | undefined
  let gap = false
  const last = new Map<string, number>()

  const tell = bundled(clock, (session: string) => {
    const campaign = campaignIn(session)
    if (session === '') options.emit({ type: 'outbox', outbox: sending.state() })
    else if (campaign !== undefined) options.reviews?.changed(campaign)
    else options.emit({ type: 'annotations', session, items: notes.view(session) })
  })
  const sending = createSending({
    store,
    sealed: seal.closed,
    clock,
    changed(session) {
      tell.soon('')
      if (session !== undefined) tell.soon(session)
      else options.reviews?.changed(undefined)
    },
    took(by, taken, entry) {
      if (taken.is === 'annotation') notes.took(by, taken.annotation)
      else if (by === owner) options.reviews?.took(taken.campaign, taken.item, taken.told, entry)
    },
    refused(by, entry, status, problem) {
      if (by === owner && campaignIn(entry.session) !== undefined) options.reviews?.refused(entry, status, problem)
    },
  })
  const asking = async (): Promise<{ api: GatewayApi; token: string } | undefined> =>
    sender && { api: sender.api, token: await sender.token() }
  const notes = createNotes({
    store,
    sending,
    clock,
    owner: () => owner,
    me: () => me,
    asking,
    changed: (session) => tell.soon(session),
  })

  const answers: Answers = {
    async annotations({ session }) {
      let source: 'gateway' | 'local' = 'local'
      if (sender) {
        try {
          await notes.fetch(session)
          source = 'gateway'
        } catch {
          // What is kept here is shown, and said to be that.
        }
      }
      return { items: notes.view(session), tags: notes.tags(), mayAnnotate: mayAnnotate(me), source }
    },
    annotate: ({ session, id, note }) => notes.write(session, id, note),
    withdrawAnnotation({ session, id, reason }) {
      notes.withdraw(session, id, reason)
      return {}
    },
    resolveConflict({ id, choice, note }) {
      notes.resolve(id, choice, note)
      return {}
    },
  }

  return {
    answers,
    sending,
    state: () => sending.state(),
    belongTo(gateway, who) {
      me = who
      const person = who?.kind === 'person' ? who.id : undefined
      if (owner?.gateway === gateway && owner?.person === person) return
      owner = gateway !== undefined && person !== undefined ? { gateway, person } : undefined
      last.clear()
      if (owner) store.forgetAnnotations(owner)
      sending.belongTo(owner)
    },
    connect(next) {
      sender = next
      sending.connect(next)
      if (next && gap) notes.fetchAgain()
      if (next) gap = false
    },
    played(session) {
      if (!owner) return
      const now = clock.now()
      const before = last.get(session)
      if (before !== undefined && now - before < samePlaybackMs) return
      last.set(session, now)
      sending.add('playback', { session, body: { playedAt: new Date(now).toISOString() } })
    },
    heard: notes.heard,
    lookAgain() {
      gap = true
      if (!sender) return
      gap = false
      notes.fetchAgain()
    },
    fetch: notes.fetch,
    annotations: notes.view,
    forget: () => store.forgetAnnotations(),
    async [Symbol.asyncDispose]() {
      tell.stop()
      notes.stop()
      await sending.stop()
      store[Symbol.dispose]()
    },
  }
}

/** Calls `then` for each key at once, and where more comes soon after, once more when it has calmed down. */
function bundled(clock: Clock, then: (key: string) => void): { soon(key: string): void; stop(): void } {
  const quiet = new Map<string, { again: boolean; cancel: () => void }>()
  const run = (key: string) => {
    const entry = { again: false, cancel: () => {} }
    quiet.set(key, entry)
    entry.cancel = clock.after(everyMs, () => {
      quiet.delete(key)
      if (entry.again) run(key)
    })
    then(key)
  }
  return {
    soon(key) {
      const entry = quiet.get(key)
      if (entry) entry.again = true
      else run(key)
    },
    stop() {
      for (const { cancel } of quiet.values()) cancel()
      quiet.clear()
    },
  }
}
