import type { RecordingHeader } from '@countersign/contract/recording'
import type { RecordedLine, RecordingReader } from './line.ts'
import type { FromScribe } from './messages.ts'

/** Reads a recording for one of its readers (the search), which is given only what it lacks. */
interface Along {
  reader: RecordingReader
  broken: boolean
}

/** Those who read recordings along with the ledger: whoever fails holds nobody up, and is given nothing more. */
export class ReadAlong {
  readonly #along: Along[]
  readonly #say: (message: FromScribe) => void

  constructor(readers: RecordingReader[], say: (message: FromScribe) => void) {
    this.#along = readers.map((reader) => ({ reader, broken: false }))
    this.#say = say
  }

  get some(): boolean {
    return this.#along.length > 0
  }

  /** The ledger has committed. */
  commit(): void {
    for (const along of this.#along) this.#guard(along, () => along.reader.commit())
  }

  /** Gives the lines of a recording to those who lack them. */
  linesOf(session: string): (header: RecordingHeader, line: RecordedLine) => void {
    const places = new Map<Along, number>()
    return (header, line) => {
      for (const along of this.#along) {
        let place = places.get(along)
        if (place === undefined) {
          // Who can't say where it goes on is given nothing of this recording.
          place = Number.POSITIVE_INFINITY
          this.#guard(along, () => {
            place = along.reader.placeIn(session)
          })
          places.set(along, place)
        }
        if (line.offset < place) continue
        this.#guard(along, () => along.reader.line(header, line))
        places.set(along, line.end)
      }
    }
  }

  #guard(along: Along, work: () => void): void {
    if (along.broken) return
    try {
      work()
    } catch (error) {
      along.broken = true
      this.#say({ is: 'said', level: 'error', fields: { error: (error as Error).message }, text: readerFailed })
    }
  }
}

const readerFailed = 'who reads recordings along failed: it goes on after the next start'
