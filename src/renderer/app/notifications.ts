import type { ConsoleEvent } from '../../console-api.ts'
import { core, useConsole } from './store.ts'

/** Web Notifications of the browser shell, one a tag; the core decides what deserves one and when it goes. */
const shown = new Map<string, Notification>()

/** Shows and withdraws what the core says, where this shell leaves that to the page and the person has allowed it. */
export function heedNotifications(event: ConsoleEvent) {
  if (event.type === 'withdraw') {
    shown.get(event.tag)?.close()
    shown.delete(event.tag)
  }
  if (event.type !== 'notify') return
  const { tag, title, body } = event.notification
  if (useConsole.getState().world?.capabilities.notifications !== 'web' || permission() !== 'granted') return
  shown.get(tag)?.close()
  const notification = new Notification(title, { body, tag })
  shown.set(tag, notification)
  notification.addEventListener('click', () => {
    window.focus()
    notification.close()
    void core().call('notificationClicked', { tag })
  })
  notification.addEventListener('close', () => {
    if (shown.get(tag) === notification) shown.delete(tag)
  })
}

/** What the person has allowed this page: `unsupported` where the browser knows no notifications. */
export function permission(): NotificationPermission | 'unsupported' {
  return typeof Notification === 'undefined' ? 'unsupported' : Notification.permission
}
