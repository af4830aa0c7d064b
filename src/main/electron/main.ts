import { app, dialog } from 'electron'
import { readArguments } from './arguments.ts'
import { linkScheme } from './deep-links.ts'
import { startDesktop } from './desktop.ts'
import { hardenContents } from './hardening.ts'
import { registerScheme } from './scheme.ts'

const given = readArguments(process.argv, process.env)
if (given.folder) app.setPath('userData', given.folder)

app.enableSandbox()
registerScheme()
hardenContents()

if (app.requestSingleInstanceLock()) {
  app.setAppUserModelId('dev.countersign.console') // or Windows shows no notifications
  if (app.isPackaged) app.setAsDefaultProtocolClient(linkScheme)
  // No top-level await: Electron is ready only after this module has run.
  app
    .whenReady()
    .then(() => startDesktop(given))
    .catch((error: Error) => {
      dialog.showErrorBox('Countersign can’t start', error.message)
      app.exit(1)
    })
} else {
  app.quit() // the instance that runs is told, and shows itself
}
