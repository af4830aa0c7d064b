import { contextBridge, ipcRenderer } from 'electron'
import type { ConsoleApi } from '../console-api.ts'
import { type Answer, type ConsoleEvent, callChannel, eventChannel } from './channel.ts'

const invoke = (name: string, input: unknown): Promise<Answer> => ipcRenderer.invoke(callChannel, name, input)

function subscribe(listener: (event: ConsoleEvent) => void): () => void {
  const heard = (_event: unknown, event: ConsoleEvent) => listener(event)
  ipcRenderer.on(eventChannel, heard)
  return () => void ipcRenderer.removeListener(eventChannel, heard)
}

/**
 * Runs in the page's own world, from its source text: it sees nothing but its two arguments. Errors are made there,
 * since one that crosses the bridge keeps its message only, and the renderer wants its code too.
 */
function expose(call: typeof invoke, on: typeof subscribe): void {
  const api: ConsoleApi = {
    async call(name, input) {
      const answer = await call(name, input)
      if ('error' in answer)
        throw Object.assign(new Error(answer.error.message), { name: 'ConsoleError', code: answer.error.code })
      return answer.output as never
    },
    on: (listener) => on(listener),
  }
  Object.defineProperty(globalThis, 'countersign', { value: Object.freeze(api), enumerable: true })
}

contextBridge.executeInMainWorld({ func: expose, args: [invoke, subscribe] })
