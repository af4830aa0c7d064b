import type { DetectedKind } from '../../masking/detectors.ts'
import { PATIENCE, Redactor } from '../masked/redactor.ts'
import type { Asking } from './asking.ts'
import { LONGEST_READ } from './handles.ts'
import { FX, FXP, packetWith } from './wire.ts'

/** A larger file isn't looked through. */
const MOST_LOOKED_AT = 64 * 1024 * 1024

/** Whether a file may be handed out, where what it holds is looked for. */
export type Contents = { holds: 'nothing' } | { holds: DetectedKind[] } | { holds: 'unknown'; why: string }

/**
 * Looks through a file that the host has opened, before the client may read it: bytes of a file can't be masked on their
 * way, since they are read by their places.
 * @param kinds what is looked for, and may not be seen
 * @param handle as the host gave it
 */
export async function contentsOf(asking: Asking, handle: string, kinds: readonly DetectedKind[]): Promise<Contents> {
  const found = new Set<DetectedKind>()
  using redactor = new Redactor({
    detect: kinds,
    reveals: (kind) => {
      found.add(kind as DetectedKind)
      return true
    },
    patience: PATIENCE.stream * 100,
    release: () => {},
  })
  const place = Buffer.alloc(12)
  place.writeUInt32BE(LONGEST_READ, 8)
  for (let offset = 0; ; ) {
    place.writeBigUInt64BE(BigInt(offset))
    const told = await asking.askWith(packetWith(FXP.READ, 0, [Buffer.from(handle, 'latin1')], place))
    if ('refused' in told) {
      const { code, message } = told.refused
      if (code !== FX.EOF) return { holds: 'unknown', why: `the host does not let it be read (${message})` }
      break
    }
    const data = told.fields.bytes()
    if (data.length === 0) break
    redactor.write(data)
    if (found.size === kinds.length) break
    offset += data.length
    if (offset > MOST_LOOKED_AT) return { holds: 'unknown', why: 'it is larger than what is looked through (64 MiB)' }
  }
  redactor.end()
  return { holds: found.size === 0 ? 'nothing' : [...found] }
}
