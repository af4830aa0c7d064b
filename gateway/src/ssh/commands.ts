import type { Parameter } from '@countersign/contract/approval'
import type { Transferred } from '@countersign/contract/recording'
import type { Logger } from 'pino'
import type { Command, Effect, Gate, HoldNotice, Preview } from '../gate/command.ts'
import {
  type Answer as AnswerOf,
  type Passed,
  type Records,
  type Refused,
  Submissions,
  type Voice,
} from '../gate/submissions.ts'
import type { LiveSession } from '../sessions/session.ts'
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

export type Refusal = Refused<Words>
export type Answer = AnswerOf<Running, Words>

const voice: Voice<Words> = {
  unrecordable,
  unlogged,
  changedWhileHeld: {
    message: 'not run: it is not what it was when it was shown',
    hint: 'Run it again: it is then shown as it is now.',
  },
  told: ({ message }) => ({ message }),
}

/** A session's commands at the gate: makes them of what is asked, and knows what runs and what waits. */
export class Commands {
  readonly session: Command['session']
  readonly #live: LiveSession
  readonly #gate: Gate
  readonly #log: Logger
  readonly #submissions: Submissions<Running, Words>
  readonly #run = new Set<Running>()
  /** Those that may wait for people, while grants stand behind the session: what each is, and what gives it up. */
  readonly #waiting = new Map<Command, AbortController>()

  constructor(live: LiveSession, gate: Gate, purpose: string | undefined, log: Logger) {
    this.#live = live
    this.#gate = gate
    this.#log = log
    const { recorder } = live
    const records: Records = { write: (event) => recorder.append(event), sync: () => recorder.sync() }
    this.#submissions = new Submissions(gate, records, voice, log)
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

  #submit({ hold, signal, onHeld, still }: Submission, command: Command): Answer | Promise<Answer> {
    const runs = (passed: Passed) => ({ run: this.#running(passed) })
    return this.#submissions.submit({ command, hold, signal, onHeld, refusal, runs, ...(still && { still }) })
  }

  /** Records something that nobody may do, whatever policy says, and its refusal. Never throws. */
  refuse(asked: Asked, words: Words): Refusal {
    return this.#submissions.refuse(this.#command(asked), words)
  }

  #running({ id, command, report }: Passed): Running {
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
          const result = { status, ...told, ...(transferred && { transferred }), ms }
          this.#live.recorder.append({ type: 'result', command: id, ...result })
        } catch (error) {
          // The recorder is broken for good, which ends the session; what ran, ran.
          this.#log.error({ error: (error as Error).message }, 'the end of a command could not be recorded')
        }
      },
    }
    this.#run.add(running)
    return running
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
}

/** Opening a connection, as an effect: contract.md section 4. */
export const connectEffect = (connection: string): Effect => ({
  action: 'ssh:connect',
  resource: { type: 'Connection', id: connection },
  command: { argv: '', program: '', shell: false },
})
