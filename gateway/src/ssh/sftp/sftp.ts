import type { Duplex } from 'node:stream'
import type { Asked, Running } from '../commands.ts'
import { connectEffect } from '../commands.ts'
import type { SshSession } from '../session.ts'
import { type HostChannel, HostError, type RemoteExit } from '../upstream/host.ts'
import { REFUSED, upstreamDown, type Words } from '../words.ts'
import { Passage } from './passage.ts'

/** How a channel of sftp is served. */
export interface SftpWays {
  /** What was let through of the channel's environment; the host gets it. */
  environment: Readonly<Record<string, string>>
  /** Aborted when the channel or its session has gone: what waits is cancelled. Its reason's message is shown. */
  signal: AbortSignal
  /** Says something on the channel's stderr. */
  tell: (words: Words) => void
  /** What is told from now on belongs to this command in the recording. @returns whether that can be recorded */
  begins: (command: string) => boolean
  /** What a held operation does: asked for each. */
  hold: () => 'wait' | 'fail'
}

/** What ssh itself ends with where a connection, and not the command, has failed. */
const UNREACHED = 255
/** Of what a host's server says on stderr so much is logged. */
const MOST_LOGGED = 4096

/**
 * Serves the subsystem `sftp` in a channel: SFTP version 3 (draft-ietf-secsh-filexfer-02, and the extensions of
 * OpenSSH's PROTOCOL that requests.ts names), each request decided before the host gets it.
 * @param channel raw: what the client sends is read from it, answers are written to it. It is not ended here
 * @returns how it ended, for the channel's exit status, once nothing more will be written. Never rejects
 */
export async function serveSftp(session: SshSession, channel: Duplex, ways: SftpWays): Promise<RemoteExit> {
  const { environment, signal, tell } = ways
  const opening = await opened(session, ways)
  if ('refused' in opening) {
    tell(opening.refused)
    if (opening.fatal) session.fail(opening.refused.message)
    return { code: REFUSED }
  }
  const { run } = opening
  if (run && !ways.begins(run.id)) {
    run.end({ status: 'failed', message: 'it could not be recorded' })
    return { code: REFUSED }
  }
  let host: HostChannel
  try {
    host = await session.host.open({ kind: 'subsystem', text: 'sftp', environment }, signal)
  } catch (error) {
    const told = error instanceof HostError || signal.aborted
    if (!told) session.log.error({ error }, 'sftp could not be opened')
    const message = told ? (error as Error).message : 'the gateway failed'
    run?.end({ status: 'failed', message })
    if (!signal.aborted) tell(upstreamDown(message))
    return { code: UNREACHED }
  }
  logged(session, host)
  const exit = await new Passage(session, channel, host, ways).run()
  const { ended, ...told } = exit
  run?.end({
    status: exit.code === 0 || ended === 'by the client' ? 'completed' : 'failed',
    ...(exit.code !== undefined && { tag: `exit ${exit.code}` }),
    ...(ended !== undefined && ended !== 'by the client' && { message: ended }),
  })
  return told
}

/**
 * Records that sftp begins. Of itself it does nothing, and its session was let in: nobody is asked again, but where
 * policy has come to deny the connection, it is denied.
 */
async function opened(
  session: SshSession,
  { environment, signal, hold }: SftpWays,
): Promise<{ run: Running | undefined } | { refused: Words; fatal: boolean }> {
  const { name } = session.target.ref
  const asked: Asked = { text: 'sftp', kind: 'sftp', effects: [connectEffect(name)], meaning: { environment } }
  if (session.commands.preview(asked).outcome === 'hold') return { run: undefined }
  return session.commands.submit({ ...asked, signal, hold: hold(), onHeld: () => {} })
}

/** What the host's server says beside the protocol is for whoever runs the gateway. */
function logged(session: SshSession, { stderr }: HostChannel): void {
  let left = MOST_LOGGED
  stderr.on('data', (chunk: Buffer) => {
    if (left <= 0) return
    session.log.warn({ said: chunk.subarray(0, left).toString() }, 'the host’s sftp server says')
    left -= chunk.length
  })
}
