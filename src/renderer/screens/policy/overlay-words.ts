import type { Overlay, OverlayPage, Probe } from '@countersign/contract/review'
import { waits } from '../../app/policy.ts'
import type { Me } from '../../app/store.ts'

export type Section = 'failed' | 'waiting' | 'in-force' | 'past'

/** Where in the list an overlay stands: what failed first, then what waits for people. */
export function sectionOf(overlay: Overlay): Section {
  if (overlay.state === 'failed') return 'failed'
  if (waits(overlay)) return 'waiting'
  return overlay.state === 'applied' || overlay.state === 'verified' ? 'in-force' : 'past'
}

export const sectionNames: Record<Section, string> = {
  failed: 'Failed',
  waiting: 'Wait for a second person',
  'in-force': 'In force',
  past: 'Over',
}

export function stateWords(overlay: Overlay): { word: string; tone: 'ok' | 'warn' | 'danger' | 'plain' } {
  if (overlay.state === 'failed') return { word: overlay.inForce ? 'failed, still in force' : 'failed', tone: 'danger' }
  if (overlay.state === 'proposed') return { word: 'waits to be applied', tone: 'warn' }
  if (waits(overlay)) return { word: 'rolling back waits for a second person', tone: 'warn' }
  return (
    {
      applied: { word: 'in force, being probed', tone: 'warn' },
      verified: { word: 'in force, verified', tone: 'ok' },
      rejected: { word: 'rejected', tone: 'plain' },
      'rolled-back': { word: 'rolled back', tone: 'plain' },
      retired: { word: 'in the folder by now', tone: 'plain' },
    } as const
  )[overlay.state]
}

export type Does = 'apply' | 'reject' | 'roll-back' | 'retire'

/** What can be done about an overlay, by anybody; what this person may of it says `mayNot`. */
export function deedsOf(overlay: Overlay): Does[] {
  const enforced = overlay.inForce ?? (overlay.state === 'applied' || overlay.state === 'verified')
  const out: Does[] = enforced ? (overlay.rollBack ? ['roll-back', 'reject'] : ['roll-back']) : []
  if (overlay.state === 'proposed') return ['apply', 'reject']
  // What failed can be tried again, once it is known why.
  if (overlay.state === 'failed') return enforced ? ['apply', ...out] : ['apply', 'reject']
  return out
}

/** Why this person may not, as far as that is known here: the gateway knows the rest, and says it. */
export function mayNot(overlay: Overlay, does: Does, me: Me | null): string | undefined {
  if (me?.kind !== 'person' || !me.roles.includes('admin'))
    return 'Overlays are applied, rejected and rolled back by admins; your role looks.'
  if (does === 'apply' && overlay.proposed.by?.id === me.id)
    return 'Four eyes: you decided this, so another admin applies it.'
  if (does === 'roll-back' && overlay.rollBack?.by.id === me.id)
    return 'Four eyes: you asked to roll it back, so another admin says it, too.'
  return undefined
}

/** Four eyes in words: who was the first pair, who the second, and who is missing. */
export function fourEyes(overlay: Overlay, me: Me | null): string {
  const name = (person: { id: string; name: string } | undefined) =>
    person === undefined ? 'the campaign’s default' : person.id === me?.id ? 'you' : person.name
  const first = `Decided by ${name(overlay.proposed.by)}`
  if (overlay.rejected) return `${first}; rejected by ${name(overlay.rejected.by)}.`
  const second = overlay.approved ? `applied by ${name(overlay.approved.by)}` : undefined
  if (overlay.rolledBack)
    return `${first}${second ? `, ${second}` : ''}. Rolled back by ${[overlay.rollBack?.by, overlay.rolledBack.by]
      .filter((one) => one !== undefined)
      .map(name)
      .join(' and ')}.`
  if (overlay.rollBack)
    return `${first}${second ? `, ${second}` : ''}. ${capital(name(overlay.rollBack.by))} asked to roll it back: another admin must say so, too.`
  if (!second) return `${first}: one pair of eyes. Another person, an admin, applies it or rejects it.`
  return `${first}, ${second}: two people.`
}

const capital = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1)

export interface MayLine {
  readonly action: string
  readonly resource: string
  readonly before: string
  readonly after: string
}
export const verdictWords: Record<string, string> = {
  allow: 'may',
  hold: 'asks people',
  deny: 'may not',
  depends: 'it depends',
}

/** What the agent may, before and after: the differences first; undefined where the gateway can’t tell. */
export function mayLines({ before, after }: OverlayPage): { changed: MayLine[]; same: MayLine[] } | undefined {
  if (!before || !after) return undefined
  const lines = new Map<string, MayLine>()
  const key = (one: { action: string; resource: string }) => `${one.action} ${one.resource}`
  for (const one of before)
    lines.set(key(one), { action: one.action, resource: one.resource, before: one.verdict, after: 'deny' })
  for (const one of after) {
    const was = lines.get(key(one))?.before ?? 'deny'
    lines.set(key(one), { action: one.action, resource: one.resource, before: was, after: one.verdict })
  }
  const all = [...lines.values()].sort((a, b) => key(a).localeCompare(key(b)))
  return {
    changed: all.filter((line) => line.before !== line.after),
    same: all.filter((line) => line.before === line.after),
  }
}

/** Those that failed first. */
export const loudFirst = (probes: readonly Probe[]): Probe[] => [...probes].sort((a, b) => Number(a.ok) - Number(b.ok))
