import { BrowserWindow } from 'electron'
import type { Printer } from '../core/ports/printer.ts'
import type { Pages } from './scheme.ts'

/** PDF by a window that nobody sees: without scripts, without a preload, at an address that is good for this page only. */
export function hiddenPrinter(pages: Pages): Printer {
  return {
    async pdf(html, signal) {
      signal.throwIfAborted()
      using page = pages.add(html)
      const window = new BrowserWindow({
        show: false,
        webPreferences: { sandbox: true, contextIsolation: true, nodeIntegration: false, javascript: false },
      })
      const cancel = () => window.destroy()
      signal.addEventListener('abort', cancel, { once: true })
      try {
        await window.loadURL(page.url)
        const made = await window.webContents.printToPDF({
          pageSize: 'A4',
          printBackground: true,
          preferCSSPageSize: true,
          generateTaggedPDF: true,
        })
        return made
      } catch (error) {
        signal.throwIfAborted()
        throw error
      } finally {
        signal.removeEventListener('abort', cancel)
        if (!window.isDestroyed()) window.destroy()
      }
    },
  }
}
