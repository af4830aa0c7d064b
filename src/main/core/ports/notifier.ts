/** A notification as a person sees it. Plain text: control characters are gone, markup is the shell's to escape. */
export interface Notice {
  /** Opaque; names the notification in clicks and withdrawals. */
  tag: string
  title: string
  body: string
  /** Route that a click opens, for example /queue/ap_7h2k. */
  target: string
  /** Whether a Deny action makes sense, or an Undo. A shell whose platform has no actions leaves it out. */
  action?: 'deny' | 'undo'
  /** It was said before, and nobody answered: a shell may show it louder. */
  urgent?: true
}

/** Shows notifications. Clicks come back through the core's `notificationClicked` call. */
export interface Notifier {
  /** Shows a notice; one with the same tag replaces what was there. */
  show(notice: Notice): void
  /** Takes a notice away; does nothing where it is gone already. */
  withdraw(tag: string): void
}
