import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { GatewayApi } from '../gateway-api.ts'
import { temporaryFolder, testKeychain } from '../testing/console.ts'
import { pullBundle } from './downloads.ts'
import { createKeptFiles } from './kept-files.ts'

test('a bundle without an end stops where the disk’s reserve begins, and leaves nothing behind', async () => {
  using folder = temporaryFolder()
  const library = join(folder.path, 'library')
  await using files = createKeptFiles(library, () => 'https://gw.example.com', testKeychain())
  let sent = 0
  async function* endless() {
    for (const piece = Buffer.alloc(2 ** 20, 'x'); ; sent += piece.length) yield piece
  }
  const api = { bundle: async () => endless() } as Partial<GatewayApi> as GatewayApi
  let free = 20 * 2 ** 20
  const room = async () => {
    free -= 8 * 2 ** 20
    if (free < 0) throw new Error('This disk is full.')
  }
  const asking = async () => ({ api, token: 't' })
  await expect(pullBundle(files, asking, 'se_1', new AbortController().signal, () => {}, room)).rejects.toThrow(
    'is full',
  )
  expect(sent).toBeLessThan(40 * 2 ** 20)
  expect(readdirSync(library)).toEqual([])
})
