import { Fragment } from 'react'
import { Key } from '../parts/basics.tsx'
import { footerKeys } from './key-table.ts'
import type { Route } from './route.ts'
import { useWorld } from './store.ts'

/** The keys that matter here, always in sight; and who it is that decides. */
export function Footer({ screen, onKeys }: { screen: Route['screen']; onKeys: () => void }) {
  const me = useWorld((world) => world.me)
  return (
    <footer className="col-span-2 flex items-center gap-4 overflow-hidden border-t border-line bg-panel px-4 text-fine text-dim">
      {footerKeys[screen].map(({ keys, does }) => (
        <span key={does} className="flex items-center gap-1 whitespace-nowrap">
          {keys.map((key) => (
            <Fragment key={key}>
              <Key>{key}</Key>
            </Fragment>
          ))}
          {does}
        </span>
      ))}
      <button type="button" onClick={onKeys} className="flex items-center gap-1 rounded-tag hover:text-ink">
        <Key>?</Key> keys
      </button>
      {me ? (
        <span className="ml-auto min-w-0 truncate">
          {me.name}
          {me.kind === 'person' && me.roles.length > 0 ? ` · ${me.roles.join(', ')}` : ''}
        </span>
      ) : null}
    </footer>
  )
}
