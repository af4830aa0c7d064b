import type { Me } from '@countersign/contract/identity'
import type { Session } from '@countersign/contract/session'
import type { z } from 'zod'
import { ConsoleError } from '../../console-api.ts'
import type { retentionCalls } from '../../retention-api.ts'
import type { GatewayApi } from './gateway-api.ts'

type Answers = {
  [N in keyof typeof retentionCalls]: (
    input: z.output<(typeof retentionCalls)[N]['input']>,
  ) => Promise<z.input<(typeof retentionCalls)[N]['output']>>
}

/** So many legal holds are asked for. */
const MOST_HOLDS = 1000

/**
 * Answers about retention and legal holds: all of it is the gateway's, nothing is kept here.
 * @param options live: what to ask with, throws a ConsoleError where there is no connection
 */
export function retentionAnswers(options: {
  live: () => Promise<{ api: GatewayApi; token: string }>
  me: () => Me | null
  known: (session: Session) => void
}): Answers {
  const { live, known } = options
  const roles = () => {
    const me = options.me()
    return me?.kind === 'person' ? me.roles : []
  }
  const may = () => ({
    mayHold: roles().some((role) => role === 'auditor' || role === 'admin'),
    mayRun: roles().includes('admin'),
  })
  const sees = () => may().mayHold || roles().includes('reviewer')

  return {
    async retention() {
      if (!sees()) return null
      const { api, token } = await live()
      const [state, { items }] = await Promise.all([api.retention(token), api.legalHolds(token, MOST_HOLDS)])
      return { ...state, holds: items, ...may() }
    },

    async sessionRetention({ session: id }) {
      if (!sees()) return null
      const { api, token } = await live()
      const session = await api.session(token, id)
      if (!session) throw new ConsoleError('no-such-session', 'This session is not there, or not yours to see.')
      known(session)
      const ids = new Set(session.retention?.heldBy)
      const holds =
        ids.size > 0 ? (await api.legalHolds(token, MOST_HOLDS)).items.filter((hold) => ids.has(hold.id)) : []
      return { session, holds, ...may() }
    },

    async placeLegalHold(hold) {
      const { api, token } = await live()
      return api.placeLegalHold(token, hold)
    },
    async liftLegalHold({ id, reason }) {
      const { api, token } = await live()
      return api.liftLegalHold(token, id, { reason })
    },
    async runRetention({ dry }) {
      const { api, token } = await live()
      return api.runRetention(token, { dry })
    },
  }
}
