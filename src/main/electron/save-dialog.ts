import { open, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { app, type BrowserWindow, dialog } from 'electron'
import type { Downloads } from '../core/ports/downloads.ts'

/** Files by the system's own dialog. Written beside their place first, so that half a file never stands in it. */
export function saveDialog(window: () => BrowserWindow): Downloads {
  return {
    async save({ name }, _offer, signal) {
      const { canceled, filePath } = await dialog.showSaveDialog(window(), {
        title: 'Export',
        defaultPath: join(app.getPath('downloads'), name),
        filters: [{ name: name.slice(name.lastIndexOf('.') + 1), extensions: [name.slice(name.lastIndexOf('.') + 1)] }],
        properties: ['showOverwriteConfirmation', 'createDirectory'],
      })
      if (canceled || !filePath) return undefined
      signal.throwIfAborted()
      const part = `${filePath}.part`
      const handle = await open(part, 'w')
      return {
        async write(bytes) {
          for (let done = 0; done < bytes.length; )
            done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten
        },
        async close() {
          await handle.sync()
          await handle.close()
          await rename(part, filePath)
          return basename(filePath)
        },
        async abort() {
          await handle.close().catch(() => {})
          await rm(part, { force: true })
        },
      }
    },
  }
}
