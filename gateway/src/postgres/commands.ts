import type { Parameter } from '@countersign/contract/approval'
import type { Logger } from 'pino'
import type { Command, Effect, Gate, HoldNotice } from '../gate/command.ts'
import { type Answer as AnswerOf, type Passed, Submissions, type Voice } from '../gate/submissions.ts'
import type { LiveSession } from '../sessions/session.ts'
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

export type Answer = AnswerOf<Run, Words>

const voice: Voice<Words> = {
  ...{ unrecordable, unlogged, changedWhileHeld },
  told: ({ code: sqlstate, message }) => ({ sqlstate, message }),
}

/** A session's commands at the gate: makes them out of what was analysed, submits them, and writes their records. */
export class Commands {
  readonly journal: Journal
  readonly #live: LiveSession
  readonly #gate: Gate
  readonly #submissions: Submissions<Run, Words>
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
    this.#submissions = new Submissions(gate, this.journal, voice, log)
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
    if (never) return this.#submissions.refuse(command, never, touched?.classes)
    const answer = this.#submissions.submit({
      ...{ command, hold, signal },
      ...(touched && { classes: touched.classes }),
      onHeld: (notice) => {
        this.#held = command
        submission.onHeld(notice)
      },
      still: async () => means(await submission.meaningNow()) === means(meaning),
      refusal: (verdict) => refusal(verdict, notUnderstood(meaning.analysis)),
      runs: (passed) => this.#runs(passed, text, meaning),
    })
    if (!(answer instanceof Promise)) return answer
    return answer.finally(() => {
      this.#held = undefined
    })
  }

  #runs({ id, command, report }: Passed, text: string, meaning: Meaning): { run: Run } | { refused: Words } {
    // Asked anew: people may have taken their time, and policy may reveal less by now.
    const touched = this.#touching?.of(text, meaning)
    if (touched?.refused) return { refused: touched.refused }
    const { masking, reveals } = this.#touching ?? {}
    const masked = touched && masking && reveals && new MaskedResult(touched, masking, reveals)
    return { run: new Run(id, command, this.journal, report, masked) }
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
