import type { Readable, Writable } from 'node:stream'
import type { DetectedKind } from '../../masking/detectors.ts'
import { PATIENCE, Redactor } from '../masked/redactor.ts'
import type { ChannelRecord, MaskedOutput } from '../record/record.ts'
import type { ServerChannel } from '../transport/ssh2.ts'
import type { HostChannel, RemoteExit } from '../upstream/host.ts'
import type { Input } from './input.ts'

export interface Relayed {
  client: ServerChannel
  input: Input
  host: HostChannel
  record: ChannelRecord
  /** What is looked for in output; where nothing is, it passes untouched. */
  masking: {
    detect: readonly DetectedKind[]
    reveals: (dataClass: string) => boolean
    terminal: boolean
    /** Told once, of the classes in the first stdout that would reach the client masked, before it does. */
    hidden?: (classes: readonly string[]) => void
  }
  /** Something could not be recorded: nothing more is forwarded. */
  unrecorded: (error: Error) => void
  /** Aborted when the client has gone, or must go: the host's output is thrown away from then on. */
  signal: AbortSignal
}

/** Output that has ended for so long (ms) has ended before its command. */
const EARLY = 200

/**
 * Lets a channel's streams pass between client and host, each byte recorded before it is forwarded. Who can't take more
 * is waited for: what is under way is never more than SSH's windows.
 * @returns how the host's command ended, once all of its output is handed to the client's channel. Never rejects
 */
export async function relay(relayed: Relayed): Promise<RemoteExit> {
  const { client, input, host, record, unrecorded, signal } = relayed
  const { stdio, stderr } = host
  let stopped = signal.aborted
  const stop = () => {
    stopped = true
    stdio.resume()
    stderr.resume()
  }
  signal.addEventListener('abort', stop, { once: true })
  /** @returns whether it is recorded, so that it may be forwarded */
  const recorded = (write: () => void): boolean => {
    if (stopped) return false
    try {
      write()
      return true
    } catch (error) {
      stop()
      unrecorded(error as Error)
      return false
    }
  }

  let { hidden } = relayed.masking
  /** Whoever is told may stop it before it goes on. */
  const hides = ({ classes }: MaskedOutput) => {
    const unseen = classes.filter((name) => !relayed.masking.reveals(name))
    if (unseen.length === 0) return
    hidden?.(unseen)
    hidden = undefined
  }
  let open = 2
  let early: NodeJS.Timeout | undefined
  const output = (name: 'stdout' | 'stderr', from: Readable, to: Writable) => {
    const pass = (chunk: Buffer, masked?: MaskedOutput) => {
      if (hidden && masked && name === 'stdout') hides(masked)
      if (recorded(() => record.output(name, chunk, masked)) && !to.write(chunk)) from.pause()
    }
    const redactor = redacting(relayed.masking, pass)
    from.on('data', redactor ? (chunk: Buffer) => redactor.write(chunk) : pass)
    to.on('drain', () => from.resume())
    from.once('end', () => {
      redactor?.end()
      // A command may close its output long before it ends, and who reads it waits for that alone. Mostly both come at
      // once; and after EOF nobody could be told any more why it ended.
      if (--open === 0) early = setTimeout(() => stopped || client.eof(), EARLY)
    })
    return () => redactor?.end()
  }
  const ends = [output('stdout', stdio, client), output('stderr', stderr, client.stderr)]

  stdio.on('drain', () => input.resume())
  input.flow(
    (chunk) => recorded(() => record.input(chunk)) && stdio.write(chunk),
    () => stdio.end(),
  )
  const exit = await host.closed
  clearTimeout(early)
  for (const end of ends) end()
  signal.removeEventListener('abort', stop)
  return exit
}

function redacting(
  { detect, reveals, terminal }: Relayed['masking'],
  pass: (chunk: Buffer, masked?: MaskedOutput) => void,
): Redactor | undefined {
  if (detect.length === 0) return undefined
  const patience = terminal ? PATIENCE.terminal : PATIENCE.stream
  return new Redactor({ detect, reveals, patience, release: ({ client, masked }) => pass(client, masked) })
}
