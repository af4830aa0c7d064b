import type { Session, SessionState } from '@countersign/contract/session'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { core, receive, useWorld } from '../../app/store.ts'

export interface SessionFilter {
  readonly text: string
  readonly agent: string
  readonly connection: string
  readonly state: SessionState | ''
}

export const noFilter: SessionFilter = { text: '', agent: '', connection: '', state: '' }

interface Answer {
  readonly filter: SessionFilter
  readonly items: readonly Session[]
  readonly next: string | null
  readonly source: 'gateway' | 'local'
}

export interface Found {
  readonly items: readonly Session[]
  readonly searching: boolean
  readonly problem: string
  readonly source: 'gateway' | 'local' | undefined
  readonly more: boolean
  loadMore(): void
}

/**
 * Sessions that fit a filter, the newest first. What the store knows is filtered at once; words in commands, and what is
 * older, the core is asked for.
 */
export function useSessionSearch(filter: SessionFilter): Found {
  const known = useWorld((world) => world.sessions)
  const live = useWorld((world) => world.link.state === 'live')
  const [answer, setAnswer] = useState<Answer | undefined>(undefined)
  const [problem, setProblem] = useState('')
  const asking = useRef<AbortController | undefined>(undefined)

  const ask = useCallback(async (of: SessionFilter, after?: string) => {
    asking.current?.abort()
    const mine = new AbortController()
    asking.current = mine
    try {
      const page = await core().call('searchSessions', { ...queryOf(of), ...(after ? { after } : {}) })
      if (mine.signal.aborted) return
      setProblem('')
      receive({ type: 'sessions', sessions: page.items })
      setAnswer((old) => ({
        filter: of,
        items: after && old?.filter === of ? [...old.items, ...page.items] : page.items,
        next: page.next,
        source: page.source,
      }))
    } catch (error) {
      if (!mine.signal.aborted) setProblem(wordsOf(error))
    }
    asking.current = undefined
  }, [])
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again once the link is back
  useEffect(() => {
    const timer = setTimeout(() => void ask(filter), filter.text ? 180 : 0)
    return () => {
      clearTimeout(timer)
      asking.current?.abort()
    }
  }, [filter, live, ask])

  const items = useMemo(() => together(known, answer, filter), [known, answer, filter])
  const current = answer?.filter === filter
  return {
    items,
    searching: !current && problem === '',
    problem,
    source: answer?.source,
    more: current && answer.next !== null,
    loadMore: () => {
      if (current && answer.next !== null && !asking.current) void ask(filter, answer.next)
    },
  }
}

function together(known: ReadonlyMap<string, Session>, answer: Answer | undefined, filter: SessionFilter): Session[] {
  const all = new Map<string, Session>()
  const fits = (session: Session) =>
    (!filter.agent || session.agent === filter.agent) &&
    (!filter.connection || session.connection === filter.connection) &&
    (!filter.state || session.state === filter.state)
  // Words in commands only the core can look for; until it answers, what it last found stays.
  const fresh = answer?.filter.text === filter.text ? answer.items : filter.text ? (answer?.items ?? []) : []
  for (const session of fresh) all.set(session.id, session)
  if (!filter.text) for (const session of known.values()) all.set(session.id, session)
  return [...all.values()]
    .map((session) => known.get(session.id) ?? session)
    .filter(fits)
    .sort((a, b) => (a.openedAt < b.openedAt ? 1 : a.openedAt > b.openedAt ? -1 : a.id < b.id ? -1 : 1))
}

function queryOf(filter: SessionFilter) {
  return {
    limit: 200,
    ...(filter.text ? { text: filter.text } : {}),
    ...(filter.agent ? { agent: filter.agent } : {}),
    ...(filter.connection ? { connection: filter.connection } : {}),
    ...(filter.state ? { state: filter.state } : {}),
  }
}
