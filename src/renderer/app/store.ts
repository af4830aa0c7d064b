import type { Approval } from '@countersign/contract/approval'
import type { Session } from '@countersign/contract/session'
import { create } from 'zustand'
import type { AnnotationView, OutboxState } from '../../annotations-api.ts'
import type { Capabilities, ConsoleApi, ConsoleEvent, DecisionProgress, Link, Settings } from '../../console-api.ts'
import type { VerificationProgress, WitnessState } from '../../witness-api.ts'
import { wordsOf } from './api.ts'

export type Me = NonNullable<Extract<ConsoleEvent, { type: 'me' }>['me']>
/** A decision on its way; `digest` is what was decided on. */
export type Progress = DecisionProgress

/** What the core told, as it stands now. */
export interface World {
  readonly capabilities: Capabilities
  readonly link: Link
  readonly me: Me | null
  readonly settings: Settings
  readonly approvals: ReadonlyMap<string, Approval>
  readonly sessions: ReadonlyMap<string, Session>
  readonly decisions: ReadonlyMap<string, Progress>
  /** What waits to be sent. */
  readonly outbox: OutboxState
  /** Notes by session, of the sessions that somebody looked at. */
  readonly annotations: ReadonlyMap<string, readonly AnnotationView[]>
  readonly witness: WitnessState
  /** Sessions whose evidence is being verified, and how far that is. */
  readonly verifying: ReadonlyMap<string, VerificationProgress>
}

interface ConsoleState {
  readonly api: ConsoleApi | undefined
  readonly world: World | undefined
  /** Why the console can't show anything at all. */
  readonly failure: string | undefined
  /** What screen readers are told next. */
  readonly said: string
}

export const useConsole = create<ConsoleState>()(() => ({
  api: undefined,
  world: undefined,
  failure: undefined,
  said: '',
}))

/** One event of the core applied to the world. Pure. An event before the first snapshot has nothing to change. */
export function apply(world: World | undefined, event: ConsoleEvent): World | undefined {
  if (event.type === 'snapshot') {
    const { approvals, sessions, ...rest } = event.snapshot
    return {
      ...rest,
      approvals: byId(approvals),
      sessions: byId(sessions),
      decisions: world?.decisions ?? new Map(),
      annotations: rest.me && rest.me.id === world?.me?.id ? world.annotations : new Map(),
      verifying: world?.verifying ?? new Map(),
    }
  }
  if (!world) return undefined
  switch (event.type) {
    case 'link':
      return { ...world, link: event.link }
    case 'me':
      return { ...world, me: event.me }
    case 'settings':
      return { ...world, settings: event.settings }
    case 'approvals':
      return { ...world, approvals: merged(world.approvals, event.approvals, 'pending') }
    case 'sessions':
      return { ...world, sessions: merged(world.sessions, event.sessions, 'open') }
    case 'outbox':
      return { ...world, outbox: event.outbox }
    case 'annotations':
      return { ...world, annotations: new Map(world.annotations).set(event.session, event.items) }
    case 'decision':
      return { ...world, decisions: new Map(world.decisions).set(event.decision.approval, event.decision) }
    case 'witness':
      return { ...world, witness: event.witness }
    case 'verification': {
      const verifying = new Map(world.verifying).set(event.verification.session, event.verification)
      if (event.verification.state === 'ended') verifying.delete(event.verification.session)
      return { ...world, verifying }
    }
    default:
      return world
  }
}

function byId<T extends { id: string }>(items: readonly T[]): Map<string, T> {
  return new Map(items.map((item) => [item.id, item]))
}

/** What has left its first state never returns to it: such news is an old one that was overtaken. */
function merged<T extends { id: string; state: string }>(
  old: ReadonlyMap<string, T>,
  items: readonly T[],
  first: string,
): Map<string, T> {
  const next = new Map(old)
  for (const item of items) {
    const known = next.get(item.id)
    if (!known || known.state === first || item.state !== first) next.set(item.id, item)
  }
  return next
}

/** Takes one event into the store. */
export function receive(event: ConsoleEvent) {
  useConsole.setState((state) => ({ world: apply(state.world, event) }))
}

/**
 * Connects the store to the core: subscribes first, then asks for the snapshot, so that nothing falls between the two.
 * @returns the function that ends the subscription
 */
export function connect(api: ConsoleApi, heed: (event: ConsoleEvent) => void): () => void {
  let early: ConsoleEvent[] | undefined = []
  const stop = api.on((event) => {
    if (early && event.type !== 'snapshot') early.push(event)
    else receive(event)
    heed(event)
  })
  useConsole.setState({ api })
  api.call('snapshot', {}).then(
    (snapshot) => {
      receive({ type: 'snapshot', snapshot })
      for (const event of early ?? []) receive(event)
      early = undefined
    },
    (error) => useConsole.setState({ failure: wordsOf(error) }),
  )
  return stop
}

/**
 * Takes note of a call that failed because the core itself is gone (the browser shell's process was ended, say): what is
 * shown isn't live any more. Once it is back, its snapshot says how things are.
 */
export function coreIsGone(error: unknown) {
  const link = useConsole.getState().world?.link
  if (!(error instanceof Error && 'code' in error && error.code === 'shell-gone')) return
  if (!link?.gateway || (link.state !== 'live' && link.state !== 'connecting')) return
  const since = new Date().toISOString()
  receive({ type: 'link', link: { state: 'reconnecting', gateway: link.gateway, since, problem: error.message } })
}

/** Tells screen readers, politely. */
export function say(text: string) {
  useConsole.setState((state) => ({ said: state.said === text ? `${text}\u00a0` : text }))
}

/** The world of a screen: screens are only shown once there is one. */
export function useWorld<T>(select: (world: World) => T): T {
  return useConsole((state) => select(state.world!))
}

/** The core's calls, for handlers. */
export function core(): ConsoleApi {
  const { api } = useConsole.getState()
  if (!api) throw new Error('The console is still starting.')
  return api
}

/** Sends a decision; every step and every failure lands in the store. */
export async function decide(
  approval: Approval,
  verdict: 'approve' | 'deny',
  reason: string,
  window: string,
  { breakGlass = false }: { breakGlass?: boolean } = {},
) {
  const id = approval.id
  const note = (decision: Progress) => receive({ type: 'decision', decision })
  note({ approval: id, verdict, state: 'sending' })
  try {
    const { digest } = approval.command
    note(await core().call('decide', { approval: id, verdict, reason, window, digest, breakGlass }))
  } catch (error) {
    note({ approval: id, verdict, state: 'refused', problem: wordsOf(error) })
  }
}

/** Forgets how a decision went, so that the card offers its keys again. */
export function forgetDecision(approval: string) {
  useConsole.setState(({ world }) => {
    if (!world) return {}
    const decisions = new Map(world.decisions)
    decisions.delete(approval)
    return { world: { ...world, decisions } }
  })
}

/** Changes settings at once on the screen and then for good; a failure puts back what was. */
export async function saveSettings(next: Settings) {
  const before = useConsole.getState().world?.settings
  receive({ type: 'settings', settings: next })
  try {
    receive({ type: 'settings', settings: await core().call('saveSettings', next) })
  } catch (error) {
    if (before) receive({ type: 'settings', settings: before })
    throw error
  }
}
