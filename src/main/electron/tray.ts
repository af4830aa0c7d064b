import { app, type BrowserWindow, Menu, nativeImage, Tray } from 'electron'
import type { Badge } from '../core/ports/badge.ts'
import { trayIcon } from './tray-icon.ts'

/** How much waits for the person: in the tray, on the dock or launcher, and as the window flashing on Windows. */
export function trayBadge(show: () => void): Badge & { watch(window: BrowserWindow): void; destroy(): void } {
  const tray = makeTray(show)
  let window: BrowserWindow | undefined
  let last = 0
  return {
    watch(next) {
      window = next
    },
    set(count) {
      const words = count === 0 ? 'Nothing waits for you' : `${count} ${count === 1 ? 'waits' : 'wait'} for you`
      tray?.setToolTip(`Countersign: ${words}`)
      tray?.setContextMenu(
        Menu.buildFromTemplate([
          { label: words, enabled: false },
          { label: 'Open Countersign', click: show },
          { type: 'separator' },
          { label: 'Quit', role: 'quit' },
        ]),
      )
      if (process.platform === 'darwin') tray?.setTitle(count === 0 ? '' : String(count))
      app.setBadgeCount(count)
      if (process.platform === 'win32' && window && !window.isDestroyed())
        window.flashFrame(count > last && !window.isFocused())
      last = count
    },
    destroy: () => tray?.destroy(),
  }
}

function makeTray(show: () => void): Tray | undefined {
  try {
    const icon = nativeImage.createFromDataURL(trayIcon)
    if (process.platform === 'darwin') icon.setTemplateImage(true)
    const tray = new Tray(icon)
    tray.on('click', show)
    return tray
  } catch {
    return undefined // a desktop without a tray
  }
}
