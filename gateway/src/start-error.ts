import type { Problem } from './config/problem.ts'

/** Why a gateway did not start, in words; `problems` where they are in files. */
export class StartError extends Error {
  override name = 'StartError'
  readonly problems: Problem[]
  constructor(message: string, problems: Problem[] = [], options?: ErrorOptions) {
    super(message, options)
    this.problems = problems
  }
}
