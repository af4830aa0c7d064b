import type { Parameter } from '@countersign/contract/approval'
import type { Logger } from 'pino'
import type { Bearings } from './bearings.ts'
import { type Commands, type Meaning, unknownEffect } from './commands.ts'
import type { StatementAnalysis } from './effects/effects.ts'
import { Names, type Portal, type Prepared } from './names.ts'
import { type Entry, FAILED, IDLE, type Outstanding } from './outstanding.ts'
import { aborted, functionCallRefused, heldNotice, notUtf8, tooLong, unrecordable, type Words } from './refusal.ts'
import type { Run } from './run.ts'
import { shown } from './values.ts'
import { DROP, ProtocolViolation, RELAY, type Take, WHOLE } from './wire/framer.ts'
import * as wire from './wire/messages.ts'

export interface FrontendOptions {
  outstanding: Outstanding
  bearings: Bearings
  commands: Commands
  hold: () => 'wait' | 'fail'
  inTransaction: () => 'wait' | 'fail'
  limits: () => { max_statement: number; max_message: number }
  log: Logger
  /** Sends bytes of the gateway's own to the server, behind everything that was relayed. */
  toServer: (bytes: Buffer) => void
  /** Sends bytes of the gateway's own to the client, between two of the server's messages. */
  toClient: (bytes: Buffer) => void
  /** A cancel that is on its way: nothing may be dispatched before it has arrived. */
  cancelled: () => Promise<void> | undefined
  fatal: (words: Words) => void
}

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
const writes = new Set(['sql:write', 'sql:ddl', 'sql:admin', 'sql:call', 'sql:unknown'])

/** Sent in place of what is refused, so that the server itself aborts its transaction and skips to Sync. */
const PROVOKED = 'refused by countersign'
const OWN_NAME = 'countersign'

/**
 * What a client's messages mean and whether they pass. Each message is looked at in turn; where one has to wait, nothing
 * behind it moves.
 */
export class Frontend {
  terminated = false
  readonly #o: FrontendOptions
  readonly #statements = new Names<Prepared>()
  readonly #portals = new Names<Portal<Run>>()
  /** Counts Syncs and Queries sent: the server starts afresh after each. */
  #batch = 0
  /** Extended-protocol messages were sent since the last Sync. */
  #open = false
  /** Something was refused: everything up to the client's Sync is dropped, as the server does. */
  #skipping = false
  /** A write was dispatched since the transaction began; in which batch. */
  #wrote: number | undefined
  /** Statements outstanding that make or drop names by SQL. */
  #sqlNames = 0
  #held: AbortController | undefined
  #stopped: string | undefined
  #gone = false
  #busy: Promise<unknown> | undefined

  constructor(options: FrontendOptions) {
    this.#o = options
  }

  /** What becomes of a client's message, by its header. @throws ProtocolViolation */
  take(type: number, length: number): Take {
    if (!known.has(type)) throw new ProtocolViolation(`message type 0x${type.toString(16)} is none a client sends`)
    if (length > (large.has(type) ? this.#o.limits().max_message : SMALL)) {
      throw new ProtocolViolation(`a message of ${length} bytes is longer than this gateway takes`)
    }
    if (type !== T.CopyData) return WHOLE
    return this.#dropping ? DROP : RELAY
  }

  /** A client's message. Answers whether it goes on to the server as it is. */
  message(type: number, frame: Buffer): boolean | Promise<boolean> {
    if (this.#stopped !== undefined) return false
    const goesOn = this.#look(type, frame)
    if (typeof goesOn !== 'boolean') this.#busy = goesOn.catch(() => {})
    return goesOn
  }

  /** Resolves once no message is being waited for. */
  async idle(): Promise<void> {
    await this.#busy
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

  /** Writes the ends of commands whose portals were never read to their end. @throws RecordingError */
  endSuspended(): void {
    this.#portals.dropConfirmed((portal) => {
      portal.run?.end()
      return true
    })
  }

  ready(status: number): void {
    if (status !== IDLE) return
    if (this.#wrote !== undefined && !this.#o.outstanding.writes()) this.#wrote = undefined
    // The server drops what Bind has made at the end of the transaction.
    this.#portals.dropConfirmed((portal) => {
      const bound = portal.statement !== undefined || portal.unknown === true
      if (bound) portal.run?.end() // suspended, and never asked for the rest
      return bound
    })
  }

  /**
   * Asks the server on the session's own connection, unseen by the client. Nothing else may be outstanding.
   * @throws Error where the server refuses
   */
  async ask(statements: string[]): Promise<(string | null)[][][]> {
    const ours = { ours: true, inBatch: this.#open } as const
    const bytes: Buffer[] = []
    const push = (entry: Entry, message: Buffer) => {
      this.#o.outstanding.push({ ...entry, ...ours })
      bytes.push(message)
    }
    const answers = statements.map((sql) => {
      push({ kind: 'parse' }, wire.parse(OWN_NAME, sql))
      push({ kind: 'bind' }, wire.bind(OWN_NAME, OWN_NAME))
      const rows = new Promise<(string | null)[][]>((resolve, reject) => {
        push({ kind: 'execute', answer: { rows: [], resolve, reject } }, wire.execute(OWN_NAME))
      })
      push({ kind: 'close' }, wire.closePortal(OWN_NAME))
      push({ kind: 'close' }, wire.closeStatement(OWN_NAME))
      return rows
    })
    if (this.#open) bytes.push(wire.FLUSH)
    else push({ kind: 'sync' }, wire.SYNC)
    this.#o.toServer(Buffer.concat(bytes))
    const settled = Promise.allSettled(answers)
    await this.#o.outstanding.drained()
    for (const answer of await settled) if (answer.status === 'rejected') throw answer.reason
    return Promise.all(answers)
  }

  get #dropping(): boolean {
    return this.#skipping || this.#o.outstanding.discarding
  }

  #look(type: number, frame: Buffer): boolean | Promise<boolean> {
    const { outstanding } = this.#o
    // A cancel under way must not hit what comes after it.
    const cancelled = type === T.Terminate ? undefined : this.#o.cancelled()
    if (cancelled) return cancelled.then(() => this.#look(type, frame))
    if (this.#dropping && type !== T.Sync && type !== T.Terminate) return false
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
        outstanding.push({ kind: 'sync' })
        this.#skipping = false
        this.#open = false
        this.#batch++
        return true
      case T.CopyDone:
      case T.CopyFail:
        outstanding.push({ kind: 'copy-end' })
        return true
      case T.FunctionCall:
        return this.#refuseQuery(functionCallRefused).then(() => false)
      case T.Terminate:
        this.terminated = true
        return true
      default:
        return true // Flush
    }
  }

  async #query(frame: Buffer): Promise<boolean> {
    const bytes = frame.subarray(5, frame.length - 1)
    const text = frame.at(-1) === 0 && !bytes.includes(0) ? wire.utf8(bytes) : undefined
    const { max_statement: bound } = this.#o.limits()
    if (text === undefined) return this.#refuseQuery(notUtf8)
    if (bytes.length > bound) return this.#refuseQuery(tooLong(bound))
    const meaning = await this.#meaning(text)
    if (!meaning || this.#dropping) return false
    const { refused, statements } = meaning.analysis
    if (refused) return this.#refuseQuery(wordsOf(refused), statements)
    const run = await this.#pass(text, [], meaning)
    if ('code' in run) return this.#refuseQuery(run, statements)
    if (!(await this.#mayDispatch(run))) return false
    // A Query drops the unnamed statement and portal.
    this.#statements.drop('')
    this.#portals.drop('')
    this.#open = false
    this.#batch++
    this.#dispatch({ kind: 'query', run }, statements)
    return true
  }

  #parse(frame: Buffer): boolean | Promise<boolean> {
    const cursor = new wire.Cursor(frame)
    const name = wire.nameOf(cursor)
    const bytes = cursor.zeroTerminated()
    const text = wire.utf8(bytes)
    const types = Array.from({ length: cursor.int16() & 0xffff }, () => cursor.int32() >>> 0)
    const { max_statement: bound } = this.#o.limits()
    if (text === undefined) return this.#refuseInBatch(notUtf8)
    if (bytes.length > bound) return this.#refuseInBatch(tooLong(bound))
    const judge = (meaning: Meaning | undefined): boolean | Promise<boolean> => {
      if (!meaning || this.#dropping) return false
      const { refused } = meaning.analysis
      if (refused) return this.#refuseInBatch(wordsOf(refused))
      if (this.#o.commands.denies(text, meaning)) {
        return this.#pass(text, [], meaning, 'fail').then((run) => {
          if ('code' in run) return this.#refuseInBatch(run)
          run.end() // policy was changed in between: it is decided again at Execute
          return accept()
        })
      }
      return accept()
    }
    const accept = () => {
      const change = this.#statements.set(name, { text, types }, this.#batch)
      this.#push({ kind: 'parse', change })
      return true
    }
    if (!this.#o.bearings.fresh) return this.#meaning(text).then(judge)
    const meaning = this.#analyse(text)
    return this.#unclear(meaning) ? this.#meaning(text).then(judge) : judge(meaning)
  }

  #bind(frame: Buffer): boolean | Promise<boolean> {
    const { portal, statement: name, formats, parameters, resultFormats } = wire.bindOf(frame)
    if (!this.#certain(this.#statements, name)) return this.#settle().then(() => !this.#dropping && this.#bind(frame))
    const statement = this.#statements.get(name)
    const value: Portal<Run> = {
      text: statement?.text ?? '',
      // Where the name is unknown here, what the server finds behind it is unknown too.
      ...(statement ? { statement } : {}),
      unknown: !statement,
      parameters,
      formats,
      types: [],
      resultFormats,
    }
    this.#push({ kind: 'bind', change: this.#portals.set(portal, value, this.#batch) })
    return true
  }

  #describe(frame: Buffer): boolean {
    const cursor = new wire.Cursor(frame)
    const portal = cursor.byte() === 0x50
    const name = wire.nameOf(cursor)
    const describes = portal ? this.#portals.get(name) : this.#statements.get(name)
    if (describes) describes.described = true
    this.#push({ kind: 'describe', ...(describes ? { describes } : {}) })
    return true
  }

  #close(frame: Buffer): boolean {
    const cursor = new wire.Cursor(frame)
    const names = cursor.byte() === 0x50 ? this.#portals : this.#statements
    this.#push({ kind: 'close', change: names.remove(wire.nameOf(cursor), this.#batch) })
    return true
  }

  async #execute(frame: Buffer): Promise<boolean> {
    const name = wire.nameOf(new wire.Cursor(frame))
    if (!this.#certain(this.#portals, name)) {
      await this.#settle()
      if (this.#dropping) return false
    }
    const portal = this.#portals.get(name)
    if (portal?.run) {
      this.#push({ kind: 'execute', run: portal.run, portal })
      return true
    }
    const meaning = portal && !portal.unknown ? await this.#meaning(portal.text) : this.#unknownMeaning(name)
    if (!meaning || this.#dropping) return false
    const { refused, statements } = meaning.analysis
    if (refused) return this.#refuseInBatch(wordsOf(refused))
    const text = portal && !portal.unknown ? portal.text : `/* portal ${JSON.stringify(name)}, made out of sight */`
    const run = await this.#pass(text, portal ? parametersOf(portal) : [], meaning)
    if ('code' in run) return this.#refuseInBatch(run)
    if (!(await this.#mayDispatch(run))) return false
    if (portal) {
      portal.run = run
      if (!portal.described && !portal.statement?.described && !run.full) this.#describeOurselves(name, portal)
    }
    this.#open = true
    this.#dispatch({ kind: 'execute', run, ...(portal ? { portal } : {}) }, statements)
    return true
  }

  /** Rows come without a description where the client didn't ask for one; the recording needs it. */
  #describeOurselves(name: string, portal: Portal<Run>): void {
    portal.described = true
    this.#push({ kind: 'describe', describes: portal, ours: true, inBatch: true })
    this.#o.toServer(wire.describePortal(name))
  }

  /** What a text means now, after asking for whatever is not known; undefined where the batch has failed meanwhile. */
  async #meaning(text: string): Promise<Meaning | undefined> {
    const { bearings } = this.#o
    if (!bearings.fresh) {
      await this.#settle()
      if (this.#dropping) return undefined
      await bearings.take()
    }
    let meaning = this.#analyse(text)
    if (this.#unclear(meaning)) {
      if (this.#sqlNames > 0) await this.#settle()
      if (this.#dropping) return undefined
      if (isUnknown(meaning)) await bearings.lookAgain()
      meaning = this.#analyse(text)
    }
    return meaning
  }

  /** Whether waiting or looking again could tell more. */
  #unclear(meaning: Meaning): boolean {
    return (this.#sqlNames > 0 && meaning.named === true) || isUnknown(meaning)
  }

  #analyse(text: string): Meaning {
    const { bearings } = this.#o
    const { analysis, meaning } = bearings.analyse(text, {
      prepared: (name) => this.#statements.get(name)?.text,
      portal: (name) => {
        const portal = this.#portals.get(name)
        return portal?.unknown ? undefined : portal?.text
      },
    })
    return {
      analysis,
      named: Object.keys(meaning).length > 0,
      circumstances: {
        search_path: bearings.searchPath,
        role: bearings.user,
        ...(Object.keys(meaning).length > 0 ? { behind: meaning } : {}),
      },
    }
  }

  #unknownMeaning(portal: string): Meaning {
    const { name } = this.#o.bearings.connection
    return {
      analysis: { kind: 'unknown', effects: [unknownEffect(name)], statements: [] },
      circumstances: { portal },
    }
  }

  /** Submits a command. Answers its run, or what the client is told instead. */
  async #pass(text: string, parameters: Parameter[], meaning: Meaning, hold?: 'fail'): Promise<Run | Words> {
    const { commands, outstanding, bearings } = this.#o
    const ends = meaning.analysis.statements[0]?.session.transaction !== undefined
    if (outstanding.status === FAILED && outstanding.empty && !this.#open && !ends) {
      // The server would not run it: nobody need be asked.
      if (!commands.allows(text, parameters, meaning)) return aborted
    }
    const how = hold ?? (await this.#holdFor(text, parameters, meaning))
    const controller = new AbortController()
    if (this.#stopped !== undefined) controller.abort(new Error(this.#stopped))
    let answer: Awaited<ReturnType<Commands['submit']>>
    try {
      answer = await commands.submit({
        text,
        parameters,
        meaning,
        hold: how,
        signal: controller.signal,
        onHeld: (notice) => {
          this.#held = controller
          if (this.#gone) controller.abort(new Error('the client has gone'))
          this.#o.toClient(wire.report(heldNotice(notice)))
          if (this.#open) this.#o.toServer(wire.FLUSH) // answers to what came before are not held back
        },
        meaningNow: async () => {
          await this.#settle()
          await bearings.again()
          return this.#analyse(text)
        },
      })
    } finally {
      this.#held = undefined
    }
    if ('run' in answer) return answer.run
    if (answer.fatal) this.#o.fatal(answer.refused)
    return answer.refused
  }

  /** A hold in a transaction that has written would keep its locks: contract.md, `approvals.in_transaction`. */
  async #holdFor(text: string, parameters: Parameter[], meaning: Meaning): Promise<'wait' | 'fail'> {
    const hold = this.#o.hold()
    if (hold === 'fail' || this.#o.inTransaction() === 'wait' || this.#wrote === undefined) return hold
    if (this.#wrote === this.#batch && this.#open) return 'fail'
    if (!this.#o.outstanding.empty) {
      if (this.#o.commands.allows(text, parameters, meaning)) return hold
      await this.#settle() // it may have ended meanwhile
    }
    return this.#wrote === undefined ? hold : 'fail'
  }

  /** The last look before bytes go out: a cancel under way must not hit what comes after it. */
  async #mayDispatch(run: Run): Promise<boolean> {
    await this.#o.cancelled()
    if (this.#stopped === undefined && !this.#dropping) return true
    run.end({ status: 'refused', sqlstate: '57014', message: this.#stopped ?? 'skipped after an earlier error' })
    return false
  }

  #dispatch(entry: Entry, statements: StatementAnalysis[]): void {
    this.#o.bearings.note(statements)
    const sql = statements.map((statement) => this.#nameChange(statement))
    if (sql.some((change) => change !== undefined)) {
      entry.sql = sql.map((change) => change ?? (() => {}))
      this.#sqlNames++
      entry.settled = () => {
        this.#sqlNames--
      }
    }
    if (statements.length === 0 || statements.some(({ effects }) => effects.some(({ action }) => writes.has(action)))) {
      entry.writes = true
      this.#wrote ??= this.#batch
    }
    this.#o.outstanding.push(entry)
  }

  /** What a statement does to names once it has completed. */
  #nameChange({ session }: StatementAnalysis): (() => void) | undefined {
    const { prepares, deallocates, deallocatesAll, declares, closes, closesAll, discards } = session
    const all = discards === 'all'
    if (!prepares && deallocates === undefined && !declares && closes === undefined && !all) return undefined
    return () => {
      if (all || deallocatesAll) this.#statements.clear()
      else if (deallocates !== undefined) this.#statements.drop(deallocates)
      if (all || closesAll) this.#portals.clear()
      else if (closes !== undefined) this.#portals.drop(closes)
      if (prepares) this.#statements.settle(prepares.name, { text: prepares.text, types: [] })
      if (declares) {
        const portal = { text: declares.text, parameters: [], formats: [], types: [], resultFormats: [] }
        this.#portals.settle(declares.cursor, portal)
      }
    }
  }

  #push(entry: Entry): void {
    this.#open = true
    this.#o.outstanding.push(entry)
  }

  /** Whether a name means here what it will mean to the server. */
  #certain(names: Names<Prepared> | Names<Portal<Run>>, name: string): boolean {
    return this.#sqlNames === 0 && names.certain(name, this.#batch)
  }

  /** Waits until the server has answered everything sent so far. */
  async #settle(): Promise<void> {
    const { outstanding } = this.#o
    if (outstanding.empty) return
    if (this.#open) this.#o.toServer(wire.FLUSH)
    await outstanding.drained()
  }

  /** Refuses within a batch as the server does: one error, the rest skipped, the transaction aborted. */
  #refuseInBatch(words: Words): false {
    const { outstanding } = this.#o
    this.#push({ kind: 'parse', words: () => (outstanding.status === FAILED ? aborted : words) })
    this.#o.toServer(wire.parse(OWN_NAME, PROVOKED))
    this.#skipping = true
    return false
  }

  /** Refuses a Query (or FunctionCall), which ends with ReadyForQuery; in a transaction the server must abort it. */
  async #refuseQuery(words: Words, statements: StatementAnalysis[] = []): Promise<false> {
    const { outstanding } = this.#o
    if (words === unrecordable) return false // the session is ending
    await this.#settle()
    if (this.#dropping || this.#stopped !== undefined) return false
    const status = outstanding.status
    if (this.#open || (status !== IDLE && status !== FAILED)) {
      this.#open = false
      this.#batch++
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

const wordsOf = ({ sqlstate, message, hint }: { sqlstate: string; message: string; hint?: string }): Words => ({
  code: sqlstate,
  message,
  ...(hint === undefined ? {} : { hint }),
})

const isUnknown = ({ analysis }: Meaning) => (analysis.unresolved?.length ?? 0) > 0

function parametersOf(portal: Portal<Run>): Parameter[] {
  const types = portal.statement?.types ?? portal.types
  const format = (at: number) => (portal.formats.length === 1 ? portal.formats[0]! : (portal.formats[at] ?? 0))
  return portal.parameters.map((value, at) => shown(value, types[at] ?? 0, format(at)))
}
