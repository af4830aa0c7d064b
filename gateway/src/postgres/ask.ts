import type { Conversation } from './conversation.ts'
import type { Entry } from './outstanding.ts'
import * as wire from './wire/messages.ts'

/** Name of the gateway's own statements and portals. */
export const OWN_NAME = 'countersign'

/**
 * Asks the server on the session's own connection, unseen by the client. Nothing else may be outstanding.
 * @returns for each statement its rows
 * @throws Error where the server refuses
 */
export async function ask(
  conversation: Conversation,
  toServer: (bytes: Buffer) => void,
  statements: string[],
): Promise<(string | null)[][][]> {
  // Within a batch it must not be committed, but only where it must: an Execute without its Sync makes what follows part
  // of a pipeline, in which the server takes no VACUUM and leaves a Query's transaction open.
  const { outstanding, bound: inBatch } = conversation
  const ours = { ours: true, inBatch } as const
  const bytes: Buffer[] = []
  const push = (entry: Entry, message: Buffer) => {
    outstanding.push({ ...entry, ...ours })
    bytes.push(message)
  }
  const answers = statements.map((sql) => {
    push({ kind: 'parse' }, wire.parse(OWN_NAME, sql))
    push({ kind: 'bind' }, wire.bind(OWN_NAME, OWN_NAME))
    const rows = new Promise<(string | null)[][]>((resolve, reject) => {
      push({ kind: 'execute', answer: { rows: [], resolve, reject } }, wire.execute(OWN_NAME))
    })
    // Where a push or the sending below fails nobody comes to wait for it, and that must not end the process.
    rows.catch(() => {})
    push({ kind: 'close' }, wire.closePortal(OWN_NAME))
    push({ kind: 'close' }, wire.closeStatement(OWN_NAME))
    return rows
  })
  if (inBatch) bytes.push(wire.FLUSH)
  else push({ kind: 'sync' }, wire.SYNC)
  toServer(Buffer.concat(bytes))
  const settled = Promise.allSettled(answers)
  await outstanding.drained()
  for (const answer of await settled) if (answer.status === 'rejected') throw answer.reason
  return Promise.all(answers)
}
