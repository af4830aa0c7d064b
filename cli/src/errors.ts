/** What a process of ours ends with (docs/cli.md). */
export const exits = {
  done: 0,
  /** Refused by gateway, policy or person, or failed. */
  refused: 1,
  /** Used wrongly, or nothing can be told. */
  misuse: 2,
  /** Held: people have not decided yet. */
  pending: 3,
  notSignedIn: 4,
  /** `connect` was refused before its client ran, as a command that SSH refuses. */
  notRun: 126,
  /** `connect` was given a client that isn't there, as a shell says it. */
  noSuchClient: 127,
} as const
export type Exit = (typeof exits)[keyof typeof exits]

/** An end that was foreseen: a sentence that says what to do next, and the exit status. */
export class CliError extends Error {
  override name = 'CliError'
  readonly exit: number
  constructor(exit: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exit = exit
  }
}

export const misuse = (message: string): CliError => new CliError(exits.misuse, message)
export const refused = (message: string, options?: ErrorOptions): CliError =>
  new CliError(exits.refused, message, options)
export const notSignedIn = (message: string): CliError => new CliError(exits.notSignedIn, message)
