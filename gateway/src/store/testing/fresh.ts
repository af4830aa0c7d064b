import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore, type Store } from '../store.ts'

let empty: Promise<Buffer> | undefined

/**
 * As openStore, but a store that isn't there yet is copied from an empty one: tests open hundreds, and to migrate each
 * costs more than most of them do with it.
 */
export async function openFreshStore(file: string, options?: Parameters<typeof openStore>[1]): Promise<Store> {
  if (!existsSync(file)) {
    empty ??= migrated()
    writeFileSync(file, await empty, { mode: 0o600 })
  }
  return openStore(file, options)
}

async function migrated(): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-empty-'))
  try {
    const file = join(folder, 'store.db')
    await (await openStore(file))[Symbol.asyncDispose]()
    return readFileSync(file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
