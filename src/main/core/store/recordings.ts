import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { SecureStorage } from '../ports/secure-storage.ts'
import type { Store } from './store.ts'

/** Recordings on this machine: compressed, then sealed with AES-256-GCM under a key that the platform keeps. */
export interface RecordingLibrary {
  get(session: string): Promise<{ ndjson: string; complete: boolean } | undefined>
  put(session: string, ndjson: string, complete: boolean): Promise<void>
}

const keyName = 'recordings-key'
const pack = promisify(gzip)
const unpack = promisify(gunzip)
/** What one recording may unpack to: a bound against a file that was tampered with before it was sealed. */
const largest = 512 * 1024 * 1024

/**
 * The recordings of `store`. Without a safe place for the key they aren't kept at all. A recording that doesn't open
 * (another key, a changed file) counts as absent.
 */
export function recordingLibrary(store: Store, secrets: SecureStorage): RecordingLibrary {
  let making: Promise<Buffer> | undefined
  const key = () => {
    making ??= obtainKey(secrets)
    return making
  }
  return {
    async get(session) {
      const kept = store.recording(session)
      if (!kept || !secrets.persistent) return undefined
      try {
        const opener = createDecipheriv('aes-256-gcm', await key(), kept.nonce, { authTagLength: 16 })
        opener.setAAD(bound(session, kept.complete))
        opener.setAuthTag(kept.sealed.subarray(-16))
        const packed = Buffer.concat([opener.update(kept.sealed.subarray(0, -16)), opener.final()])
        const ndjson = (await unpack(packed, { maxOutputLength: largest })).toString('utf8')
        return { ndjson, complete: kept.complete }
      } catch {
        return undefined
      }
    },
    async put(session, ndjson, complete) {
      if (!secrets.persistent) return
      const nonce = randomBytes(12)
      const sealer = createCipheriv('aes-256-gcm', await key(), nonce, { authTagLength: 16 })
      sealer.setAAD(bound(session, complete))
      const sealed = Buffer.concat([sealer.update(await pack(ndjson)), sealer.final(), sealer.getAuthTag()])
      store.saveRecording(session, { complete, nonce, sealed })
    },
  }
}

/** A sealed recording can't be passed off as another session's, nor half of one as the whole. */
const bound = (session: string, complete: boolean) => Buffer.from(`${session}\n${complete ? 'whole' : 'part'}`)

async function obtainKey(secrets: SecureStorage): Promise<Buffer> {
  const kept = await secrets.get(keyName)
  if (kept) return Buffer.from(kept, 'base64')
  const fresh = randomBytes(32)
  await secrets.set(keyName, fresh.toString('base64'))
  return fresh
}
