import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { app } from './app.ts'
import { can, happened } from './control.ts'

/** A keychain of sorts: one key beside the user's folder, so that a second run can read what the first one sealed. */
function key(): Buffer {
  const file = join(app.getPath('userData'), 'double-keychain')
  if (!existsSync(file)) writeFileSync(file, randomBytes(32), { mode: 0o600 })
  return readFileSync(file)
}

export const safeStorage = {
  /** ELECTRON_DOUBLE_KEYCHAIN=basic_text is a Linux desktop without a keychain. */
  getSelectedStorageBackend: () => process.env.ELECTRON_DOUBLE_KEYCHAIN ?? 'gnome_libsecret',
  async encryptStringAsync(text: string): Promise<Buffer> {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key(), nonce, { authTagLength: 16 })
    return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
  },
  async decryptStringAsync(sealed: Buffer): Promise<{ result: string; shouldReEncrypt: boolean }> {
    const decipher = createDecipheriv('aes-256-gcm', key(), sealed.subarray(0, 12), { authTagLength: 16 })
    decipher.setAuthTag(sealed.subarray(-16))
    const result = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('utf8')
    return { result, shouldReEncrypt: false }
  },
}

let answered: ((chosen: { canceled: boolean; filePath: string }) => void) | undefined
/** The person in front of the dialog: a path, or null for Cancel. */
can('save-as', (path: string | null) => answered?.({ canceled: path === null, filePath: path ?? '' }))

export const dialog = {
  showSaveDialog(_window: unknown, { defaultPath }: { defaultPath: string }) {
    return new Promise<{ canceled: boolean; filePath: string }>((resolve) => {
      answered = resolve
      happened({ what: 'save-dialog', name: basename(defaultPath) })
    })
  },
  showErrorBox(title: string, content: string): void {
    process.stderr.write(`${title}: ${content}\n`)
    happened({ what: 'error-box', title, content })
  },
}
