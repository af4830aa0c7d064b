import { Fragment } from 'react'
import { Key } from '../parts/basics.tsx'
import { clock } from '../parts/time.ts'
import { showOutbox } from '../screens/outbox/open.ts'
import { outboxWords } from '../screens/outbox/words.ts'
import { footerKeys } from './key-table.ts'
import type { Route } from './route.ts'
import { useWorld } from './store.ts'

/** How far the gateway's log was seen to go, and when. */
function Witnessed() {
  const { log, status } = useWorld((world) => world.witness)
  if (!log) return <span className="ml-auto" />
  const words =
    status.state === 'alarm'
      ? 'look at Integrity'
      : status.state === 'consistent'
        ? `witnessed ${clock(status.checkedAt)}`
        : 'not proven now'
  return (
    <span className={`ml-auto whitespace-nowrap ${status.state === 'alarm' ? 'font-semibold text-danger' : ''}`}>
      ledger {log.size.toLocaleString('en-US')} · {words}
    </span>
  )
}

/** The keys that matter here, always in sight; and who it is that decides. */
export function Footer({ screen, onKeys }: { screen: Route['screen']; onKeys: () => void }) {
  const me = useWorld((world) => world.me)
  return (
    <footer className="col-span-2 flex items-center gap-4 overflow-hidden border-t border-line bg-panel px-4 text-fine text-dim">
      {/* What has no room goes to a line that nobody sees, whole; who decides and what was witnessed stay. */}
      <div className="flex h-6 min-w-0 flex-wrap items-center gap-x-4 gap-y-3 overflow-hidden">
        {footerKeys[screen].map(({ keys, does }) => (
          <span key={does} className="flex h-6 items-center gap-1 whitespace-nowrap">
            {keys.map((key) => (
              <Fragment key={key}>
                <Key>{key}</Key>
              </Fragment>
            ))}
            {does}
          </span>
        ))}
      </div>
      <button type="button" onClick={onKeys} className="flex shrink-0 items-center gap-1 rounded-tag hover:text-ink">
        <Key>?</Key> keys
      </button>
      <Witnessed />
      <Waiting />
      {me ? (
        <span className="max-w-[40%] min-w-16 shrink-0 truncate">
          {me.name}
          {me.kind === 'person' && me.roles.length > 0 ? ` · ${me.roles.join(', ')}` : ''}
        </span>
      ) : null}
    </footer>
  )
}

/** What waits to be sent, and the way to it. */
function Waiting() {
  const outbox = useWorld((world) => world.outbox)
  const live = useWorld((world) => world.link.state === 'live')
  const words = outboxWords(outbox, live)
  return (
    <span role="status" className="whitespace-nowrap">
      {words ? (
        <button
          type="button"
          onClick={() => showOutbox()}
          className={`rounded-tag font-semibold hover:underline ${outbox.conflicts > 0 ? 'text-danger' : 'text-accent'}`}
        >
          {words}
        </button>
      ) : null}
    </span>
  )
}
