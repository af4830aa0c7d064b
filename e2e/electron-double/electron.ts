/** Electron's module, as far as the desktop shell uses it. */
export { app } from './app.ts'
export { Menu, Notification, nativeImage, nativeTheme, powerMonitor, screen, shell, Tray } from './desktop.ts'
export { dialog, safeStorage } from './platform.ts'
export { protocol, session } from './session.ts'
export { BrowserWindow, ipcMain } from './window.ts'
