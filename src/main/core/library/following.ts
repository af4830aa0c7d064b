import type { ConsoleEvent } from '../../../console-api.ts'
import { ConsoleError } from '../../../console-api.ts'
import { Refused } from '../gateway-api.ts'
import type { Clock } from '../ports/clock.ts'
import type { Reading } from '../terminal/viewing.ts'
import { type Asking, noGateway, type Pull } from './downloads.ts'
import { inWords } from './keeping.ts'

/** Between two questions, while something comes; while nothing does it is more each time, up to a second. Milliseconds. */
const soonest = 250
const latest = 1000

/**
 * Follows a session that goes on: asks for what is new of its recording again and again, and tells what came.
 * @returns once its last line is here  @throws ConsoleError where the gateway doesn't give it any more, or `signal` says so
 */
export async function followRecording(
  given: {
    asking: Asking
    pull(session: string, lazily: boolean): Pull
    reading: Reading
    terminals: { grown(session: string): void }
    say(event: ConsoleEvent): void
    clock: Clock
  },
  session: string,
  work: string,
  signal: AbortSignal,
): Promise<void> {
  const { asking, pull, reading, terminals, say, clock } = given
  let pause = soonest
  let last = ''
  let bytes = -1
  for (;;) {
    signal.throwIfAborted()
    let problem: string | undefined
    try {
      if (!(await asking())) throw noGateway()
      await pull(session, true).done
    } catch (error) {
      if (error instanceof Refused) throw new ConsoleError('not-to-be-had', inWords(error))
      problem = inWords(error as Error)
    }
    signal.throwIfAborted()
    const now = await reading(session, async (file) => ({
      edition: file.edition,
      seq: file.lastSeq,
      length: file.index.length,
      complete: file.ended,
      bytes: file.bytes,
    }))
    const { bytes: here, ...told } = now
    pause = here > bytes ? soonest : Math.min(latest, pause * 1.5)
    bytes = here
    const tail = { type: 'tail' as const, work, session, ...told, ...(problem !== undefined && { problem }) }
    if (JSON.stringify(tail) !== last) {
      last = JSON.stringify(tail)
      terminals.grown(session)
      say(tail)
    }
    if (told.complete) return
    await waited(clock, pause, signal)
  }
}

function waited(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      stop()
      signal.removeEventListener('abort', over)
      resolve()
    }
    const stop = clock.after(ms, over)
    signal.addEventListener('abort', over, { once: true })
  })
}
