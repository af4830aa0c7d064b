import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DataFolderError } from '../../config/data-folder.ts'
import { fingerprintOf } from '../../config/host-key.ts'
import { utils } from '../transport/ssh2.ts'

/** Where the gateway's own host key lies in the data folder. */
export const HOST_KEY_FILE = join('ssh', 'host_ed25519')

export interface HostKey {
  /** OpenSSH's text of the private key. */
  privateKey: string
  /** As a line of `known_hosts` has it behind the host: `ssh-ed25519 AAAA…`. */
  publicKey: string
  /** `SHA256:…`, as ssh-keygen -lf prints it. */
  fingerprint: string
  /** It wasn't there and was made. */
  made: boolean
  /** Set where others than the gateway's user may read it, in words. */
  doubt?: string
}

/** A private key of OpenSSH has some 400 bytes. */
const LARGEST = 16_384

/**
 * Reads the key by which the gateway shows who it is to SSH clients (RFC 4253, section 8), or makes an Ed25519 one: mode
 * 0600, on disk before it is used, its public half beside it for `known_hosts`. Ask it while the folder is taken.
 * @param folder the data folder
 * @throws DataFolderError where there is one that can't be read or isn't a key. None is ever made in its place: clients
 * would take the gateway for an impostor
 */
export async function gatewayHostKey(folder: string): Promise<HostKey> {
  const path = join(folder, HOST_KEY_FILE)
  const found = await keptHostKey(folder)
  if (found) return found
  const made = utils.generateKeyPairSync('ed25519', { comment: 'countersign' })
  try {
    const parent = join(folder, 'ssh')
    await mkdir(parent, { recursive: true, mode: 0o700 })
    await put(`${path}.pub`, `${made.public}\n`, 0o644)
    await put(path, made.private, 0o600)
    if (process.platform !== 'win32') {
      await using handle = await open(parent, 'r')
      await handle.sync()
    }
  } catch (error) {
    throw unusable(path, `it could not be made (${reasonOf(error)})`, 'let the gateway write to its data folder', error)
  }
  return { ...keyOf(path, made.private), made: true }
}

async function put(path: string, text: string, mode: number): Promise<void> {
  const beside = `${path}.new`
  // A start that was cut short may have left one.
  await rm(beside, { force: true })
  {
    await using file = await open(beside, 'wx', mode)
    await file.writeFile(text)
    await file.sync()
  }
  await rename(beside, path)
}

/**
 * The key that is there; undefined where none was made yet.
 * @throws DataFolderError
 */
export async function keptHostKey(folder: string): Promise<HostKey | undefined> {
  const path = join(folder, HOST_KEY_FILE)
  try {
    await using file = await open(path, 'r')
    const stat = await file.stat()
    if (!stat.isFile()) throw unusable(path, 'it is no file', RESTORE)
    if (stat.size > LARGEST) throw unusable(path, `it has ${stat.size} bytes`, RESTORE)
    const readable = process.platform !== 'win32' && (stat.mode & 0o077) !== 0
    return {
      ...keyOf(path, (await file.readFile()).toString('latin1')),
      made: false,
      ...(readable && { doubt: `others may read the host key ${path}: chmod it to 0600` }),
    }
  } catch (error) {
    if (error instanceof DataFolderError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unusable(path, `it can't be read (${reasonOf(error)})`, 'let the user that runs the gateway read it', error)
  }
}

function keyOf(path: string, text: string): Pick<HostKey, 'privateKey' | 'publicKey' | 'fingerprint'> {
  const key = utils.parseKey(text)
  if (key instanceof Error || !key.isPrivateKey())
    throw unusable(path, 'it holds no private key that can be used', RESTORE)
  const blob = key.getPublicSSH()
  return {
    privateKey: text,
    publicKey: `${key.type} ${blob.toString('base64')}`,
    fingerprint: fingerprintOf(blob),
  }
}

const RESTORE =
  'put the one of your backup there; without one remove it, and tell everybody the fingerprint of the new one'

const reasonOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error)

function unusable(path: string, what: string, mend: string, cause?: unknown): DataFolderError {
  return new DataFolderError('unusable', `the SSH host key ${path} can't be used, ${what}: ${mend}`, { cause })
}
