import type { Findings } from '@countersign/contract/ledger/findings'
import type { Around, SpokenEntry } from './comparison.ts'

interface Hold {
  id: string
  n: number
  sessions: ReadonlySet<string>
  connections: ReadonlySet<string>
  agents: ReadonlySet<string>
  lifted?: { n: number; at: string }
}

interface Deletion {
  n: number
  at: string
  sessions: readonly string[]
}

/**
 * Deletions against legal holds, by what the log itself says of both: who changed the store for as long as a run took,
 * and put it back, is found all the same.
 */
export class HeldDeletions {
  readonly #holds = new Map<string, Hold>()
  readonly #deletions: Deletion[] = []

  entry({ n, at, type, payload }: SpokenEntry): void {
    if (n < 0) return
    const names = (of: unknown) => new Set(Array.isArray(of) ? of.map(String) : [])
    const { hold, sessions, connections, agents, recordings, approvals, annotations } = payload
    const id = String(hold)
    if (type === 'legal-hold.placed')
      this.#holds.set(id, {
        ...{ id, n, sessions: names(sessions) },
        ...{ connections: names(connections), agents: names(agents) },
      })
    const known = this.#holds.get(id)
    if (type === 'legal-hold.lifted' && known) known.lifted ??= { n, at }
    if (type === 'deletion.run') {
      const taken = new Set([...names(recordings), ...names(approvals), ...names(annotations)])
      this.#deletions.push({ n, at, sessions: [...taken] })
    }
  }

  /** After the last entry. */
  check({ said, ask }: Pick<Around, 'said' | 'ask'>, found: Findings): void {
    for (const { n, at, sessions } of this.#deletions) {
      // A hold may be lifted in the store a moment before its entry is there: then the times tell.
      const inForce = [...this.#holds.values()].filter(
        (hold) => hold.n < n && !(hold.lifted && (hold.lifted.n < n || hold.lifted.at <= at)),
      )
      if (inForce.length === 0) continue
      for (const session of sessions) {
        const row = said.get('sessions', session)?.columns ?? {}
        const [kept] = ask('select connection, agent from sessions where id = ?', session)
        const connection = String(row.connection ?? kept?.connection)
        const agent = String(row.agent ?? kept?.agent)
        const by = inForce.find(
          (hold) => hold.sessions.has(session) || hold.connections.has(connection) || hold.agents.has(agent),
        )
        if (by)
          found.wrong(
            'erased-held',
            { entry: n, recording: session },
            `entry ${n} says that what session ${session} did was erased, while the legal hold ${by.id} (entry ${by.n}) kept it`,
          )
      }
    }
  }
}
