import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LogReader } from '../ledger/log-verify.ts'
import { type Tile, tilePath } from '../ledger/tiles.ts'

/**
 * A log in a folder: `checkpoint`, `tile/…` as C2SP tlog-tiles names them, and `handover/N`, the signed checkpoints by
 * which keys were handed over. Payloads and recordings are kept elsewhere: add them to what this answers.
 */
export function folderLog(folder: string): LogReader {
  return {
    checkpoint: () => present(join(folder, 'checkpoint')),
    async handovers() {
      const names = await readdir(join(folder, 'handover')).catch(absent)
      const notes = (names ?? [])
        .sort((a, b) => Number(a) - Number(b))
        .map((name) => readFile(join(folder, 'handover', name)))
      return Promise.all(notes)
    },
    tile: (tile: Tile) => present(join(folder, ...tilePath(tile).split('/'))),
  }
}

/** A file's bytes, undefined where there is none; every other trouble is the caller's. */
const present = (path: string): Promise<Uint8Array | undefined> => readFile(path).catch(absent)

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}
