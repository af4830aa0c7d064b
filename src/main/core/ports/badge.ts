/** Shows how much waits for the person: dock, taskbar, tray, page title. */
export interface Badge {
  set(count: number): void
}
