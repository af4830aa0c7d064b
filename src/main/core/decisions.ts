import type { DecisionRequest } from '@countersign/contract/approval'
import type { DecisionProgress } from '../../console-api.ts'
import { type Accounts, SignedOut } from './account.ts'
import { type GatewayApi, Refused, Unreachable } from './gateway-api.ts'

/** An approval is sent within this many milliseconds, or dropped: nobody's yes may arrive when they no longer look. */
export const deadline = 5_000

export interface Decisions {
  /** Sends a decision now; the answer is the last state, earlier ones went to `say`. Never throws. */
  decide(approval: string, decision: DecisionRequest): Promise<DecisionProgress>
}

/**
 * Sends decisions at once or not at all. The same decision pressed twice is one request; the gateway counts it once
 * too, so that it may be repeated after a lost answer.
 */
export function createDecisions(options: {
  linked(): { api: GatewayApi; accounts: Accounts } | undefined
  say(progress: DecisionProgress): void
  /** Asks the gateway what is true, after a decision was refused or its answer lost. */
  look(approval: string): void
}): Decisions {
  const sending = new Map<string, { verdict: string; answer: Promise<DecisionProgress> }>()

  async function send(approval: string, decision: DecisionRequest): Promise<DecisionProgress> {
    const { verdict } = decision
    const linked = options.linked()
    if (!linked)
      return {
        approval,
        verdict,
        state: 'dropped',
        problem: 'Not sent: there is no connection to the gateway. Decide again once it is live.',
      }
    options.say({ approval, verdict, state: 'sending' })
    try {
      await post(linked, approval, decision, AbortSignal.timeout(deadline))
      return { approval, verdict, state: 'sent' }
    } catch (error) {
      options.look(approval)
      if (error instanceof Refused && error.status < 500)
        return { approval, verdict, state: 'refused', problem: error.message }
      return { approval, verdict, state: 'dropped', problem: lostBecause(error) }
    }
  }

  return {
    async decide(approval, decision) {
      const underway = sending.get(approval)
      if (underway) {
        if (underway.verdict === decision.verdict) return underway.answer
        return {
          approval,
          verdict: decision.verdict,
          state: 'refused',
          problem: `Your ${underway.verdict} is being sent; it can't be changed any more.`,
        }
      }
      const answer = send(approval, decision)
        .then((progress) => {
          options.say(progress)
          return progress
        })
        .finally(() => sending.delete(approval))
      sending.set(approval, { verdict: decision.verdict, answer })
      return answer
    },
  }
}

async function post(
  { api, accounts }: { api: GatewayApi; accounts: Accounts },
  approval: string,
  decision: DecisionRequest,
  signal: AbortSignal,
): Promise<void> {
  let rejected: string | undefined
  for (let attempt = 1; ; attempt++) {
    const token = await inTime(accounts.token(rejected), signal)
    try {
      await api.decide(token, approval, decision, signal)
      return
    } catch (error) {
      if (signal.aborted || attempt >= 3) throw error
      if (error instanceof Refused && error.status === 401 && rejected === undefined) rejected = token
      // A kept-alive connection that the gateway had closed: the same decision again counts once.
      else if (!(error instanceof Unreachable)) throw error
    }
  }
}

function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason)
  const { promise, reject } = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return Promise.race([work, promise])
}

function lostBecause(error: unknown): string {
  if (error instanceof SignedOut) return `Not sent: ${error.message}`
  if (error instanceof Unreachable && !error.maybeArrived) return `Not sent: ${error.message}`
  if (error instanceof Refused) return `Dropped: ${error.message}. Look at the card's state, then decide again.`
  return 'Dropped: the gateway did not answer within 5 seconds. It may have arrived; the card shows what the gateway knows once it is reached.'
}
