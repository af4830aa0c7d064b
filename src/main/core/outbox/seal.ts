import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { SecureStorage } from '../ports/secure-storage.ts'

/** What can't be opened: another key, a changed file. */
export class Unreadable extends Error {
  override name = 'Unreadable'
}

/** Keeps JSON values unreadable on disk, each bound to what it is (`about`), so that none passes for another. */
export interface Seal {
  /** false where the platform has no safe place for a key: values then lie open in a file of mode 0600. */
  readonly closed: boolean
  shut(value: unknown, about: string): Buffer
  /** @throws Unreadable */
  open(bytes: Buffer, about: string): unknown
}

const keyName = 'outbox-key'
const OPEN = 0
const SEALED = 1

/** The seal of this computer: AES-256-GCM, with a key that the platform keeps. */
export async function sealFor(secrets: SecureStorage): Promise<Seal> {
  const key = secrets.persistent ? await obtainKey(secrets) : undefined
  return {
    closed: key !== undefined,
    shut(value, about) {
      const text = Buffer.from(JSON.stringify(value))
      if (!key) return Buffer.concat([Buffer.of(OPEN), text])
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
      cipher.setAAD(Buffer.from(about))
      return Buffer.concat([Buffer.of(SEALED), nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()])
    },
    open(bytes, about) {
      try {
        if (bytes[0] === OPEN) return JSON.parse(bytes.subarray(1).toString())
        if (!key || bytes[0] !== SEALED || bytes.length < 29) throw new Error('no key, or no such form')
        const opener = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 13), { authTagLength: 16 })
        opener.setAAD(Buffer.from(about))
        opener.setAuthTag(bytes.subarray(-16))
        return JSON.parse(Buffer.concat([opener.update(bytes.subarray(13, -16)), opener.final()]).toString())
      } catch (error) {
        throw new Unreadable('It can’t be read on this computer any more: its key is gone, or the file was changed.', {
          cause: error,
        })
      }
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
