import { join } from 'node:path'
import type { BacktestResult, PolicyText } from '@countersign/contract/policies'
import { loadPolicyTexts, type Policies } from '../policy/policy.ts'
import { recordedCommands } from '../sessions/ledger/commands.ts'
import { decideAgain, type Outcome, saidThen } from './again.ts'
import { Changes } from './changes.ts'
import { withTexts } from './samples.ts'
import { readThen } from './then.ts'

/** What a replay is of. */
export interface Replay {
  /** The data folder. */
  data: string
  /** The set that is asked. */
  policies: readonly PolicyText[]
  /** Compared with this set; absent: with what was recorded. */
  against?: readonly PolicyText[]
  /** ISO 8601, UTC; the first included, the last not. */
  from: string
  to: string
  agents?: readonly string[]
  connections?: readonly string[]
}

export interface Progress {
  commands: number
  /** Roughly how many there are, once that can be told. */
  of?: number
}

/** A set that can't be replayed, since it doesn't load. */
export class NotLoaded extends Error {
  override name = 'NotLoaded'
}

/** After so many commands whoever waits is told. */
const TOLD_EACH = 5000

/**
 * Asks a set of policies about the commands that were recorded, and tells what would have been decided otherwise.
 * Synchronous but for the texts of samples: for a thread or process of its own. Memory stays bounded, however many
 * commands there are.
 * @throws NotLoaded, LedgerStopped, SqliteError; AbortError
 */
export async function replay(
  asked: Replay,
  onProgress: (progress: Progress) => void = () => {},
  signal?: AbortSignal,
): Promise<BacktestResult> {
  const began = performance.now()
  const then = readThen(asked.data, asked)
  const now = decideAgain(loaded(asked.policies), then)
  const before = asked.against && decideAgain(loaded(asked.against), then)
  const changes = new Changes()
  const same = { allow: 0, hold: 0, deny: 0 }
  const counted = { commands: 0, unreadable: 0, beside: 0, guessed: 0, observed: 0 }
  let read = 0
  const tell = () =>
    onProgress({
      commands: counted.commands,
      ...(read > 0 && { of: Math.round(counted.commands / read) }),
    })
  const commands = recordedCommands(join(asked.data, 'ledger'), {
    from: asked.from,
    to: asked.to,
    ...(asked.agents && { agents: asked.agents }),
    ...(asked.connections && { connections: asked.connections }),
    onUnreadable: (more) => {
      counted.unreadable += more
    },
    onRead: (entries, of) => {
      read = of === 0 ? 1 : entries / of
    },
  })
  for (const command of commands) {
    if (counted.commands % TOLD_EACH === 0) {
      tell()
      if (signal) await yielded(signal)
    }
    counted.commands++
    const { verdict } = command
    const was = before ? before(command)?.outcome : saidThen(verdict)
    const said = now(command)
    if (was === undefined || said === undefined) {
      counted.commands--
      counted.unreadable++
      continue
    }
    if (verdict.observed || command.session.mode === 'observe') counted.observed++
    if (said.guessed) counted.guessed++
    if (was === 'beside') {
      counted.beside++
      same.deny++
    } else if (was === said.outcome) same[was as Outcome]++
    else changes.add(command, was, said)
  }
  read = 1
  tell()
  const { changes: told, left, notes } = changes.told()
  return {
    from: asked.from,
    until: asked.to,
    commands: counted.commands,
    unreadable: counted.unreadable,
    same,
    ...changes.counts,
    changes: await withTexts(asked.data, told, signal),
    left,
    notes: [...notesOf(counted), ...notes],
    seconds: Math.round(performance.now() - began) / 1000,
  }
}

function loaded(texts: readonly PolicyText[]): Policies {
  const result = loadPolicyTexts(texts)
  if (result.ok) return result.policies
  const [problem] = result.problems
  throw new NotLoaded(problem ? `${problem.file}:${problem.line}: ${problem.message}` : 'the policies don’t load')
}

/** Lets whoever cancels be heard. */
async function yielded(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  signal.throwIfAborted()
}

function notesOf({ beside, guessed, observed }: { beside: number; guessed: number; observed: number }): string[] {
  const notes: string[] = []
  if (beside > 0)
    notes.push(
      `${told(beside)} refused by something else than policy (a limit, a statement that can’t be run, a record that could not be written), and would be again: they count as denied, unchanged.`,
    )
  if (observed > 0)
    notes.push(
      `${told(observed)} only observed (mode: observe): compared is what policy said of them, though nothing was refused.`,
    )
  if (guessed > 0)
    notes.push(
      `Of ${guessed} commands the record lacks something that this policy asks for (functions, or how the connection was configured, as recorded by earlier versions): they were decided without it.`,
    )
  return notes
}

const told = (count: number) => (count === 1 ? '1 command was' : `${count} commands were`)
