import { join } from 'node:path'
import { app, nativeTheme, powerMonitor, session, shell } from 'electron'
import type { ConsoleEvent, Settings } from '../../console-api.ts'
import { eventChannel } from '../../preload/channel.ts'
import { systemBrowser } from '../browser/system-browser.ts'
import { readCertificate } from '../core/certificate-file.ts'
import { createCore } from '../core/core.ts'
import { isLoopback } from '../core/gateway-api.ts'
import type { BrowserOpener } from '../core/ports/browser-opener.ts'
import { stderrLog } from '../core/ports/log.ts'
import type { Arguments } from './arguments.ts'
import { routeIn, routeOf } from './deep-links.ts'
import { hardenSession } from './hardening.ts'
import { joinRenderer } from './ipc.ts'
import { setMenu } from './menu.ts'
import { hasActions, nativeNotifier } from './notifications.ts'
import { hiddenPrinter } from './printing.ts'
import { saveDialog } from './save-dialog.ts'
import { serveScheme } from './scheme.ts'
import { keychain } from './secrets.ts'
import { trayBadge } from './tray.ts'
import { openWindow, present } from './window.ts'

/**
 * The console on the desktop: one window, one core. Closing the window leaves it in the tray, where it goes on to say
 * what waits; quitting ends it.
 */
export async function startDesktop(given: Arguments): Promise<void> {
  const folder = app.getPath('userData')
  const out = join(import.meta.dirname, '..')
  hardenSession(session.defaultSession)
  const pages = serveScheme(join(out, 'renderer'))
  setMenu()

  let firstSignIn = given.signIn
  const opener: BrowserOpener = {
    open(url) {
      const sampleWorld = firstSignIn
      firstSignIn = false
      return sampleWorld ? systemBrowser().open(url) : openOutside(url)
    },
  }
  const secrets = await keychain(folder)
  const badge = trayBadge(() => present(window))
  const core = await createCore({
    folder: join(folder, 'console'),
    ...(given.gateway ? { gateway: given.gateway } : {}),
    ...(given.ca ? { ca: readCertificate(given.ca) } : {}),
    capabilities: {
      shell: 'electron',
      notifications: hasActions ? 'native-with-actions' : 'native',
      tray: true,
      badge: true,
      deepLinks: true,
      pdf: true,
      secureStorage: secrets.persistent,
    },
    secrets,
    opener,
    downloads: saveDialog(() => window),
    printer: hiddenPrinter(pages),
    badge,
    log: stderrLog,
    notifier: nativeNotifier({
      click(tag) {
        present(window)
        void core.call('notificationClicked', { tag })
      },
      deny: (tag) => core.denyFromNotification(tag),
    }),
  })

  const window = openWindow(folder, join(out, 'preload/preload.cjs'))
  badge.watch(window)
  const focus = (focused: boolean) => void core.call('windowFocus', { focused }).catch(() => {})
  window.on('focus', () => focus(true))
  window.on('blur', () => focus(false))

  // A link may come before the renderer listens: it is shown then.
  let listening = false
  let waiting = routeIn(process.argv)
  const show = (target: string | undefined) => {
    present(window)
    if (!target) return
    if (listening) window.webContents.send(eventChannel, { type: 'open', target } satisfies ConsoleEvent)
    else waiting = target
  }
  joinRenderer(window, core, () => {
    listening = true
    if (waiting) show(waiting)
    waiting = undefined
  })
  app.on('second-instance', (_event, argv) => show(routeIn(argv)))
  app.on('open-url', (event, url) => {
    event.preventDefault()
    show(routeOf(url))
  })
  app.on('activate', () => present(window))
  powerMonitor.on('resume', () => core.wake())
  powerMonitor.on('unlock-screen', () => core.wake())

  const theme = (settings: Settings) => {
    nativeTheme.themeSource = settings.theme
  }
  core.on((event) => {
    if (event.type === 'settings') theme(event.settings)
  })
  const { settings, link } = await core.call('snapshot', {})
  theme(settings)

  let quitting: 'no' | 'stopping' | 'stopped' = 'no'
  window.on('close', (event) => {
    if (quitting !== 'no') return
    event.preventDefault()
    window.hide()
  })
  app.on('before-quit', (event) => {
    if (quitting === 'stopped') return
    event.preventDefault()
    if (quitting === 'stopping') return
    quitting = 'stopping'
    void Promise.resolve(core[Symbol.asyncDispose]()).finally(() => {
      quitting = 'stopped'
      badge.destroy()
      app.quit()
    })
  })
  app.on('window-all-closed', () => app.quit())

  if (given.signIn && given.gateway && link.state === 'signed-out')
    await core.call('signIn', { gateway: given.gateway }).catch((error: Error) => stderrLog.warn(error.message))
}

/** Hands a web page to the system's browser: only https, or what is on this machine. */
async function openOutside(url: string): Promise<void> {
  const { protocol, hostname } = new URL(url)
  if (protocol !== 'https:' && !(protocol === 'http:' && isLoopback(hostname)))
    throw new Error('Only https:// pages are opened in the browser.')
  await shell.openExternal(url)
}
