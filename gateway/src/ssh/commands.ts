import { randomUUID } from 'node:crypto'
import type { Outcome, Parameter } from '@countersign/contract/approval'
import type { NewRecordingEvent, Transferred } from '@countersign/contract/recording'
import type { Logger } from 'pino'
import type { Command, Effect, Gate, HoldNotice, Preview, Verdict } from '../gate/command.ts'
import { digestOf } from '../gate/digest.ts'
import { holdState, recordedEffects, verdictRecord } from '../gate/verdicts.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { type LiveSession, RecordingError } from '../sessions/session.ts'
import { refusal, unlogged, unrecordable, type Words } from './words.ts'

/** Something that an agent asks of a host: a command, a shell, an operation of sftp. */
export interface Asked {
  /** As people read it, and as it enters the digest: the exact command; `get PATH` and the like of sftp. */
  text: string
  parameters?: Parameter[]
  /** exec, shell, sftp, or sftp's operation: open, remove, rename, … */
  kind: string
  /** At least one. The same array for the same text, where it can be: answers are remembered by it. */
  effects: Effect[]
  /** What it means beyond its text and effects: environment, terminal, whole stdin or that it isn't shown. */
  meaning: Record<string, unknown>
}

export interface Submission extends Asked {
  hold: 'wait' | 'fail'
  signal: AbortSignal
  onHeld: (notice: HoldNotice) => void
  /** Looked at once a held command is to be released: false where it is not what was shown any more. */
  still?: () => Promise<boolean>
}

/** What ended a command, for its record and the approval’s card. */
export interface Ending {
  status: 'completed' | 'failed' | 'refused'
  /** `exit 0`, `signal TERM`, `4096 bytes`. */
  tag?: string
  message?: string
  transferred?: Transferred
}

/** A command that was let pass. `end` is called once, with how it ended; a second call does nothing. */
export interface Running {
  readonly id: string
  readonly command: Command
  end(ending: Ending): void
}

/** `fatal`: nothing more can be recorded in this session, so it must end. */
export interface Refusal {
  refused: Words
  fatal: boolean
}
export type Answer = { run: Running } | Refusal

export const changedWhileHeld: Words = {
  message: 'not run: it is not what it was when it was shown',
  hint: 'Run it again: it is then shown as it is now.',
}

/** A session's commands at the gate: submits them, writes their records, and says why one does not run. */
export class Commands {
  readonly session: Command['session']
  readonly #live: LiveSession
  readonly #gate: Gate
  readonly #log: Logger
  readonly #run = new Set<Running>()
  /** Those that may wait for people, while grants stand behind the session: what each is, and what gives it up. */
  readonly #waiting = new Map<Command, AbortController>()

  constructor(live: LiveSession, gate: Gate, purpose: string | undefined, log: Logger) {
    this.#live = live
    this.#gate = gate
    this.#log = log
    this.session = {
      id: live.id,
      ...(purpose === undefined ? {} : { purpose }),
      get backing() {
        return live.backing
      },
    }
  }

  /** What policy says of it now, without asking anybody. */
  preview(asked: Asked): Preview {
    return this.#gate.preview(this.#command(asked))
  }

  /** Whether what was let pass would still be, as policy and what stands behind the session are now. */
  mayGoOn({ command }: Running): boolean {
    return this.#gate.preview(command).outcome !== 'deny'
  }

  /**
   * Something that stood behind the session is gone, and something else stays: gives up what waits for people in vain.
   * @returns whether something runs that may not go on, so that the session must end
   */
  lessened(because: string): boolean {
    for (const [command, given] of this.#waiting)
      if (this.#gate.preview(command).outcome === 'deny') given.abort(new Error(because))
    return [...this.#run].some((running) => !this.mayGoOn(running))
  }

  /** Whether output of this data class may be seen as it is, as policy is now. */
  reveals(dataClass: string): boolean {
    const { agent, connection } = this.#live
    return this.#gate.reveals({ agent, connection, session: this.session }, dataClass)
  }

  /**
   * Asks the gate, waits for people where it says so, and records; at once where nobody has to be asked. What runs may be
   * forwarded when this answers. Never throws for a refusal.
   */
  submit(submission: Submission): Answer | Promise<Answer> {
    const command = this.#command(submission)
    if ((this.session.backing?.grants.length ?? 0) > 0) {
      const given = new AbortController()
      this.#waiting.set(command, given)
      const signal = AbortSignal.any([submission.signal, given.signal])
      const answer = this.#submit({ ...submission, signal }, command)
      if (answer instanceof Promise) return answer.finally(() => this.#waiting.delete(command))
      this.#waiting.delete(command)
      return answer
    }
    return this.#submit(submission, command)
  }

  #submit(submission: Submission, command: Command): Answer | Promise<Answer> {
    const under: UnderWay = { id: randomUUID(), command, submission, recorded: false, failure: undefined }
    const verdict = this.#gate.submit(command, {
      hold: submission.hold,
      signal: submission.signal,
      onHeld: (notice) => {
        this.#append({ type: 'hold', command: under.id, approval: notice.approval, state: 'pending' })
        submission.onHeld(notice)
      },
      record: (verdict, { durable }) => {
        if (durable) return this.#recordOnDisk(under, verdict)
        try {
          this.#recordVerdict(under, verdict)
        } catch (error) {
          throw this.#unrecorded(under, error)
        }
      },
    })
    return verdict instanceof Promise
      ? verdict.then((verdict) => this.#answer(under, verdict))
      : this.#answer(under, verdict)
  }

  /** Records something that nobody may do, whatever policy says, and its refusal. Never throws. */
  refuse(asked: Asked, words: Words): Refusal {
    try {
      const command = this.#command(asked)
      const verdict: Verdict = { outcome: 'denied', policies: [], digest: digestOf(command), reason: words.message }
      const id = randomUUID()
      this.#record(id, command, verdict)
      this.#append(refusedResult(id, words))
      return { refused: words, fatal: false }
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, 'a command could not be recorded')
      return { refused: unrecordable, fatal: true }
    }
  }

  async #recordOnDisk(under: UnderWay, verdict: Verdict): Promise<void> {
    try {
      const { still } = under.submission
      if (verdict.outcome === 'allow' && verdict.approval && still && !(await still().catch(() => false))) {
        under.failure = changedWhileHeld
        throw new Error(under.failure.message)
      }
      this.#recordVerdict(under, verdict)
      await this.#live.recorder.sync()
    } catch (error) {
      throw this.#unrecorded(under, error)
    }
  }

  #recordVerdict(under: UnderWay, verdict: Verdict): void {
    // A second time tells that a release, already recorded, came to nothing.
    if (under.recorded) this.#recordHold(under.id, verdict)
    else this.#record(under.id, under.command, verdict)
    under.recorded = true
  }

  #unrecorded(under: UnderWay, error: unknown): unknown {
    under.failure ??= error instanceof LedgerStopped ? unlogged(error.message) : unrecordable
    if (under.failure === unrecordable)
      this.#log.error({ error: (error as Error).message }, 'a command could not be recorded')
    return error
  }

  #answer(under: UnderWay, verdict: Verdict): Answer {
    const { id, command, submission, recorded, failure } = under
    if (failure) return this.#notRun(under, failure)
    const { signal } = submission
    try {
      if (verdict.outcome !== 'allow') {
        const refused = refusal(verdict)
        if (recorded) this.#append(refusedResult(id, refused))
        return { refused, fatal: false }
      }
      if (!recorded) return { refused: unrecordable, fatal: true }
      const approval = verdict.approval?.id
      const report = approval === undefined ? undefined : this.#gate.report.bind(this.#gate, approval)
      if (signal.aborted) {
        const refused: Words = { message: `not run: ${reasonOf(signal)}` }
        this.#append(refusedResult(id, refused))
        report?.({ status: 'failed', message: refused.message })
        return { refused, fatal: false }
      }
      if (approval !== undefined) this.#append({ type: 'hold', command: id, approval, state: 'used' })
      return { run: this.#running(id, command, report) }
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error
      this.#log.error({ error: error.message }, 'a command could not be recorded')
      return { refused: unrecordable, fatal: true }
    }
  }

  #running(id: string, command: Command, report: ((outcome: Outcome) => void) | undefined): Running {
    const started = performance.now()
    let ended = false
    const running: Running = {
      id,
      command,
      end: ({ status, tag, message, transferred }) => {
        if (ended) return
        ended = true
        this.#run.delete(running)
        const ms = Math.round((performance.now() - started) * 1000) / 1000
        const told = { ...(tag !== undefined && { tag }), ...(message !== undefined && { message }) }
        report?.({ status: status === 'completed' ? 'completed' : 'failed', ...told, ms })
        try {
          this.#append({ type: 'result', command: id, status, ...told, ...(transferred && { transferred }), ms })
        } catch (error) {
          // The recorder is broken for good, which ends the session; what ran, ran.
          this.#log.error({ error: (error as Error).message }, 'the end of a command could not be recorded')
        }
      },
    }
    this.#run.add(running)
    return running
  }

  /** What was to run, but couldn't be recorded as that, is recorded as refused where that can be. */
  #notRun({ id, command, recorded }: UnderWay, failure: Words): Answer {
    if (failure === unrecordable) return { refused: failure, fatal: true }
    try {
      const verdict: Verdict = { outcome: 'denied', policies: [], digest: digestOf(command), reason: failure.message }
      if (!recorded) this.#record(id, command, verdict)
      this.#append(refusedResult(id, failure))
      return { refused: failure, fatal: false }
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, 'a command could not be recorded')
      return { refused: unrecordable, fatal: true }
    }
  }

  #command({ text, parameters = [], kind, effects, meaning }: Asked): Command {
    return {
      protocol: 'ssh',
      connection: this.#live.connection,
      agent: this.#live.agent,
      session: this.session,
      ...{ text, parameters, kind, effects, meaning },
    }
  }

  #record(id: string, command: Command, verdict: Verdict): void {
    this.#append({
      type: 'command',
      command: id,
      text: command.text,
      parameters: command.parameters,
      kind: command.kind,
      effects: recordedEffects(command),
      digest: verdict.digest,
      verdict: verdictRecord(verdict),
    })
    this.#recordHold(id, verdict)
  }

  #recordHold(id: string, verdict: Verdict): void {
    const hold = holdState(verdict)
    if (hold) this.#append({ type: 'hold', command: id, ...hold })
  }

  #append(event: NewRecordingEvent): void {
    this.#live.recorder.append(event)
  }
}

interface UnderWay {
  id: string
  command: Command
  submission: Submission
  /** Whether its record is written. */
  recorded: boolean
  /** Why it wasn't recorded, for the client. */
  failure: Words | undefined
}

const refusedResult = (command: string, { message }: Words) => ({
  type: 'result' as const,
  command,
  status: 'refused' as const,
  message,
  ms: 0,
})

const reasonOf = (signal: AbortSignal) => (signal.reason as Error | undefined)?.message ?? 'cancelled'

/** Opening a connection, as an effect: contract.md section 4. */
export const connectEffect = (connection: string): Effect => ({
  action: 'ssh:connect',
  resource: { type: 'Connection', id: connection },
  command: { argv: '', program: '', shell: false },
})
