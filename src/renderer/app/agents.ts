import type {
  AgentAccess,
  AgentDeclaration,
  AgentPatch,
  AgentRecord,
  PersonRecord,
  TokenRecord,
} from '@countersign/contract/access'
import { useCallback, useEffect, useState } from 'react'
import { create } from 'zustand'
import type { AgentsState } from '../../agents-api.ts'
import { wordsOf } from './api.ts'
import { core, say, useConsole } from './store.ts'

/** The registry of agents as the core tells of it, once somebody looks at it. */
interface Known {
  readonly agents: ReadonlyMap<string, AgentRecord>
  /** undefined until the core has answered. */
  readonly state: AgentsState | undefined
  /** Whether pages are still on their way from the core. */
  readonly reading: boolean
  readonly problem: string
}

const useKnown = create<Known>()(() => ({ agents: new Map(), state: undefined, reading: false, problem: '' }))
let following: object | undefined
let load = 0

/** Follows the registry of the core that the screens speak to. */
function follow() {
  const { api } = useConsole.getState()
  if (!api || following === api) return
  following = api
  api.on((event) => {
    if (event.type === 'snapshot') void read()
    if (event.type !== 'agents') return
    useKnown.setState(({ agents }) => {
      if (event.changed.length + event.removed.length === 0) return { state: event.state }
      const next = new Map(agents)
      for (const agent of event.changed) next.set(agent.id, agent)
      for (const id of event.removed) next.delete(id)
      return { agents: next, state: event.state }
    })
  })
  void read()
}

/** Reads all that the core keeps, page by page; what is there already stays in sight meanwhile. */
async function read() {
  load += 1
  const mine = load
  const before = useKnown.getState().agents
  useKnown.setState({ reading: true, problem: '' })
  const told = new Map<string, AgentRecord>()
  try {
    let after: string | undefined
    do {
      const page = await core().call('agents', after === undefined ? {} : { after })
      if (mine !== load) return
      for (const agent of page.items) told.set(agent.id, agent)
      if (after === undefined) useKnown.setState({ state: page.state })
      after = page.next ?? undefined
    } while (after !== undefined)
    useKnown.setState(({ agents }) => {
      // What an event told meanwhile is not older than a page.
      for (const [id, agent] of agents) if (before.get(id) !== agent) told.set(id, agent)
      return { agents: told, reading: false }
    })
  } catch (error) {
    if (mine === load) useKnown.setState({ reading: false, problem: wordsOf(error) })
  }
}

/** What is known of agents here. */
export function useAgents<T>(select: (known: Known) => T): T {
  follow()
  return useKnown(select)
}

/** Asks the core anew: after it could not answer, or since somebody looks at it now. */
export const readAgents = () => void read()

/** Something that is asked of the gateway while it is looked at, and again once the link is back or `again` is called. */
export interface Fetched<T> {
  readonly value: T | undefined
  readonly problem: string
  readonly again: () => void
}

export function useFetched<T>(key: string, ask: () => Promise<T>): Fetched<T> {
  const live = useConsole(({ world }) => world?.link.state === 'live')
  const [round, setRound] = useState(0)
  const [answer, setAnswer] = useState<{ of: string; value?: T; problem: string }>({ of: '', problem: '' })
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says what is asked
  useEffect(() => {
    let wanted = true
    // What is only passed by, going down a list, isn't asked for.
    const timer = setTimeout(
      () =>
        ask().then(
          (value) => wanted && setAnswer({ of: key, value, problem: '' }),
          (error) =>
            wanted &&
            setAnswer((before) => ({
              ...(before.of === key && 'value' in before ? { value: before.value } : {}),
              of: key,
              problem: wordsOf(error),
            })),
        ),
      round === 0 ? 100 : 0,
    )
    return () => {
      wanted = false
      clearTimeout(timer)
    }
  }, [key, live, round])
  const again = useCallback(() => setRound((now) => now + 1), [])
  const mine = answer.of === key
  return { value: mine ? answer.value : undefined, problem: mine ? answer.problem : '', again }
}

/** An agent as it is known, and looked up anew; `missing` once the gateway has said that there is none. */
export function useAgent(id: string): { agent: AgentRecord | undefined; missing: boolean } {
  const agent = useAgents(({ agents }) => agents.get(id))
  const { value, problem } = useFetched(`agent ${id}`, () => core().call('agent', { id }))
  const asked = agent ?? value?.agent ?? undefined
  return { agent: asked, missing: asked === undefined && (problem !== '' || value?.agent === null) }
}

export const useAgentAccess = (id: string): Fetched<AgentAccess> =>
  useFetched(`access ${id}`, () => core().call('agentAccess', { id }))

export const useTokens = (id: string): Fetched<{ items: TokenRecord[] }> =>
  useFetched(`tokens ${id}`, () => core().call('agentTokens', { id }))

export const usePeople = (): Fetched<{ items: PersonRecord[] }> => useFetched('people', () => core().call('people', {}))

/** What was asked of the gateway about an agent, and how far it is. */
export interface AgentDeed {
  readonly does: 'change' | 'disable' | 'enable'
  readonly state: 'sending' | 'sent' | 'refused'
  readonly problem?: string
}

export const useAgentDeeds = create<{ readonly deeds: ReadonlyMap<string, AgentDeed> }>()(() => ({ deeds: new Map() }))

const note = (agent: string, deed: AgentDeed | undefined) =>
  useAgentDeeds.setState(({ deeds }) => {
    const next = new Map(deeds)
    if (deed) next.set(agent, deed)
    else next.delete(agent)
    return { deeds: next }
  })
export const forgetAgentDeed = (agent: string) => note(agent, undefined)

const doneWords = { change: 'Changed', disable: 'Disabled', enable: 'Enabled' }

/** Changes an agent; every step and every failure is noted. @returns whether the gateway did it */
export async function changeAgent(id: string, does: AgentDeed['does'], patch: AgentPatch): Promise<boolean> {
  note(id, { does, state: 'sending' })
  try {
    await core().call('changeAgent', { id, patch })
    note(id, { does, state: 'sent' })
    say(`${doneWords[does]}: applied`)
    return true
  } catch (error) {
    note(id, { does, state: 'refused', problem: wordsOf(error) })
    say(`Not ${doneWords[does].toLowerCase()}: ${wordsOf(error)}`)
    return false
  }
}

/** Declares an agent. @throws Error in words */
export const declareAgent = (agent: AgentDeclaration): Promise<AgentRecord> => core().call('declareAgent', agent)

/** Revokes a gateway token. @throws Error in words */
export const revokeToken = (token: string, reason: string): Promise<TokenRecord> =>
  core().call('revokeToken', { token, reason })
