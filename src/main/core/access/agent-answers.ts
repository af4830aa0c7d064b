import type { AccessThen, AgentRecord, Freeze, PersonRecord } from '@countersign/contract/access'
import type { z } from 'zod'
import type { agentCalls, ThenQuery } from '../../../agents-api.ts'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import { type GatewayApi, Refused, Unreachable } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Downloads } from '../ports/downloads.ts'
import type { Store } from '../store/store.ts'
import type { Agents } from './agents.ts'
import type { Connections } from './connections.ts'
import type { Duty } from './people.ts'
import { thenHead, thenRow } from './then-table.ts'

type Answers = {
  [N in keyof typeof agentCalls]: (
    input: z.output<(typeof agentCalls)[N]['input']>,
  ) => Promise<z.input<(typeof agentCalls)[N]['output']>>
}

/** So many lines of “who could do what then” are shown; more are in the table that is exported. */
const SHOWN = 10_000
/** So many people are offered. */
const PEOPLE = 10_000
/** So many tokens of an agent are shown, the newest. */
const TOKENS = 200

/**
 * Answers about agents and people. What is shown comes from what is kept here; changing anything is the gateway's at once
 * or not at all.
 * @param from live: what to ask with, throws a ConsoleError where there is no connection
 */
export function agentAnswers(from: {
  store: Store
  agents: Agents
  duty: Duty
  connections: Connections
  asking: Asking
  live: () => Promise<{ api: GatewayApi; token: string }>
  downloads: Downloads
  say(event: ConsoleEvent): void
}): Answers {
  const { store, agents, duty, connections, asking, live } = from

  async function look(id: string): Promise<{ agent: AgentRecord | null; source: 'gateway' | 'local' }> {
    const now = await asking()
    const told = now && (await now.api.agent(now.token, id).catch(orStored))
    if (told) agents.take([told])
    if (told === null) return { agent: null, source: 'gateway' }
    return { agent: told ?? store.agents.agent(id) ?? null, source: told ? 'gateway' : 'local' }
  }

  /** Something done at the gateway; what it is now is shown beside a refusal. */
  async function done<T>(deed: (api: GatewayApi, token: string) => Promise<T>, lookAgain: () => unknown): Promise<T> {
    const { api, token } = await live()
    try {
      return await deed(api, token)
    } catch (error) {
      if (error instanceof Refused || error instanceof Unreachable) lookAgain()
      if (!(error instanceof Unreachable && error.maybeArrived)) throw error
      throw new ConsoleError(
        'unreachable',
        `${error.message} It may have arrived all the same: look at how it stands before you do it again.`,
      )
    }
  }

  async function changedAgent(id: string, deed: (api: GatewayApi, token: string) => Promise<AgentRecord>) {
    const agent = await done(deed, () => void look(id).catch(() => {}))
    agents.take([agent])
    return agent
  }

  async function freeze(connection: string, does: 'freeze' | 'unfreeze', reason: string): Promise<Freeze> {
    const came = await done(
      (api, token) => api.freeze(token, connection, does, reason),
      () => void connections.look().catch(() => {}),
    )
    connections.heard(came)
    return came
  }

  /** Every line of an answer, page by page. */
  async function* then(query: ThenQuery): AsyncGenerator<Awaited<ReturnType<GatewayApi['accessThen']>>> {
    let after: string | undefined
    do {
      const { api, token } = await live()
      const page = await api.accessThen(token, query, { limit: 1000, ...(after !== undefined && { after }) })
      yield page
      after = page.next ?? undefined
    } while (after !== undefined)
  }

  return {
    async agents({ limit, after }) {
      if (after === undefined) agents.refresh()
      return { ...store.agents.page({ limit, after }), state: agents.state() }
    },
    agent: ({ id }) => look(id),
    async agentAccess({ id }) {
      const { api, token } = await live()
      return api.agentAccess(token, id)
    },
    async agentTokens({ id }) {
      const { api, token } = await live()
      const { items } = await api.tokensOf(token, id, TOKENS)
      return { items }
    },
    async revokeToken({ token: id, reason }) {
      return done(
        (api, token) => api.revokeToken(token, id, reason),
        () => {},
      )
    },
    changeAgent: ({ id, patch }) => changedAgent(id, (api, token) => api.changeAgent(token, id, patch)),
    declareAgent: (declaration) =>
      changedAgent(`${declaration.issuer}#${declaration.subject}`, (api, token) =>
        api.declareAgent(token, declaration),
      ),

    async accessThen(query) {
      const items: AccessThen[] = []
      for await (const page of then(query)) {
        items.push(...page.items)
        const whole = page.next === null
        if (!whole && items.length < SHOWN) continue
        const { next: _, ...rest } = page
        return { ...rest, items, whole }
      }
      throw new ConsoleError('fault', 'The gateway answered nothing.')
    },

    async exportAccessThen({ work, ...query }) {
      // Nobody is asked where to put what can't be had.
      await live()
      const told = { type: 'export' as const, work }
      const file = await from.downloads.save(
        { name: `access-${query.at.slice(0, 16).replaceAll(':', '')}Z.csv`, type: 'text/csv' },
        (url) => from.say({ ...told, done: 0, total: null, url }),
        new AbortController().signal,
      )
      if (!file) return { state: 'cancelled' }
      const text = new TextEncoder()
      let lines = 0
      let bytes = 0
      const write = async (rows: string) => {
        const encoded = text.encode(rows)
        bytes += encoded.length
        await file.write(encoded)
      }
      try {
        for await (const page of then(query)) {
          if (bytes === 0) await write(thenHead(page))
          await write(page.items.map((item) => thenRow(page, item)).join(''))
          lines += page.items.length
          from.say({ ...told, done: bytes, total: null })
        }
        const where = await file.close()
        return { state: 'written', lines, ...(where !== undefined && { where }) }
      } catch (error) {
        await file.abort()
        throw error
      }
    },

    freeze: ({ connection, reason }) => freeze(connection, 'freeze', reason),
    unfreeze: ({ connection, reason }) => freeze(connection, 'unfreeze', reason),

    async people() {
      const { api, token } = await live()
      const items: PersonRecord[] = []
      let after: string | undefined
      do {
        const page = await api.people(token, after)
        items.push(...page.items)
        after = page.next ?? undefined
      } while (after !== undefined && items.length < PEOPLE)
      return { items }
    },
    duty: () => duty.look(),
    async delegate(request) {
      const delegation = await done(
        (api, token) => api.delegate(token, request),
        () => void duty.look(),
      )
      duty.delegation(delegation)
      return delegation
    },
    async endDelegation({ id, reason }) {
      const delegation = await done(
        (api, token) => api.endDelegation(token, id, reason),
        () => void duty.look(),
      )
      duty.delegation(delegation)
      return delegation
    },
    async reviewBreakGlass({ id, ...review }) {
      const use = await done(
        (api, token) => api.reviewBreakGlass(token, id, review),
        () => void duty.look(),
      )
      duty.emergency(use)
      return use
    },
  }
}

/** What is stored has to do where the gateway can't be reached; what it refuses is refused. */
function orStored(error: Error): undefined {
  if (error instanceof Refused && error.status < 500) throw error
  return undefined
}
