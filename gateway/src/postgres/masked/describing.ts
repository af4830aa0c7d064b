import { OWN_NAME } from '../ask.ts'
import type { Conversation } from '../conversation.ts'
import type { Prepared } from '../names.ts'
import type { Run } from '../run.ts'
import * as wire from '../wire/messages.ts'

/**
 * Has the server describe the query of a COPY (query) TO STDOUT, unseen by the client: CopyOutResponse says nothing of
 * what its columns are. Where it can't be described, nothing is known of them, and all are masked; the COPY will fail for
 * the same reason.
 */
export async function describeCopied(
  conversation: Conversation,
  toServer: (bytes: Buffer) => void,
  { masked }: Run,
): Promise<void> {
  const query = masked?.copyQuery
  if (!masked || query === undefined) return
  await conversation.settle()
  if (conversation.dropping) return
  const { outstanding, bound: inBatch } = conversation
  const ours = { ours: true, inBatch } as const
  const describes: Prepared = { text: query, types: [] }
  outstanding.push({ kind: 'parse', ...ours })
  outstanding.push({ kind: 'describe', describes, ...ours })
  outstanding.push({ kind: 'close', ...ours })
  if (!inBatch) outstanding.push({ kind: 'sync', ...ours })
  const messages = [wire.parse(OWN_NAME, query), wire.describeStatement(OWN_NAME), wire.closeStatement(OWN_NAME)]
  toServer(Buffer.concat([...messages, inBatch ? wire.FLUSH : wire.SYNC]))
  await outstanding.drained()
  masked.copied = describes.columns
}
