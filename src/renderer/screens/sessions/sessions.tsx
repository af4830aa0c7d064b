import type { FoundCommand } from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { useEffect, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { isPinned, keep } from '../../app/library.ts'
import { go, type Route } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Notice } from '../../parts/basics.tsx'
import { Replay } from '../replay/replay.tsx'
import { FoundHere, momentOf } from './command-list.tsx'
import { EndSession } from './end-session.tsx'
import { ExportSession } from './export-session.tsx'
import { Overview } from './overview.tsx'
import { SessionList } from './session-list.tsx'

/** Finds sessions; beside the list what is known of one, or its replay. */
export function Sessions({ route }: { route: Extract<Route, { screen: 'sessions' | 'replay' }> }) {
  const sessions = useWorld((world) => world.sessions)
  const [wide, setWide] = useState(false)
  const [exporting, setExporting] = useState(false)
  const [ending, setEnding] = useState<Session | undefined>(undefined)
  const session = route.id === undefined ? undefined : sessions.get(route.id)
  const live = useWorld((world) => world.link.state === 'live')
  const replaying = route.screen === 'replay'
  const alone = wide && replaying
  const first = useWorld((world) => newest(world.sessions))
  useEffect(() => {
    if (route.id === undefined && first) go({ screen: 'sessions', id: first }, 'replace')
  }, [route.id, first])
  /** The command of a session by which it was chosen. */
  const [found, setFound] = useState<FoundCommand | undefined>(undefined)
  const here = found && found.session === route.id ? found : undefined
  const replay = (id: string | undefined, command = here) => {
    if (id !== undefined) go({ screen: 'replay', id, ...(command ? { t: momentOf(command) } : {}) })
  }
  const select = (id: string, command?: FoundCommand) => {
    setFound(command)
    // Another command while one is played: the player goes there.
    if (command && replaying) go({ screen: 'replay', id, t: momentOf(command) }, 'replace')
    else go({ screen: 'sessions', id }, 'replace')
  }
  useKeys({
    r: () => replay(route.id),
    enter: () => (replaying ? false : replay(route.id)),
    f: () => {
      if (!replaying) return false
      setWide((now) => !now)
    },
    e: () => setExporting(route.id !== undefined),
    p: () => {
      if (route.id !== undefined) void keep([route.id], !isPinned(route.id))
    },
    x: () => {
      if (session?.state === 'open' && live) setEnding(session)
    },
    escape: () => {
      if (replaying) go({ screen: 'sessions', id: route.id })
    },
  })
  return (
    <div
      className={
        alone
          ? 'grid h-full grid-cols-1'
          : 'grid h-full grid-cols-[300px_minmax(0,1fr)] max-lg:grid-cols-[248px_minmax(0,1fr)]'
      }
    >
      <div className={alone ? 'hidden' : 'contents'}>
        <SessionList selected={route.id} ownsSlash={!replaying} onSelect={select} onOpen={replay} />
      </div>
      {route.id === undefined ? (
        <Notice title="Choose a session">
          <p>J and K move through the list, Enter replays.</p>
        </Notice>
      ) : replaying ? (
        <Replay
          key={route.id}
          id={route.id}
          at={route.t}
          moment={route.screen === 'replay' ? route.at : undefined}
          onEnd={setEnding}
          onExport={() => setExporting(true)}
        />
      ) : (
        <Overview
          id={route.id}
          session={session}
          {...(here ? { found: <FoundHere command={here} protocol={session?.protocol ?? 'postgres'} /> } : {})}
          onReplay={() => replay(route.id)}
          onEnd={setEnding}
          onExport={() => setExporting(true)}
        />
      )}
      {exporting && route.id !== undefined ? (
        <ExportSession session={route.id} onClose={() => setExporting(false)} />
      ) : null}
      {ending ? (
        <EndSession session={ending} open onOpenChange={(open) => (open ? undefined : setEnding(undefined))} />
      ) : null}
    </div>
  )
}

function newest(sessions: ReadonlyMap<string, Session>): string | undefined {
  let best: Session | undefined
  for (const session of sessions.values()) if (!best || session.openedAt > best.openedAt) best = session
  return best?.id
}
