import type { ConnectionRecord, Grant, GrantRequest, GrantState } from '@countersign/contract/access'
import { useEffect, useState } from 'react'
import { create } from 'zustand'
import type { AskedGrant, GrantsState } from '../../access-api.ts'
import { wordsOf } from './api.ts'
import { core, say, useConsole } from './store.ts'

/** Access as the core tells of it: grants once somebody looks at them, and the connections that they are for. */
interface Known {
  readonly grants: ReadonlyMap<string, Grant>
  /** undefined until the core has answered. */
  readonly state: GrantsState | undefined
  /** Whether pages are still on their way from the core. */
  readonly reading: boolean
  readonly problem: string
  readonly connections: ReadonlyMap<string, ConnectionRecord>
}

const nothing: Known = { grants: new Map(), state: undefined, reading: false, problem: '', connections: new Map() }
const useKnown = create<Known>()(() => nothing)
let following: object | undefined
let load = 0

/** Follows the grants of the core that the screens speak to. */
function follow() {
  const { api } = useConsole.getState()
  if (!api || following === api) return
  following = api
  api.on((event) => {
    // After a sign-in or a gap of the page everything may be other.
    if (event.type === 'snapshot') void read()
    if (event.type === 'connections') useKnown.setState({ connections: byName(event.items) })
    if (event.type !== 'grants') return
    useKnown.setState(({ grants }) => {
      if (event.changed.length + event.removed.length === 0) return { state: event.state }
      const next = new Map(grants)
      for (const grant of event.changed) put(next, grant)
      for (const id of event.removed) next.delete(id)
      return { grants: next, state: event.state }
    })
  })
  void read()
}

/** Reads all that the core keeps, page by page; what is there already stays in sight meanwhile. */
async function read() {
  load += 1
  const mine = load
  useKnown.setState({ reading: true, problem: '' })
  const told = new Map<string, Grant>()
  try {
    let after: string | undefined
    do {
      const page = await core().call('grants', after === undefined ? {} : { after })
      if (mine !== load) return
      for (const grant of page.items) told.set(grant.id, grant)
      // The first page is shown at once; the rest comes in one piece.
      if (after === undefined)
        useKnown.setState(({ grants }) => ({
          state: page.state,
          ...(grants.size === 0 ? { grants: new Map(told) } : {}),
        }))
      after = page.next ?? undefined
    } while (after !== undefined)
    useKnown.setState(({ grants }) => {
      // What was told by an event meanwhile is not older than a page.
      for (const grant of grants.values()) if (told.has(grant.id)) put(told, grant)
      return { grants: told, reading: false }
    })
    const connections = await core().call('connections', {})
    if (mine === load) useKnown.setState({ connections: byName(connections.items) })
  } catch (error) {
    if (mine === load) useKnown.setState({ reading: false, problem: wordsOf(error) })
  }
}

const order: Record<GrantState, number> = { requested: 0, active: 1, expired: 2, revoked: 2, denied: 2 }

/** A state never goes back: such news was overtaken. */
function put(grants: Map<string, Grant>, given: Grant) {
  const known = grants.get(given.id)
  if (known && order[known.state] > order[given.state]) return
  if (known && known.state === given.state && known.sessions > given.sessions) return
  grants.set(given.id, given)
}

const byName = (items: readonly ConnectionRecord[]) => new Map(items.map((item) => [item.name, item]))

/** What is known of access here. */
export function useAccess<T>(select: (known: Known) => T): T {
  follow()
  return useKnown(select)
}

/** Asks the core anew, after it could not answer. */
export const readAgain = () => void read()

/** A grant with the sessions that used it: the gateway is asked once it has been looked at a moment. */
export function useGrant(id: string): { grant: Grant | undefined; missing: boolean } {
  const grant = useAccess(({ grants }) => grants.get(id))
  const live = useConsole(({ world }) => world?.link.state === 'live')
  const [missing, setMissing] = useState('')
  const uses = grant?.sessions
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again once the link is back, and when it was used
  useEffect(() => {
    let wanted = true
    const timer = setTimeout(
      () =>
        core()
          .call('grant', { id })
          .then(
            ({ grant: told }) => {
              if (!wanted) return
              setMissing(told ? '' : id)
              if (told)
                useKnown.setState(({ grants }) => {
                  const next = new Map(grants)
                  put(next, told)
                  return { grants: next }
                })
            },
            () => wanted && setMissing(useKnown.getState().grants.has(id) ? '' : id),
          ),
      100,
    )
    return () => {
      wanted = false
      clearTimeout(timer)
    }
  }, [id, live, uses])
  return { grant, missing: missing === id && grant === undefined }
}

/** What an approval of access is about. */
export interface Asked {
  readonly items: readonly AskedGrant[]
  readonly missing: number
  readonly seesAll: boolean
}

/** The grants of an approval as they are now, and what was before; undefined until the core has answered. */
export function useAsked(approval: string): { asked: Asked | undefined; problem: string } {
  const grants = useAccess((known) => known.grants)
  const live = useConsole(({ world }) => world?.link.state === 'live')
  const [answer, setAnswer] = useState<(Asked & { of: string }) | undefined>(undefined)
  const [problem, setProblem] = useState('')
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again once the link is back
  useEffect(() => {
    let wanted = true
    core()
      .call('asked', { approval })
      .then(
        ({ items, missing, state }) => {
          if (!wanted) return
          setProblem('')
          setAnswer({ of: approval, items, missing, seesAll: state.seesAll && state.whole })
        },
        (error) => wanted && setProblem(wordsOf(error)),
      )
    return () => {
      wanted = false
    }
  }, [approval, live])
  if (answer?.of !== approval) return { asked: undefined, problem }
  const items = answer.items.map((item) => ({ ...item, grant: grants.get(item.grant.id) ?? item.grant }))
  return { asked: { ...answer, items }, problem }
}

/** Something asked of the gateway about a grant, and how far it is. */
export interface Deed {
  readonly does: 'extend' | 'revoke'
  readonly state: 'sending' | 'sent' | 'refused'
  readonly problem?: string
  /** The grant that came of it, where that is another one. */
  readonly made?: string
}

export const useDeeds = create<{ readonly deeds: ReadonlyMap<string, Deed> }>()(() => ({ deeds: new Map() }))

const note = (grant: string, deed: Deed | undefined) =>
  useDeeds.setState(({ deeds }) => {
    const next = new Map(deeds)
    if (deed) next.set(grant, deed)
    else next.delete(grant)
    return { deeds: next }
  })
export const forgetDeed = (grant: string) => note(grant, undefined)

/** Takes access away; every step and every failure is noted. */
export async function revoke(grant: string, reason: string): Promise<void> {
  note(grant, { does: 'revoke', state: 'sending' })
  try {
    await core().call('revokeGrant', { grant, reason })
    note(grant, { does: 'revoke', state: 'sent' })
    say('Revoked: sent')
  } catch (error) {
    note(grant, { does: 'revoke', state: 'refused', problem: wordsOf(error) })
    say(`Not revoked: ${wordsOf(error)}`)
  }
}

/** Asks to prolong access. @returns the new grant, where the gateway made one */
export async function extend(grant: string, duration: string, purpose: string): Promise<Grant | undefined> {
  note(grant, { does: 'extend', state: 'sending' })
  try {
    const { grant: made, words } = await core().call('extendGrant', { grant, duration, purpose })
    if (made.state === 'denied')
      note(grant, {
        does: 'extend',
        state: 'refused',
        problem: words ?? made.endedBecause ?? 'Policy denied it.',
        made: made.id,
      })
    else note(grant, { does: 'extend', state: 'sent', made: made.id })
    say(made.state === 'denied' ? 'The extension was denied' : 'The extension was asked for')
    return made
  } catch (error) {
    note(grant, { does: 'extend', state: 'refused', problem: wordsOf(error) })
    say(`Not extended: ${wordsOf(error)}`)
    return undefined
  }
}

/** Asks for access. @throws Error in words where there is no grant to show */
export async function ask(request: GrantRequest): Promise<{ grant: Grant; words?: string | undefined }> {
  const answer = await core().call('requestGrant', request)
  useKnown.setState(({ grants }) => {
    const next = new Map(grants)
    put(next, answer.grant)
    return { grants: next }
  })
  return answer
}
