import type { Decision } from '@countersign/contract/approval'
import type { BaseLogger } from 'pino'
import { type Approvals, ApprovalsFull, type Held, type OpenWindow } from '../approvals/approvals.ts'
import { approvalContext, unmet } from '../approvals/quorum.ts'
import type { Policies, Requirement } from '../policy/policy.ts'
import type { Command, Gate, Preview, SubmitOptions, Verdict } from './command.ts'
import { digestOf } from './digest.ts'
import { type Judgement, judge, remembered, reveals } from './judge.ts'

/** The one way through (command.ts says what it promises). */
export function createGate(options: {
  policies: () => Policies
  approvals: Approvals
  clock?: () => Date
  log?: Pick<BaseLogger, 'error'>
}): Gate {
  const { approvals } = options
  const { clock } = options
  const now = clock ? () => clock().getTime() : Date.now
  const releasing = new Set<string>()
  const decide = (command: Command, approval?: { groups: string[]; people: string[] }): Judgement =>
    approval
      ? judge(options.policies(), command, new Date(now()), approval)
      : remembered(options.policies(), command, now())

  return {
    submit(command, submitted) {
      let digest = ''
      try {
        digest = digestOf(command)
        const verdict =
          command.connection.mode === 'observe' ? observe(command, digest, submitted) : pass(command, digest, submitted)
        return verdict instanceof Promise
          ? verdict.catch((error) => undecided(error, command, digest, submitted))
          : verdict
      } catch (error) {
        return undecided(error, command, digest, submitted)
      }
    },

    preview(command): Preview {
      try {
        const judgement = decide(command)
        const reason = judgement.outcome === 'allow' ? 'allowed' : judgement.reason
        if (command.connection.mode === 'observe')
          return { outcome: 'allow', policies: judgement.policies, reason: `observed: ${reason}` }
        return { outcome: judgement.outcome, policies: judgement.policies, reason }
      } catch (error) {
        return { outcome: 'deny', policies: [], reason: `policy could not be decided: ${wordsOf(error)}` }
      }
    },

    reveals(who, dataClass) {
      const { connection } = who
      try {
        return reveals(options.policies(), who, dataClass, now())
      } catch (error) {
        options.log?.error({ error, connection: connection.name, dataClass }, 'data:reveal could not be decided')
        return false
      }
    },

    report(approval, outcome) {
      approvals
        .reportOutcome(approval, outcome)
        .catch((error) => options.log?.error({ error, approval }, 'the outcome of a command could not be kept'))
    },
  }

  function undecided(error: unknown, command: Command, digest: string, submitted: SubmitOptions) {
    options.log?.error({ error, connection: command.connection.name }, 'a command could not be decided')
    const reason = `the gateway could not decide this command (${wordsOf(error)}): nothing was run; tell whoever runs the gateway`
    return settle({ outcome: 'denied', policies: [], digest, reason }, submitted)
  }

  function pass(command: Command, digest: string, submitted: SubmitOptions): Verdict | Promise<Verdict> {
    const judgement = decide(command)
    if (judgement.outcome === 'deny') return settle(deniedBy(judgement, digest), submitted)
    if (judgement.outcome === 'allow')
      return settle({ outcome: 'allow', policies: judgement.policies, digest }, submitted)
    return hold(command, digest, judgement.requirements, submitted)
  }

  async function hold(command: Command, digest: string, requirements: Requirement[], submitted: SubmitOptions) {
    const window = await approvals.findWindow(digest, command.agent.id, command.session.id)
    const repeated = window && (await repeat(command, digest, window, submitted))
    if (repeated) return repeated
    const released = await useApproved(command, digest, submitted)
    if (released !== 'pending') return released
    return ask(command, digest, requirements, submitted)
  }

  /** Runs what was held with hold `fail` and has been approved since; `pending` where there is nothing such. */
  async function useApproved(command: Command, digest: string, submitted: SubmitOptions) {
    const held = await approvals.findApproved(digest, command.agent.id)
    // Of two runs at once one uses it; the other is held anew, without a record that says it ran.
    if (!held || releasing.has(held.approval.id)) return 'pending' as const
    releasing.add(held.approval.id)
    try {
      return await release(command, digest, held, submitted)
    } finally {
      releasing.delete(held.approval.id)
    }
  }

  /** Opens an approval and, with hold `wait`, stays with it until it has ended one way or another. */
  async function ask(command: Command, digest: string, requirements: Requirement[], submitted: SubmitOptions) {
    const { hold, signal } = submitted
    if (signal.aborted) {
      const reason = `the client went before anybody was asked (${wordsOf(signal.reason)})`
      return settle({ outcome: 'denied', policies: [], digest, reason }, submitted)
    }
    const opened = await approvals.open({ command, digest, requirements, hold }).catch((error) => {
      if (error instanceof ApprovalsFull) return error
      throw error
    })
    if (opened instanceof ApprovalsFull) {
      const { message: reason, limit } = opened
      return settle({ outcome: 'denied', policies: [], digest, reason, limit }, submitted)
    }
    const { id, expiresAt } = opened
    const groups = [...new Set(opened.requirements.flatMap((requirement) => requirement.groups))]
    const notice = { approval: id, groups, expiresAt: new Date(expiresAt) }
    if (hold === 'fail') return settle({ outcome: 'held', digest, ...notice }, submitted)
    try {
      submitted.onHeld?.(notice)
      for (;;) {
        const held = await approvals.waitFor(id, signal)
        const verdict =
          held.approval.state === 'approved' ? await release(command, digest, held, submitted) : ended(held)
        if (verdict !== 'pending') return held.approval.state === 'approved' ? verdict : settle(verdict, submitted)
      }
    } catch (error) {
      // Also where nobody aborted: whoever waited for it is gone, so it must never be released.
      const because = signal.aborted ? wordsOf(signal.reason) : `the gateway failed: ${wordsOf(error)}`
      return settle(await withdraw(id, digest, because), submitted)
    }
  }

  /**
   * Decides afresh with the approval in hand, writes the record, and only then turns approved into used.
   * @returns `pending` where more is asked for by now than was approved
   */
  async function release(command: Command, digest: string, held: Held, submitted: SubmitOptions) {
    const { id, hold } = held.approval
    const { signal } = submitted
    // What nobody's connection waits for outlives this one: only this run of it ends.
    const withdrawn = async (because: string): Promise<Verdict> =>
      settle(
        hold === 'fail'
          ? { outcome: 'cancelled', approval: id, digest, reason: because }
          : await withdraw(id, digest, because),
        submitted,
      )
    if (signal.aborted) return withdrawn(wordsOf(signal.reason))
    const afresh = decideWith(command, held)
    if (afresh.outcome === 'hold') {
      if (await approvals.reopen(id, afresh.requirements)) return 'pending' as const
      return settle(await withdraw(id, digest, 'policy asks for more approvals by now, and time is up'), submitted)
    }
    if (afresh.outcome === 'deny') {
      await approvals.cancel(id, `refused at release: ${afresh.reason}`)
      return settle(deniedBy(afresh, digest), submitted)
    }
    const by = [...new Set(held.votes.map((vote) => vote.name))]
    const reason = reasonsOf(held.approval.decisions)
    const approval = { id, by, ...(reason === undefined ? {} : { reason }) }
    const verdict: Verdict = { outcome: 'allow', policies: afresh.policies, digest, approval }
    try {
      await submitted.record(verdict, { durable: true })
    } catch (error) {
      const reason = notRun(error)
      await approvals.cancel(id, reason)
      return { outcome: 'denied', policies: [], digest, reason } satisfies Verdict
    }
    if (await approvals.use(id, signal)) return verdict
    // The record above says what was about to happen; this one says that it didn't.
    return withdrawn(signal.aborted ? wordsOf(signal.reason) : 'the approval ended before the command could run')
  }

  /** Runs a digest again whose approver chose a window; undefined where that isn't enough any more. */
  async function repeat(command: Command, digest: string, window: OpenWindow, submitted: SubmitOptions) {
    const afresh = decideWith(command, window)
    if (afresh.outcome !== 'allow') return undefined
    const by = [...new Set(window.votes.map((vote) => vote.name))]
    const approval = { id: window.approval, by }
    return settle({ outcome: 'allow', policies: afresh.policies, digest, approval }, submitted)
  }

  /**
   * The decision at release: whatever holds now must be met by the votes, each requirement counted anew, and with these
   * votes as its approval policy must allow. (The approval alone would silence a policy nobody was asked about.)
   */
  function decideWith(command: Command, { votes, requirements }: Pick<Held, 'votes' | 'requirements'>): Judgement {
    const current = decide(command)
    if (current.outcome !== 'hold') return current
    // Those who were asked later count, where policy would ask them still.
    const asked = approvals.asAsked(current.requirements, requirements)
    if (unmet(asked, votes).length > 0) return current
    const approved = decide(command, approvalContext(asked, votes))
    if (approved.outcome === 'hold')
      return { outcome: 'deny', policies: approved.policies, reason: `approved, but still ${approved.reason}` }
    // Named are the policies that held it, since they, met, are why it runs.
    return approved.outcome === 'allow' ? { ...approved, policies: current.policies } : approved
  }

  /** Cancels, unless something else came first; then that is the verdict. */
  async function withdraw(id: string, digest: string, because: string): Promise<Verdict> {
    try {
      const approval = await approvals.cancel(id, because)
      const held = approval && (await approvals.find(id))
      const verdict = held && ended(held)
      if (verdict && verdict !== 'pending') return verdict
    } catch (error) {
      // It stays pending in the store, and nobody is left to release it.
      options.log?.error({ error, approval: id }, 'an approval could not be cancelled')
    }
    return { outcome: 'cancelled', approval: id, digest, reason: because }
  }

  /** Decides and records, refuses nothing; no approval is opened. */
  function observe(command: Command, digest: string, submitted: SubmitOptions): Verdict | Promise<Verdict> {
    const judgement = decide(command)
    const { policies } = judgement
    if (judgement.outcome === 'allow') return settle({ outcome: 'allow', policies, digest }, submitted)
    return settle(
      { outcome: 'allow', policies, digest, observed: `${judgement.outcome}: ${judgement.reason}` },
      submitted,
    )
  }
}

function deniedBy({ policies, reason, uncovered }: Judgement & { outcome: 'deny' }, digest: string): Verdict {
  return { outcome: 'denied', policies, digest, reason, ...(uncovered && { uncovered }) }
}

/** Records a verdict and answers it, at once where that can be; an allow that can't be recorded is a denial. */
function settle(verdict: Verdict, submitted: SubmitOptions): Verdict | Promise<Verdict> {
  try {
    const durable = verdict.outcome === 'allow' && verdict.approval !== undefined
    const recorded = submitted.record(verdict, { durable })
    if (!recorded) return verdict
    return recorded.then(
      () => verdict,
      (error) => unrecorded(verdict, error),
    )
  } catch (error) {
    return unrecorded(verdict, error)
  }
}

function unrecorded(verdict: Verdict, error: unknown): Verdict {
  if (verdict.outcome !== 'allow') return verdict
  return { outcome: 'denied', policies: [], digest: verdict.digest, reason: notRun(error) }
}

/** The verdict of an approval that has ended without being released; `pending` where it hasn't. */
function ended({ approval }: Held): Verdict | 'pending' {
  const { id, state, command, closedBecause } = approval
  const base = { approval: id, digest: command.digest }
  switch (state) {
    case 'denied': {
      const denial = approval.decisions.find((decision) => decision.verdict === 'deny')
      return { outcome: 'denied-by-person', ...base, person: denial?.person ?? '', reason: denial?.reason ?? '' }
    }
    case 'expired':
      return { outcome: 'expired', ...base }
    case 'cancelled':
      return { outcome: 'cancelled', ...base, reason: closedBecause ?? '' }
    case 'used':
      return { outcome: 'cancelled', ...base, reason: 'the approval was used by another run of the same command' }
    default:
      return 'pending'
  }
}

/** Whoever records may have its own reason to refuse: what the command means has changed meanwhile, say. */
function notRun(error: unknown): string {
  return `the command was not run, since it was not recorded: ${wordsOf(error)}`
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** What the approvers gave as their reasons, each with its name where there are several. */
function reasonsOf(decisions: readonly Decision[]): string | undefined {
  const given = decisions.filter(({ verdict, reason }) => verdict === 'approve' && reason !== '')
  if (given.length < 2) return given[0]?.reason
  return given.map(({ person, reason }) => `${person}: ${reason}`).join('; ')
}
