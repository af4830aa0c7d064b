import type { ChannelRecord } from '../record/record.ts'
import type { ServerChannel } from '../transport/ssh2.ts'
import type { HostChannel, RemoteExit } from '../upstream/host.ts'
import type { Input } from './input.ts'

export interface Relayed {
  client: ServerChannel
  input: Input
  host: HostChannel
  record: ChannelRecord
  /** Something could not be recorded: nothing more is forwarded. */
  unrecorded: (error: Error) => void
  /** Aborted when the client has gone, or must go: the host's output is thrown away from then on. */
  signal: AbortSignal
}

/**
 * Lets a channel's streams pass between client and host, each byte recorded before it is forwarded. Who can't take more
 * is waited for: what is under way is never more than SSH's windows.
 * @returns how the host's command ended, once all of its output is handed to the client's channel. Never rejects
 */
export async function relay({ client, input, host, record, unrecorded, signal }: Relayed): Promise<RemoteExit> {
  const { stdio, stderr } = host
  let broken = signal.aborted
  const give = () => {
    broken = true
    stdio.resume()
    stderr.resume()
  }
  signal.addEventListener('abort', give, { once: true })
  const recorded = (write: () => void): boolean => {
    if (broken) return false
    try {
      write()
      return true
    } catch (error) {
      broken = true
      unrecorded(error as Error)
      return false
    }
  }

  stdio.on('data', (chunk: Buffer) => {
    if (recorded(() => record.output('stdout', chunk)) && !client.write(chunk)) stdio.pause()
  })
  client.on('drain', () => stdio.resume())
  stderr.on('data', (chunk: Buffer) => {
    if (recorded(() => record.output('stderr', chunk)) && !client.stderr.write(chunk)) stderr.pause()
  })
  client.stderr.on('drain', () => stderr.resume())

  stdio.on('drain', () => input.resume())
  input.flow(
    (chunk) => recorded(() => record.input(chunk)) && stdio.write(chunk),
    () => stdio.end(),
  )
  return host.closed
}
