import type { Session } from '@countersign/contract/session'
import { useCallback, useEffect, useRef, useState } from 'react'
import type { RecordingSummary } from '../../../library-api.ts'
import { wordsOf } from '../../app/api.ts'
import { core, useConsole, useWorld } from '../../app/store.ts'
import { ReplayIndex } from './replay-index.ts'
import { StepWindows } from './step-windows.ts'

/** A recording as far as it is here: its index whole, its words where somebody looks. */
export interface ReadyRecording {
  readonly state: 'ready'
  readonly session: Session
  readonly startedAt: number
  readonly complete: boolean
  /** Of another edition nothing that was told before counts. */
  readonly edition: string
  /** Number of the last line that is here. */
  readonly seq: number
  /** More of it is on its way. */
  readonly loading: boolean
  readonly source: 'gateway' | 'local'
  readonly bytes: number
  readonly total: number | null
  /** Milliseconds to its last line. */
  readonly length: number
  readonly index: ReplayIndex
  readonly windows: StepWindows
  /** Why what is shown may be old, or not be all. */
  readonly problem: string
}

export type Recording =
  | { readonly state: 'loading' }
  | { readonly state: 'failed'; readonly problem: string; again(): void }
  | ReadyRecording

/** While a session goes on and somebody looks at it, it is asked for anew this often. */
const LIVE_EVERY_MS = 3000
/** While it is being fetched, this often at most. */
const LOADING_EVERY_MS = 400

let works = 0

interface Told {
  summary: RecordingSummary
  index: ReplayIndex
  windows: StepWindows
}

/** A recording, and while its session goes on (or it is being fetched) what is added to it. */
export function useRecording(id: string): Recording {
  const session = useWorld((world) => world.sessions.get(id))
  const live = useWorld((world) => world.link.state === 'live')
  const [told, setTold] = useState<Told | undefined>(undefined)
  const [problem, setProblem] = useState('')
  const [round, setRound] = useState(0)
  const [followed, setFollowed] = useState(false)
  const asking = useRef<'no' | 'once' | 'again'>('no')
  const mounted = useRef(true)
  const last = useRef<Told | undefined>(undefined)
  const complete = told?.summary.complete ?? false
  const loading = told?.summary.loading ?? false

  const take = useCallback(
    (summary: RecordingSummary) => {
      const before = last.current?.summary.edition === summary.edition ? last.current : undefined
      const same = before && summary.seq === before.summary.seq
      const index = same ? before.index : ReplayIndex.of(summary, before?.index)
      const windows = before?.windows ?? new StepWindows(id)
      windows.grow(index.count, same ? index.count : summary.index.from.step)
      last.current = { summary, index, windows }
      setTold(last.current)
    },
    [id],
  )

  /** One question at a time; what happens meanwhile is asked for after it. */
  const refresh = useCallback(async () => {
    if (asking.current !== 'no') {
      asking.current = 'again'
      return
    }
    do {
      asking.current = 'once'
      try {
        const summary = await ask(id, last.current)
        if (!mounted.current) return
        setProblem('')
        take(summary)
      } catch (error) {
        if (!mounted.current) return
        setProblem(wordsOf(error))
      }
    } while ((asking.current as string) === 'again')
    asking.current = 'no'
  }, [id, take])

  useEffect(() => {
    mounted.current = true
    return () => {
      mounted.current = false
      asking.current = 'no'
    }
  }, [])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the session's news, the link and the clock are occasions
  useEffect(() => {
    if (!complete || loading) void refresh()
  }, [refresh, session, live, round])

  // What is new of a session that goes on is told at once; where nobody can tell, it is asked for now and then.
  const watched = !complete && live && told !== undefined && !loading
  useEffect(() => {
    if (!watched) return
    works += 1
    const work = `follow ${works}`
    let over = false
    const stop = core().on((event) => {
      if (event.type !== 'tail' || event.work !== work) return
      setProblem(event.problem ?? '')
      if (!event.problem) setRound((n) => n + 1)
    })
    setFollowed(true)
    core()
      .call('followRecording', { session: id, work })
      .catch(() => {})
      .finally(() => {
        stop()
        if (over) return
        setFollowed(false)
        setRound((n) => n + 1)
      })
    return () => {
      over = true
      stop()
      setFollowed(false)
      void core()
        .call('cancel', { work })
        .catch(() => {})
    }
  }, [id, watched])

  useEffect(() => {
    if (loading || (watched && !followed)) {
      const timer = setInterval(
        () => {
          if (document.visibilityState === 'visible') setRound((n) => n + 1)
        },
        loading ? LOADING_EVERY_MS : LIVE_EVERY_MS,
      )
      return () => clearInterval(timer)
    }
    return undefined
  }, [loading, watched, followed])

  // A download that has ended by itself is no longer loading: its news say so at once.
  useEffect(() => {
    const api = useConsole.getState().api
    return api?.on((event) => {
      if (
        event.type === 'library' &&
        last.current?.summary.loading &&
        event.changed.some((item) => item.session === id)
      )
        setRound((n) => n + 1)
    })
  }, [id])

  if (told) {
    const { summary, index, windows } = told
    return {
      ...summary,
      state: 'ready',
      startedAt: Date.parse(summary.header?.startedAt ?? summary.session.openedAt),
      index,
      windows,
      problem: problem || (summary.problem ?? ''),
    }
  }
  if (problem) return { state: 'failed', problem, again: () => setRound((n) => n + 1) }
  return { state: 'loading' }
}

function ask(session: string, told: Told | undefined): Promise<RecordingSummary> {
  const { summary, index } = told ?? {}
  return core().call('openRecording', {
    session,
    ...(summary && index
      ? {
          have: {
            edition: summary.edition,
            seq: summary.seq,
            markers: index.markers,
            moments: index.moments.length,
          },
        }
      : {}),
  })
}
