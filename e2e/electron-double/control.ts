/** The double's line to the test that started it: what happened goes up, what the test does comes down. */

export type Happened =
  | { what: 'window'; url: string }
  | { what: 'open-external'; url: string }
  | { what: 'notification'; id: number; title: string; body: string; actions: string[] }
  | { what: 'notification-closed'; id: number }
  | { what: 'badge'; count: number }
  | { what: 'tray'; toolTip: string }
  | { what: 'menu'; roles: string[] }
  | { what: 'window-shown' | 'window-hidden' }
  | { what: 'save-dialog'; name: string }
  | { what: 'error-box'; title: string; content: string }

type Deed = (given: never) => unknown
const deeds = new Map<string, Deed>()

export function happened(event: Happened): void {
  process.send?.({ event })
}

/** What the test may make happen, by name. */
export function can<T>(name: string, deed: (given: T) => unknown): void {
  deeds.set(name, deed as Deed)
}

process.on('message', async (message: { id: number; deed: string; given: unknown }) => {
  try {
    const deed = deeds.get(message.deed)
    if (!deed) throw new Error(`the double can’t ${message.deed}`)
    process.send?.({ id: message.id, result: (await deed(message.given as never)) ?? null })
  } catch (error) {
    process.send?.({ id: message.id, error: (error as Error).message })
  }
})
// The test has gone: so do we.
process.on('disconnect', () => process.exit(1))
