import { Fragment, type ReactNode, useId } from 'react'
import { VisibleText } from '../../parts/visible-text.tsx'

/** A part of a page with its heading. */
export function Section({ title, children, aside }: { title: string; children: ReactNode; aside?: ReactNode }) {
  const id = useId()
  return (
    <section aria-labelledby={id} className="mt-5">
      <div className="mb-2 flex items-baseline gap-3">
        <h3 id={id} className="text-fine font-semibold text-dim">
          {title}
        </h3>
        {aside ? <span className="ml-auto text-fine text-dim">{aside}</span> : null}
      </div>
      {children}
    </section>
  )
}

/** Name and value, line by line; what is undefined is left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode] | undefined)[] }) {
  return (
    <dl className="mt-4 grid grid-cols-[118px_minmax(0,1fr)] gap-y-2 max-lg:grid-cols-[92px_minmax(0,1fr)]">
      {facts.map((fact, i) =>
        fact ? (
          // biome-ignore lint/suspicious/noArrayIndexKey: several may have one name, and none moves
          <Fragment key={i}>
            <dt className="text-dim">{fact[0]}</dt>
            <dd className="min-w-0 break-words">{fact[1]}</dd>
          </Fragment>
        ) : null,
      )}
    </dl>
  )
}

/** The right half of the screen. */
export function Page({ label, children }: { label: string; children: ReactNode }) {
  return (
    <article aria-label={label} className="min-h-0 overflow-y-auto px-7 pt-5 pb-8 max-lg:px-4">
      {children}
    </article>
  )
}

/** A signed note as it is, in a frame that scrolls. */
export function SignedNote({ label, note, sunken = false }: { label: string; note: string; sunken?: boolean }) {
  return (
    <section
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
      tabIndex={0}
      className={`max-h-56 overflow-auto ${sunken ? 'rounded-tag bg-sunken px-3 py-2' : 'min-h-24 rounded-box border border-line bg-panel px-4 py-3'}`}
    >
      <pre className="font-mono text-fine break-all whitespace-pre-wrap">
        <VisibleText>{note}</VisibleText>
      </pre>
    </section>
  )
}
