import type { ReactNode } from 'react'
import { unreviewed, useDuty } from '../../app/duty.ts'
import { useKeys } from '../../app/keys.ts'
import { type AgentsPart, go, hashOf, type Route } from '../../app/route.ts'

const names = {
  agents: 'Agents',
  connections: 'Connections',
  'break-glass': 'Break-glass',
  past: 'Past',
} satisfies Record<AgentsPart | 'agents', string>
const order = ['agents', 'connections', 'break-glass', 'past'] as const

/** The parts of the screen, above each list: a row of links, on keys 1 to 4. */
export function Parts({ here }: { here: (typeof order)[number] }) {
  const waiting = useDuty(({ duty }) => unreviewed(duty.breakGlass).length)
  const frozen = useDuty(({ connections }) => connections.filter(({ freeze }) => freeze).length)
  useKeys(
    Object.fromEntries(order.map((part, i) => [String(i + 1), () => go(routeOf(part))])) as Record<string, () => void>,
  )
  return (
    <nav aria-label="Parts of Agents" className="flex gap-1 border-b border-line px-3 pt-2 max-lg:gap-0 max-lg:px-1.5">
      {order.map((part) => (
        <a
          key={part}
          href={hashOf(routeOf(part))}
          aria-current={part === here ? 'page' : undefined}
          title={part === 'past' ? 'Who could do what then' : undefined}
          className={`-mb-px flex items-center gap-1.5 border-b-2 px-1.5 pb-1.5 text-fine whitespace-nowrap max-lg:gap-1 max-lg:px-1 max-lg:text-tag ${part === here ? 'border-accent font-semibold text-ink' : 'border-transparent text-dim hover:text-ink'}`}
        >
          {names[part]}
          {part === 'break-glass' && waiting > 0 ? <Count words="to review">{waiting}</Count> : null}
          {part === 'connections' && frozen > 0 ? <Count words="frozen">{frozen}</Count> : null}
        </a>
      ))}
    </nav>
  )
}

function Count({ children, words }: { children: number; words: string }) {
  return (
    <span className="min-w-4 rounded-full bg-danger-pale px-1 text-center text-tag leading-4 font-semibold text-danger">
      {children}
      <span className="sr-only"> {words}</span>
    </span>
  )
}

export function routeOf(part: (typeof order)[number], id?: string): Route {
  return { screen: 'agents', ...(part === 'agents' ? {} : { part }), ...(id === undefined ? {} : { id }) }
}

/** A list beside what is chosen of it. */
export function Split({ children }: { children: ReactNode }) {
  return (
    <div className="grid h-full grid-cols-[372px_minmax(0,1fr)] max-lg:grid-cols-[288px_minmax(0,1fr)]">{children}</div>
  )
}

export function Section({ title, more, children }: { title: string; more?: ReactNode; children: ReactNode }) {
  const id = `section-${title.replaceAll(/\W+/g, '-').toLowerCase()}`
  return (
    <section aria-labelledby={id} className="mt-5">
      <h3 id={id} className="mb-2 text-fine font-semibold text-dim">
        {title}
        {more ? <span className="font-normal"> · {more}</span> : null}
      </h3>
      {children}
    </section>
  )
}

export const boxLook = 'overflow-hidden rounded-box border border-line bg-panel py-1'
export const rowLook = 'flex min-h-[29px] items-center gap-4 px-4 -outline-offset-2'
