import type { Running } from '../commands.ts'
import { statusOf } from './asking.ts'
import { LONGEST_READ, MOST_OPEN } from './handles.ts'
import { oneName, Unresolved } from './places.ts'
import { Fields, FX, FXP, packetWith } from './wire.ts'

/** @returns undefined for a name that can't be decided on */
export function nameIn(fields: Fields): string | undefined {
  try {
    return oneName(fields)
  } catch (error) {
    if (error instanceof Unresolved) return undefined
    throw error
  }
}

/** How a request ended that is answered once. */
export function endingOf(answer: Buffer): Parameters<Running['end']>[0] {
  if (answer[4] !== FXP.STATUS) return { status: 'completed' }
  const { code, message } = statusOf(answer)
  return code === FX.OK ? { status: 'completed' } : { status: 'failed', message }
}

/** The limits that a host tells, no larger than what passes here (PROTOCOL, section 4.8). */
export function limited(answer: Buffer): Buffer {
  if (answer[4] !== FXP.EXTENDED_REPLY) return answer
  const fields = new Fields(answer, 9)
  const least = (told: bigint, most: number) => (told === 0n || told > most ? BigInt(most) : told)
  const most = Buffer.alloc(32)
  const mosts = [256 * 1024, LONGEST_READ, LONGEST_READ, MOST_OPEN]
  for (const [n, each] of mosts.entries()) most.writeBigUInt64BE(least(fields.u64(), each), n * 8)
  return packetWith(FXP.EXTENDED_REPLY, 0, [], most)
}
