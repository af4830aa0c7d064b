import { randomUUID } from 'node:crypto'
import type { Parameter } from '@countersign/contract/approval'
import type { Logger } from 'pino'
import type { Command, Effect, Gate, HoldNotice, Verdict } from '../gate/command.ts'
import { digestOf } from '../gate/digest.ts'
import { holdState, recordedEffects, verdictRecord } from '../gate/verdicts.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { type LiveSession, RecordingError } from '../sessions/session.ts'
import type { Analysis } from './effects/effects.ts'
import { Journal } from './journal.ts'
import { MaskedResult } from './masked/result.ts'
import type { Touched, Touching } from './masked/touching.ts'
import { changedWhileHeld, refusal, refusedForEveryone, unlogged, unrecordable, type Words } from './refusal.ts'
import { Run } from './run.ts'

/** What a text means and what it was found to mean it by. */
export interface Meaning {
  analysis: Analysis
  /** search_path, role, and the statements behind the names that the text uses. */
  circumstances: Record<string, unknown>
  /** Whether it uses names of prepared statements or portals. */
  named?: boolean
}

export interface Submission {
  text: string
  parameters: Parameter[]
  meaning: Meaning
  hold: 'wait' | 'fail'
  signal: AbortSignal
  onHeld: (notice: HoldNotice) => void
  /** What the text means now, asked once a held command is to be released. */
  meaningNow: () => Promise<Meaning>
}

export type Answer = { run: Run } | { refused: Words; fatal: boolean }

/** A command between its submission and its answer. */
interface UnderWay {
  id: string
  command: Command
  submission: Submission
  touched: Touched | undefined
  /** Whether its record is written. */
  recorded: boolean
  /** Why it wasn't recorded, for the client. */
  failure: Words | undefined
}

/** A session's commands at the gate: makes them out of what was analysed, submits them, and writes their records. */
export class Commands {
  readonly journal: Journal
  readonly #live: LiveSession
  readonly #gate: Gate
  readonly #log: Logger
  /** Who the commands are of, as the gate is told: `backing` is what it is whenever the gate looks. */
  readonly session: Command['session']
  readonly #touching: Touching | undefined
  #held: Command | undefined

  /** @param touching what texts touch of classified data; absent where the connection has no rules of masking */
  constructor(live: LiveSession, gate: Gate, purpose: string | undefined, log: Logger, touching?: Touching) {
    this.#touching = touching
    this.journal = new Journal(live.recorder)
    this.#live = live
    this.#gate = gate
    this.session = sessionOf(live, purpose)
    this.#log = log
  }

  /** Whether policy already says no; a hold is not a no. What mode observe would refuse passes. */
  denies(text: string, meaning: Meaning): boolean {
    if (this.#neverRuns(meaning, this.#toRecord(text, meaning))) return true
    if (this.#live.connection.mode === 'observe') return false
    return this.#gate.preview(this.#command(text, [], meaning)).outcome === 'deny'
  }

  /** Whether policy says yes at once. */
  allows(text: string, parameters: Parameter[], meaning: Meaning): boolean {
    if (this.#neverRuns(meaning, this.#toRecord(text, meaning))) return false
    return this.#gate.preview(this.#command(text, parameters, meaning)).outcome === 'allow'
  }

  /** Asks the gate, waits for people where it says so, and records. Never throws for a refusal. */
  submit(submission: Submission): Answer | Promise<Answer> {
    const { text, meaning, parameters, hold, signal } = submission
    const command = this.#command(text, parameters, meaning)
    const touched = this.#toRecord(text, meaning)
    const never = this.#neverRuns(meaning, touched)
    if (never) return this.#refuse(command, never, touched)
    const under: UnderWay = { id: randomUUID(), command, submission, touched, recorded: false, failure: undefined }
    const verdict = this.#gate.submit(command, {
      hold,
      signal,
      onHeld: (notice) => {
        this.#held = command
        this.journal.write({ type: 'hold', command: under.id, approval: notice.approval, state: 'pending' })
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
      ? verdict.then((verdict) => {
          this.#held = undefined
          return this.#answer(under, verdict)
        })
      : this.#answer(under, verdict)
  }

  /** Whether what was let pass would still be, as policy and what stands behind the session are now. */
  mayGoOn({ command, masked }: Run): boolean {
    return this.#gate.preview(command).outcome !== 'deny' && !masked?.showsHidden
  }

  /** Whether something waits for people that would be denied by now. */
  get holdsInVain(): boolean {
    return this.#held !== undefined && this.#gate.preview(this.#held).outcome === 'deny'
  }

  /** Why nobody may run it, whatever policy says and also where it only observes; undefined where that's for the gate. */
  #neverRuns({ analysis: { refused } }: Meaning, touched: Touched | undefined): Words | undefined {
    return refused ? refusedForEveryone(refused) : touched?.refused
  }

  /** As `touched`, where it is a text that may run at all. */
  #toRecord(text: string, meaning: Meaning): Touched | undefined {
    return meaning.analysis.refused ? undefined : this.#touching?.of(text, meaning)
  }

  /** What a text touches of classified data; undefined where nothing of it is to be masked. */
  touched(text: string, meaning: Meaning): Touched | undefined {
    return this.#touching?.of(text, meaning)
  }

  /** Records a command that the gate need not be asked about, and its refusal. */
  #refuse(command: Command, words: Words, touched: Touched | undefined): Answer {
    try {
      const id = randomUUID()
      const verdict: Verdict = { outcome: 'denied', policies: [], digest: digestOf(command), reason: words.message }
      this.#record(id, command, verdict, touched)
      this.journal.write(refusedResult(id, words))
      return { refused: words, fatal: false }
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, 'a command could not be recorded')
      return { refused: unrecordable, fatal: true }
    }
  }

  async #recordOnDisk(under: UnderWay, verdict: Verdict): Promise<void> {
    try {
      if (verdict.outcome === 'allow' && verdict.approval) {
        // What was shown is what runs: people may have taken their time, and others may have renamed tables meanwhile.
        const { meaning, meaningNow } = under.submission
        const now = await meaningNow().catch(() => undefined)
        if (!now || means(now) !== means(meaning)) {
          under.failure = changedWhileHeld
          throw new Error(under.failure.message)
        }
      }
      this.#recordVerdict(under, verdict)
      await this.journal.sync()
    } catch (error) {
      throw this.#unrecorded(under, error)
    }
  }

  #recordVerdict(under: UnderWay, verdict: Verdict): void {
    // A second time tells that a release, already recorded, came to nothing.
    if (under.recorded) this.#recordHold(under.id, verdict)
    else this.#record(under.id, under.command, verdict, under.touched)
    under.recorded = true
  }

  #unrecorded(under: UnderWay, error: unknown): unknown {
    under.failure ??= error instanceof LedgerStopped ? unlogged(error.message) : unrecordable
    if (under.failure === unrecordable)
      this.#log.error({ error: (error as Error).message }, 'a command could not be recorded')
    return error
  }

  #answer(under: UnderWay, verdict: Verdict): Answer {
    const { id, submission, recorded, failure } = under
    if (failure) return this.#notRun(under, failure)
    const { signal, text, meaning } = submission
    try {
      if (verdict.outcome !== 'allow') {
        const refused = refusal(verdict, notUnderstood(meaning.analysis))
        if (recorded) this.journal.write(refusedResult(id, refused))
        return { refused, fatal: false }
      }
      const approval = verdict.approval?.id
      const report = approval === undefined ? undefined : this.#gate.report.bind(this.#gate, approval)
      if (!recorded) return { refused: unrecordable, fatal: true }
      if (signal.aborted) {
        const refused = refusal({
          outcome: 'cancelled',
          approval: approval ?? '',
          digest: verdict.digest,
          reason: reasonOf(signal),
        })
        this.journal.write(refusedResult(id, refused))
        report?.({ status: 'failed', sqlstate: refused.code, message: refused.message })
        return { refused, fatal: false }
      }
      // Asked anew: people may have taken their time, and policy may reveal less by now.
      const touched = this.#touching?.of(text, meaning)
      if (touched?.refused) {
        this.journal.write(refusedResult(id, touched.refused))
        report?.({ status: 'failed', sqlstate: touched.refused.code, message: touched.refused.message })
        return { refused: touched.refused, fatal: false }
      }
      if (approval !== undefined) this.journal.write({ type: 'hold', command: id, approval, state: 'used' })
      const { masking, reveals } = this.#touching ?? {}
      const masked = touched && masking && reveals && new MaskedResult(touched, masking, reveals)
      return { run: new Run(id, under.command, this.journal, report, masked) }
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error
      this.#log.error({ error: error.message }, 'a command could not be recorded')
      return { refused: unrecordable, fatal: true }
    }
  }

  /** What was to run, but couldn't be recorded as that, is recorded as refused where that can be. */
  #notRun({ id, command, submission, recorded }: UnderWay, failure: Words): Answer {
    if (failure === unrecordable) return { refused: failure, fatal: true }
    try {
      const digest = digestOf(command)
      const verdict: Verdict = { outcome: 'denied', policies: [], digest, reason: failure.message }
      if (!recorded) this.#record(id, command, verdict, this.#toRecord(submission.text, submission.meaning))
      this.journal.write(refusedResult(id, failure))
      return { refused: failure, fatal: false }
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, 'a command could not be recorded')
      return { refused: unrecordable, fatal: true }
    }
  }

  #command(text: string, parameters: Parameter[], { analysis, circumstances }: Meaning): Command {
    return {
      protocol: 'postgres',
      connection: this.#live.connection,
      agent: this.#live.agent,
      session: this.session,
      text,
      parameters,
      kind: analysis.kind,
      effects: analysis.effects.length > 0 ? analysis.effects : [unknownEffect(this.#live.connection.name)],
      meaning: circumstances,
    }
  }

  #record(id: string, command: Command, verdict: Verdict, touched: Touched | undefined): void {
    const classes = touched?.classes.length ? (touched.classes as string[]) : undefined
    this.journal.write({
      type: 'command',
      command: id,
      text: command.text,
      parameters: command.parameters,
      kind: command.kind,
      effects: recordedEffects(command),
      digest: verdict.digest,
      ...(classes && { classes }),
      verdict: verdictRecord(verdict),
    })
    this.#recordHold(id, verdict)
  }

  #recordHold(id: string, verdict: Verdict): void {
    const hold = holdState(verdict)
    if (hold) this.journal.write({ type: 'hold', command: id, ...hold })
  }
}

/** A session as the gate is told of it: what stands behind it is asked for at each look, one at release too. */
export function sessionOf(live: LiveSession, purpose: string | undefined): Command['session'] {
  return {
    id: live.id,
    ...(purpose === undefined ? {} : { purpose }),
    get backing() {
      return live.backing
    },
  }
}

function notUnderstood({ parseError, unresolved }: Analysis): string | undefined {
  if (parseError) return `The statement could not be parsed: ${parseError}`
  return unresolved?.length ? `Not found in the catalog: ${unresolved.join(', ')}` : undefined
}

const refusedResult = (command: string, words: Words) => ({
  type: 'result' as const,
  command,
  status: 'refused' as const,
  sqlstate: words.code,
  message: words.message,
  ms: 0,
})

const reasonOf = (signal: AbortSignal) => (signal.reason as Error | undefined)?.message ?? 'cancelled'

const means = ({ analysis, circumstances }: Meaning) => JSON.stringify([analysis.effects, circumstances])

/** What stands in where nothing is known: denied unless a policy says otherwise. */
export const unknownEffect = (connection: string): Effect => ({
  action: 'sql:unknown',
  resource: { type: 'Connection', id: connection },
  command: { kind: 'unknown', bounded: false, functions: [] },
})

/** Opening a connection, as a command: contract.md section 4. */
export const connectMeaning = (connection: string): Meaning => ({
  analysis: {
    kind: 'connect',
    effects: [
      {
        action: 'sql:connect',
        resource: { type: 'Connection', id: connection },
        command: { kind: 'connect', bounded: true, functions: [] },
      },
    ],
    statements: [],
  },
  circumstances: {},
})
