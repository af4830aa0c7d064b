import type { NewRecordingEvent } from '@countersign/contract/recording'
import type { Recorder } from '../session.ts'
import type { RecordingLedger } from './scribe.ts'

/**
 * A recorder whose recording the ledger reads along: nothing is to be forwarded that the ledger can't have, and what is
 * synced is in the ledger, on disk.
 */
export class LedgeredRecorder implements Recorder {
  readonly #session: string
  readonly #recorder: Recorder
  readonly #ledger: Pick<RecordingLedger, 'stopped' | 'lost' | 'sync'>

  constructor(session: string, recorder: Recorder, ledger: Pick<RecordingLedger, 'stopped' | 'lost' | 'sync'>) {
    this.#session = session
    this.#recorder = recorder
    this.#ledger = ledger
  }

  get resultBound(): { rows: number; bytes: number } {
    return this.#recorder.resultBound
  }

  get outputBound(): number {
    return this.#recorder.outputBound
  }

  /** @throws LedgerStopped for a command that is about to be forwarded; what comes of others is still recorded */
  append(...events: NewRecordingEvent[]): void {
    const stopped = this.#ledger.stopped ?? this.#ledger.lost(this.#session)
    if (stopped !== undefined && events.some(goesOn)) throw stopped
    this.#recorder.append(...events)
  }

  /** The file first: what the log says of it must be true. @throws RecordingError, LedgerStopped */
  async sync(): Promise<void> {
    await this.#recorder.sync()
    await this.#ledger.sync(this.#session)
  }
}

/** One that was held is forwarded only once `sync` has returned. */
const goesOn = (event: NewRecordingEvent) => event.type === 'command' && event.verdict.outcome === 'allow'
