/** Opens a web page where the person signs in: the system's browser, never a window of ours. */
export interface BrowserOpener {
  /** @throws when no browser could be opened; the message says what the person can do */
  open(url: string): Promise<void>
}
