import { ListQuery } from '@countersign/contract/api'
import { CommandQuery, FoundCommands } from '@countersign/contract/evidence'
import { BadCommandCursor, SearchDamaged } from '../sessions/search/search.ts'
import type { SessionsRoom } from '../sessions/sessions.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { recordingScope } from './visibility.ts'

const Query = ListQuery.extend(CommandQuery.shape)

/** Finding commands by their words and by what came back, in all sessions whose recordings the caller may see. */
export function commandRoutes(app: Routes, sessions: Pick<SessionsRoom, 'commands'>): void {
  app.get(
    '/v1/commands',
    {
      config: { costly: 'search' },
      schema: {
        tags: ['sessions'],
        summary:
          'Commands by their words, by what came back, and by who, where, when and what became of them; newest first',
        description:
          'Commands of a session that have the same text and verdict are one, with a count, at the place and time of the first; `from` and `to` count those, too, that were sent again between them. Of what came back the beginnings of the first results are searched, as they were recorded (masked). A page may be short, or empty, while `next` says that there is more.',
        security: bearer,
        querystring: Query,
        response: answers(200, 'A page of them.', FoundCommands, 400, 403),
      },
    },
    async ({ caller, query }) => {
      const scope = recordingScope(caller)
      const asked = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)) as typeof query
      try {
        return await sessions.commands({
          ...asked,
          ...(scope.see === 'groups' && { heldFor: scope.groups }),
        } as Parameters<SessionsRoom['commands']>[0])
      } catch (error) {
        if (error instanceof BadCommandCursor) throw new HttpProblem(400, error.message)
        if (error instanceof SearchDamaged) throw new HttpProblem(503, error.message, { 'retry-after': '10' })
        throw error
      }
    },
  )
}
