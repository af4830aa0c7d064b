import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { safeStorage } from 'electron'
import { memoryStorage, type SecureStorage } from '../core/ports/secure-storage.ts'

/**
 * Secrets sealed by the keychain of the operating system. On Linux without one Electron would “encrypt” with a key that
 * everybody knows (basic_text): then they stay in memory, and the person signs in at each start.
 */
export async function keychain(folder: string): Promise<SecureStorage> {
  const backend = process.platform === 'linux' ? safeStorage.getSelectedStorageBackend() : 'os'
  if (backend === 'basic_text' || backend === 'unknown') return memoryStorage()
  if (!(await isAvailable())) return memoryStorage()
  const home = join(folder, 'secrets')
  await mkdir(home, { recursive: true, mode: 0o700 })
  const file = (name: string) => join(home, `${name}.sealed`)

  async function set(name: string, value: string): Promise<void> {
    const next = `${file(name)}.new`
    await writeFile(next, await safeStorage.encryptStringAsync(value), { mode: 0o600, flush: true })
    await rename(next, file(name))
  }
  return {
    persistent: true,
    async get(name) {
      const sealed = await readFile(file(name)).catch(() => undefined)
      if (!sealed) return undefined
      try {
        const { result, shouldReEncrypt } = await safeStorage.decryptStringAsync(sealed)
        if (shouldReEncrypt) await set(name, result)
        return result
      } catch {
        return undefined // another keychain, or a file that was changed: as good as absent
      }
    },
    set,
    delete: (name) => rm(file(name), { force: true }),
  }
}

async function isAvailable(): Promise<boolean> {
  try {
    const { result } = await safeStorage.decryptStringAsync(await safeStorage.encryptStringAsync('countersign'))
    return result === 'countersign'
  } catch {
    return false
  }
}
