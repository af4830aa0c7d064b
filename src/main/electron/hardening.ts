import { app, type Session } from 'electron'
import { isOurs } from './scheme.ts'

/** What any page of ours may ask for: to copy. */
const granted = new Set(['clipboard-sanitized-write'])

/** No page goes anywhere, opens anything or embeds anything, whoever made it. */
export function hardenContents(): void {
  app.on('web-contents-created', (_event, contents) => {
    contents.on('will-navigate', (event) => {
      if (!isOurs(event.url)) event.preventDefault()
    })
    contents.on('will-redirect', (event) => {
      if (!isOurs(event.url)) event.preventDefault()
    })
    contents.on('will-frame-navigate', (event) => {
      if (!isOurs(event.url)) event.preventDefault()
    })
    contents.on('will-attach-webview', (event) => event.preventDefault())
    contents.setWindowOpenHandler(() => ({ action: 'deny' }))
  })
}

/** Grants next to nothing, reaches no network and downloads nothing: the core does all of that. */
export function hardenSession(session: Session): void {
  session.setPermissionRequestHandler((_contents, permission, answer, details) =>
    answer(granted.has(permission) && isOurs(details.requestingUrl)),
  )
  session.setPermissionCheckHandler(
    (_contents, permission, requestingOrigin) => granted.has(permission) && isOurs(requestingOrigin),
  )
  session.setDevicePermissionHandler(() => false)
  session.webRequest.onBeforeRequest((details, answer) => {
    const { protocol } = new URL(details.url)
    answer({
      cancel: !(isOurs(details.url) || protocol === 'devtools:' || protocol === 'data:' || protocol === 'blob:'),
    })
  })
  session.on('will-download', (event) => event.preventDefault())
}
