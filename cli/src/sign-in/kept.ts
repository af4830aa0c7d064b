import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { SignIn } from '@countersign/contract/identity'
import { z } from 'zod'
import { refused } from '../errors.ts'

export const Tokens = z.object({
  access: z.string(),
  /** Milliseconds since 1970. */
  expiresAt: z.number(),
  refresh: z.string().optional(),
})
export type Tokens = z.infer<typeof Tokens>

/** What is kept of one gateway. */
const KeptGateway = z.object({
  gateway: z.string(),
  /** PEM, where its certificate was given by --ca. */
  ca: z.string().optional(),
  signIn: SignIn,
  person: z.object({ id: z.string(), name: z.string() }),
  tokens: Tokens,
})
export type KeptGateway = z.infer<typeof KeptGateway>

/**
 * The folder in which sign-ins are kept: $XDG_CONFIG_HOME/countersign, of this user alone (0700, files 0600). A file a
 * gateway, replaced whole, so that nobody reads a half.
 */
export interface Kept {
  read(gateway: string): KeptGateway | undefined
  /** @param how current: whether it is the one that commands are for from now on */
  write(kept: KeptGateway, how: { current: boolean }): void
  remove(gateway: string): boolean
  /** The gateway that was signed in to last. */
  current(): string | undefined
  /** A file for the lock of that gateway's sign-in. */
  lockOf(gateway: string): string
  /** Names of connections as the gateway last told them, for completion; undefined where they are older than `age` ms. */
  names(gateway: string, age: number): string[] | undefined
  keepNames(gateway: string, names: string[]): void
}

export function keptIn(env: NodeJS.ProcessEnv): Kept {
  const folder = folderOf(env)
  const file = (kind: string, gateway: string, end = '.json') =>
    join(folder, `${kind}-${encodeURIComponent(gateway)}${end}`)
  return {
    read(gateway) {
      const text = read(file('gateway', gateway))
      if (text === undefined) return undefined
      const parsed = KeptGateway.safeParse(safeJson(text))
      // What isn't ours to read is no sign-in; signing in replaces it.
      return parsed.success && parsed.data.gateway === gateway ? parsed.data : undefined
    },
    write(kept, { current }) {
      replace(folder, file('gateway', kept.gateway), JSON.stringify(kept, null, 2))
      if (current) replace(folder, join(folder, 'current'), kept.gateway)
    },
    remove(gateway) {
      const there = read(file('gateway', gateway)) !== undefined
      for (const kind of ['gateway', 'connections']) rmSync(file(kind, gateway), { force: true })
      if (read(join(folder, 'current')) === gateway) rmSync(join(folder, 'current'), { force: true })
      return there
    },
    current: () => read(join(folder, 'current'))?.trim() || undefined,
    lockOf(gateway) {
      make(folder)
      return file('gateway', gateway, '.lock')
    },
    names(gateway, age) {
      const path = file('connections', gateway)
      const text = read(path)
      if (text === undefined || Date.now() - statSync(path).mtimeMs > age) return undefined
      return z.array(z.string()).safeParse(safeJson(text)).data
    },
    keepNames: (gateway, names) => replace(folder, file('connections', gateway), JSON.stringify(names)),
  }
}

function folderOf(env: NodeJS.ProcessEnv): string {
  // The specification says that a relative path is to be ignored.
  const named = env.XDG_CONFIG_HOME?.startsWith('/') ? env.XDG_CONFIG_HOME : undefined
  if (named) return join(named, 'countersign')
  if (process.platform === 'win32' && env.APPDATA) return join(env.APPDATA, 'countersign')
  return join(homedir(), '.config', 'countersign')
}

function make(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (process.platform === 'win32') return
  const { uid, mode } = statSync(folder)
  if (uid !== process.getuid?.())
    throw refused(`${folder} belongs to somebody else: nothing is kept there; set XDG_CONFIG_HOME to a folder of yours`)
  if (mode & 0o077) chmodSync(folder, 0o700)
}

function replace(folder: string, path: string, text: string): void {
  make(folder)
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const handle = openSync(draft, 'wx', 0o600)
  try {
    writeSync(handle, text)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  try {
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}

function read(path: string): string | undefined {
  try {
    const { mode, uid } = statSync(path)
    if (process.platform !== 'win32') {
      if (uid !== process.getuid?.()) return undefined
      if (mode & 0o077) chmodSync(path, 0o600)
    }
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw refused(`${path} can't be read: ${(error as Error).message}`)
  }
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
