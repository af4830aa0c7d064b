import { useEffect, useMemo, useRef, useState } from 'react'
import type { CallName } from '../../../console-api.ts'
import { wordsOf } from '../../app/api.ts'
import { core, useWorld } from '../../app/store.ts'
import { type Transcript, transcriptOf } from './transcript.ts'

export type RecordingView = Awaited<ReturnType<typeof ask>>
const ask = (session: string) => core().call('recording' satisfies CallName, { session })

export type Recording =
  | { readonly state: 'loading' }
  | { readonly state: 'failed'; readonly problem: string; again(): void }
  | {
      readonly state: 'ready'
      readonly view: RecordingView
      readonly transcript: Transcript
      /** Times at which something happened, rising. */
      readonly moments: readonly number[]
      /** Why what is shown may be old. */
      readonly problem: string
    }

/** While a session goes on and somebody looks at it, it is asked for anew this often. */
const LIVE_EVERY_MS = 3000

/** A recording, and while its session goes on what is added to it. */
export function useRecording(id: string): Recording {
  const session = useWorld((world) => world.sessions.get(id))
  const live = useWorld((world) => world.link.state === 'live')
  const [view, setView] = useState<RecordingView | undefined>(undefined)
  const [problem, setProblem] = useState('')
  const [round, setRound] = useState(0)
  const asking = useRef(false)
  const complete = view?.complete ?? false

  // biome-ignore lint/correctness/useExhaustiveDependencies: the session's news, the link and the clock are occasions
  useEffect(() => {
    if (asking.current || complete) return
    let wanted = true
    asking.current = true
    ask(id)
      .then(
        (next) => {
          if (!wanted) return
          setProblem('')
          setView((old) =>
            old && old.lines.length === next.lines.length && old.complete === next.complete ? old : next,
          )
        },
        (error) => wanted && setProblem(wordsOf(error)),
      )
      .finally(() => {
        asking.current = false
      })
    return () => {
      wanted = false
      asking.current = false
    }
  }, [id, session, live, round])

  useEffect(() => {
    if (complete || !live || !view) return
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') setRound((n) => n + 1)
    }, LIVE_EVERY_MS)
    return () => clearInterval(timer)
  }, [complete, live, view])

  return useMemo((): Recording => {
    if (view) {
      const transcript = transcriptOf(view.lines)
      const moments = view.lines.flatMap((line) => (line.type === 'header' ? [] : [line.t])).sort((a, b) => a - b)
      return { state: 'ready', view, transcript, moments, problem }
    }
    if (problem) return { state: 'failed', problem, again: () => setRound((n) => n + 1) }
    return { state: 'loading' }
  }, [view, problem])
}
