import { useMemo, useState } from 'react'
import type { LibraryItem } from '../../../library-api.ts'
import { keep, useLibrary } from '../../app/library.ts'
import { hashOf } from '../../app/route.ts'
import { core, useWorld } from '../../app/store.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { Button } from '../../parts/basics.tsx'
import { size } from '../../parts/size.ts'
import { Progress, Transfer, wordsOf } from '../sessions/kept.tsx'

const ROOMS = [0, 512, 2048, 10_240, 51_200]
const SHOWN = 50

/** What is kept on this computer, how much room it takes, and how much it may. */
export function OfflineLibrary({ onRoom }: { onRoom: (room: number) => void }) {
  const room = useWorld((world) => world.settings.library.room)
  const live = useWorld((world) => world.link.state === 'live')
  const library = useLibrary((known) => known)
  const [all, setAll] = useState(false)
  const items = useMemo(
    () =>
      [...(library?.items.values() ?? [])].sort(
        (a, b) => Number(b.pinnedAt !== null) - Number(a.pinnedAt !== null) || (a.usedAt < b.usedAt ? 1 : -1),
      ),
    [library],
  )
  if (!library) return <p className="px-4 py-3 text-dim">Looking…</p>
  if (!library.kept)
    return (
      <p className="px-4 py-3 text-dim">
        This computer offers no safe place for a key, so that no recording is kept on it: what you play is fetched each
        time, and gone when the console ends.
      </p>
    )
  const rooms = ROOMS.includes(room) ? ROOMS : [...ROOMS, room].sort((a, b) => a - b)
  const shown = all ? items : items.slice(0, SHOWN)
  return (
    <>
      <div className="flex min-h-14 items-center gap-4 px-4 py-2.5">
        <div className="min-w-0 flex-1">
          <div>Room for recordings that were only looked at</div>
          <div className="text-fine text-dim">
            What was looked at longest ago goes first. What you keep stays, and isn’t counted.
          </div>
        </div>
        <select
          aria-label="Room for recordings that were only looked at"
          value={room}
          onChange={(event) => onRoom(Number(event.target.value))}
          className="h-8 rounded-box border border-line-strong bg-panel px-2"
        >
          {rooms.map((each) => (
            <option key={each} value={each}>
              {each === 0 ? 'none' : size(each * 2 ** 20).replace('.0', '')}
            </option>
          ))}
        </select>
      </div>
      <div className="flex min-h-14 items-center gap-4 px-4 py-2.5">
        <div className="min-w-0 flex-1">
          <div className="tabular-nums">
            {size(library.pinned)} kept · {size(library.cached)} looked at
          </div>
          <div className="text-fine text-dim tabular-nums">
            On the disk, encrypted.{library.free === null ? '' : ` ${size(library.free)} of it are free.`}
          </div>
        </div>
        <Button disabled={library.cached === 0} onClick={() => void core().call('forgetCached', {})}>
          Remove what was looked at
        </Button>
      </div>
      {shown.map((item) => (
        <Item key={item.session} item={item} live={live} />
      ))}
      {items.length > shown.length ? (
        <button
          type="button"
          className="w-full px-4 py-2.5 text-left font-semibold text-accent hover:underline"
          onClick={() => setAll(true)}
        >
          Show all {items.length.toLocaleString('en-US')}
        </button>
      ) : null}
      {items.length === 0 ? (
        <p className="px-4 py-3 text-dim">Nothing yet. P on a session keeps it here, with its evidence bundle.</p>
      ) : null}
    </>
  )
}

function Item({ item, live }: { item: LibraryItem; live: boolean }) {
  const session = useWorld((world) => world.sessions.get(item.session))
  const { words, ink } = wordsOf(item, live)
  return (
    <div className="px-4 py-2.5">
      <div className="flex items-center gap-3">
        <div className="min-w-0 flex-1">
          <a
            href={hashOf({ screen: 'sessions', id: item.session })}
            className="block truncate font-mono text-fine hover:underline"
          >
            {session ? <AgentOn agent={session.identity.name} connection={session.connection} /> : item.session}
          </a>
          <div className={`text-fine tabular-nums ${ink}`}>{words}</div>
          {item.problem ? <div className="text-fine text-warn">{item.problem}</div> : null}
        </div>
        <Transfer item={item} live={live} />
        <Button onClick={() => void keep([item.session], item.pinnedAt === null)}>
          {item.pinnedAt ? 'Stop keeping' : 'Keep'}
        </Button>
      </div>
      <Progress item={item} />
    </div>
  )
}
