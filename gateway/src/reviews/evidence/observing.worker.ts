import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { recordedCommands } from '../../sessions/ledger/commands.ts'
import { openEntries } from '../../sessions/ledger/entries.ts'
import type { FromObserving, ToObserve } from './observe.ts'
import type { Observed } from './observed.ts'
import { Observing } from './observing.ts'
import type { Sample } from './samples.ts'
import { readTexts } from './texts.ts'

/** One pass over the recorded commands of a window, and the texts of those that are shown. It ends when it is terminated. */
const asked = workerData as ToObserve
const say = (message: FromObserving) => parentPort!.postMessage(message)
/** So often it says how far it is (ms). */
const SAY_MS = 200

try {
  say({ is: 'done', observed: await observe() })
} catch (error) {
  say({ is: 'failed', name: (error as Error).name, message: (error as Error).message })
}

async function observe(): Promise<Observed> {
  const { folder, from, to, agents, connections } = asked
  const ledger = join(folder, 'ledger')
  const rules = new Map(asked.rules)
  const observing = new Observing({ from, to, since: firstIn(ledger), rulesOf: (session) => rules.get(session) ?? [] })
  let said = performance.now()
  const progress = (done: number, of: number, doing: 'commands' | 'texts') => {
    if (performance.now() - said < SAY_MS && done < of) return
    said = performance.now()
    say({ is: 'progress', done, of, doing, commands: observing.commands })
  }
  for (const recorded of recordedCommands(ledger, {
    from,
    to,
    ...(agents && { agents }),
    ...(connections && { connections }),
    onUnreadable: (commands) => observing.unreadable(commands),
    onRead: (done, of) => progress(done, of, 'commands'),
  })) {
    observing.add(recorded)
  }
  const observed = observing.result()
  const missing = await readTexts(folder, shownIn(observed), (done, of) => progress(done, of, 'texts'))
  if (missing > 0)
    observed.coverage.notes.push(`The texts of ${missing} commands that are shown can’t be read any more.`)
  return observed
}

function firstIn(ledger: string): string | undefined {
  using entries = openEntries(ledger)
  return entries.entry(0)?.at
}

function shownIn(observed: Observed): Sample[] {
  const shown: Sample[] = []
  for (const { refused, heldCommands } of observed.access.values()) shown.push(...refused, ...heldCommands)
  for (const { commands } of observed.rules.values()) shown.push(...commands)
  return shown
}
