import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'
import { type PolicyDraft, PolicyVersion } from '@countersign/contract/policies'
import { Overlay } from '@countersign/contract/review'
import { z } from 'zod'
import type { ConsoleEvent } from '../../../console-api.ts'
import {
  BacktestHead,
  DraftHead,
  type DraftWork,
  InForce,
  PartState,
  PolicyPart,
  type PolicyView,
} from '../../../policy-api.ts'
import { type GatewayApi, Refused } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Seal } from '../outbox/seal.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store } from '../store/store.ts'

/** Policy as the gateway last told it: fetched once somebody looks, followed by the feed, kept for when it is away. */
export interface Policy extends Disposable {
  view(): PolicyView
  /** The link is live, or no longer. */
  link(live: boolean): void
  /** Somebody looks: all parts are asked for anew, at most every so often. */
  refresh(): void
  /** What is stored may have gaps, or belongs to somebody else. */
  doubt(): void
  /** What a person saw is for nobody else's eyes; the store is emptied by whoever calls this. */
  forget(): void
  /** Every message of the feed. */
  heard(message: FeedMessage | { type: 'unknown' }): void
  backtest(backtest: BacktestHead): void
  overlay(overlay: Overlay): void
  draft(draft: PolicyDraft): void
  draftGone(id: string): void
  /** What is not saved has changed. */
  worksChanged(): void
}

/** So many of each are asked for, the latest. */
const MOST = 500
/** Asked for anew at most so often (ms), and a failed fetch is tried again after so long. */
const REFRESH = 15_000
const AGAIN = 30_000

const Kept = z.object({
  inForce: InForce.nullable(),
  versions: z.array(PolicyVersion),
  moreVersions: z.boolean(),
  drafts: z.array(DraftHead),
  backtests: z.array(BacktestHead),
  overlays: z.array(Overlay),
  parts: z.record(PolicyPart, PartState),
})
type Kept = z.infer<typeof Kept>
/** Policy tells where the gaps are: on a desktop it is kept shut, as drafts and backtests are. */
const Shut = z.object({ sealed: z.base64() })
const ABOUT = 'policy lists'

const nobody = { at: null }
const nothing: Kept = {
  ...{ inForce: null, versions: [], moreVersions: false, drafts: [], backtests: [], overlays: [] },
  parts: { 'in-force': nobody, versions: nobody, drafts: nobody, backtests: nobody, overlays: nobody },
}

export function createPolicy(options: {
  store: Store
  seal: Seal
  clock: Clock
  log: Log
  asking: Asking
  me: () => Me | null
  /** What this person has not saved. */
  works: () => DraftWork[]
  say(event: ConsoleEvent): void
}): Policy {
  const { store, clock, log, asking, say } = options
  let live = false
  let stopped = false
  /** Whether a screen asked for it since the start; overlays are looked at all the same: what fails stands everywhere. */
  let wanted = false
  let fetchedAt = -Infinity
  /** Which question of each part is the last one: what answers another comes too late. */
  const under = new Map<PolicyPart, number>()
  let questions = 0
  /** Raised by every message and answer: a list that was asked for before must not undo it. */
  const heardOf = new Map<PolicyPart, number>()
  let cancelAgain = () => {}

  let kept: Kept | undefined
  const opened = (): Kept | undefined => {
    const row = store.kept('policy', Shut)
    try {
      return row && Kept.parse(options.seal.open(Buffer.from(row.sealed, 'base64'), ABOUT))
    } catch {
      // An older form, or another key: the gateway will tell it anew.
      return undefined
    }
  }
  const known = (): Kept => {
    kept ??= opened() ?? nothing
    return kept
  }
  const now = () => new Date(clock.now()).toISOString()
  const works = () => options.works().map(({ files: _, ...head }) => head)
  const keep = (what: Partial<Kept>) => {
    if (stopped) return
    kept = { ...known(), ...what }
    store.keep('policy', { sealed: options.seal.shut(kept, ABOUT).toString('base64') })
    say({ type: 'policy', changed: { ...what, loading: under.size > 0 } })
  }
  const part = (name: PolicyPart, state: PartState) => ({ parts: { ...known().parts, [name]: state } })
  const told = (name: PolicyPart) => heardOf.set(name, (heardOf.get(name) ?? 0) + 1)

  const ask: Record<PolicyPart, (api: GatewayApi, token: string) => Promise<Partial<Kept>>> = {
    'in-force': async (api, token) => {
      const { version, texts, tests } = await api.policyInForce(token)
      return { inForce: { version, texts, ...(tests && { tests }) } }
    },
    versions: async (api, token) => {
      const { items, next } = await api.policyVersions(token, MOST)
      return { versions: items, moreVersions: next !== null }
    },
    drafts: async (api, token) => ({ drafts: (await api.policyDrafts(token)).map(headOf).sort(latest) }),
    backtests: async (api, token) => ({
      backtests: (await api.backtests(token, MOST)).items.map((one) => BacktestHead.parse(one)),
    }),
    overlays: async (api, token) => ({ overlays: (await api.overlays(token, MOST)).items.sort(foremost) }),
  }

  async function fetchPart(name: PolicyPart): Promise<void> {
    const asked = live ? await asking() : undefined
    if (!asked || stopped) return
    questions += 1
    const mine = questions
    under.set(name, mine)
    const before = heardOf.get(name)
    let told: Partial<Kept>
    let again = false
    try {
      told = { ...(await ask[name](asked.api, asked.token)), ...part(name, { at: now() }) }
      again = heardOf.get(name) !== before
    } catch (error) {
      told = refusal(name, error as Error)
    }
    // A later question about the same answers for this one, too.
    if (stopped || under.get(name) !== mine) return
    under.delete(name)
    if (again) return fetchPart(name)
    keep(told)
  }

  function refusal(name: PolicyPart, error: Error): Partial<Kept> {
    const { at } = known().parts[name]
    const empty: Partial<Kept> = {
      ...(name === 'overlays' && { overlays: [] }),
      ...(name === 'drafts' && { drafts: [] }),
      ...(name === 'backtests' && { backtests: [] }),
    }
    if (error instanceof Refused && error.status === 403)
      return { ...empty, ...part(name, { at: null, refused: 'forbidden' }) }
    if (error instanceof Refused && error.status === 404) return part(name, { at, refused: 'unknown' })
    log.warn('policy could not be fetched', { part: name, problem: error.message })
    cancelAgain()
    cancelAgain = clock.after(AGAIN, () => fetch([name]))
    return part(name, { at, problem: error.message })
  }

  function fetch(parts: readonly PolicyPart[]): void {
    if (!live || stopped) return
    for (const name of parts) {
      fetchPart(name).catch((error: Error) => log.warn('policy could not be asked for', { problem: error.message }))
    }
    if (parts.length > 0) say({ type: 'policy', changed: { loading: true } })
  }
  const everything = () => {
    fetchedAt = clock.now()
    fetch(PolicyPart.options)
  }

  const policy: Policy = {
    view() {
      const { parts, ...lists } = known()
      return { ...lists, works: works(), parts, loading: under.size > 0 }
    },
    link(next) {
      const came = next && !live
      live = next
      if (!live) {
        cancelAgain()
        under.clear()
      }
      if (came && wanted) everything()
      else if (came && seesOverlays(options.me())) fetch(['overlays'])
    },
    refresh() {
      wanted = true
      if (clock.now() - fetchedAt >= REFRESH) everything()
    },
    forget() {
      cancelAgain()
      under.clear()
      wanted = false
      kept = undefined
      fetchedAt = -Infinity
      if (!stopped) say({ type: 'policy', changed: { ...nothing, works: works(), loading: false } })
    },
    doubt() {
      under.clear()
      kept = undefined
      fetchedAt = -Infinity
      if (live && wanted) everything()
    },
    heard(message) {
      if (message.type === 'policy.changed') {
        told('in-force')
        told('versions')
        fetch(['in-force', 'versions'])
      }
      if (message.type === 'overlay.changed') policy.overlay(message.data)
      if (message.type === 'backtest.changed') policy.backtest(message.data)
    },
    backtest(backtest) {
      told('backtests')
      const head = BacktestHead.parse(backtest)
      const before = known().backtests
      const there = before.find(({ id }) => id === head.id)
      // What has ended doesn't run again, and nothing goes back.
      if (there && there.state !== 'running' && head.state === 'running') return
      if (there?.state === 'running' && head.state === 'running') {
        if (head.progress.commands < there.progress.commands) return
      }
      keep({ backtests: [head, ...before.filter(({ id }) => id !== head.id)].sort(newest).slice(0, MOST) })
    },
    overlay(overlay) {
      told('overlays')
      keep({ overlays: [overlay, ...known().overlays.filter(({ id }) => id !== overlay.id)].sort(foremost) })
      say({ type: 'overlay', overlay })
    },
    draft(draft) {
      told('drafts')
      const others = known().drafts.filter(({ id }) => id !== draft.id)
      keep({ drafts: [headOf(draft), ...others].sort(latest) })
    },
    draftGone(id) {
      told('drafts')
      keep({ drafts: known().drafts.filter((draft) => draft.id !== id) })
    },
    worksChanged: () => say({ type: 'policy', changed: { works: works() } }),
    [Symbol.dispose]() {
      stopped = true
      cancelAgain()
    },
  }
  return policy
}

/** Whether overlays are this person's to see. */
export function seesOverlays(me: Me | null): boolean {
  return me?.kind === 'person' && me.roles.some((role) => role !== 'approver')
}

export function headOf({ files, check, ...draft }: PolicyDraft): DraftHead {
  return { ...draft, ok: check.ok && check.tests.every(({ ok }) => ok), files: files.map(({ file }) => file) }
}

const latest = (a: DraftHead, b: DraftHead) => b.changedAt.localeCompare(a.changedAt)
const newest = (a: BacktestHead, b: BacktestHead) => b.at.localeCompare(a.at)
const foremost = (a: Overlay, b: Overlay) => b.number - a.number
