import { randomUUID } from 'node:crypto'
import type { Outcome } from '@countersign/contract/approval'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import type { BaseLogger } from 'pino'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { RecordingError } from '../sessions/session.ts'
import type { Command, Gate, SubmitOptions, Verdict } from './command.ts'
import { digestOf } from './digest.ts'
import { holdState, recordedEffects, verdictRecord } from './verdicts.ts'

/** Where a session's records are written. Both throw RecordingError. */
export interface Records {
  write(event: NewRecordingEvent): void
  /** Resolves once all of it is on disk. */
  sync(): Promise<void>
}

/** What a protocol says to its client where a command's record stands in its way. */
export interface Voice<Words extends object> {
  unrecordable: Words
  changedWhileHeld: Words
  unlogged(why: string): Words
  /** As the record and the approval's card tell it. */
  told(words: Words): { message: string; sqlstate?: string }
}

/** A command that the gate let pass, before it goes on. */
export interface Passed {
  id: string
  command: Command
  /** Tells the approval's card how it ended; absent where nobody was asked. */
  report: ((outcome: Outcome) => void) | undefined
}

/** A command as a protocol submits it. */
export interface Submitted<Run, Words extends object> extends Pick<SubmitOptions, 'hold' | 'signal'> {
  command: Command
  /** Data classes that it touches, for the record. */
  classes?: readonly string[]
  onHeld: NonNullable<SubmitOptions['onHeld']>
  /** Asked before a held command is released: false where it is not what was shown any more. */
  still?: () => Promise<boolean>
  /** Why it doesn't run, in the protocol's words. */
  refusal: (verdict: Exclude<Verdict, { outcome: 'allow' }>) => Words
  /** Makes of it what runs, or says why it doesn't after all. */
  runs: (passed: Passed) => { run: Run } | { refused: Words }
}

/** `fatal`: nothing more can be recorded in this session, so it must end. */
export interface Refused<Words extends object> {
  refused: Words
  fatal: boolean
}
export type Answer<Run, Words extends object> = { run: Run } | Refused<Words>

/** A command between its submission and its answer. */
interface UnderWay<Run, Words extends object> {
  id: string
  submitted: Submitted<Run, Words>
  /** Whether its record is written. */
  recorded: boolean
  /** Why it wasn't recorded, for the client. */
  failure: Words | undefined
}

/** A session's way through the gate, whatever it speaks: submits commands, writes their records, and answers. */
export class Submissions<Run, Words extends object> {
  readonly #gate: Gate
  readonly #records: Records
  readonly #voice: Voice<Words>
  readonly #log: Pick<BaseLogger, 'error'>

  constructor(gate: Gate, records: Records, voice: Voice<Words>, log: Pick<BaseLogger, 'error'>) {
    this.#gate = gate
    this.#records = records
    this.#voice = voice
    this.#log = log
  }

  /**
   * Asks the gate, waits for people where it says so, and records; at once where nobody has to be asked. What runs may be
   * forwarded when this answers. Never throws for a refusal.
   */
  submit(submitted: Submitted<Run, Words>): Answer<Run, Words> | Promise<Answer<Run, Words>> {
    const { command, hold, signal } = submitted
    const under: UnderWay<Run, Words> = { id: randomUUID(), submitted, recorded: false, failure: undefined }
    const verdict = this.#gate.submit(command, {
      hold,
      signal,
      onHeld: (notice) => {
        this.#records.write({ type: 'hold', command: under.id, approval: notice.approval, state: 'pending' })
        submitted.onHeld(notice)
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

  /** Records what nobody may do, whatever policy says, and its refusal. Never throws. */
  refuse(command: Command, words: Words, classes?: readonly string[]): Refused<Words> {
    return this.#refusedAs(randomUUID(), command, words, classes, false)
  }

  async #recordOnDisk(under: UnderWay<Run, Words>, verdict: Verdict): Promise<void> {
    try {
      const { still } = under.submitted
      // What was shown is what runs: people may have taken their time, and others may have changed it meanwhile.
      if (verdict.outcome === 'allow' && verdict.approval && still && !(await still().catch(() => false))) {
        under.failure = this.#voice.changedWhileHeld
        throw new Error(this.#voice.told(under.failure).message)
      }
      this.#recordVerdict(under, verdict)
      await this.#records.sync()
    } catch (error) {
      throw this.#unrecorded(under, error)
    }
  }

  #recordVerdict(under: UnderWay<Run, Words>, verdict: Verdict): void {
    const { command, classes } = under.submitted
    // A second time tells that a release, already recorded, came to nothing.
    if (under.recorded) this.#recordHold(under.id, verdict)
    else this.#record(under.id, command, verdict, classes)
    under.recorded = true
  }

  #unrecorded(under: UnderWay<Run, Words>, error: unknown): unknown {
    const { unrecordable, unlogged } = this.#voice
    under.failure ??= error instanceof LedgerStopped ? unlogged(error.message) : unrecordable
    if (under.failure === unrecordable) this.#failed(error)
    return error
  }

  #answer(under: UnderWay<Run, Words>, verdict: Verdict): Answer<Run, Words> {
    const { id, submitted, recorded, failure } = under
    const { command, signal, classes } = submitted
    const { unrecordable } = this.#voice
    if (failure === unrecordable) return { refused: failure, fatal: true }
    // What was to run, but couldn't be recorded as that, is recorded as refused where that can be.
    if (failure) return this.#refusedAs(id, command, failure, classes, recorded)
    try {
      if (verdict.outcome !== 'allow') {
        const refused = submitted.refusal(verdict)
        if (recorded) this.#refused(id, refused)
        return { refused, fatal: false }
      }
      if (!recorded) return { refused: unrecordable, fatal: true }
      const approval = verdict.approval?.id
      const report = approval === undefined ? undefined : this.#gate.report.bind(this.#gate, approval)
      const runs = signal.aborted
        ? { refused: submitted.refusal(cancelled(verdict.digest, approval, signal)) }
        : submitted.runs({ id, command, report })
      if ('refused' in runs) {
        this.#refused(id, runs.refused)
        report?.({ status: 'failed', ...this.#voice.told(runs.refused) })
        return { ...runs, fatal: false }
      }
      if (approval !== undefined) this.#records.write({ type: 'hold', command: id, approval, state: 'used' })
      return runs
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error
      this.#failed(error)
      return { refused: unrecordable, fatal: true }
    }
  }

  /** @param recorded whether its verdict already is */
  #refusedAs(
    id: string,
    command: Command,
    words: Words,
    classes: readonly string[] | undefined,
    recorded: boolean,
  ): Refused<Words> {
    try {
      const { message: reason } = this.#voice.told(words)
      const verdict: Verdict = { outcome: 'denied', policies: [], digest: digestOf(command), reason }
      if (!recorded) this.#record(id, command, verdict, classes)
      this.#refused(id, words)
      return { refused: words, fatal: false }
    } catch (error) {
      this.#failed(error)
      return { refused: this.#voice.unrecordable, fatal: true }
    }
  }

  #record(id: string, command: Command, verdict: Verdict, classes: readonly string[] | undefined): void {
    this.#records.write({
      type: 'command',
      command: id,
      text: command.text,
      parameters: command.parameters,
      kind: command.kind,
      effects: recordedEffects(command),
      digest: verdict.digest,
      ...(classes?.length && { classes: [...classes] }),
      verdict: verdictRecord(verdict),
    })
    this.#recordHold(id, verdict)
  }

  #recordHold(id: string, verdict: Verdict): void {
    const hold = holdState(verdict)
    if (hold) this.#records.write({ type: 'hold', command: id, ...hold })
  }

  #refused(id: string, words: Words): void {
    this.#records.write({ type: 'result', command: id, status: 'refused', ...this.#voice.told(words), ms: 0 })
  }

  #failed(error: unknown): void {
    this.#log.error({ error: (error as Error).message }, 'a command could not be recorded')
  }
}

function cancelled(digest: string, approval: string | undefined, signal: AbortSignal) {
  const reason = (signal.reason as Error | undefined)?.message ?? 'cancelled'
  return { outcome: 'cancelled' as const, approval: approval ?? '', digest, reason }
}
