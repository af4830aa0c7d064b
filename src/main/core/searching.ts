import type { Session } from '@countersign/contract/session'
import type { z } from 'zod'
import type { calls, SessionQuery } from '../../console-api.ts'
import type { Asking } from './library/downloads.ts'
import type { Library } from './library/library.ts'
import type { Store } from './store/store.ts'

type Answers = {
  [N in 'searchSessions' | 'searchCommands']: (
    input: z.output<(typeof calls)[N]['input']>,
  ) => Promise<z.input<(typeof calls)[N]['output']>>
}

/**
 * Answers what sessions and commands are searched for: the gateway's while the link is live, else what is kept here.
 * @param from sessionsWith: kept sessions in whose commands all these words are; told: of a session that was unknown
 */
export function searchAnswers(from: {
  store: Store
  asking: Asking
  sessionsWith(text: string): Promise<Session[]>
  findCommands: Library['findCommands']
  told(session: Session): void
}): Answers {
  const { store, asking, sessionsWith, findCommands, told } = from
  let searchingCommands = new AbortController()

  /** Has the list know sessions that are older than those in it. */
  async function knowSessions(ids: readonly string[]): Promise<void> {
    const unknown = [...new Set(ids)].filter((id) => !store.session(id)).slice(0, 50)
    for (const id of unknown) {
      const now = await asking()
      const session = now && (await now.api.session(now.token, id))
      if (!session) continue
      store.saveSessions([session])
      told(session)
    }
  }

  return {
    async searchSessions(query) {
      const now = await asking()
      if (!now) {
        const { items, next } = store.sessions(query)
        // Words in commands are found in what is kept here: all of it with the first page.
        const kept = query.text && !query.after ? await sessionsWith(query.text) : []
        const ids = new Set(items.map(({ id }) => id))
        return { items: [...items, ...kept.filter((s) => !ids.has(s.id) && fits(s, query))], next, source: 'local' }
      }
      const found = await now.api.sessions(now.token, query)
      store.saveSessions(found.items)
      return { ...found, source: 'gateway' }
    },
    async searchCommands(query) {
      searchingCommands.abort()
      const now = await asking()
      if (now) {
        const found = await now.api.commands(now.token, query)
        void knowSessions(found.items.map(({ session }) => session)).catch(() => {})
        return { ...found, source: 'gateway' }
      }
      // What is kept here is told at once.
      if (query.after) return { items: [], next: null, source: 'local' }
      searchingCommands = new AbortController()
      const { signal } = searchingCommands
      try {
        const { items, more } = await findCommands(query, signal)
        return { items, more, next: null, source: 'local' }
      } catch (error) {
        // Who asks anew wants no answer to what was asked before.
        if (signal.aborted) return { items: [], next: null, source: 'local' }
        throw error
      }
    },
  }
}

/** Whether a session is one of those that a query asks for, its words aside. */
function fits(session: Session, query: z.output<typeof SessionQuery>): boolean {
  return (
    (!query.agent || session.agent === query.agent || session.identity.name === query.agent) &&
    (!query.connection || session.connection === query.connection) &&
    (!query.state || session.state === query.state) &&
    (!query.from || session.openedAt >= query.from) &&
    (!query.to || session.openedAt <= query.to)
  )
}
