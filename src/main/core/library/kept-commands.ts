import type { CommandQuery, FoundCommand } from '@countersign/contract/evidence'
import type { RecordingEvent } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import { ConsoleError } from '../../../console-api.ts'
import { PlainText } from '../terminal/text.ts'
import { commandWords, findIn, wordsOf } from './finding.ts'
import type { RecordingFile } from './recording-file.ts'

/** Searching in all that is kept: the sealed chunks are opened one after the other, there is no index of words. */

type Command = Extract<RecordingEvent, { type: 'command' }>
type Reading = <T>(session: string, read: (file: RecordingFile) => Promise<T>) => Promise<T>

const wordsIn = (text: string) => text.trim().toLowerCase().split(/\s+/).filter(Boolean)
const longest = (words: readonly string[]) => words.reduce((a, b) => (b.length > a.length ? b : a), '')

/** Whether one command has all the words. */
export async function saysAll(file: RecordingFile, text: string, signal: AbortSignal): Promise<boolean> {
  const words = wordsIn(text)
  for await (const { hits } of findIn(file, longest(words), signal, commandWords))
    for (const line of await file.lines(hits.map((hit) => hit.line)))
      if (line.type === 'command' && hasAll(commandWords(line), words)) return true
  return false
}

function hasAll(texts: Iterable<unknown>, words: readonly string[]): boolean {
  const said = [...texts]
    .filter((text) => typeof text === 'string')
    .join('\n')
    .toLowerCase()
  return words.every((word) => said.includes(word))
}

/**
 * Commands of kept recordings that fit, of the newest session first; alike ones of a session are one. `more` where the
 * limit was reached.
 */
export async function findKeptCommands(
  sessions: readonly Session[],
  reading: Reading,
  query: CommandQuery & { limit: number },
  signal: AbortSignal,
): Promise<{ items: FoundCommand[]; looked: number; more: boolean }> {
  const items: FoundCommand[] = []
  let looked = 0
  for (const session of sessions) {
    signal.throwIfAborted()
    if (!fits(session, query)) continue
    if (items.length >= query.limit) return { items: items.slice(0, query.limit), looked, more: true }
    looked += 1
    try {
      items.push(...(await reading(session.id, (file) => commandsOf(file, session, query, signal))))
    } catch (error) {
      if (!(error instanceof ConsoleError)) throw error // a copy that doesn't open says nothing; the library tells of it
    }
  }
  return { items: items.slice(0, query.limit), looked, more: items.length > query.limit }
}

function fits(session: Session, query: CommandQuery): boolean {
  return (
    (!query.session || session.id === query.session) &&
    (!query.agent || session.agent === query.agent || session.identity.name === query.agent) &&
    (!query.connection || session.connection === query.connection) &&
    (!query.to || Date.parse(session.openedAt) <= Date.parse(query.to)) &&
    (!query.from || !session.closedAt || Date.parse(session.closedAt) >= Date.parse(query.from))
  )
}

async function commandsOf(
  file: RecordingFile,
  session: Session,
  query: CommandQuery & { limit: number },
  signal: AbortSignal,
): Promise<FoundCommand[]> {
  const words = wordsIn(query.text ?? '')
  const found = new Map<string, FoundCommand>()
  const seen = new Set<number>()
  const add = (command: Command, where: 'command' | 'result') => {
    const at = Date.parse(session.openedAt) + command.t
    if (query.from && at < Date.parse(query.from)) return
    if (query.to && at > Date.parse(query.to)) return
    if (query.verdict && command.verdict.outcome !== query.verdict) return
    const tables = [
      ...new Set(command.effects.flatMap(({ resource }) => (resource.type === 'Table' ? [resource.id] : []))),
    ]
    if (query.table && !tables.some((table) => table === query.table || table.endsWith(`/${query.table}`))) return
    const key = `${command.verdict.outcome}\n${command.text}`
    const known = found.get(key)
    if (known) {
      known.count += 1
      return
    }
    found.set(key, {
      session: session.id,
      seq: command.seq,
      t: command.t,
      at: new Date(at).toISOString(),
      count: 1,
      connection: session.connection,
      agent: session.agent,
      agentName: session.identity.name,
      kind: command.kind,
      verdict: command.verdict.outcome,
      tables: tables.map((table) => table.slice(table.indexOf('/') + 1)),
      text: command.text.slice(0, 1000),
      found: where,
    })
  }
  const needle = longest(words)
  if (needle === '') {
    for await (const line of allLines(file, signal)) if (line.type === 'command') add(line, 'command')
    return [...found.values()]
  }
  for await (const { hits } of findIn(file, needle, signal)) {
    for (const { line: number, step } of hits) {
      if (step < 0 || seen.has(step)) continue
      const [line] = await file.lines([number])
      if (!line || !hasAll(line.type === 'output' ? shownBy(line) : wordsOf(line), words)) continue
      seen.add(step)
      if (line.type === 'command') {
        add(line, 'command')
        continue
      }
      for (const other of await file.lines(file.index.linesOf(step, step + 1)))
        if (other.type === 'command') add(other, 'result')
    }
  }
  return [...found.values()]
}

function shownBy({ data }: Extract<RecordingEvent, { type: 'output' }>): string[] {
  return typeof data === 'string' ? [new PlainText().write(data)] : []
}

async function* allLines(file: RecordingFile, signal: AbortSignal): AsyncGenerator<RecordingEvent> {
  for (let at = 1; at < file.index.lines; at += 500) {
    signal.throwIfAborted()
    const numbers = Array.from({ length: Math.min(500, file.index.lines - at) }, (_, i) => at + i)
    for (const line of await file.lines(numbers)) if (line.type !== 'header') yield line
    await new Promise((resolve) => setImmediate(resolve))
  }
}
