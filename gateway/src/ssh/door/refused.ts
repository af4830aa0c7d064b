import { LedgerStopped } from '../../sessions/ledger/ledger.ts'
import { RecordingError, SessionRefused } from '../../sessions/session.ts'
import { HostError } from '../upstream/host.ts'
import { unlogged, unrecordable, upstreamDown, type Words } from '../words.ts'

/** Says no; the words are all that the client learns. */
export class Refused extends Error {
  readonly words: Words
  readonly why: string
  constructor(words: Words, why: string) {
    super(words.message)
    this.words = words
    this.why = why
  }
}

/** What the client is told where the gateway itself has failed. */
export const internal: Words = {
  message: 'the gateway failed while it opened the connection',
  hint: 'Its log says more; tell whoever runs the gateway.',
}

/** For the session's record: why it was not opened. */
export const whyOf = (error: unknown) =>
  error instanceof Refused ? error.why : error instanceof HostError ? error.message : 'it failed while it was opened'

/** What a failure to open is to the client; undefined where it is the gateway's own. */
export function asRefused(error: unknown): Refused | undefined {
  if (error instanceof Refused) return error
  if (error instanceof HostError) return new Refused(upstreamDown(error.message), error.message)
  if (error instanceof SessionRefused) return new Refused({ message: error.message }, error.message)
  if (error instanceof LedgerStopped) return new Refused(unlogged(error.message), error.message)
  if (error instanceof RecordingError) return new Refused(unrecordable, error.message)
  return undefined
}
