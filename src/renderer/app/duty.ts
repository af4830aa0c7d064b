import type { BreakGlass, ConnectionRecord, Freeze } from '@countersign/contract/access'
import { create } from 'zustand'
import type { PeopleState } from '../../agents-api.ts'
import { core, type Me, useConsole } from './store.ts'

/** What stands on every screen: what is frozen, whose duty is whose, which emergencies wait for a review. */
interface Known {
  readonly duty: PeopleState
  readonly connections: readonly ConnectionRecord[]
  /** When connections were last told; null where they never were. */
  readonly connectionsAt: string | null | undefined
}

const nothing: PeopleState = { delegations: [], breakGlass: [], at: null }
const useKnown = create<Known>()(() => ({ duty: nothing, connections: [], connectionsAt: undefined }))
let following: object | undefined

function follow() {
  const { api } = useConsole.getState()
  if (!api || following === api) return
  following = api
  api.on((event) => {
    if (event.type === 'snapshot') void read()
    if (event.type === 'duty') useKnown.setState({ duty: event.duty })
    if (event.type === 'connections')
      useKnown.setState({ connections: event.items, connectionsAt: new Date().toISOString() })
  })
  void read()
}

async function read() {
  const [duty, connections] = await Promise.all([
    core()
      .call('duty', {})
      .catch(() => undefined),
    core()
      .call('connections', {})
      .catch(() => undefined),
  ])
  useKnown.setState({
    ...(duty && { duty }),
    ...(connections && { connections: connections.items, connectionsAt: connections.at }),
  })
}

/** What is known of duty and freezes here. */
export function useDuty<T>(select: (known: Known) => T): T {
  follow()
  return useKnown(select)
}

/** Freezes in force, that of everything first. */
export function freezesOf(connections: readonly ConnectionRecord[]): Freeze[] {
  const freezes = new Map<string, Freeze>()
  for (const { freeze } of connections) if (freeze) freezes.set(freeze.id, freeze)
  return [...freezes.values()].sort((a, b) => Number(b.connection === '*') - Number(a.connection === '*'))
}

/** Emergencies that nobody has reviewed. */
export const unreviewed = (uses: readonly BreakGlass[]): BreakGlass[] => uses.filter(({ review }) => !review)

/**
 * Why this person may not review a use, as far as that is known here: people of the break-glass groups may, too, and who
 * those are only the gateway knows.
 */
export function mayNotReview(use: BreakGlass, me: Me | null): string | undefined {
  if (me?.kind !== 'person' || me.roles.length === 0) return 'Uses of break-glass are reviewed by people with a role.'
  return use.person.id === me.id ? 'Nobody reviews what they did themselves.' : undefined
}

/** Whether reviewing is this person's business: their role says so. */
export const reviews = (me: Me | null): boolean =>
  me?.kind === 'person' && me.roles.some((role) => role === 'reviewer' || role === 'auditor')

/** Whether somebody is an admin. */
export const isAdmin = (me: Me | null): boolean => me?.kind === 'person' && me.roles.includes('admin')
