import { hash } from 'node:crypto'
import type { RecordingEvent } from '@countersign/contract/recording'
import { addWords, CAME_BACK } from './words.ts'

type Command = Extract<RecordingEvent, { type: 'command' }>
type Rows = Extract<RecordingEvent, { type: 'rows' }>
type Result = Extract<RecordingEvent, { type: 'result' }>

/** How much of a command is found by its words, in characters; and how much of it is shown. */
export const bounds = {
  /** Of its text … */
  text: 64 * 1024,
  shown: 1000,
  /** … of the parameters, and of what came back, each time … */
  parameters: 4096,
  cameBack: 4096,
  /** … for the first times that it was sent. */
  times: 4,
  tables: 256,
}

export const verdicts = ['allow', 'deny', 'hold'] as const
export type Verdict = (typeof verdicts)[number]

/** Ticks of 16 µs since 2020: what numbers commands, so that the order of numbers is that of time. */
const EPOCH = Date.UTC(2020, 0, 1)
const TICKS_A_MS = 62.5

/** @param ms since 1970, fractions allowed  @returns at least 1 */
export function tickOf(ms: number): number {
  return Math.max(1, Math.floor((ms - EPOCH) * TICKS_A_MS))
}

/** A command of a session as it is indexed: all that have its text and verdict. */
export interface Document {
  id: number
  readonly verdict: number
  readonly kind: string
  readonly seq: number
  readonly t: number
  readonly hash: Buffer
  readonly tables: string[]
  count: number
  /** Milliseconds since 1970 of the last one. */
  last: number
  /** What is found besides its text. Absent where no more is taken in. */
  more: { text: string; parameters: string; cameBack: string; times: number; awaited: number } | undefined
  /** Whether the index has it. */
  stored: boolean
  /** What of it has to be written. */
  stale: 'nothing' | 'count' | 'words' | 'all'
}

/** What makes commands of a session alike. Long texts are told apart by their hash, so as not to be kept. */
export function keyOf(command: Command): string {
  const { outcome } = command.verdict
  return command.text.length <= 4096
    ? `${outcome} ${command.text}`
    : `${outcome} sha256 ${hash('sha256', command.text)}`
}

/** 128 bits: two texts that have one can't be made, so that none hides behind another. */
export function hashOf(key: string): Buffer {
  return hash('sha256', key, 'buffer').subarray(0, 16)
}

/** The tables among a command's effects, as schema.table. */
export function tablesOf(command: Command): string[] {
  const tables = new Set<string>()
  for (const { resource } of command.effects) {
    if (resource.type !== 'Table') continue
    tables.add(resource.id.slice(resource.id.indexOf('/') + 1))
    if (tables.size === bounds.tables) break
  }
  return [...tables]
}

/** Text values among parameters, until there are enough of them. */
export function parametersOf({ parameters }: Command): string {
  return joined(parameters, bounds.parameters)
}

/** Values of rows, with what a result says. */
export function cameBackIn(event: Rows | Result): string {
  if (event.type === 'result')
    return [event.sqlstate, event.message].filter(Boolean).join(' ').slice(0, bounds.cameBack)
  let all = ''
  for (const row of event.rows) {
    all += joined(row, bounds.cameBack - all.length)
    if (all.length >= bounds.cameBack) break
  }
  return all
}

function joined(values: Command['parameters'], most: number): string {
  let all = ''
  for (const value of values) {
    if (typeof value !== 'string') continue
    all += `${value.slice(0, most - all.length)}\n`
    if (all.length >= most) break
  }
  return all
}

/** Numbers that names have in the index. */
export interface Numbers {
  session: number
  agent: number
  connection: number
  tables: number[]
}

/**
 * What the index has of a command, words separated by spaces. Beside the words themselves there is one for each way to
 * filter: `=a1c2t3` is agent 1, connection 2, table 3. So a filter is one word, however little its parts have in common.
 */
export function indexed(document: Document, text: string, numbers: Numbers): string {
  const words = new Set<string>()
  addWords(words, text)
  const { more } = document
  if (more) {
    if (more.parameters !== '') addWords(words, more.parameters)
    if (more.cameBack !== '') addWords(words, more.cameBack, CAME_BACK)
  }
  const { session, agent, connection, tables } = numbers
  words.add(`=s${session}`).add(`=v${document.verdict}`)
  for (const table of ['', ...tables.map((n) => `t${n}`)]) {
    words.add(`=a${agent}${table}`).add(`=c${connection}${table}`).add(`=a${agent}c${connection}${table}`)
    if (table !== '') words.add(`=${table}`)
  }
  return [...words].join(' ')
}
