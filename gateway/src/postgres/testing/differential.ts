import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import { reportFields, T } from '../wire/messages.ts'
import type { Unit } from './conversations.ts'
import { f, Q, type RawClient, S } from './raw.ts'

export interface Heard {
  frames: Buffer[]
  ended: boolean
}

/** How long the gateway may keep back what the server has already said, before that counts as a failure (ms). */
const PATIENCE = 10_000
/** A direct server that is silent for so long is taken to wait for us; only how messages interleave depends on it (ms). */
const SILENCE = 3

const FIN = 'the end of this conversation'
/** Ends whatever state a conversation is in: COPY, a skipped batch, a failed transaction. */
const ending = [f('over'), S, Q('ROLLBACK'), Q(`SELECT '${FIN}'`)]

/**
 * Has the same conversation directly and through the gateway. Where the client waits, it waits directly until the server
 * falls silent, and at the gateway for as many messages.
 * @param cut where the bytes that go to the gateway are cut: a number between 0 and 1 for each piece
 */
export async function converse(
  direct: RawClient,
  relayed: RawClient,
  units: Unit[],
  cut: () => number,
): Promise<{ direct: Heard; relayed: Heard }> {
  const counts: number[] = []
  let bytes: Buffer[] = []
  for (const unit of units) {
    bytes.push(...unit.bytes)
    if (!unit.waits) continue
    direct.send(...bytes.splice(0))
    counts.push(await silent(direct))
  }
  direct.send(...bytes, ...ending)
  await fin(direct)

  bytes = []
  for (const unit of units) {
    bytes.push(...unit.bytes)
    if (!unit.waits) continue
    await sendCut(relayed, Buffer.concat(bytes.splice(0)), cut)
    const count = counts.shift()!
    await within(() => arrived(relayed, count), `message ${count} of the server's`)
  }
  await sendCut(relayed, Buffer.concat([...bytes, ...ending]), cut)
  await within(() => fin(relayed), 'the end')
  return {
    direct: { frames: direct.frames, ended: direct.ended },
    relayed: { frames: relayed.frames, ended: relayed.ended },
  }

  async function within(wait: () => Promise<unknown>, what: string): Promise<void> {
    const over = new AbortController()
    const late = pause(PATIENCE, 'late', { signal: over.signal, ref: false }).catch(() => undefined)
    const first = await Promise.race([wait().then(() => 'there'), late])
    over.abort()
    if (first === 'late') throw new Error(`through the gateway ${what} never comes; so far:\n${told(relayed.frames)}`)
  }
}

async function silent(client: RawClient): Promise<number> {
  for (let seen = -1; seen !== client.frames.length && !client.ended; ) {
    seen = client.frames.length
    await pause(SILENCE)
  }
  return client.frames.length
}

async function arrived(client: RawClient, count: number): Promise<void> {
  // A sign-in through the gateway has one message more, and one that asks for the token.
  if (client.ended || client.frames.length >= count + 1) return
  await client.until(() => client.frames.length >= count + 1)
}

async function fin(client: RawClient): Promise<void> {
  let near = client.frames.some(isFin)
  if (near && client.frames.at(-1)![0] === T.ReadyForQuery) return
  await client.until((frame) => {
    near ||= isFin(frame)
    return near && frame[0] === T.ReadyForQuery
  })
}

const isFin = (frame: Buffer) => frame[0] === T.DataRow && frame.includes(FIN)

/** Sends bytes in pieces, each at a turn of its own, so that they arrive cut at any place. */
async function sendCut(client: RawClient, bytes: Buffer, cut: () => number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const share = cut()
    // Mostly large pieces, some of a few bytes only.
    const length = share < 0.2 ? 1 + Math.floor(share * 40) : share < 0.6 ? Math.ceil(share * 200) : bytes.length - at
    client.send(bytes.subarray(at, at + length))
    at += length
    if (at < bytes.length) await turn()
  }
}

/**
 * What is compared, message by message: all bytes but those that can't be equal. The sign-in differs (a token is asked
 * for), BackendKeyData is the gateway's own, and the process id of who notified is that of another server's process.
 */
export function comparable(frames: Buffer[]): Buffer[] {
  return frames
    .filter((frame) => frame[0] !== T.Authentication && frame[0] !== T.BackendKeyData)
    .map((frame) =>
      frame[0] === T.NotificationResponse
        ? Buffer.concat([frame.subarray(0, 5), Buffer.alloc(4), frame.subarray(9)])
        : frame,
    )
}

/** The first difference in words, or undefined where there is none. */
export function difference(direct: Heard, relayed: Heard): string | undefined {
  const [a, b] = [comparable(direct.frames), comparable(relayed.frames)]
  const at = a.findIndex((frame, n) => !b[n]?.equals(frame))
  if (at < 0 && a.length === b.length && direct.ended === relayed.ended) return undefined
  const where = at < 0 ? a.length : at
  const around = (all: Buffer[], ended: boolean) =>
    `${told(all.slice(Math.max(0, where - 4), where + 3)) || 'nothing more'}${ended ? ' [ended]' : ''}`
  return `message ${where}\n  direct:  ${around(a, direct.ended)}\n  gateway: ${around(b, relayed.ended)}`
}

/** Messages in short, with what tells one from another. */
export function told(frames: Buffer[]): string {
  return frames
    .map((frame) => {
      const letter = String.fromCharCode(frame[0]!)
      if (frame[0] !== T.ErrorResponse && frame[0] !== T.NoticeResponse) {
        return `${letter}(${frame
          .subarray(5, 45)
          .toString('latin1')
          .replace(/[^\x20-\x7e]/g, '.')})`
      }
      return `${letter}(${Object.entries(reportFields(frame))
        .map(([key, value]) => `${key}=${value}`)
        .join(' ')})`
    })
    .join(' ')
}
