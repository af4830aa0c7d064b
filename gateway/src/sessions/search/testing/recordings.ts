import type { NewRecordingEvent, RecordingHeader } from '@countersign/contract/recording'
import { lineOf } from '../../line.ts'
import { RecordedLine } from '../../scribe/line.ts'
import type { SearchIndex } from '../search-index.ts'

export interface Recorded {
  header: RecordingHeader
  /** Events with their milliseconds. */
  events: { t: number; event: NewRecordingEvent }[]
}

export function headerOf(
  session: string,
  changes: Partial<RecordingHeader> & { agentName?: string } = {},
): RecordingHeader {
  const { agentName = 'ci', ...rest } = changes
  return {
    type: 'header',
    format: 'countersign-recording/1',
    session,
    connection: 'orders',
    protocol: 'postgres',
    mode: 'enforce',
    agent: { id: `https://idp#${agentName}`, issuer: 'https://idp', subject: agentName, name: agentName, groups: [] },
    client: { address: '127.0.0.1' },
    startedAt: '2026-11-21T10:00:00.000Z',
    resultBound: { rows: 10, bytes: 1000 },
    ...rest,
  }
}

type Command = Extract<NewRecordingEvent, { type: 'command' }>

export function commandOf(id: string, text: string, changes: Partial<Command> & { tables?: string[] } = {}): Command {
  const { tables = [], ...rest } = changes
  return {
    type: 'command',
    command: id,
    text,
    parameters: [],
    kind: 'select',
    effects: tables.map((table) => ({
      action: 'sql:read',
      resource: { type: 'Table', id: `orders/${table}` },
      kind: 'select',
      bounded: true,
    })),
    digest: 'sha256:00',
    verdict: { outcome: 'allow', policies: ['p'] },
    ...rest,
  }
}

/** The lines of a recording, as its bytes lie in the file. */
export function linesOf({ header, events }: Recorded): RecordedLine[] {
  const texts = [
    `${JSON.stringify(header)}\n`,
    ...events.map(({ t, event }, i) => lineOf(event, i + 1, Math.round(t * 1000))),
  ]
  let at = 0
  return texts.map((text) => {
    const bytes = Buffer.from(text)
    const line = new RecordedLine(bytes.subarray(0, -1), at)
    at += bytes.length
    return line
  })
}

/** Gives the index a recording, from where it has it. */
export function give(index: SearchIndex, recorded: Recorded, lines = linesOf(recorded)): void {
  const place = index.placeIn(recorded.header.session)
  for (const line of lines) if (line.offset >= place) index.line(recorded.header, line)
}
