/** Turns of one agent on one connection that are had, and that are waited for. */
interface Turns {
  together: number
  alone: boolean
  waiting: { alone: boolean; begin: () => void }[]
}

const known = new Map<string, Turns>()

/**
 * Waits for a turn: what follows names may go on together, what changes where names lead goes alone. So nobody swaps a
 * folder for a link, in another channel or session of the same agent, between a name's being decided and its being used.
 * @param whose one agent on one connection
 * @param patience milliseconds
 * @returns what ends it, once or more often; undefined where it didn't come in time
 */
export async function turn(whose: string, alone: boolean, patience: number): Promise<(() => void) | undefined> {
  const turns = known.get(whose) ?? { together: 0, alone: false, waiting: [] }
  known.set(whose, turns)
  if (turns.waiting.length > 0 || !may(turns, alone)) {
    if (!(await waited(whose, turns, alone, patience))) return undefined
  } else begin(turns, alone)
  let ended = false
  return () => {
    if (ended) return
    ended = true
    if (alone) turns.alone = false
    else turns.together--
    next(whose, turns)
  }
}

function waited(whose: string, turns: Turns, alone: boolean, patience: number): Promise<boolean> {
  return new Promise((resolve) => {
    const waits = {
      alone,
      begin: () => {
        clearTimeout(late)
        begin(turns, alone)
        resolve(true)
      },
    }
    const late = setTimeout(() => {
      turns.waiting.splice(turns.waiting.indexOf(waits), 1)
      resolve(false)
      next(whose, turns)
    }, patience)
    turns.waiting.push(waits)
  })
}

const may = (turns: Turns, alone: boolean): boolean => !turns.alone && (!alone || turns.together === 0)

function begin(turns: Turns, alone: boolean): void {
  if (alone) turns.alone = true
  else turns.together++
}

function next(whose: string, turns: Turns): void {
  while (turns.waiting[0] && may(turns, turns.waiting[0].alone)) turns.waiting.shift()!.begin()
  if (turns.waiting.length === 0 && turns.together === 0 && !turns.alone) known.delete(whose)
}
