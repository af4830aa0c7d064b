import { createHash, type Hash } from 'node:crypto'
import type { Findings } from '@countersign/contract/ledger/findings'
import type { RecordingEvent } from '@countersign/contract/recording'
import { Counting } from '../sessions/counts.ts'
import { LOST } from '../sessions/scribe/messages.ts'
import type { SpokenEntry } from './comparison.ts'
import { asValue, outcomeOf, recordedOf, type SaidRows } from './said.ts'

/** Of lines longer than this nothing is said here but that they were there; results may have as many bytes as the configuration lets them. */
const LONGEST = 64 * 1024 * 1024

/** What the database says nothing of. */
const UNCOUNTED = new Set(['end', 'note', 'channel', 'input', 'resize', 'signal', 'exit'])

/** One session while its entries and its recording go by. */
interface Passing {
  counting: Counting
  rest: Buffer[]
  restLength: number
  /** The commands of the log and those of the recording, each as one hash of who they are. */
  logged: { count: number; hash: Hash }
  recorded: { count: number; hash: Hash }
  /** The last command of the recording, until it is known whether it is held. */
  last: Extract<RecordingEvent, { type: 'command' }> | undefined
  /** Commands that run by an approval, and it. */
  released: Map<string, string>
  bytes: number
  /** Payloads of it are gone: the log tells of fewer commands than there were. */
  erased: boolean
  end: SpokenEntry | undefined
}

/**
 * What recordings say, while they go by: their counts and held commands, for comparison with the store; and whether the
 * log's entries of type `command` are their commands. Keeps a little per session that is open at that place of the log.
 */
export class RecordedFacts {
  readonly #said: SaidRows
  readonly #found: Findings
  readonly #passing = new Map<string, Passing>()

  constructor(said: SaidRows, found: Findings) {
    this.#said = said
    this.#found = found
  }

  /** A command entry of the log. */
  command({ payload }: SpokenEntry): void {
    const { session, command, digest, verdict } = payload
    const { logged } = this.#of(String(session))
    logged.count++
    logged.hash.update(identity(command, digest, verdict))
  }

  /** The next bytes of a recording. */
  bytes(session: string, bytes: Uint8Array): void {
    const passing = this.#of(session)
    passing.bytes += bytes.length
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let newline = rest.indexOf(10); newline !== -1; newline = rest.indexOf(10)) {
      const line = rest.subarray(0, newline)
      this.#line(passing, passing.restLength === 0 ? line : Buffer.concat([...passing.rest, line]))
      passing.rest = []
      passing.restLength = 0
      rest = rest.subarray(newline + 1)
    }
    if (rest.length === 0 || passing.restLength > LONGEST) return
    passing.rest.push(Buffer.from(rest))
    passing.restLength += rest.length
  }

  #line(passing: Passing, line: Buffer) {
    const type = /^\{"seq":\d+,"t":[\d.e+-]+,"type":"([a-z]+)"/.exec(line.toString('latin1', 0, 96))?.[1]
    if (type === undefined || UNCOUNTED.has(type)) return
    // Most of a recording may be output, of which only this counts.
    if (type === 'output' && !line.includes('"masked":[')) return
    let event: RecordingEvent
    try {
      event = JSON.parse(line.toString()) as RecordingEvent
      passing.counting.add(event)
    } catch {
      return // The chunk's hash tells what was changed.
    }
    if (event.type === 'command') {
      passing.last = event
      passing.recorded.count++
      passing.recorded.hash.update(identity(event.command, event.digest, event.verdict))
    } else if (event.type === 'hold') {
      // What runs beside it may stand between.
      if (event.state === 'used') passing.released.set(event.command, event.approval)
      if (passing.last?.command !== event.command) return
      const { text, parameters, kind, effects, digest } = passing.last
      this.#said.say(recordedOf('approvals'), event.approval, {
        text,
        kind,
        digest,
        parameters: asValue(parameters),
        effects: asValue(effects),
      })
    } else if (event.type === 'result' && event.status !== 'refused') {
      const approval = passing.released.get(event.command)
      passing.released.delete(event.command)
      const table = recordedOf('approvals')
      // Of a command that may be repeated the card shows the first.
      if (approval !== undefined && this.#said.get(table, approval)?.columns.outcome === undefined)
        this.#said.say(table, approval, { outcome: outcomeOf(event) })
    }
  }

  /** The log tells of a session's end. Its recording may still have to go by. */
  end(entry: SpokenEntry): void {
    this.#of(String(entry.payload.session)).end = entry
  }

  /** An entry of a session is erased. */
  erased(session: string, type: string): void {
    if (type === 'session.closed' || type === 'session.interrupted') this.#passing.delete(session)
    else this.#of(session).erased = true
  }

  /** All of a session's recording has gone by that there is. */
  gone(session: string): void {
    const passing = this.#passing.get(session)
    if (!passing?.end) return
    this.#passing.delete(session)
    const { counting, logged, recorded, erased, bytes, end } = passing
    const { n, payload } = end
    // What is missing of it, or more than it had, is told elsewhere.
    if (bytes !== (payload.recording as { bytes?: unknown } | undefined)?.bytes) return
    const classes = asValue([...counting.classes].sort())
    // Of one whose rest is lost the row counts that, too.
    if (!String(payload.reason).startsWith(LOST))
      this.#said.say(recordedOf('sessions'), session, { ...counting.counts, classes })
    const where = { entry: n, recording: session }
    if (erased) return
    if (typeof payload.commands === 'number' && payload.commands !== logged.count)
      this.#found.missing(
        'commands-missing',
        where,
        `session ${session} had ${payload.commands} commands when it ended (entry ${n}), the log has entries of ${logged.count}`,
      )
    else if (logged.count !== recorded.count)
      this.#found.missing(
        'commands-unrecorded',
        where,
        `the log has ${logged.count} commands of session ${session}, its recording ${recorded.count}`,
      )
    else if (logged.hash.digest('hex') !== recorded.hash.digest('hex'))
      this.#found.wrong(
        'commands-differ',
        where,
        `the commands of session ${session} in the log are not those of its recording`,
      )
  }

  #of(session: string): Passing {
    let passing = this.#passing.get(session)
    if (!passing) {
      const side = () => ({ count: 0, hash: createHash('sha256') })
      passing = {
        counting: new Counting(),
        rest: [],
        restLength: 0,
        logged: side(),
        recorded: side(),
        last: undefined,
        released: new Map(),
        bytes: 0,
        erased: false,
        end: undefined,
      }
      this.#passing.set(session, passing)
    }
    return passing
  }
}

const identity = (command: unknown, digest: unknown, verdict: unknown) =>
  `${JSON.stringify([command, digest, (verdict as { outcome?: unknown } | undefined)?.outcome])}\n`
