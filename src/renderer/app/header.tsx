import type { Link } from '../../console-api.ts'
import { Key } from '../parts/basics.tsx'
import { clock } from '../parts/time.ts'
import { useWorld } from './store.ts'

export const modKey = /Mac|iPhone|iPad/.test(navigator.platform) ? '⌘' : 'Ctrl'

/** Name, how fresh everything is, and the way to everything else. */
export function Header({ onPalette }: { onPalette: () => void }) {
  const link = useWorld((world) => world.link)
  return (
    <header className="col-span-2 flex items-center gap-3 border-b border-line bg-panel px-4">
      <h1 className="flex items-center gap-2 font-semibold">
        <Mark />
        Countersign
      </h1>
      <LinkState link={link} />
      <button
        type="button"
        onClick={onPalette}
        className="ml-auto flex h-[30px] w-[300px] shrink-0 items-center justify-between rounded-box border border-line bg-ground pr-2 pl-2.5 text-dim hover:border-line-strong whitespace-nowrap max-lg:w-60"
      >
        Find anything, do anything
        <Key>{modKey} K</Key>
      </button>
    </header>
  )
}

/** The word and a dot whose shape differs too. */
function LinkState({ link }: { link: Link }) {
  const gateway = link.gateway ? hostOf(link.gateway) : ''
  const [dot, words] = (() => {
    switch (link.state) {
      case 'live':
        return ['bg-ok', 'live']
      case 'connecting':
        return ['border-2 border-warn motion-safe:animate-breathe', 'connecting…']
      case 'reconnecting':
        return ['border-2 border-warn motion-safe:animate-breathe', `reconnecting since ${clock(link.since)}…`]
      case 'offline':
        return ['border-2 border-line-strong', `offline since ${clock(link.since)}`]
      default:
        return ['border-2 border-line-strong', 'signed out']
    }
  })()
  const problem = 'problem' in link && link.problem ? link.problem : undefined
  return (
    <p role="status" className="flex min-w-0 items-center gap-1.5 text-dim" title={problem}>
      <span className={`size-2 shrink-0 rounded-full ${dot}`} aria-hidden="true" />
      <span className="truncate">
        {gateway ? `${gateway} · ` : ''}
        {words}
        {problem && link.state !== 'live' ? <span className="max-lg:hidden"> · {problem}</span> : null}
      </span>
    </p>
  )
}

export function hostOf(url: string): string {
  try {
    return new URL(url).host
  } catch {
    return url
  }
}

/** The second signature: a mark set on a page that has one. */
export function Mark({ size = 16 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <rect width="16" height="16" rx="4" className="fill-ink" />
      <path
        d="M4 7.4 7.2 10.6 12.2 5.4"
        fill="none"
        strokeWidth="2"
        strokeLinecap="round"
        strokeLinejoin="round"
        className="stroke-panel"
      />
    </svg>
  )
}
