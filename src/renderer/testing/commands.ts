import type { FoundCommand } from '@countersign/contract/evidence'
import type { RecordingLine } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import type { CommandSearch, CommandsPage } from '../../console-api.ts'

const page = 100

/** A double of the search for commands, over the recordings that the double of the library plays. */
export function commandsFound(
  input: CommandSearch,
  sessions: readonly Session[],
  linesOf: (session: Session) => readonly RecordingLine[],
): Pick<CommandsPage, 'items' | 'next'> {
  const items = sessions
    .flatMap((session) => commandsOf(session, linesOf(session), input.text?.toLowerCase() ?? ''))
    .filter((one) => !input.verdict || one.verdict === input.verdict)
    .filter(
      (one) => !input.table || one.tables.some((table) => table === input.table || table.endsWith(`.${input.table}`)),
    )
    .filter((one) => !input.agent || one.agent === input.agent)
    .filter((one) => !input.connection || one.connection === input.connection)
    .sort((a, b) => (a.at < b.at ? 1 : -1))
  const from = Number(input.after ?? 0)
  return { items: items.slice(from, from + page), next: from + page < items.length ? String(from + page) : null }
}

function commandsOf(session: Session, lines: readonly RecordingLine[], words: string): FoundCommand[] {
  const found = new Map<string, FoundCommand>()
  for (const line of lines) {
    if (line.type !== 'command') continue
    const key = `${line.verdict.outcome} ${line.text}`
    const known = found.get(key)
    if (known) {
      known.count++
      continue
    }
    const results = lines.filter((other) => other.type === 'rows' && other.command === line.command)
    const inCommand = line.text.toLowerCase().includes(words)
    if (!inCommand && !JSON.stringify(results).toLowerCase().includes(words)) continue
    const table = /(?:from|into|update)\s+([a-z_.]+)/i.exec(line.text)?.[1]
    found.set(key, {
      ...{ session: session.id, seq: line.seq, t: line.t, count: 1, kind: line.kind, text: line.text },
      at: new Date(Date.parse(session.openedAt) + line.t).toISOString(),
      ...{ connection: session.connection, agent: session.agent, agentName: session.identity.name },
      verdict: line.verdict.outcome,
      tables: table ? [table.includes('.') ? table : `public.${table}`] : [],
      found: inCommand ? 'command' : 'result',
    })
  }
  return [...found.values()]
}
