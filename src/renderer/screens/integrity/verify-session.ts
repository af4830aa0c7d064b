import { wordsOf } from '../../app/api.ts'
import { core, say } from '../../app/store.ts'
import { outcomeWords } from './words.ts'

/** Verifies a session's evidence and says what came of it; `fail` is told why it could not be, but for a cancel. */
export function verifySession(session: string, fail: (problem: string) => void): void {
  core()
    .call('verifySession', { session })
    .then(
      ({ outcome }) => say(`Evidence of the session: ${outcomeWords[outcome]}`),
      (error: { code?: string }) => {
        if (error.code !== 'cancelled') fail(wordsOf(error))
      },
    )
}
