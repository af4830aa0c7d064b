import { Fragment } from 'react'
import { Key } from '../parts/basics.tsx'
import { footerKeys } from './key-table.ts'
import type { Route } from './route.ts'

/** The keys that matter here, always in sight. */
export function Footer({ screen, onKeys }: { screen: Route['screen']; onKeys: () => void }) {
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
    </footer>
  )
}
