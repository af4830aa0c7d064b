import { useEffect, useRef, useState } from 'react'
import type { ChannelRow, TerminalHit, TerminalSummary } from '../../../../terminal-api.ts'
import { wordsOf } from '../../../app/api.ts'
import { core } from '../../../app/store.ts'

const PAGE = 500
/** More channels than these are reached by their steps alone. */
const MOST = 10_000

/** The channels of a recording that have a terminal, as far as it is here, and how many others there are. */
export interface Channels {
  readonly terminals: readonly ChannelRow[]
  readonly others: number
}

const none: Channels = { terminals: [], others: 0 }

/**
 * @param seq of the recording's last line: another one says that there may be more. Those that have ended are not asked
 * for again, but for another `edition`
 */
export function useChannels(session: string, edition: string, has: boolean, seq: number): Channels {
  const [channels, setChannels] = useState(none)
  const known = useRef<{ of: string; rows: readonly ChannelRow[] }>({ of: '', rows: [] })
  // biome-ignore lint/correctness/useExhaustiveDependencies: `seq` says that there may be more
  useEffect(() => {
    if (!has) return
    let over = false
    const of = `${session} ${edition}`
    const before = known.current.of === of ? known.current.rows : []
    const open = before.findIndex(({ to }) => to === null)
    const load = async () => {
      const rows = before.slice(0, open < 0 ? before.length : open)
      while (rows.length < MOST) {
        const from = rows.length
        const page = await core().call('recordingChannels', { session, from, to: from + PAGE })
        if (over) return
        rows.push(...page.items)
        if (page.items.length === 0 || rows.length >= page.count) break
      }
      known.current = { of, rows }
      const terminals = rows.filter(({ terminal }) => terminal)
      setChannels({ terminals, others: rows.length - terminals.length })
    }
    // Without them the transcript still tells everything.
    load().catch(() => {})
    return () => {
      over = true
    }
  }, [session, edition, has, seq])
  return channels
}

/** The terminal that is on at `t`: of several the one that began last; -1 for none. */
export function terminalOn(terminals: readonly ChannelRow[], t: number): number {
  return terminals.findLastIndex(({ from, to }) => from <= t && (to === null || t <= to))
}

export type Told =
  | { readonly state: 'loading' }
  | { readonly state: 'failed'; readonly problem: string; again(): void }
  | { readonly state: 'here'; readonly summary: TerminalSummary }

/** What is known of a channel; asked anew when its recording grows, and while it is looked through. */
export function useTerminal(session: string, channel: string | undefined, seq: number): Told {
  const [told, setTold] = useState<{ of: string; told: Told }>({ of: '', told: { state: 'loading' } })
  const [round, setRound] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: `seq` and `round` say when it is to be asked anew
  useEffect(() => {
    if (channel === undefined) return
    let over = false
    core()
      .call('terminal', { session, channel })
      .then(
        (summary) => !over && setTold({ of: channel, told: { state: 'here', summary } }),
        (error) =>
          !over &&
          setTold({
            of: channel,
            told: { state: 'failed', problem: wordsOf(error), again: () => setRound((n) => n + 1) },
          }),
      )
    return () => {
      over = true
    }
  }, [session, channel, seq, round])
  useEffect(
    () =>
      core().on((event) => {
        if (event.type === 'terminal' && event.session === session && event.channel === channel) setRound((n) => n + 1)
      }),
    [session, channel],
  )
  return told.of === channel ? told.told : { state: 'loading' }
}

/** Where words were found in a channel so far. */
export interface Hits {
  readonly hits: readonly TerminalHit[]
  readonly part: number
  readonly problem: string
}

const nothing: Hits = { hits: [], part: 1, problem: '' }
const looking: Hits = { hits: [], part: 0, problem: '' }
const PAUSE_MS = 150
let works = 0

/** Finds `words` in a channel; other words end a search. Nothing is looked for while `channel` is undefined. */
export function useHits(session: string, channel: string | undefined, words: string, count: number): Hits {
  const wanted = channel === undefined ? '' : words.trim()
  const [{ of, found }, setState] = useState({ of: '', found: nothing })
  const key = `${channel} ${wanted}`
  // biome-ignore lint/correctness/useExhaustiveDependencies: `count` says that there is more to look through
  useEffect(() => {
    if (wanted === '' || channel === undefined) return
    const setFound = (next: Hits) => setState({ of: key, found: next })
    works += 1
    const work = `find in terminal ${works}`
    let hits: TerminalHit[] = []
    let begun = false
    const stop = core().on((event) => {
      if (event.type !== 'foundInTerminal' || event.work !== work) return
      hits = hits.concat(event.hits)
      setFound({ hits, part: event.total > 0 ? Math.min(0.99, event.done / event.total) : 0, problem: '' })
    })
    const timer = setTimeout(() => {
      begun = true
      core()
        .call('findInTerminal', { session, channel, words: wanted, work })
        .then(
          () => setFound({ hits, part: 1, problem: '' }),
          (error) => {
            if (error?.code !== 'cancelled') setFound({ hits, part: 1, problem: wordsOf(error) })
          },
        )
        .finally(stop)
    }, PAUSE_MS)
    return () => {
      clearTimeout(timer)
      stop()
      if (begun)
        void core()
          .call('cancel', { work })
          .catch(() => {})
    }
  }, [session, channel, wanted, count])
  return wanted === '' ? nothing : of === key ? found : looking
}
