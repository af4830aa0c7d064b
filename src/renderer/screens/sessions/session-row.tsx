import type { Session } from '@countersign/contract/session'
import { Pin } from 'lucide-react'
import { useLibrary } from '../../app/library.ts'
import { useWorld } from '../../app/store.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { EnvironmentTag, foremostTag } from '../../parts/basics.tsx'
import { duration, shortWhen } from '../../parts/time.ts'
import { Verified } from '../../parts/verified.tsx'

/** A session in the list: who, where, when, how it went. `today` has it drawn anew when the day changes. */
export function SessionRow({ session, selected }: { session: Session; selected: boolean; today: number }) {
  const tag = foremostTag(session.connectionTags)
  const pinned = useLibrary((library) => Boolean(library?.items.get(session.id)?.pinnedAt))
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className="min-w-0 flex-1 truncate font-mono text-fine">
          <AgentOn agent={session.identity.name} connection={session.connection} />
        </span>
        <time dateTime={session.openedAt} className="text-dim tabular-nums">
          {shortWhen(session.openedAt, Date.now())}
        </time>
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          <StateWord session={session} />
          {countWords(session)}
        </span>
        <Verified session={session.id} brief />
        {pinned ? <Pin size={12} className="shrink-0 text-dim" role="img" aria-label="kept on this computer" /> : null}
        {tag ? <EnvironmentTag tag={tag} brief /> : null}
      </div>
    </div>
  )
}

/** Live with a dot, or how long it was and how it ended. Without a link nobody knows whether it still is. */
export function StateWord({ session }: { session: Session }) {
  const linked = useWorld((world) => world.link.state === 'live')
  if (session.state === 'open')
    return linked ? (
      <span className="text-ok">
        <span className="mr-1 inline-block size-2 rounded-full bg-ok motion-safe:animate-breathe" aria-hidden="true" />
        live
      </span>
    ) : (
      <>was live</>
    )
  const lasted = session.closedAt ? roughly(Date.parse(session.closedAt) - Date.parse(session.openedAt)) : ''
  if (session.state === 'closed') return <>{lasted}</>
  return (
    <>
      <span className={session.state === 'terminated' ? 'text-danger' : 'text-warn'}>{session.state}</span>
      {lasted ? ` · ${lasted}` : ''}
    </>
  )
}

const TEN_MINUTES = 600_000

/** 14 min 2 s → 14 min: what it adds up to matters more in a narrow row than its seconds. */
function roughly(ms: number): string {
  return duration(ms < TEN_MINUTES ? ms : Math.floor(ms / 60_000) * 60_000)
}

/** · 2 holds · 1 denial */
function countWords({ counts }: Session): string {
  const word = (n: number, one: string, many: string) => (n > 0 ? ` · ${n} ${n === 1 ? one : many}` : '')
  return (
    word(counts.held, 'hold', 'holds') +
      word(counts.denied, 'denial', 'denials') +
      word(counts.errors, 'error', 'errors') || word(counts.commands, 'command', 'commands')
  )
}
