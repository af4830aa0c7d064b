import type { LedgerHead, LedgerState } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import type { Actor, DeletionRun } from '@countersign/contract/ledger/payloads'
import type { z } from 'zod'

/** Why nothing can be written into the ledger now, with a sentence that says what to do. */
export class LedgerStopped extends Error {
  override name = 'LedgerStopped'
}

/** What a retention run takes away; its entry is written first. */
export type Erasure = Omit<z.input<typeof DeletionRun>, 'entries'> & { entries: [first: number, last: number][] }

/**
 * The gateway's log of what happened (docs/formats.md, "Ledger"). Commands and recordings come into it by themselves:
 * a worker reads along what the recorders write. Everything else is said by `appendAudit` (store/audit.ts).
 */
export interface Ledger extends AsyncDisposable {
  readonly origin: string
  /** Set while nothing can be written: no command may be forwarded then, no session opened. Goes away by itself once it can again. */
  readonly stopped: LedgerStopped | undefined
  /** The worker shall soon look at what was committed to the outbox, or appended to this session's recording. Quick, never throws. */
  poke(session?: string): void
  /**
   * Resolves when all that was said (outbox) or recorded (all sessions, or this one) before the call is sealed and on disk.
   * @throws LedgerStopped
   */
  sync(session?: string): Promise<void>
  /** As `sync`, and answers a signed checkpoint that covers it. @throws LedgerStopped */
  signed(): Promise<LedgerHead>
  /** The newest signed checkpoint, with its cosignatures. */
  head(): Promise<LedgerHead>
  state(): Promise<LedgerState>
  /** A tile by its path (`tile/0/x001/067`, `tile/entries/…`); undefined where there is none. @throws on a path that is none */
  tile(path: string): Promise<Uint8Array | undefined>
  /** Called with every new checkpoint, at most one a second. Answers the function that ends it. */
  onCheckpoint(listener: (head: LedgerHead) => void): () => void
  /** Writes the deletion.run entry, has it on disk, and erases payloads and salts. Answers the entry's number. @throws LedgerStopped */
  erase(erasure: Erasure): Promise<number>
  /** Puts a new key in place of the current one (entry key.rotated, handover). Answers the new verifier key. @throws LedgerStopped */
  rotateKey(reason: string, by: z.input<typeof Actor>): Promise<string>
  /**
   * Adds a witness's cosignature to the checkpoint of that size, if it is one that this log signed.
   * @throws LedgerError where the cosignature is not good
   */
  cosign(by: PersonRef, key: string, note: string): Promise<void>
}
