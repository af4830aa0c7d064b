import type { ConsoleApi } from '../../console-api.ts'

declare global {
  interface Window {
    /** Put there by the preload (desktop) or by the shell's own script (browser), before or soon after the page. */
    countersign?: ConsoleApi
  }
}

/** The way to the core. @throws Error once 5 s have gone by without it */
export async function consoleApi(): Promise<ConsoleApi> {
  for (let waited = 0; waited < 5000; waited += 50) {
    if (window.countersign) return window.countersign
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('The console’s core did not answer. Close this window and start Countersign again.')
}

/** An error in words for a person. */
export function wordsOf(error: unknown): string {
  return error instanceof Error && error.message ? error.message : 'Something went wrong that has no words.'
}
