import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { LedgerStopped } from '../ledger/ledger.ts'
import { LedgerLog } from '../ledger/log.ts'
import { stopped } from '../ledger/stopped.ts'
import { keepIndex } from '../search/kept.ts'
import type { FromScribe, Question, ScribeData, SearchQuestion, ToScribe } from './messages.ts'
import { LedgerWriter } from './writer.ts'

/** What happens within this time is committed together (ms); who waits for it isn't kept waiting. */
const TOGETHER_MS = 200
/** Chunks that are due are looked for so often (ms). */
const TICK_MS = 5000
/** How long until a log that stopped is tried again (ms), longer each time. */
const RETRY_MS = [250, 1000, 3000, 10_000]
/** So long the index has to be closed when the thread ends by an error. */
const DYING_MS = 1000
/** Nice value: whoever forwards commands comes first. */
const NICE = 10

const port = parentPort!
const { folder, origin, lives, data } = workerData as ScribeData
const say = (message: FromScribe) => port.postMessage(message)
/** Absent where nothing is searched. Where it fails the ledger goes on without it. */
const indexing = data === undefined ? undefined : openIndex(data)

lowerPriority()
const { writer, found } = await begin()
let retries = 0
let open = true
let timer: { at: number; is: NodeJS.Timeout } | undefined
let running = false
let lastTick = performance.now()
tellRunning(found)
process.on('uncaughtException', die)
port.on('message', take)

function openLog() {
  return LedgerLog.open({ folder, crypto: nodeCrypto, ...(origin !== undefined && { origin }) })
}

async function begin() {
  const { log, found } = await openLog()
  const readers = indexing ? [indexing] : []
  return { writer: new LedgerWriter({ log, crypto: nodeCrypto, say, wake: () => runIn(0), lives, readers }), found }
}

function tellRunning(found: string[]): void {
  const { life, state, log, committedOutbox: outbox } = writer
  say({ is: 'running', life, state, head: log.head, outbox, found })
  runIn(0)
}

function take(message: ToScribe): void {
  switch (message.is) {
    case 'follow':
      writer.follow(message.recordings, message.live)
      break
    case 'grown':
      writer.grown(message.sessions)
      break
    case 'ended':
      writer.ended(message.session)
      break
    case 'outbox':
      writer.outbox(message.rows, message.life)
      break
    case 'question':
      answer(message.id, message.question)
      break
    case 'close':
      close()
      return
  }
  runIn(writer.urgent ? 0 : TOGETHER_MS)
}

function openIndex(data: string) {
  const told = (level: 'info' | 'warn' | 'error') => (fields: unknown, text?: string) =>
    say({ is: 'said', level, fields: fields as object, text: text ?? '' })
  return keepIndex({ folder: data, log: { info: told('info'), warn: told('warn'), error: told('error') } })
}

async function askIndex(question: SearchQuestion): Promise<void> {
  if (!indexing) throw new Error('There is no search index')
  if (question.ask === 'indexed') indexing.flush()
  else if (question.ask === 'reindex') indexing.remake()
  else await indexing.forget(question.sessions)
}

function answer(id: number, question: Question): void {
  if (!open) {
    refuse(id, new LedgerStopped('The ledger is stopped; it goes on by itself as soon as it can'))
    return
  }
  switch (question.ask) {
    case 'sync':
    case 'signed':
      writer.wait(id, question, question.ask === 'signed')
      return
    case 'indexed':
    case 'unindex':
    case 'reindex':
      void askIndex(question).then(
        () => say({ is: 'answer', id, value: undefined }),
        (error) => refuse(id, error),
      )
      return
    default:
      void writer
        .ask(question, () => new Promise((resolve) => setImmediate(resolve)))
        .then(
          (value) => say({ is: 'answer', id, value }),
          (error) => refuse(id, error),
        )
  }
}

function refuse(id: number, error: Error): void {
  const { name, message } = error
  say({ is: 'refused', id, name, code: (error as { code?: string }).code, message })
}

/** Calls `run` by then at the latest. */
function runIn(ms: number): void {
  if (!open) return
  const at = performance.now() + ms
  if (timer && timer.at <= at) return
  clearTimeout(timer?.is)
  timer = { at, is: setTimeout(run, ms) }
}

function run(): void {
  timer = undefined
  if (!open || running) return
  running = true
  try {
    const now = performance.now()
    const more = writer.round(now)
    if (now - lastTick >= TICK_MS || (writer.signDue ?? Number.POSITIVE_INFINITY) <= now) {
      if (now - lastTick >= TICK_MS) lastTick = now
      writer.tick(now)
    }
    retries = 0
    const due = writer.signDue
    if (more) runIn(0)
    else if (due !== undefined) runIn(Math.max(0, due - performance.now()))
    else runIn(TICK_MS)
  } catch (error) {
    stop(error)
  } finally {
    running = false
  }
}

/** Nothing can be written: it is said, and tried again with what is on disk. */
function stop(error: unknown): void {
  const why = stopped('The ledger can’t be written', error)
  open = false
  clearTimeout(timer?.is)
  timer = undefined
  say({ is: 'stopped', message: why.message })
  for (const id of writer.giveUp()) refuse(id, why)
  try {
    writer.log.close()
  } catch {
    // It is opened anew in any case.
  }
  setTimeout(retry, RETRY_MS[Math.min(retries++, RETRY_MS.length - 1)]!)
}

async function retry(): Promise<void> {
  try {
    const { log, found } = await openLog()
    writer.reopen(log)
    // Not before something could be written is anybody told that it goes on.
    log.setMeta('opened', new Date().toISOString())
    writer.round(performance.now())
    open = true
    tellRunning(found)
  } catch (error) {
    stop(error)
  }
}

function close(): void {
  if (open) {
    open = false
    clearTimeout(timer?.is)
    try {
      writer.close()
      indexing?.flush()
    } catch (error) {
      say({
        is: 'said',
        level: 'error',
        fields: { error: (error as Error).message },
        text: 'the ledger was not closed well',
      })
    }
  }
  process.exit(0)
}

/**
 * What nobody expected ends the thread. Databases are closed first: left open, they are collected while the thread is
 * torn down, which was seen to take the whole process with it (github.com/WiseLibs/better-sqlite3/issues/1476).
 */
function die(error: Error): void {
  if (open) say({ is: 'dying', message: error.message })
  open = false
  clearTimeout(timer?.is)
  try {
    writer.log.close()
  } catch {
    // It was closed when nothing could be written.
  }
  const closed = Promise.resolve(indexing?.[Symbol.asyncDispose]()).catch(() => {})
  const late = new Promise((resolve) => setTimeout(resolve, DYING_MS))
  void Promise.race([closed, late]).then(() => process.exit(1))
}

/** Linux has a priority for each thread, under the thread's own id. */
function lowerPriority(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), NICE)
  } catch {
    // Elsewhere all threads are alike.
  }
}
