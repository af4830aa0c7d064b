import type { Touch } from '../masking/plan.ts'
import { OWN_NAME } from './ask.ts'
import type { Bearings } from './bearings.ts'
import type { StatementAnalysis } from './effects/effects.ts'
import { settles } from './masked/touching.ts'
import { Names, type Portal, type Prepared, weightOfPortal, weightOfStatement } from './names.ts'
import { type Entry, IDLE, type Outstanding } from './outstanding.ts'
import type { Run } from './run.ts'
import * as wire from './wire/messages.ts'

const writes = new Set(['sql:write', 'sql:ddl', 'sql:admin', 'sql:call', 'sql:unknown'])

/** Where a client and its server stand: what was sent, what names that has made, and what is still to be answered. */
export class Conversation {
  readonly outstanding: Outstanding
  readonly statements = new Names<Prepared>(weightOfStatement)
  readonly portals = new Names<Portal<Run>>(weightOfPortal)
  /** Counts Syncs and Queries sent: the server starts afresh after each. */
  batch = 0
  /** Extended-protocol messages were sent since the last Sync. */
  open = false
  /** Among them one whose effect a Sync would end: a portal, or something that was done and may yet be rolled back. */
  bound = false
  /** Something was refused: everything up to the client's Sync is dropped, as the server does. */
  skipping = false
  /** A write was dispatched since the transaction began; in which batch. */
  wrote: number | undefined
  /** Statements outstanding that make or drop names by SQL. */
  sqlNames = 0
  readonly #bearings: Bearings
  readonly #toServer: (bytes: Buffer) => void

  /** @param toServer sends bytes of the gateway's own, behind everything that was relayed */
  constructor(outstanding: Outstanding, bearings: Bearings, toServer: (bytes: Buffer) => void) {
    this.outstanding = outstanding
    this.#bearings = bearings
    this.#toServer = toServer
  }

  /** Whether what the client sends is not looked at, until its Sync. */
  get dropping(): boolean {
    return this.skipping || this.outstanding.discarding
  }

  /** Whether a name means here what it will mean to the server. */
  certain(names: Names<Prepared> | Names<Portal<Run>>, name: string): boolean {
    return this.sqlNames === 0 && names.certain(name, this.batch)
  }

  /** A message of the extended protocol goes to the server. */
  push(entry: Entry): void {
    this.open = true
    if (entry.kind === 'bind') this.bound = true
    this.outstanding.push(entry)
  }

  /** A message with bytes of the gateway's own goes to the server. */
  send(entry: Entry, bytes: Buffer): void {
    this.push(entry)
    this.#toServer(bytes)
  }

  /** The client's batch ends: by Sync, or by a Query. */
  endBatch(): void {
    this.open = false
    this.bound = false
    this.batch++
  }

  /** A command goes to the server. */
  dispatch(entry: Entry, statements: StatementAnalysis[]): void {
    if (entry.kind === 'execute') this.bound = true
    this.#bearings.note(statements)
    this.#noteNames(entry, statements)
    entry.settles = settles(statements)
    if (statements.length === 0 || statements.some(({ effects }) => effects.some(({ action }) => writes.has(action)))) {
      entry.writes = true
      this.wrote ??= this.batch
    }
    this.outstanding.push(entry)
  }

  /** Waits until the server has answered everything sent so far. */
  async settle(): Promise<void> {
    if (this.outstanding.empty) return
    this.flush()
    const drained = this.outstanding.drained()
    this.#resolveDoubt()
    await drained
  }

  /** Has the server answer what it would keep back until the Sync. */
  flush(): void {
    if (this.open) this.#toServer(wire.FLUSH)
  }

  /** Closing what isn't there does nothing, and is answered whatever became of the Syncs before it. */
  #resolveDoubt(): void {
    if (!this.outstanding.stalled) return
    this.outstanding.push({ kind: 'close', ours: true })
    this.#toServer(Buffer.concat([wire.closeStatement(OWN_NAME), wire.FLUSH]))
  }

  ready(status: number): void {
    this.#resolveDoubt()
    if (status !== IDLE) return
    if (this.wrote !== undefined && !this.outstanding.writes()) this.wrote = undefined
    // The server drops what Bind has made at the end of the transaction.
    this.portals.dropConfirmed((portal) => {
      const bound = portal.statement !== undefined || portal.unknown === true
      if (bound) portal.run?.end() // suspended, and never asked for the rest
      return bound
    })
  }

  /** The ends of commands whose portals were never read to their end. */
  endSuspended(): void {
    this.portals.dropConfirmed((portal) => {
      portal.run?.end()
      return true
    })
  }

  #noteNames(entry: Entry, statements: StatementAnalysis[]): void {
    let changes = false
    const sql = statements.map((statement, at) => {
      const change = this.#nameChange(statement, entry.run?.masked?.touchAt(at))
      changes ||= change !== undefined
      return change ?? (() => {})
    })
    if (!changes) return
    entry.sql = sql
    this.sqlNames++
    entry.settled = () => {
      this.sqlNames--
    }
  }

  /** What a statement does to names once it has completed. */
  #nameChange({ session, effects }: StatementAnalysis, touch?: Touch): (() => void) | undefined {
    const { prepares, deallocates, deallocatesAll, declares, closes, closesAll, discards } = session
    const all = discards === 'all'
    if (!prepares && deallocates === undefined && !declares && closes === undefined && !all) return undefined
    return () => {
      if (all || deallocatesAll) this.statements.clear()
      else if (deallocates !== undefined) this.statements.drop(deallocates)
      if (all || closesAll) this.portals.clear()
      else if (closes !== undefined) this.portals.drop(closes)
      if (prepares) this.statements.settle(prepares.name, { text: prepares.text, types: [], meant: effects })
      if (declares) {
        const portal = { text: declares.text, parameters: [], formats: [], types: [], resultFormats: [] }
        this.portals.settle(declares.cursor, { ...portal, ...(touch ? { declared: [touch] } : {}) })
      }
    }
  }
}
