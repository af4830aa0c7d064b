import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { app, BrowserWindow, nativeTheme, type Rectangle, screen } from 'electron'
import { z } from 'zod'
import { origin } from './scheme.ts'

const State = z.object({
  bounds: z.object({ x: z.number(), y: z.number(), width: z.number().min(640), height: z.number().min(480) }),
  maximized: z.boolean(),
})

/** The console's one window, where it was when it was last closed. It is shown once it has something to show. */
export function openWindow(folder: string, preload: string): BrowserWindow {
  const file = join(folder, 'window.json')
  const last = readState(file)
  const window = new BrowserWindow({
    ...(last && isVisible(last.bounds) ? last.bounds : { width: 1280, height: 800 }),
    minWidth: 640,
    minHeight: 480,
    show: false,
    title: 'Countersign',
    backgroundColor: nativeTheme.shouldUseDarkColors ? '#131316' : '#f7f7f5',
    autoHideMenuBar: true,
    webPreferences: {
      preload,
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      webviewTag: false,
      allowRunningInsecureContent: false,
      navigateOnDragDrop: false,
      spellcheck: false,
      devTools: !app.isPackaged,
    },
  })
  if (last?.maximized) window.maximize()
  window.once('ready-to-show', () => window.show())
  window.on('close', () => {
    const state = { bounds: window.getNormalBounds(), maximized: window.isMaximized() }
    try {
      writeFileSync(file, JSON.stringify(state), { mode: 0o600 })
    } catch {
      // The place of a window isn't worth a message.
    }
  })
  void window.loadURL(`${origin}/`)
  return window
}

/** Brings the window to the front, wherever it is. */
export function present(window: BrowserWindow): void {
  if (window.isMinimized()) window.restore()
  window.show()
  window.focus()
}

function readState(file: string): z.infer<typeof State> | undefined {
  try {
    return State.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined
  }
}

/** A screen may be gone since: a window that nobody can see is no use. */
function isVisible(bounds: Rectangle): boolean {
  return screen.getAllDisplays().some(({ workArea: area }) => {
    const overlapX = Math.min(bounds.x + bounds.width, area.x + area.width) - Math.max(bounds.x, area.x)
    const overlapY = Math.min(bounds.y + bounds.height, area.y + area.height) - Math.max(bounds.y, area.y)
    return overlapX > 100 && overlapY > 50
  })
}
