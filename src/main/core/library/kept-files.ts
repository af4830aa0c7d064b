import { createHmac, randomBytes } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SecureStorage } from '../ports/secure-storage.ts'
import { type BundlePlace, removeBundle } from './bundle-file.ts'
import { RecordingFile, type RecordingPlace } from './recording-file.ts'

/** A recording in use: it stays open until it is given back. */
export interface Held extends Disposable {
  readonly file: RecordingFile
}

/** The files of the library, and its key. */
export interface KeptFiles extends AsyncDisposable {
  /** @returns undefined where it isn't kept  @throws Damaged */
  take(session: string): Promise<Held | undefined>
  /** What is kept, or a new one in its place. What doesn't open any more is given up. */
  takeOrMake(session: string): Promise<Held>
  bundlePlace(session: string): Promise<{ place: BundlePlace; key: Buffer }>
  inUse(session: string): boolean
  removeBundle(session: string): Promise<void>
  remove(session: string): Promise<void>
  /** Takes away what belongs to none of these sessions. */
  sweep(sessions: readonly string[]): Promise<void>
  /** Takes everything away, and the key with it: what a disk may still hold of it says nothing. */
  forget(): Promise<void>
}

const keyName = 'recordings-key'
/** This many stay open after their last use: an index is dear to read again. */
const idleOpen = 3

interface Open {
  file: Promise<RecordingFile | undefined>
  users: number
}

export function createKeptFiles(folder: string, gateway: () => string, secrets: SecureStorage): KeptFiles {
  const open = new Map<string, Open>()
  let making: Promise<Buffer> | undefined

  const key = () => {
    making ??= obtainKey(secrets)
    return making
  }
  const about = (session: string) => `${gateway()}\n${session}`
  /** Names say nothing of what they name. */
  const nameOf = async (session: string) =>
    createHmac('sha256', await key())
      .update(`name\n${about(session)}`)
      .digest('hex')
      .slice(0, 32)
  const placeOf = async (session: string): Promise<RecordingPlace> => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return { index: join(folder, `${await nameOf(session)}.index`), about: about(session), session }
  }

  async function held(session: string, how: (known: Promise<RecordingFile | undefined> | undefined) => Open['file']) {
    const entry: Open = open.get(session) ?? { file: Promise.resolve(undefined), users: 0 }
    const known = open.has(session) ? entry.file : undefined
    entry.file = how(known)
    open.delete(session)
    open.set(session, entry)
    entry.users += 1
    try {
      const file = await entry.file
      if (!file) {
        giveBack(session, entry)
        return undefined
      }
      let back = false
      return {
        file,
        [Symbol.dispose]() {
          if (back) return
          back = true
          giveBack(session, entry)
        },
      }
    } catch (error) {
      giveBack(session, entry)
      throw error
    }
  }

  function giveBack(session: string, entry: Open) {
    entry.users -= 1
    if (entry.users > 0) return
    entry.file.then(
      (file) => {
        if (!file && entry.users === 0 && open.get(session) === entry) open.delete(session)
      },
      () => {
        if (entry.users === 0 && open.get(session) === entry) open.delete(session)
      },
    )
    const idle = [...open].filter(([, { users }]) => users === 0)
    for (const [name] of idle.slice(0, Math.max(0, idle.length - idleOpen))) void shut(name).catch(() => {})
  }

  async function shut(session: string): Promise<RecordingFile | undefined> {
    const entry = open.get(session)
    if (!entry) return undefined
    open.delete(session)
    const file = await entry.file.catch(() => undefined)
    if (file) {
      await file.save().catch(() => {})
      await file.close()
    }
    return file
  }

  const read = async (session: string) => RecordingFile.open(await placeOf(session), await key())

  return {
    take: (session) => held(session, (known) => known ?? read(session)),
    async takeOrMake(session) {
      const found = await held(session, async (known) => {
        const kept = await (known ?? read(session)).catch(() => undefined)
        return kept ?? RecordingFile.create(await placeOf(session), await key())
      })
      return found!
    },
    async bundlePlace(session) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const index = join(folder, `${await nameOf(session)}.bundle`)
      return { place: { index, about: about(session) }, key: await key() }
    },
    inUse: (session) => (open.get(session)?.users ?? 0) > 0,
    async removeBundle(session) {
      await removeBundle((await this.bundlePlace(session)).place)
    },
    async remove(session) {
      await shut(session)
      const name = await nameOf(session)
      for (const file of await readdir(folder).catch(() => []))
        if (file.startsWith(`${name}.`)) await rm(join(folder, file), { force: true })
    },
    async sweep(sessions) {
      const files = await readdir(folder).catch(() => [])
      if (files.length === 0) return
      const names = new Set(await Promise.all(sessions.map(nameOf)))
      for (const file of files)
        if (!names.has(file.split('.')[0]!) || file.endsWith('.new')) await rm(join(folder, file), { force: true })
    },
    async forget() {
      for (const session of [...open.keys()]) await shut(session)
      await rm(folder, { recursive: true, force: true })
      making = undefined
      await secrets.delete(keyName)
    },
    async [Symbol.asyncDispose]() {
      for (const session of [...open.keys()]) await shut(session)
      if (!secrets.persistent) await rm(folder, { recursive: true, force: true })
    },
  }
}

async function obtainKey(secrets: SecureStorage): Promise<Buffer> {
  const kept = await secrets.get(keyName)
  if (kept) return Buffer.from(kept, 'base64')
  const fresh = randomBytes(32)
  await secrets.set(keyName, fresh.toString('base64'))
  return fresh
}
