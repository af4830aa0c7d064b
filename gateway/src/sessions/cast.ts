import { Readable } from 'node:stream'
import { Asciicast } from '@countersign/contract/asciicast'
import type { ChannelEvent, RecordingLine } from '@countersign/contract/recording'
import type { z } from 'zod'
import { linesOf } from './recording.ts'

type Channel = z.infer<typeof ChannelEvent>

/** What there is in place of a cast: the recording’s channels, the first ones. */
export interface NoCast {
  channels: Pick<Channel, 'channel' | 'kind'>[]
}

const MOST_TOLD = 50
/** Events are sent together, about so much of them (bytes). */
const PORTION = 64 * 1024

/**
 * A channel of a recording as asciicast, made while it is read; destroyed, it lets go of the recording.
 * @param channel its id; absent: the first in which a command or a shell runs
 * @throws what reading the recording throws
 */
export async function castOf(
  recording: Readable,
  channel: string | undefined,
  version: 2 | 3 = 3,
): Promise<{ cast: Readable; channel: string } | NoCast> {
  const asciicast = new Asciicast(channel, version)
  const channels: NoCast['channels'] = []
  const lines = linesOf(recording)
  for (let begun = await lines.next(); !begun.done; begun = await lines.next()) {
    const line = lineIn(begun.value, undefined)
    if (!line) continue
    const text = asciicast.line(line)
    if (line.type === 'channel' && channels.length < MOST_TOLD)
      channels.push({ channel: line.channel, kind: line.kind })
    const { opening } = asciicast
    if (opening?.kind === 'sftp') break
    if (opening) return { channel: opening.channel, cast: rest(asciicast, text, lines, recording) }
  }
  await lines.return(undefined)
  recording.destroy()
  return { channels }
}

function rest(cast: Asciicast, head: string, lines: AsyncGenerator<Buffer>, recording: Readable): Readable {
  const { channel } = cast.opening!
  return Readable.from(
    (async function* () {
      try {
        let portion = head
        for await (const bytes of lines) {
          const line = lineIn(bytes, channel)
          if (line) portion += cast.line(line)
          if (cast.over) break
          if (portion.length < PORTION) continue
          yield portion
          portion = ''
        }
        if (portion !== '') yield portion
      } finally {
        recording.destroy()
      }
    })(),
    { objectMode: false },
  )
}

/** What begins a line that needs no closer look: rows, and what was said in channels. */
const BEGINNING = /^\{"seq":\d+,"t":[\d.]+,"type":"(rows|output|input)"(?:,"channel":"([^"\\]*)",)?/

/** @param channel of which output and input is wanted; undefined: of none */
function lineIn(bytes: Buffer, channel: string | undefined): RecordingLine | undefined {
  const found = BEGINNING.exec(bytes.toString('latin1', 0, 160))
  if (found && (found[1] === 'rows' || channel === undefined || (found[2] !== undefined && found[2] !== channel)))
    return undefined
  return JSON.parse(bytes.toString()) as RecordingLine
}
