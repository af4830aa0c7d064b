import { Check, Copy } from 'lucide-react'
import { type ButtonHTMLAttributes, type ReactNode, useState } from 'react'

/** A key as it stands on the keyboard. */
export function Key({ children }: { children: ReactNode }) {
  return (
    <kbd className="inline-flex h-[18px] min-w-[18px] items-center justify-center rounded-tag border border-line bg-panel px-1 font-mono text-tag font-medium text-dim shadow-[0_1px_0_var(--line)]">
      {typeof children === 'string' && /[←→⇧⏎]/.test(children) ? (
        <span className="font-sans">{children}</span>
      ) : (
        children
      )}
    </kbd>
  )
}

export type Tone = 'plain' | 'danger' | 'warn' | 'ok' | 'accent'

const tones: Record<Tone, string> = {
  plain: 'bg-sunken text-dim',
  danger: 'bg-danger-pale text-danger',
  warn: 'bg-warn-pale text-warn',
  ok: 'bg-ok-pale text-ok',
  accent: 'bg-accent-pale text-accent',
}

/** A word on its pale ground. */
export function Chip({ tone = 'plain', children, title }: { tone?: Tone; children: ReactNode; title?: string }) {
  return (
    <span
      title={title}
      className={`inline-block max-w-full truncate rounded-tag px-1.5 py-px align-middle text-tag leading-4 font-semibold ${tones[tone]}`}
    >
      {children}
    </span>
  )
}

const short: Record<string, string> = { production: 'prod', development: 'dev' }

/** A connection's tag: production red, staging amber, others (and what is over) plain; the word always stands there. */
export function EnvironmentTag(props: { tag: string; brief?: boolean; quiet?: boolean }) {
  const { tag, brief = false, quiet = false } = props
  const tone: Tone = quiet
    ? 'plain'
    : /^prod/i.test(tag)
      ? 'danger'
      : /^(stag|pre-?prod|uat)/i.test(tag)
        ? 'warn'
        : 'plain'
  return (
    <Chip tone={tone} title={tag}>
      {brief ? (short[tag.toLowerCase()] ?? tag) : tag}
    </Chip>
  )
}

/** The tag that says most about how careful to be. */
export function foremostTag(tags: readonly string[]): string | undefined {
  return tags.find((tag) => /^prod/i.test(tag)) ?? tags.find((tag) => /^stag/i.test(tag)) ?? tags[0]
}

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & { tone?: 'plain' | 'danger' | 'accent'; quiet?: boolean }

export function Button({ tone = 'plain', quiet = false, className = '', ...rest }: ButtonProps) {
  const ink = tone === 'danger' ? 'text-danger' : tone === 'accent' ? 'text-accent' : 'text-ink'
  const edge = quiet ? 'border-transparent' : 'border-line bg-panel'
  return (
    <button
      type="button"
      {...rest}
      className={`inline-flex h-9 items-center justify-center gap-2.5 rounded-box border px-3.5 font-semibold whitespace-nowrap enabled:hover:bg-sunken disabled:text-dim ${ink} ${edge} ${className}`}
    />
  )
}

/** Copies a text and says so for a moment. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false)
  const copy = () =>
    void navigator.clipboard.writeText(text).then(
      () => {
        setCopied(true)
        setTimeout(() => setCopied(false), 1500)
      },
      () => setCopied(false),
    )
  return (
    <button
      type="button"
      onClick={copy}
      aria-label={copied ? 'Copied' : label}
      title={label}
      className="inline-flex size-6 items-center justify-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
    >
      {copied ? <Check size={13} aria-hidden /> : <Copy size={13} aria-hidden />}
    </button>
  )
}

/** A place with nothing in it, or that can't be shown: what it is and what to do next. */
export function Notice(props: { title: string; children?: ReactNode; role?: 'status' | 'alert' }) {
  return (
    <div
      role={props.role}
      className="flex h-full min-h-40 flex-col items-center justify-center gap-1.5 p-8 text-center"
    >
      <h2 className="text-head font-semibold">{props.title}</h2>
      <div className="flex max-w-md flex-col items-center gap-3 text-dim">{props.children}</div>
    </div>
  )
}

/** The part of the time that is left, as a small ring; the figures stand beside it. */
export function Ring({ part, urgent }: { part: number; urgent: boolean }) {
  const r = 6.5
  const round = 2 * Math.PI * r
  return (
    <svg viewBox="0 0 18 18" className="size-[18px] shrink-0 -rotate-90" aria-hidden="true">
      <circle cx="9" cy="9" r={r} fill="none" strokeWidth="4" className="stroke-line" />
      <circle
        cx="9"
        cy="9"
        r={r}
        fill="none"
        strokeWidth="4"
        strokeDasharray={`${Math.max(0, Math.min(1, part)) * round} ${round}`}
        className={urgent ? 'stroke-danger' : 'stroke-dim'}
      />
    </svg>
  )
}
