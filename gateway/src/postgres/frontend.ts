import type { Parameter } from '@countersign/contract/approval'
import { after } from './after.ts'
import { OWN_NAME } from './ask.ts'
import type { Meaning } from './commands.ts'
import type { Conversation } from './conversation.ts'
import type { StatementAnalysis } from './effects/effects.ts'
import { describeCopied } from './masked/describing.ts'
import type { Touched } from './masked/touching.ts'
import { type Portal, type Prepared, ROOM } from './names.ts'
import { FAILED, IDLE } from './outstanding.ts'
import type { Passage } from './passage.ts'
import { aborted, functionCallRefused, noRoom, notUtf8, tooLong, unrecordable, type Words } from './refusal.ts'
import type { Run } from './run.ts'
import { Unanswered } from './unanswered.ts'
import type { Understanding } from './understanding.ts'
import { shown } from './values.ts'
import { DROP, ProtocolViolation, RELAY, type Take, WHOLE } from './wire/framer.ts'
import * as wire from './wire/messages.ts'

export interface FrontendOptions {
  conversation: Conversation
  understanding: Understanding
  passage: Passage
  /** Whether policy already says no to a statement that is only announced. */
  denies: (text: string, meaning: Meaning) => boolean
  /** What a text touches of classified data; undefined where nothing of it is to be masked. */
  touched: (text: string, meaning: Meaning) => Touched | undefined
  /** Whether policy says yes at once. */
  allows: (text: string, parameters: Parameter[], meaning: Meaning) => boolean
  limits: () => { max_statement: number; max_message: number }
  /** Records what is refused before it could be read as a command. */
  note: (text: string) => void
  /** Sends bytes of the gateway's own to the server, behind everything that was relayed. */
  toServer: (bytes: Buffer) => void
  /** Sends bytes of the gateway's own to the client, between two of the server's messages. */
  toClient: (bytes: Buffer) => void
  /** A cancel that is on its way. */
  cancelled: () => Promise<void> | undefined
}

/** Whether a message goes on as it is, told at once where nothing has to be waited for. */
type GoesOn = boolean | Promise<boolean>

const T = wire.T
/** PostgreSQL's own bound for messages that hold no data (PQ_SMALL_MESSAGE_LIMIT). */
const SMALL = 10_000
const known = new Set<number>([
  T.Query,
  T.Parse,
  T.Bind,
  T.Describe,
  T.Execute,
  T.Close,
  T.Sync,
  T.Flush,
  T.FunctionCall,
])
for (const type of [T.Terminate, T.CopyData, T.CopyDone, T.CopyFail]) known.add(type)
const large = new Set<number>([T.Query, T.Parse, T.Bind, T.FunctionCall, T.CopyData])
/** Sent in place of what is refused, so that the server itself aborts its transaction and skips to Sync. */
const PROVOKED = 'refused by countersign'

/**
 * What a client's messages mean and whether they pass. Each message is looked at in turn; where one has to wait, nothing
 * behind it moves.
 */
export class Frontend {
  terminated = false
  readonly #o: FrontendOptions
  readonly #c: Conversation
  readonly #unanswered = new Unanswered()
  #busy: Promise<unknown> | undefined

  constructor(options: FrontendOptions) {
    this.#o = options
    this.#c = options.conversation
  }

  /** What becomes of a client's message, by its header. @throws ProtocolViolation */
  take(type: number, length: number): Take {
    if (!known.has(type)) throw new ProtocolViolation(`message type 0x${type.toString(16)} is none a client sends`)
    if (length > (large.has(type) ? this.#o.limits().max_message : SMALL)) {
      throw new ProtocolViolation(`a message of ${length} bytes is longer than this gateway takes`)
    }
    if (type !== T.CopyData) return WHOLE
    return this.#c.dropping ? DROP : RELAY
  }

  /** A client's message. Answers whether it goes on to the server as it is. */
  message(type: number, frame: Buffer): GoesOn {
    if (this.#o.passage.stopped !== undefined) return false
    this.#unanswered.add(frame.length, this.#c.outstanding.empty)
    const goesOn = this.#unanswered.full ? this.#afterAnswers(type, frame) : this.#look(type, frame)
    if (typeof goesOn !== 'boolean') this.#busy = goesOn.catch(() => {})
    return goesOn
  }

  /** Resolves once no message is being waited for. */
  async idle(): Promise<void> {
    await this.#busy
  }

  /** Looks at a message once what was sent before it is answered. */
  #afterAnswers(type: number, frame: Buffer): GoesOn {
    if (this.#c.outstanding.copyIn) {
      // The server answers nothing before the data's end, and takes nothing but Syncs, to no effect.
      if (this.#unanswered.overfull) throw new ProtocolViolation('more messages amid COPY data than this gateway takes')
      return this.#look(type, frame)
    }
    return this.#c.settle().then(() => {
      this.#unanswered.reset()
      return this.#look(type, frame)
    })
  }

  #look(type: number, frame: Buffer): GoesOn {
    // A cancel under way must not hit what comes after it.
    const cancelled = type === T.Terminate ? undefined : this.#o.cancelled()
    if (cancelled) return cancelled.then(() => this.#look(type, frame))
    if (this.#c.dropping && type !== T.Sync && type !== T.Terminate) return false
    switch (type) {
      case T.Query:
        return this.#query(frame)
      case T.Parse:
        return this.#parse(frame)
      case T.Bind:
        return this.#bind(frame)
      case T.Describe:
        return this.#describe(frame)
      case T.Execute:
        return this.#execute(frame)
      case T.Close:
        return this.#close(frame)
      case T.Sync:
        this.#c.outstanding.push({ kind: 'sync' })
        this.#c.skipping = false
        this.#c.endBatch()
        return true
      case T.CopyDone:
      case T.CopyFail:
        this.#c.outstanding.push({ kind: 'copy-end' })
        return true
      case T.FunctionCall:
        return this.#refuseQuery(this.#unread(functionCallRefused))
      case T.Terminate:
        this.terminated = true
        return true
      default:
        return true // Flush
    }
  }

  #query(frame: Buffer): GoesOn {
    const bytes = frame.subarray(5, frame.length - 1)
    const text = frame.at(-1) === 0 && !bytes.includes(0) ? wire.utf8(bytes) : undefined
    const { max_statement: bound } = this.#o.limits()
    if (text === undefined) return this.#refuseQuery(this.#unread(notUtf8))
    if (bytes.length > bound) return this.#refuseQuery(this.#unread(tooLong(bound)))
    return after(this.#o.understanding.of(text), (meaning) => {
      if (!meaning || this.#c.dropping) return false
      const { statements } = meaning.analysis
      const full = this.#full(statements)
      if (full) return this.#refuseQuery(this.#unread(full), statements)
      return after(this.#o.passage.pass(text, [], meaning), (run) => {
        if ('code' in run) return this.#refuseQuery(run, statements)
        return after(this.#mayDispatch(run), (may) => may && this.#dispatchQuery(run, statements))
      })
    })
  }

  /** Whether a command that passed the gate goes to the server, once it is known what a COPY will write. */
  #mayDispatch(run: Run): boolean | Promise<boolean> {
    const { passage } = this.#o
    if (run.masked?.copyQuery === undefined) return passage.mayDispatch(run)
    return after(this.#o.cancelled(), () =>
      describeCopied(this.#c, this.#o.toServer, run).then(() => passage.mayDispatch(run)),
    )
  }

  #dispatchQuery(run: Run, statements: StatementAnalysis[]): true {
    // A Query drops the unnamed statement and portal.
    this.#c.statements.drop('')
    this.#c.portals.drop('')
    this.#c.endBatch()
    this.#c.dispatch({ kind: 'query', run }, statements)
    return true
  }

  #parse(frame: Buffer): GoesOn {
    const cursor = new wire.Cursor(frame)
    const name = wire.nameOf(cursor)
    const bytes = cursor.zeroTerminated()
    const text = wire.utf8(bytes)
    const types = Array.from({ length: cursor.int16() & 0xffff }, () => cursor.int32() >>> 0)
    const { max_statement: bound } = this.#o.limits()
    if (text === undefined) return this.#refuseInBatch(this.#unread(notUtf8))
    if (bytes.length > bound) return this.#refuseInBatch(this.#unread(tooLong(bound)))
    if (!this.#c.statements.hasRoom(name))
      return this.#refuseInBatch(this.#unread(noRoom('prepared statements', ROOM.names)))
    const declares = types.some((type) => type !== 0)
    const made: Prepared = { text, types, ...(declares ? { declared: types } : {}) }
    const accept = (): true => {
      this.#c.push({ kind: 'parse', change: this.#c.statements.set(name, made, this.#c.batch) })
      return true
    }
    return after(this.#o.understanding.ofPrepared(made), (meaning) => {
      if (!meaning || this.#c.dropping) return false
      if (!this.#o.denies(text, meaning)) return accept()
      return after(this.#o.passage.pass(text, [], meaning, 'fail'), (run) => {
        if ('code' in run) return this.#refuseInBatch(run)
        run.end() // policy was changed in between: it is decided again at Execute
        return accept()
      })
    })
  }

  #bind(frame: Buffer): GoesOn {
    const { portal, statement: name, formats, parameters, resultFormats } = wire.bindOf(frame)
    if (!this.#c.certain(this.#c.statements, name))
      return this.#c.settle().then(() => !this.#c.dropping && this.#bind(frame))
    if (!this.#c.portals.hasRoom(portal)) return this.#refuseInBatch(this.#unread(noRoom('portals', ROOM.names)))
    const statement = this.#c.statements.get(name)
    const bound = statement && this.#o.understanding.ofPrepared(statement)
    const value: Portal<Run> = {
      text: statement?.text ?? '',
      // Where the name is unknown here, what the server finds behind it is unknown too.
      ...(statement ? { statement } : {}),
      unknown: !statement,
      parameters,
      formats,
      types: [],
      resultFormats,
      batch: this.#c.batch,
    }
    let hidden: readonly string[] | undefined
    const accept = (): true => {
      const change = this.#c.portals.set(portal, value, this.#c.batch)
      this.#c.push({ kind: 'bind', change, ...(hidden && hidden.length > 0 ? { hidden } : {}) })
      return true
    }
    if (!statement) return accept()
    return after(bound, (meaning) => {
      if (!meaning || this.#c.dropping) return false
      // Planning, which Bind does, can run code and so speak of what it reads.
      const touched = this.#o.touched(statement.text, meaning)
      hidden = touched?.hidden
      if (meaning.named && !meaning.analysis.refused) return accept()
      value.bound = meaning
      if (touched) value.declared = touched.statements.map(({ touch }) => touch)
      const values = parametersOf(value)
      const runs = runsWhilePlanned(meaning) || meaning.analysis.refused !== undefined
      if (!runs || this.#o.allows(statement.text, values, meaning)) return accept()
      // Planning it, which Bind does, runs functions that are said to be immutable: it can't wait for Execute.
      return after(this.#o.passage.pass(statement.text, values, meaning, undefined, statement), (run) => {
        if ('code' in run) return this.#refuseInBatch(run)
        return after(this.#o.passage.mayDispatch(run), (may) => {
          if (may) value.run = run
          return may && accept()
        })
      })
    })
  }

  #describe(frame: Buffer): GoesOn {
    const cursor = new wire.Cursor(frame)
    const portal = cursor.byte() === 0x50
    const name = wire.nameOf(cursor)
    const statement = portal ? undefined : this.#c.statements.get(name)
    const described = portal ? this.#c.portals.get(name) : undefined
    const describes: Prepared | Portal<Run> | undefined = statement ?? described
    const accept = (): true => {
      if (describes) describes.described = true
      this.#c.push({ kind: 'describe', ...(describes ? { describes } : {}) })
      return true
    }
    // To describe a statement, or what an EXECUTE names, the server may read it anew.
    const { understanding } = this.#o
    const read = statement
      ? understanding.ofPrepared(statement)
      : described && !described.unknown && described.bound === undefined
        ? understanding.of(described.text)
        : unread
    if (read === unread) return accept()
    return after(read as Meaning | undefined | Promise<Meaning | undefined>, (meaning) =>
      meaning && !this.#c.dropping ? accept() : false,
    )
  }

  #close(frame: Buffer): boolean {
    const cursor = new wire.Cursor(frame)
    const names = cursor.byte() === 0x50 ? this.#c.portals : this.#c.statements
    this.#c.push({ kind: 'close', change: names.remove(wire.nameOf(cursor), this.#c.batch) })
    return true
  }

  #execute(frame: Buffer): GoesOn {
    const name = wire.nameOf(new wire.Cursor(frame))
    if (this.#c.certain(this.#c.portals, name)) return this.#executePortal(name)
    return this.#c.settle().then(() => !this.#c.dropping && this.#executePortal(name))
  }

  #executePortal(name: string): GoesOn {
    const portal = this.#c.portals.get(name)
    const { run, executed } = portal ?? {}
    if (portal && run && executed && executed.batch !== this.#c.batch && !this.#c.outstanding.empty) {
      // It may have been skipped since, and would then have to be decided anew.
      return this.#c.settle().then(() => !this.#c.dropping && this.#executePortal(name))
    }
    const began = executed?.meaning ?? portal?.bound
    if (portal && run && !run.ended && began) return this.#goOn(name, portal, run, began)
    const seen = portal && !portal.unknown
    const text = seen ? portal.text : `/* portal ${JSON.stringify(name)}, made out of sight */`
    const { understanding, passage } = this.#o
    const statement = seen ? portal.statement : undefined
    // Of what was made out of sight nothing is asked: nobody would wait for the answer, or hear that it failed.
    const means = () => (statement ? understanding.ofPrepared(statement) : understanding.of(text))
    return after(seen ? means() : understanding.unknown(name), (now) => {
      if (!now || this.#c.dropping) return false
      // The server does what the text meant at Bind.
      const meaning = seen && !understanding.stands(portal, now) ? understanding.unknown(name) : now
      const { statements } = meaning.analysis
      const full = this.#full(statements)
      if (full) return this.#refuseInBatch(this.#unread(full))
      const parameters = portal ? parametersOf(portal) : []
      return after(passage.pass(text, parameters, meaning, undefined, statement), (run) => {
        if ('code' in run) return this.#refuseInBatch(run)
        return after(this.#mayDispatch(run), (may) => may && this.#dispatchExecute(name, portal, run, meaning))
      })
    })
  }

  /** More rows of a portal: the same command, unless policy forbids it by now; what it has come to hide is hidden. */
  #goOn(name: string, portal: Portal<Run>, run: Run, meaning: Meaning): GoesOn {
    const { denies, touched, passage } = this.#o
    const { text } = portal
    if (!denies(text, meaning)) {
      const now = run.masked && touched(text, meaning)
      if (now) {
        run.flush() // with the marks that it was masked by
        run.masked.hide(now)
      }
      return this.#dispatchExecute(name, portal, run, meaning)
    }
    return after(passage.pass(text, parametersOf(portal), meaning, 'fail'), (answer) => {
      if ('code' in answer) return this.#refuseInBatch(answer)
      answer.end() // policy was changed in between, once more
      return this.#dispatchExecute(name, portal, run, meaning)
    })
  }

  #dispatchExecute(name: string, portal: Portal<Run> | undefined, run: Run, meaning: Meaning): true {
    const { statements } = meaning.analysis
    if (portal) {
      // What an EXECUTE or FETCH answers is settled as it begins, not as it was bound or described.
      if (run.masked && portal.bound === undefined && !portal.executed) portal.described = false
      if (portal.declared) run.masked?.settled(portal.declared)
      portal.run = run
      portal.executed = { meaning, batch: this.#c.batch }
      // What was said of its statement may have been said before its names meant something else.
      const known = portal.statement?.described && !run.masked
      // Bound in this batch it is surely there: else the error would be the Describe's, not that of the client's Execute.
      const recorded = !run.full && portal.batch === this.#c.batch
      if (!portal.described && !known && (run.masked || recorded)) {
        // Rows come without a description where the client didn't ask for one; the recording needs it.
        portal.described = true
        this.#c.send({ kind: 'describe', describes: portal, ours: true, inBatch: true }, wire.describePortal(name))
      }
    }
    this.#c.open = true
    this.#c.dispatch({ kind: 'execute', run, ...(portal ? { portal } : {}) }, statements)
    return true
  }

  /** The refusal of statements that would give names to more than there is room for. */
  #full(statements: StatementAnalysis[]): Words | undefined {
    for (const { session } of statements) {
      if (session.prepares && !this.#c.statements.hasRoom(session.prepares.name))
        return noRoom('prepared statements', ROOM.names)
      if (session.declares && !this.#c.portals.hasRoom(session.declares.cursor)) return noRoom('portals', ROOM.names)
    }
    return undefined
  }

  /** What can't be read as a command has no record as one: that it was refused is noted. */
  #unread(words: Words): Words {
    this.#o.note(`refused: ${words.message}`)
    return words
  }

  /** Refuses within a batch as the server does: one error, the rest skipped, the transaction aborted. */
  #refuseInBatch(words: Words): false {
    const { outstanding } = this.#c
    const said = () => (outstanding.status === FAILED ? aborted : words)
    this.#c.send({ kind: 'parse', words: said }, wire.parse(OWN_NAME, PROVOKED))
    this.#c.skipping = true
    return false
  }

  /** Refuses a Query (or FunctionCall), which ends with ReadyForQuery; in a transaction the server must abort it. */
  async #refuseQuery(words: Words, statements: StatementAnalysis[] = []): Promise<false> {
    const { outstanding } = this.#c
    if (words === unrecordable) return false // the session is ending
    await this.#c.settle()
    if (this.#c.dropping || this.#o.passage.stopped !== undefined) return false
    const status = outstanding.status
    if (this.#c.open || (status !== IDLE && status !== FAILED)) {
      this.#c.endBatch()
      outstanding.push({ kind: 'query', words: () => words })
      this.#o.toServer(wire.query(PROVOKED))
      return false
    }
    const ends = statements[0]?.session.transaction !== undefined
    const said = status === FAILED && !ends ? aborted : words
    this.#o.toClient(Buffer.concat([wire.report({ severity: 'ERROR', ...said }), wire.readyForQuery(status)]))
    return false
  }
}

/** Nothing is read anew. */
const unread = Symbol()

const plannedAtBind = new Set(['select', 'insert', 'update', 'delete', 'merge'])

/** Whether code that people wrote may run before Execute. */
function runsWhilePlanned({ analysis: { kind, effects } }: Meaning): boolean {
  return (
    plannedAtBind.has(kind) &&
    effects.some(({ action, resource }) => action === 'sql:unknown' || resource.type === 'Routine')
  )
}

function parametersOf(portal: Portal<Run>): Parameter[] {
  const types = portal.statement?.types ?? portal.types
  const format = (at: number) => (portal.formats.length === 1 ? portal.formats[0]! : (portal.formats[at] ?? 0))
  return portal.parameters.map((value, at) => shown(value, types[at] ?? 0, format(at)))
}
