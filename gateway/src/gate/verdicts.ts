import type { NewRecordingEvent } from '@countersign/contract/recording'
import type { Command, Effect, Verdict } from './command.ts'
import { effectRecord } from './recorded.ts'

type RecordedEffects = Extract<NewRecordingEvent, { type: 'command' }>['effects']
type RecordedVerdict = Extract<NewRecordingEvent, { type: 'command' }>['verdict']

const recorded = new WeakMap<Effect[], RecordedEffects>()

/** Effects as a recording shows them; those of an analysis, which is shared, are made once. */
export function recordedEffects({ kind: whole, effects }: Command): RecordedEffects {
  let shown = recorded.get(effects)
  if (!shown) {
    shown = effects.map((effect) => effectRecord(effect, whole))
    recorded.set(effects, shown)
  }
  return shown
}

/** A verdict as a recording tells it. */
export function verdictRecord(verdict: Verdict): RecordedVerdict {
  switch (verdict.outcome) {
    case 'allow': {
      const { policies, approval, observed } = verdict
      const outcome = approval ? 'hold' : 'allow'
      return observed === undefined ? { outcome, policies } : { outcome, policies, observed: true, reason: observed }
    }
    case 'denied':
      return { outcome: 'deny', policies: verdict.policies, reason: verdict.reason }
    case 'denied-by-person':
    case 'cancelled':
      return { outcome: 'hold', policies: [], reason: verdict.reason }
    case 'expired':
    case 'held':
      return { outcome: 'hold', policies: [] }
  }
}

/** What a verdict says of the command's hold; undefined where it wasn't held. */
export function holdState(verdict: Verdict) {
  switch (verdict.outcome) {
    case 'allow':
      if (!verdict.approval) return undefined
      return {
        approval: verdict.approval.id,
        state: 'approved' as const,
        by: verdict.approval.by,
        ...(verdict.approval.reason === undefined ? {} : { reason: verdict.approval.reason }),
      }
    case 'denied':
      return undefined
    case 'denied-by-person':
      return { approval: verdict.approval, state: 'denied' as const, by: [verdict.person], reason: verdict.reason }
    case 'expired':
      return { approval: verdict.approval, state: 'expired' as const }
    case 'cancelled':
      return { approval: verdict.approval, state: 'cancelled' as const, reason: verdict.reason }
    case 'held':
      return { approval: verdict.approval, state: 'pending' as const }
  }
}
