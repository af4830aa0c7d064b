import { Notification } from 'electron'
import type { Notice, Notifier } from '../core/ports/notifier.ts'

/** Whether notifications have buttons here: on Linux Electron shows none. */
export const hasActions = process.platform === 'darwin' || process.platform === 'win32'

/**
 * Native notifications. Each is held on to until it is withdrawn or closed: one that is collected as garbage takes its
 * click handler with it.
 */
export function nativeNotifier(on: { click(tag: string): void; deny(tag: string): void }): Notifier {
  const shown = new Map<string, Notification>()
  const withdraw = (tag: string) => {
    const notification = shown.get(tag)
    shown.delete(tag)
    notification?.close()
  }
  return {
    show(notice) {
      if (!Notification.isSupported()) return
      withdraw(notice.tag)
      const notification = new Notification({
        title: notice.title,
        body: safeBody(notice.body),
        timeoutType: 'never',
        ...(notice.urgent ? { urgency: 'critical' as const } : {}),
        ...(hasActions && notice.action ? { actions: [{ type: 'button' as const, text: label[notice.action] }] } : {}),
      })
      notification.on('click', () => on.click(notice.tag))
      notification.on('action', () => (notice.action === 'deny' ? on.deny(notice.tag) : on.click(notice.tag)))
      notification.on('close', () => {
        if (shown.get(notice.tag) === notification) shown.delete(notice.tag)
      })
      shown.set(notice.tag, notification)
      notification.show()
    },
    withdraw,
  }
}

const label: Record<NonNullable<Notice['action']>, string> = { deny: 'Deny', undo: 'Undo' }

/** The body is markup to Linux notification servers (the title isn't): a command may hold < and &. */
function safeBody(body: string): string {
  if (process.platform !== 'linux') return body
  return body.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
