import { type BrowserWindow, ipcMain } from 'electron'
import type { CallName } from '../../console-api.ts'
import { type Answer, callChannel, eventChannel } from '../../preload/channel.ts'
import { asConsoleError } from '../core/account.ts'
import type { Core } from '../core/core.ts'
import { isOurs } from './scheme.ts'

const refused: Answer = { error: { code: 'not-ours', message: 'This page may not speak to the console.' } }

/**
 * Joins the window's renderer to the core. Only the top frame of our own page is answered; what it sends is checked
 * against the schema of the call by the core. `ready` is told when the renderer has made its first call.
 */
export function joinRenderer(window: BrowserWindow, core: Core, ready: () => void): void {
  ipcMain.handle(callChannel, async (event, name: unknown, input: unknown): Promise<Answer> => {
    const frame = event.senderFrame
    if (event.sender !== window.webContents || !frame || frame.parent !== null || !isOurs(frame.url)) return refused
    if (typeof name !== 'string') return { error: { code: 'no-such-call', message: 'A call has a name.' } }
    // Whether somebody looks is for the window to say; the page's heartbeat would say it anew every other second.
    if (name === 'windowFocus') return { output: {} }
    try {
      const output = await core.call(name as CallName, input as never)
      if (name === 'snapshot') ready()
      return { output }
    } catch (error) {
      const { code, message } = asConsoleError(error)
      return { error: { code, message } }
    }
  })
  core.on((event) => {
    if (!window.isDestroyed()) window.webContents.send(eventChannel, event)
  })
}
