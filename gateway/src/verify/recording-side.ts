import type { Findings } from '@countersign/contract/ledger/findings'
import type { RecordingReader } from '@countersign/contract/ledger/recordings-verify'
import { goneOf } from './comparison.ts'
import type { RecordedFacts } from './recorded.ts'
import type { RecordingFiles } from './recording-files.ts'
import type { SaidRows } from './said.ts'

/** So long a gateway at work may take to have the beginning of a session in its log (milliseconds). */
const PATIENCE = 30_000

/**
 * Recordings as the contract's verifier asks for them. On the way what they say is noted, and in the end the files
 * themselves are looked at: whether they lie where they are looked for, and whether there may be any.
 */
export function recordingSide(room: {
  files: RecordingFiles
  facts: RecordedFacts
  said: SaidRows
  found: Findings
  live: boolean
  /** Whether a retention run has still to remove what its entry names. */
  removing: boolean
}): RecordingReader {
  const { files, facts, said, found, live, removing } = room
  const began = Date.now()

  const look = (session: string, opened: string | undefined) => {
    const day = files.dayOf(session)
    if (opened !== undefined && day !== opened.slice(0, 10))
      found.wrong(
        'recording-moved',
        { recording: session },
        `the recording of ${session} lies under ${day}, but it began on ${opened.slice(0, 10)}: nobody finds it there`,
      )
    if (!said.get(goneOf('recording'), session) || (live && removing)) return
    const text = `the recording of ${session} is there, though a deletion entry says that it was erased`
    if (removing)
      found.missing('recording-left', { recording: session }, `${text}: start the gateway once, it removes it`)
    else found.wrong('recording-erased', { recording: session }, `${text}: nothing vouches for it`)
  }

  return {
    async length(session) {
      const length = await files.length(session)
      facts.gone(session)
      files.done(session)
      return length
    },
    read: (session, offset, length) => files.read(session, offset, length),
    async *list() {
      for await (const session of files.list()) {
        const opened = said.get('sessions', session)?.columns.opened_at
        look(session, opened === undefined ? undefined : String(opened))
        // Of one that has just begun the first entry is on its way.
        const young = live && opened === undefined && (await files.madeAt(session)) > began - PATIENCE
        if (!young) yield session
      }
    },
  }
}
