import { LoaderCircle, ShieldAlert, ShieldCheck, ShieldQuestion, ShieldX } from 'lucide-react'
import type { Verification } from '../../witness-api.ts'
import { useWorld } from '../app/store.ts'
import { useNow } from './clock.ts'
import { shortWhen } from './time.ts'

const looks: Record<Verification['outcome'], { icon: typeof ShieldCheck; ink: string; word: string }> = {
  whole: { icon: ShieldCheck, ink: 'text-ok', word: 'verified' },
  incomplete: { icon: ShieldAlert, ink: 'text-warn', word: 'incomplete' },
  broken: { icon: ShieldX, ink: 'text-danger', word: 'broken' },
  'cant-tell': { icon: ShieldQuestion, ink: 'text-dim', word: 'can’t tell' },
}

/**
 * Whether a session's evidence was verified, when, and what came of it. `brief`: a picture whose shape says it, for
 * lists. Where it never was, only `always` says so.
 */
export function Verified(props: { session: string; brief?: boolean; always?: boolean }) {
  const { session, brief = false, always = false } = props
  const verification = useWorld((world) => world.witness.verifications.find((one) => one.session === session))
  const verifying = useWorld((world) => world.verifying.has(session))
  const now = useNow()
  if (verifying)
    return (
      <span className="inline-flex items-center gap-1 align-middle text-dim">
        <LoaderCircle size={13} className="motion-safe:animate-spin" aria-hidden />
        <span className={brief ? 'sr-only' : ''}>verifying…</span>
      </span>
    )
  if (!verification) return always ? <span className="text-dim">not verified</span> : null
  const { icon: Icon, ink, word } = looks[verification.outcome]
  const words = `${word} ${shortWhen(verification.at, now)}`
  return (
    <span title={`${words}: ${verification.why}`} className={`inline-flex items-center gap-1 align-middle ${ink}`}>
      <Icon size={13} aria-hidden className="shrink-0" />
      <span className={brief ? 'sr-only' : ''}>{words}</span>
    </span>
  )
}

/** The outcome of a verification, as a word with its picture. */
export function OutcomeWord({ outcome }: { outcome: Verification['outcome'] }) {
  const { icon: Icon, ink } = looks[outcome]
  const word = outcome === 'whole' ? 'whole' : looks[outcome].word
  return (
    <span className={`inline-flex items-center gap-1 font-semibold ${ink}`}>
      <Icon size={14} aria-hidden className="shrink-0" />
      {word}
    </span>
  )
}
