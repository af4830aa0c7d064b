import { create } from 'zustand'
import { countUpTo } from '../../../recording-index.ts'

export const SPEEDS = [1, 4, 16, 32] as const

export interface Player {
  /** Milliseconds since the session began. */
  readonly t: number
  readonly playing: boolean
  readonly speed: number
  readonly skipIdle: boolean
  /** Stays at the end of a session that goes on. */
  readonly following: boolean
}

/** A longer wait than this is skipped, to this long before what comes next. */
const IDLE_MS = 2000
const LEAD_MS = 500

/**
 * Where the player is after `elapsed` milliseconds of a person's time. `moments` are the times at which something
 * happens, rising; it stops at `length`.
 */
export function advance(player: Player, elapsed: number, moments: ArrayLike<number>, length: number): Player {
  if (!player.playing) return player
  let t = player.t + elapsed * player.speed
  if (player.skipIdle) {
    const next = moments[countUpTo(moments, player.t)] ?? length
    if (next - t > IDLE_MS) t = Math.max(t, next - LEAD_MS)
  }
  return t >= length ? { ...player, t: length, playing: false } : { ...player, t }
}

/** The player of one replay. */
export function createPlayer(t: number, following: boolean) {
  return create<Player>()(() => ({ t, playing: false, speed: 4, skipIdle: true, following }))
}

export type PlayerStore = ReturnType<typeof createPlayer>
