/** What a piece of a ledger or bundle is refused for. */
export type LedgerErrorCode =
  | 'malformed-key'
  | 'malformed-note'
  | 'malformed-checkpoint'
  | 'malformed-tile'
  | 'malformed-entry'
  | 'malformed-proof'
  | 'malformed-bundle'
  | 'bad-signature'
  | 'unknown-key'
  | 'out-of-range'

/** `code` is for programs, the message a sentence for people. */
export class LedgerError extends Error {
  readonly code: LedgerErrorCode
  /** Byte of the file at which it was found, where there is one file. */
  readonly at: number | undefined
  constructor(code: LedgerErrorCode, message: string, at?: number) {
    super(message)
    this.name = 'LedgerError'
    this.code = code
    this.at = at
  }
}
