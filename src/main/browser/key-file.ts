import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { SecureStorage } from '../core/ports/secure-storage.ts'

const Kept = z.object({ key: z.string(), values: z.record(z.string(), z.string()) })

/**
 * Secrets in a file of mode 0600, for a console that has no keychain. Whoever reads the file has the secrets: it keeps
 * them from other accounts, not from this one. Values are sealed under a key in the same file, so that none of them
 * stands in a backup or a search index in words.
 */
export function keyFile(path: string): SecureStorage {
  let working: Promise<unknown> = Promise.resolve()

  async function read(): Promise<z.infer<typeof Kept>> {
    try {
      const kept = Kept.parse(JSON.parse(await readFile(path, 'utf8')))
      if (process.platform !== 'win32') await chmod(path, 0o600)
      return kept
    } catch (error) {
      if (
        (error as NodeJS.ErrnoException).code === 'ENOENT' ||
        error instanceof SyntaxError ||
        error instanceof z.ZodError
      )
        return { key: randomBytes(32).toString('base64'), values: {} }
      throw error
    }
  }

  async function write(kept: z.infer<typeof Kept>): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const next = `${path}.${randomBytes(6).toString('hex')}`
    await writeFile(next, JSON.stringify(kept), { mode: 0o600, flag: 'wx', flush: true })
    await rename(next, path)
  }

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = working.then(work)
    working = mine.catch(() => {})
    return mine
  }

  return {
    persistent: true,
    get: (name) =>
      inTurn(async () => {
        const { key, values } = await read()
        const sealed = values[name]
        return sealed === undefined ? undefined : unseal(key, name, sealed)
      }),
    set: (name, value) =>
      inTurn(async () => {
        const kept = await read()
        kept.values[name] = seal(kept.key, name, value)
        await write(kept)
      }),
    delete: (name) =>
      inTurn(async () => {
        const kept = await read()
        if (!(name in kept.values)) return
        delete kept.values[name]
        await write(kept)
      }),
  }
}

function seal(key: string, name: string, value: string): string {
  const nonce = randomBytes(12)
  const sealer = createCipheriv('aes-256-gcm', Buffer.from(key, 'base64'), nonce, { authTagLength: 16 }).setAAD(
    Buffer.from(name),
  )
  return Buffer.concat([nonce, sealer.update(value, 'utf8'), sealer.final(), sealer.getAuthTag()]).toString('base64')
}

function unseal(key: string, name: string, sealed: string): string | undefined {
  try {
    const bytes = Buffer.from(sealed, 'base64')
    const opener = createDecipheriv('aes-256-gcm', Buffer.from(key, 'base64'), bytes.subarray(0, 12), {
      authTagLength: 16,
    })
    opener.setAAD(Buffer.from(name)).setAuthTag(bytes.subarray(-16))
    return Buffer.concat([opener.update(bytes.subarray(12, -16)), opener.final()]).toString('utf8')
  } catch {
    return undefined
  }
}
