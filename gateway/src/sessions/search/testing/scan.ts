import type { CommandQuery, FoundCommand } from '@countersign/contract/evidence'
import type { Recorded } from './recordings.ts'

/** Looks at everything, one thing after another: what a search must find, told without an index. */
export function scan(all: readonly Recorded[], query: CommandQuery): FoundCommand[] {
  const found = all.flatMap((recorded) => entriesOf(recorded)).filter((entry) => fits(entry, query))
  return found
    .map(({ entry, said, came }) => {
      const words = query.text === undefined ? [] : wordsIn(query.text)
      const inCommand = words.every((word) => isIn(said, word, 'command'))
      void came
      return { ...entry, found: inCommand ? ('command' as const) : ('result' as const) }
    })
    .sort((a, b) => Date.parse(b.at) - Date.parse(a.at))
}

interface Entry {
  entry: Omit<FoundCommand, 'found'>
  /** Milliseconds since 1970 of the last. */
  last: number
  said: string
  came: string
  times: number
}

function entriesOf({ header, events }: Recorded): Entry[] {
  const entries = new Map<string, Entry>()
  const by = new Map<string, Entry>()
  const start = Date.parse(header.startedAt)
  for (const [i, { t, event }] of events.entries()) {
    if (event.type === 'command') {
      const key = `${event.verdict.outcome} ${event.text}`
      let entry = entries.get(key)
      if (!entry) {
        const tables = event.effects
          .filter(({ resource }) => resource.type === 'Table')
          .map(({ resource }) => resource.id)
        entry = {
          entry: {
            ...{ session: header.session, seq: i + 1, t, at: new Date(start + t).toISOString(), count: 0 },
            ...{
              connection: header.connection,
              agent: header.agent.id,
              agentName: header.agent.name,
              kind: event.kind,
            },
            verdict: event.verdict.outcome,
            tables: [...new Set(tables.map((id) => id.slice(id.indexOf('/') + 1)))],
            text: event.text.slice(0, 1000),
          },
          ...{ last: 0, said: event.text, came: '', times: 0 },
        }
        entries.set(key, entry)
      }
      entry.entry.count++
      entry.last = Math.floor(start + t)
      by.delete(event.command)
      if (++entry.times <= 4) {
        entry.said += event.parameters.map((value) => (typeof value === 'string' ? `\n${value}` : '')).join('')
        by.set(event.command, entry)
      }
    } else if (event.type === 'rows') {
      const entry = by.get(event.command)
      if (entry)
        for (const row of event.rows)
          entry.came += row.map((value) => (typeof value === 'string' ? `\n${value}` : '')).join('')
    } else if (event.type === 'result') {
      const entry = by.get(event.command)
      if (entry) entry.came += `\n${event.sqlstate ?? ''} ${event.message ?? ''}`
      by.delete(event.command)
    }
  }
  return [...entries.values()]
}

function fits({ entry, last, said, came }: Entry, query: CommandQuery): boolean {
  if (query.session !== undefined && entry.session !== query.session) return false
  if (query.agent !== undefined && entry.agent !== query.agent) return false
  if (query.connection !== undefined && entry.connection !== query.connection) return false
  if (query.verdict !== undefined && entry.verdict !== query.verdict) return false
  if (query.table !== undefined && !entry.tables.includes(query.table)) return false
  if (query.from !== undefined && last < Date.parse(query.from)) return false
  if (query.to !== undefined && Date.parse(entry.at) > Date.parse(query.to)) return false
  if (query.text === undefined || query.text.trim() === '') return true
  const words = wordsIn(query.text)
  return words.length > 0 && words.every((word) => isIn(said, word, 'command') || isIn(came, word, 'result'))
}

interface Word {
  word: string
  beginning: boolean
}

/** ASCII only: what the tests are made of. */
function wordsIn(text: string): Word[] {
  const words = text.toLowerCase().match(/[a-z0-9]+(?:[._@:/-][a-z0-9]+)*/g) ?? []
  return words.map((word, i) => ({
    word,
    beginning: word.length > 1 && (/[^a-z0-9]/.test(word) || i === words.length - 1),
  }))
}

/** Whether a word stands there from a word's beginning on. */
function isIn(text: string, { word, beginning }: Word, where: 'command' | 'result'): boolean {
  const low = text.toLowerCase()
  for (let at = low.indexOf(word); at !== -1; at = low.indexOf(word, at + 1)) {
    if (at > 0 && /[a-z0-9]/.test(low[at - 1]!)) continue
    const after = low.slice(at + word.length)
    if (beginning && (where === 'command' || word.length > 3)) return true
    // Whole: as a word, or as a chain to its end.
    if (/^[a-z0-9]/.test(after)) continue
    if (/[^a-z0-9]/.test(word) && /^[._@:/-][a-z0-9]/.test(after)) continue
    return true
  }
  return false
}
