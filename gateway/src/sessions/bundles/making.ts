import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { PersonRef } from '@countersign/contract/identity'
import { parseTilePath, type Tile, tilePath } from '@countersign/contract/ledger/tiles'
import { openEntries } from '../ledger/entries.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { bundleBytes, NoBundle, sessionEvidence } from './bundles.ts'
import { signerOf } from './signer.ts'

export interface BundlesRoom {
  /**
   * A session's evidence bundle with all that is said of it so far, as a stream: of an open session too.
   * @throws NoBundle; LedgerStopped; TooMany
   */
  bundle(session: string, by: PersonRef): Promise<Readable>
}

/** As many are being made as may be. */
export class TooMany extends Error {
  override name = 'TooMany'
}

/** Each keeps the entries of its session in memory until it is through. */
export const MOST_BUNDLES = 4
/** So many of them for one person. */
export const MOST_OF_ONE = 3
/** Who does not go on reading for so long loses it (ms). */
const PATIENCE_MS = 60_000

export interface BundlesOptions {
  ledger: Pick<Ledger, 'signed' | 'state' | 'tile'>
  /** The data folder. */
  folder: string
  /** Undefined where there is none. */
  recording: (session: string) => AsyncIterable<Uint8Array>
  policy: (version: string) => Promise<readonly { file: string; text: string }[] | undefined>
  /** Milliseconds since the epoch. */
  clock?: () => number
  patienceMs?: number
}

/** Makes evidence bundles in a gateway at work. */
export function createBundles(options: BundlesOptions): BundlesRoom {
  const { ledger, recording, policy } = options
  const folder = join(options.folder, 'ledger')
  const clock = options.clock ?? Date.now
  const patience = options.patienceMs ?? PATIENCE_MS
  /** Whose are being made. */
  const making: string[] = []

  const make = async (session: string, by: PersonRef): Promise<AsyncGenerator<Uint8Array>> => {
    const head = await ledger.signed()
    const { handovers } = await ledger.state()
    using entries = openEntries(folder)
    const content = await sessionEvidence(
      {
        checkpoint: head.note,
        handovers,
        entries,
        tile: (tile) => readTile(ledger, tile),
        recording: async (id) => recording(id),
        policy,
      },
      session,
      { at: new Date(clock()), by },
    )
    return bundleBytes(content, [await signerOf(folder)])
  }

  return {
    async bundle(session, by) {
      if (making.length >= MOST_BUNDLES || making.filter((one) => one === by.id).length >= MOST_OF_ONE)
        throw new TooMany('As many bundles are being made as may be at a time: try again in a minute.')
      making.push(by.id)
      const end = () => void making.splice(making.indexOf(by.id), 1)
      try {
        const bytes = hurried(await make(session, by), patience, () => {
          stream.destroy(new Error('who asked for this bundle does not read it'))
        })
        const stream = Readable.from(bytes, { objectMode: false, highWaterMark: 256 * 1024 })
        stream.once('close', end)
        // One that nobody ever begins to read.
        stream.read(0)
        return stream
      } catch (error) {
        end()
        throw error
      }
    },
  }
}

/** The same bytes; `late` is called where the next ones aren't asked for in time. */
export async function* hurried(
  bytes: AsyncIterable<Uint8Array>,
  ms: number,
  late: () => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    const timer = setTimeout(late, ms).unref()
    try {
      yield chunk
    } finally {
      clearTimeout(timer)
    }
  }
}

/** A tile that the log has; of a partial one that has grown since, its full one in its stead. */
export async function readTile(ledger: Pick<Ledger, 'tile'>, tile: Tile): Promise<Uint8Array | undefined> {
  const path = tilePath(tile)
  return parseTilePath(path) && (await ledger.tile(path))
}

export { NoBundle }
