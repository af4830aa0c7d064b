import { randomBytes } from 'node:crypto'
import { type ConflictChoice, noOutbox, type OutboxItem, type OutboxState } from '../../../annotations-api.ts'
import { ConsoleError } from '../../../console-api.ts'
import { SignedOut } from '../account.ts'
import { type GatewayApi, Refused, Unreachable } from '../gateway-api.ts'
import type { Clock } from '../ports/clock.ts'
import { type KindName, kindOf, kinds, kindsOf, lanes, type Taken } from './kinds.ts'
import type { Entry, OutboxStore, Owner } from './outbox-store.ts'

/** The way to the gateway while the link is live. `token` as Accounts gives it. */
export interface Sender {
  api: GatewayApi
  token(rejected?: string): Promise<string>
}

/**
 * Sends what a person wrote, once the gateway can be reached: in order, one after the other in each lane. An entry stays
 * until the gateway has said that it took it, and is sent again under the same id until then; what the gateway refuses
 * waits for the person's choice. Nothing goes to another gateway, or under another name, than it was written for.
 */
export interface Sending {
  /** Whose entries are shown and sent. */
  belongTo(owner: Owner | undefined): void
  /** What to send by; undefined while there is no live link. */
  connect(sender: Sender | undefined): void
  /** Puts something in line; it is on disk when this returns. @throws ConsoleError where nobody is signed in, or it is full */
  add(kind: KindName, entry: { id?: string; session: string; subject?: string; body: unknown }): Entry
  /** Changes what waits, unless it is on its way just now. @throws ConsoleError */
  edit(id: string, body: unknown): Entry
  /** Takes out what was never on its way; false where it may have arrived. */
  takeBack(id: string): boolean
  /** What becomes of a conflict. `body` goes with `edit`. @throws ConsoleError */
  resolve(id: string, choice: ConflictChoice, body?: unknown): void
  /** What waits about a session, in order. */
  entriesOf(session: string): Entry[]
  /** What waits about all sessions whose names begin so. */
  entriesUnder(prefix: string): Entry[]
  entry(id: string): Entry | undefined
  /** The entry that is on its way, in any lane. */
  isSending(id: string): boolean
  state(): OutboxState
  /** Resolves once nothing is on its way. */
  stop(): Promise<void>
}

/** A person writes no more than this without a gateway. */
const most = 5_000
const firstWait = 1_000
const longestWait = 60_000

export function createSending(options: {
  store: OutboxStore
  sealed: boolean
  clock: Clock
  /** Something about these sessions' entries, or the whole, has changed. */
  changed(session: string | undefined): void
  /** The gateway has taken something; in one transaction with the entry's going. */
  took(owner: Owner, taken: Taken, entry: Entry): void
  /** The gateway has refused something; `problem` as it came, with members of its own. */
  refused(owner: Owner, entry: Entry, status: number, problem: unknown): void
}): Sending {
  const { store, clock } = options
  let owner: Owner | undefined
  let sender: Sender | undefined
  let stopped = false
  let problem: string | undefined
  const running = new Map<string, Promise<void>>()
  const sending = new Set<string>()
  const timers = new Map<string, () => void>()
  const failures = new Map<string, number>()

  const need = (): Owner => {
    if (owner) return owner
    throw new ConsoleError('signed-out', 'Sign in first: what you write is kept for you and your gateway.')
  }

  function go() {
    for (const lane of lanes) if (!running.has(lane) && !timers.has(lane)) start(lane)
  }

  function start(lane: string) {
    if (!sender || !owner || stopped) return
    const run = drain(lane).finally(() => {
      running.delete(lane)
      // Something may have come in line between the last look and now.
      if (!timers.has(lane) && sender && owner && !stopped && store.next(owner, kindsOf(lane))) start(lane)
    })
    running.set(lane, run)
  }

  async function drain(lane: string): Promise<void> {
    // Whatever is begun ends in a task of its own: `add` shall not send by itself.
    await Promise.resolve()
    while (sender && owner && !stopped) {
      const by = sender
      const mine = owner
      const entry = store.next(mine, kindsOf(lane))
      if (!entry) return
      sending.add(entry.id)
      store.change(mine, entry.id, { tried: true })
      options.changed(entry.session)
      const outcome = await send(by, entry, () => sender === by && owner === mine)
      sending.delete(entry.id)
      if (outcome.is === 'taken') {
        failures.delete(lane)
        problem = undefined
        store.together(() => {
          store.remove(mine, entry.id)
          if (outcome.taken) options.took(mine, outcome.taken, entry)
        })
      } else if (outcome.is === 'refused') {
        store.change(mine, entry.id, { conflict: { status: outcome.status, problem: outcome.problem } })
        options.refused(mine, entry, outcome.status, outcome.whole)
      } else {
        if (!outcome.maybeArrived && !entry.tried) store.change(mine, entry.id, { tried: false })
        if (outcome.is === 'failed') {
          problem = outcome.problem
          later(lane, outcome.wait)
        }
      }
      options.changed(entry.session)
      if (outcome.is === 'failed' || outcome.is === 'moved') return
    }
  }

  function later(lane: string, wait: number | undefined) {
    const times = failures.get(lane) ?? 0
    failures.set(lane, times + 1)
    const ms = wait ?? Math.min(longestWait, firstWait * 2 ** times) * (0.5 + Math.random() / 2)
    timers.set(
      lane,
      clock.after(ms, () => {
        timers.delete(lane)
        if (!running.has(lane)) start(lane)
      }),
    )
  }

  function forgetTimers() {
    for (const cancel of timers.values()) cancel()
    timers.clear()
    failures.clear()
  }

  return {
    belongTo(next) {
      if (owner?.gateway === next?.gateway && owner?.person === next?.person) return
      owner = next
      problem = undefined
      forgetTimers()
      options.changed(undefined)
      go()
    },

    connect(next) {
      sender = next
      forgetTimers()
      if (!next) return
      problem = undefined
      go()
    },

    add(kind, { id = newId(kind), session, subject = id, body }) {
      const mine = need()
      if (store.counts(mine).all >= most)
        throw new ConsoleError('outbox-full', `${most} things wait to be sent already: connect to the gateway first.`)
      const at = new Date(clock.now()).toISOString()
      store.add(mine, { id, kind, session, subject, at, body: kinds[kind].body.parse(body) })
      options.changed(session)
      go()
      return store.entry(mine, id)!
    },

    edit(id, body) {
      const mine = need()
      const entry = store.entry(mine, id)
      if (!entry) throw new ConsoleError('sent', 'It was sent meanwhile: withdraw it, and write another one.')
      if (sending.has(id)) throw new ConsoleError('sending', 'It is being sent just now: try again in a moment.')
      store.change(mine, id, { body: kindOf(entry)!.body.parse(body) })
      options.changed(entry.session)
      return store.entry(mine, id)!
    },

    takeBack(id) {
      const mine = need()
      const entry = store.entry(mine, id)
      if (!entry || entry.tried || sending.has(id)) return false
      store.remove(mine, id)
      options.changed(entry.session)
      return true
    },

    resolve(id, choice, body) {
      const mine = need()
      const entry = store.entry(mine, id)
      if (!entry?.conflict) throw new ConsoleError('no-conflict', 'There is nothing to choose any more: look again.')
      if (!choicesOf(entry).includes(choice)) throw new ConsoleError('no-choice', 'This can’t be chosen here.')
      const kind = kindOf(entry)
      const fresh = { conflict: undefined, tried: false }
      store.together(() => {
        if (choice === 'discard') {
          // What was about it (its withdrawal, say) has nothing to be about any more.
          for (const each of store.entriesOf(mine, entry.session)) if (each.subject === id) store.remove(mine, each.id)
          store.remove(mine, id)
        } else if (choice === 'again') store.change(mine, id, fresh)
        else
          store.change(mine, id, {
            ...fresh,
            id: newId(entry.kind as KindName),
            body: kind!.body.parse(choice === 'edit' ? body : entry.body),
          })
      })
      options.changed(entry.session)
      go()
    },

    entriesUnder: (prefix) => (owner ? store.entriesUnder(owner, prefix) : []),
    entriesOf: (session) => (owner ? store.entriesOf(owner, session) : []),
    entry: (id) => (owner ? store.entry(owner, id) : undefined),
    isSending: (id) => sending.has(id),

    state() {
      const others = store.others(owner)
      if (!owner) return { ...noOutbox, others, sealed: options.sealed }
      const { all, conflicts, playbacks, reviews } = store.counts(owner)
      const items = store.foremost(owner, 500)
      return {
        waiting: all - conflicts,
        conflicts,
        notes: all - conflicts - playbacks,
        reviews,
        others,
        sealed: options.sealed,
        ...(problem !== undefined && all > conflicts && { problem }),
        items: items.map((entry) => itemOf(entry, sending.has(entry.id))),
      }
    },

    async stop() {
      stopped = true
      forgetTimers()
      await Promise.all(running.values())
    },
  }
}

type Outcome =
  | { is: 'taken'; taken: Taken | undefined }
  | { is: 'refused'; status: number; problem: string; whole?: unknown }
  /** Not sent: it isn't this person's link any more. */
  | { is: 'moved'; maybeArrived: boolean }
  | { is: 'failed'; problem: string; wait: number | undefined; maybeArrived: boolean }

/** Statuses that say nothing about what was sent: they pass. */
const passing = new Set([401, 408, 425, 429])

/** `still`: whether it is still for the same person, by the same way: a token that took long may be the next one's. */
async function send(by: Sender, entry: Entry, still: () => boolean): Promise<Outcome> {
  const kind = kindOf(entry)
  if (entry.conflict) return { is: 'refused', ...entry.conflict }
  if (!kind) return { is: 'refused', status: 0, problem: 'A newer version of the console wrote this: update this one.' }
  const body = kind.body.safeParse(entry.body)
  if (!body.success)
    return { is: 'refused', status: 0, problem: 'It is not in a form that this version of the console can send.' }
  let rejected: string | undefined
  for (;;) {
    try {
      const token = await by.token(rejected)
      if (!still()) return { is: 'moved', maybeArrived: rejected !== undefined }
      try {
        const taken = await kind.send({ api: by.api, token }, { ...entry, body: body.data })
        return { is: 'taken', taken }
      } catch (error) {
        if (!(error instanceof Refused) || error.status !== 401 || rejected !== undefined) throw error
        rejected = token
      }
    } catch (error) {
      if (error instanceof Refused && error.status >= 400 && error.status < 500 && !passing.has(error.status))
        return { is: 'refused', status: error.status, problem: error.message, whole: error.problem }
      const wait = error instanceof Refused && error.retryAfter !== undefined ? error.retryAfter * 1000 : undefined
      const never = (error instanceof Unreachable && !error.maybeArrived) || error instanceof SignedOut
      const words = error instanceof Error ? error.message : String(error)
      return { is: 'failed', problem: words, wait, maybeArrived: !never }
    }
  }
}

function choicesOf(entry: Entry): ConflictChoice[] {
  if (!entry.conflict) return []
  const kind = kindOf(entry)
  // What can't be read or understood can only be waited with, or thrown away.
  return kind && entry.conflict.status !== 0 ? kind.choices(entry.conflict.status) : ['discard']
}

function itemOf(entry: Entry, isSending: boolean): OutboxItem {
  const kind = kindOf(entry)
  const body = kind?.body.safeParse(entry.body)
  return {
    id: entry.id,
    kind: kind ? (entry.kind as KindName) : 'annotation',
    session: entry.session,
    at: entry.at,
    ...(body?.success ? kind!.about(body.data) : { about: '' }),
    state: entry.conflict ? 'conflict' : isSending ? 'sending' : 'waiting',
    ...(entry.conflict && { problem: entry.conflict.problem }),
    choices: choicesOf(entry),
  }
}

const prefix: Record<KindName, string> = {
  annotation: 'an',
  withdrawal: 'wd',
  playback: 'pb',
  'review-decision': 'de',
  'review-comment': 'co',
}
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** Two letters and 120 random bits in base 32: nobody else's. */
export function newId(kind: KindName): string {
  return `${prefix[kind]}_${Array.from(randomBytes(24), (byte) => BASE32[byte & 31]).join('')}`
}
