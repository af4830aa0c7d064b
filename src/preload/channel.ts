import type { ConsoleEvent } from '../console-api.ts'

/** The one channel between renderer and core under Electron: a call is invoked, events are sent. */
export const callChannel = 'countersign:call'
export const eventChannel = 'countersign:event'

/** A call's answer. Errors travel as values: an Error that crosses Electron's IPC loses its code. */
export type Answer = { output: unknown } | { error: { code: string; message: string } }

export type { ConsoleEvent }
