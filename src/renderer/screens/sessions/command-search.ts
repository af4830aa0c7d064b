import type { FoundCommand } from '@countersign/contract/evidence'
import { useCallback, useEffect, useRef, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { core, useWorld } from '../../app/store.ts'

export interface CommandFilter {
  readonly text: string
  readonly agent: string
  readonly connection: string
  readonly verdict: FoundCommand['verdict'] | ''
  readonly table: string
}

interface Answer {
  readonly filter: CommandFilter
  readonly items: readonly FoundCommand[]
  readonly next: string | null
  readonly source: 'gateway' | 'local'
  /** More were found on this computer than are shown. */
  readonly cut: boolean
  /** Recordings that the gateway's index lacks. */
  readonly behind: number
}

export interface CommandsFound extends Omit<Answer, 'filter' | 'source'> {
  readonly source: 'gateway' | 'local' | undefined
  readonly searching: boolean
  readonly problem: string
  loadMore(): void
}

/** Commands that fit a filter, newest first; what was found last stays until the answer comes. Undefined: nobody asks. */
export function useCommandSearch(filter: CommandFilter | undefined): CommandsFound {
  const live = useWorld((world) => world.link.state === 'live')
  const [answer, setAnswer] = useState<Answer | undefined>(undefined)
  const [problem, setProblem] = useState('')
  const asking = useRef<AbortController | undefined>(undefined)

  const ask = useCallback(async (of: CommandFilter, after?: string) => {
    asking.current?.abort()
    const mine = new AbortController()
    asking.current = mine
    try {
      const page = await core().call('searchCommands', { ...queryOf(of), ...(after ? { after } : {}) })
      if (mine.signal.aborted) return
      setProblem('')
      setAnswer((old) => ({
        filter: of,
        items: after && old?.filter === of ? [...old.items, ...page.items] : page.items,
        next: page.next,
        source: page.source,
        cut: page.more ?? false,
        behind: page.behind ?? 0,
      }))
    } catch (error) {
      if (!mine.signal.aborted) setProblem(wordsOf(error))
    }
    if (asking.current === mine) asking.current = undefined
  }, [])
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again once the link is back
  useEffect(() => {
    if (!filter) return
    const timer = setTimeout(() => void ask(filter), filter.text || filter.table ? 180 : 0)
    return () => {
      clearTimeout(timer)
      asking.current?.abort()
    }
  }, [filter, live, ask])

  const current = filter !== undefined && answer?.filter === filter
  // A page may be empty with more to come.
  useEffect(() => {
    if (current && answer.items.length === 0 && answer.next !== null && !asking.current) void ask(filter, answer.next)
  }, [current, answer, filter, ask])
  return {
    items: answer?.items ?? [],
    next: current ? answer.next : null,
    source: answer?.source,
    cut: answer?.cut ?? false,
    behind: answer?.behind ?? 0,
    searching: (!current || (answer.items.length === 0 && answer.next !== null)) && problem === '',
    problem,
    loadMore: () => {
      if (current && answer.next !== null && !asking.current) void ask(filter, answer.next)
    },
  }
}

function queryOf(filter: CommandFilter) {
  const { text, agent, connection, verdict, table } = filter
  return {
    limit: 100,
    ...(text.trim() ? { text } : {}),
    ...(agent ? { agent } : {}),
    ...(connection ? { connection } : {}),
    ...(verdict ? { verdict } : {}),
    ...(table.trim() ? { table: table.trim() } : {}),
  }
}
