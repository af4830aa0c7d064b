import { randomBytes } from 'node:crypto'
import { link, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DataFolderError } from '../config/data-folder.ts'

/** The file of the webhooks' secret in the data folder. */
export const WEBHOOK_SECRET_FILE = 'webhook-secret'
const secret = /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/

export interface WebhookSecrets {
  /** As Standard Webhooks writes them, `whsec_BASE64`: every call is signed by each. The first is the newest. */
  secrets: string[]
  made: boolean
  /** Set where others than the gateway's user may read it, in words. */
  doubt?: string
}

/**
 * Reads the secrets by which calls of webhooks are signed, one a line, or makes one (mode 0600). Of several processes that
 * make it at once one wins, and all read that one.
 * @param folder the data folder
 * @throws DataFolderError where there is a file that can't be read, or holds no secret
 */
export async function webhookSecrets(folder: string): Promise<WebhookSecrets> {
  const path = join(folder, WEBHOOK_SECRET_FILE)
  const found = await read(path)
  if (found) return { ...found, made: false }
  const beside = `${path}.${randomBytes(6).toString('hex')}.new`
  try {
    {
      await using file = await open(beside, 'wx', 0o600)
      await file.writeFile(`whsec_${randomBytes(32).toString('base64')}\n`)
      await file.sync()
    }
    // Whole or not at all, and never over another one.
    await link(beside, path).catch((error) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    })
  } catch (error) {
    throw unusable(path, `it could not be made (${reasonOf(error)})`, 'let the gateway write to its data folder', error)
  } finally {
    await rm(beside, { force: true })
  }
  const made = await read(path)
  if (!made) throw unusable(path, 'it went away as soon as it was made', 'see who removes it')
  return { ...made, made: true }
}

async function read(path: string): Promise<Omit<WebhookSecrets, 'made'> | undefined> {
  try {
    await using file = await open(path, 'r')
    const { size, mode } = await file.stat()
    if (size > 4096) throw unusable(path, 'it is too long for a secret', 'put the one of your backup there')
    const secrets = (await file.readFile('utf8')).split('\n').filter((line) => line.trim() !== '')
    if (secrets.length === 0 || secrets.length > 5 || !secrets.every((line) => secret.test(line.trim())))
      throw unusable(path, 'it holds no whsec_… in a line of its own', 'remove it, and a new one is made')
    const others = process.platform !== 'win32' && (mode & 0o077) !== 0
    return {
      secrets: secrets.map((line) => line.trim()),
      ...(others ? { doubt: `others may read the webhooks' secret ${path}: chmod it to 0600` } : {}),
    }
  } catch (error) {
    if (error instanceof DataFolderError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unusable(path, `it can't be read (${reasonOf(error)})`, 'let the user that runs the gateway read it', error)
  }
}

function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}

function unusable(path: string, what: string, mend: string, cause?: unknown): DataFolderError {
  return new DataFolderError('unusable', `the webhooks' secret ${path} can't be used, ${what}: ${mend}`, { cause })
}
