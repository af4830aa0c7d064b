import type { Parameter } from '@countersign/contract/approval'
import type { HoldNotice } from '../gate/command.ts'
import { after } from './after.ts'
import type { Answer, Commands, Meaning } from './commands.ts'
import type { Conversation } from './conversation.ts'
import type { Prepared } from './names.ts'
import { FAILED } from './outstanding.ts'
import { aborted, heldNotice, type Words } from './refusal.ts'
import type { Run } from './run.ts'
import type { Understanding } from './understanding.ts'
import * as wire from './wire/messages.ts'

export interface PassageOptions {
  conversation: Conversation
  understanding: Understanding
  commands: Commands
  hold: () => 'wait' | 'fail'
  inTransaction: () => 'wait' | 'fail'
  /** Sends bytes of the gateway's own to the client, between two of the server's messages. */
  toClient: (bytes: Buffer) => void
  /** A cancel that is on its way: nothing may be dispatched before it has arrived. */
  cancelled: () => Promise<void> | undefined
  fatal: (words: Words) => void
}

/** A command's way past the gate: held and cancelled here, one at a time, since nothing overtakes what is held. */
export class Passage {
  readonly #o: PassageOptions
  /** For the next command; one that was held takes its own with it. */
  #controller = new AbortController()
  #held: AbortController | undefined
  #asked: Promise<unknown> | undefined
  #stopped: string | undefined
  #gone = false

  constructor(options: PassageOptions) {
    this.#o = options
  }

  /** Why nothing is dispatched any more. */
  get stopped(): string | undefined {
    return this.#stopped
  }

  /**
   * Submits a command. Answers its run, or what the client is told instead.
   * @param statement that it was prepared as, where the wire has prepared it
   */
  pass(
    text: string,
    parameters: Parameter[],
    meaning: Meaning,
    hold?: 'fail',
    statement?: Prepared,
  ): Run | Words | Promise<Run | Words> {
    const { outstanding, open } = this.#o.conversation
    const ends = meaning.analysis.statements[0]?.session.transaction !== undefined
    if (outstanding.status === FAILED && outstanding.empty && !open && !ends) {
      // The server would not run it: nobody need be asked.
      if (!this.#o.commands.allows(text, parameters, meaning)) return aborted
    }
    return after(hold ?? this.#holdFor(text, parameters, meaning), (how) =>
      this.#submit(text, parameters, meaning, how, statement),
    )
  }

  /** Whether a command waits for people. */
  get holding(): boolean {
    return this.#held !== undefined
  }

  /** The last look before bytes go out: a cancel under way must not hit what comes after it. */
  mayDispatch(run: Run): boolean | Promise<boolean> {
    return after(this.#o.cancelled(), () => {
      if (this.#stopped === undefined && !this.#o.conversation.dropping) return true
      run.end({ status: 'refused', sqlstate: '57014', message: this.#stopped ?? 'skipped after an earlier error' })
      this.#o.commands.journal.flush()
      return false
    })
  }

  /** Cancels the command that is held, if one is. */
  cancelHeld(reason: string): boolean {
    if (!this.#held) return false
    this.#held.abort(new Error(reason))
    return true
  }

  clientGone(): void {
    this.#gone = true
    this.cancelHeld('the client has gone')
  }

  /** The session is over: nothing more is dispatched. */
  stop(reason: string): void {
    this.#stopped ??= reason
    this.cancelHeld(reason)
  }

  #submit(
    text: string,
    parameters: Parameter[],
    meaning: Meaning,
    hold: 'wait' | 'fail',
    statement: Prepared | undefined,
  ): Run | Words | Promise<Run | Words> {
    const controller = this.#controller
    if (this.#stopped !== undefined) controller.abort(new Error(this.#stopped))
    const answer = this.#o.commands.submit({
      text,
      parameters,
      meaning,
      hold,
      signal: controller.signal,
      onHeld: (notice) => this.#onHeld(notice, controller),
      meaningNow: () => this.#o.understanding.anew(text, statement),
    })
    if (!(answer instanceof Promise)) return this.#answered(answer)
    this.#controller = new AbortController()
    const answered = answer.finally(() => {
      this.#held = undefined
      this.#asked = undefined
    })
    this.#asked = answered.catch(() => {})
    return answered.then((answer) => this.#answered(answer))
  }

  /** Resolves once what is asked of the gate has its answer, and its record. */
  async settled(): Promise<void> {
    while (this.#asked) await this.#asked
  }

  #onHeld(notice: HoldNotice, controller: AbortController): void {
    this.#held = controller
    if (this.#gone) controller.abort(new Error('the client has gone'))
    // It ended while people were about to be asked.
    if (this.#stopped !== undefined) controller.abort(new Error(this.#stopped))
    this.#o.toClient(wire.report(heldNotice(notice)))
    this.#o.conversation.flush() // answers to what came before are not held back
  }

  #answered(answer: Answer): Run | Words {
    if ('run' in answer) return answer.run
    if (answer.fatal) this.#o.fatal(answer.refused)
    return answer.refused
  }

  /** A hold in a transaction that has written would keep its locks: contract.md, `approvals.in_transaction`. */
  #holdFor(text: string, parameters: Parameter[], meaning: Meaning): 'wait' | 'fail' | Promise<'wait' | 'fail'> {
    const { conversation } = this.#o
    const hold = this.#o.hold()
    if (hold === 'fail' || this.#o.inTransaction() === 'wait' || conversation.wrote === undefined) return hold
    if (conversation.wrote === conversation.batch && conversation.open) return 'fail'
    const settled = () => (conversation.wrote === undefined ? hold : 'fail')
    if (conversation.outstanding.empty || this.#o.commands.allows(text, parameters, meaning)) {
      return conversation.outstanding.empty ? settled() : hold
    }
    return conversation.settle().then(settled) // it may have ended meanwhile
  }
}
