import { useEffect, useRef, useState } from 'react'
import type { ChannelRow, TerminalFrame } from '../../../../terminal-api.ts'
import { core } from '../../../app/store.ts'
import type { PlayerStore } from '../player.ts'

/** What is said within this long of one another belongs to the same sight: a greeting and the prompt after it. */
const SAME_SIGHT_MS = 700
/** But no more of it than this. */
const SIGHT_MS = 3000
/** So much of a terminal is looked at for its first sight. */
const BYTES = 16 * 1024

/**
 * When a terminal first has something to see: the end of its first output, in milliseconds since the session began.
 * Undefined where these frames show nothing.
 */
export function firstSight(frames: readonly TerminalFrame[]): number | undefined {
  const first = frames.findIndex((frame) => frame.type === 'output' && shows(frame.text))
  if (first < 0) return undefined
  const begun = frames[first]!.t
  let sight = begun
  for (const { type, t } of frames.slice(first + 1)) {
    if (type !== 'output' || t - sight > SAME_SIGHT_MS || t - begun > SIGHT_MS) break
    sight = t
  }
  return sight
}

/** Whether anything of it is to be seen: a title, colours and empty lines are not. */
function shows(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  const seen = text.replace(/\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)|\[[0-?]*[ -/]*[@-~]|[ -/]*[0-~])/g, '')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: neither do control characters
  return /[^\s\x00-\x1f\x7f]/.test(seen)
}

/**
 * A recording that is opened at its very beginning would show a dark screen: it opens where its terminal first shows
 * something. Once, and only while nobody has moved.
 * @param wanted whether it was opened without a place
 * @returns the time at which it was opened, where that is not the beginning
 */
export function useOpening(
  session: string,
  row: ChannelRow | undefined,
  player: PlayerStore,
  wanted: boolean,
): number | undefined {
  const [opened, setOpened] = useState<number | undefined>(undefined)
  const done = useRef(false)
  const channel = row?.terminal ? row.channel : undefined
  useEffect(() => {
    if (!wanted || done.current || channel === undefined) return
    let over = false
    const untouched = () => {
      const { t, playing, following } = player.getState()
      return t === 0 && !playing && !following
    }
    core()
      .call('terminalFrames', { session, channel, from: 0, bytes: BYTES })
      .then(({ frames }) => {
        if (over) return
        done.current = true
        const t = firstSight(frames)
        if (t === undefined || !untouched()) return
        player.setState({ t })
        setOpened(t)
      })
      // A dark screen is what it was at the beginning; why frames can't be had is told by the terminal itself.
      .catch(() => {})
    return () => {
      over = true
    }
  }, [session, channel, player, wanted])
  return opened
}
