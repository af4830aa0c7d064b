import { readFileSync } from 'node:fs'
import { createContext, runInContext, runInNewContext, Script } from 'node:vm'

/** What a sandboxed preload may require (Electron's own list, as far as it is there). */
const allowed = new Set(['electron', 'events', 'timers', 'url', 'node:events', 'node:timers', 'node:url'])

/**
 * The script that runs a preload in a page before the page's own. Before that the preload is tried in a context of its
 * own, to see what no page would show: that it requires nothing a sandbox has not, and that what it gives to the main
 * world is whole by itself, since Electron carries it there as text.
 * @throws Error with what a sandbox would refuse
 */
export function preloadScript(path: string): string {
  const source = readFileSync(path, 'utf8')
  if (!path.endsWith('.cjs')) throw new Error('a sandboxed preload must be CommonJS')
  const functions: { text: string; parameters: number }[] = []
  const asked: string[] = []
  const electron = {
    ipcRenderer: { invoke: () => new Promise(() => {}), on() {}, removeListener() {} },
    contextBridge: {
      exposeInMainWorld() {},
      executeInMainWorld: ({ func, args = [] }: { func: () => void; args?: unknown[] }) => {
        functions.push({ text: String(func), parameters: args.length })
      },
    },
  }
  const world = createContext({
    module: { exports: {} },
    exports: {},
    require: (name: string) => {
      asked.push(name)
      return name === 'electron' ? electron : {}
    },
  })
  runInContext(source, world)
  for (const name of asked) if (!allowed.has(name)) throw new Error(`module not found: ${name} (preload is sandboxed)`)
  for (const { text, parameters } of functions) {
    new Script(`(${text})`)
    runInNewContext(`(${text})(${Array.from({ length: parameters }, () => '() => {}').join()})`, {})
  }
  return `(${String(runPreload)})(function (require, module, exports) {\n${source}\n})`
}

/** Runs in the page: Electron's renderer half, over the two bindings that the double's window has made. */
function runPreload(preload: (require: unknown, module: unknown, exports: unknown) => void): void {
  interface Bindings {
    electronDoubleInvoke(channel: string, values: string): Promise<string>
    electronDoubleHear: (channel: string, values: unknown[]) => void
  }
  const page = globalThis as unknown as Bindings
  // A binding lives in the main frame of our page only; other frames have no preload.
  if (typeof page.electronDoubleInvoke !== 'function') return
  const invoke = page.electronDoubleInvoke.bind(globalThis)
  const listeners = new Map<string, Set<(event: unknown, ...values: unknown[]) => void>>()

  /** What crosses the bridge is a copy: functions as stand-ins, errors by their message, the rest by value. */
  function copy(value: unknown): unknown {
    if (typeof value === 'function')
      return (...values: unknown[]) => {
        const answer = (value as (...values: unknown[]) => unknown)(...values.map(copy))
        return answer instanceof Promise ? answer.then(copy, (error) => Promise.reject(copy(error))) : copy(answer)
      }
    if (value instanceof Error) return new Error(value.message)
    if (Array.isArray(value)) return value.map(copy)
    if (value === null || typeof value !== 'object') return value
    const proto = Object.getPrototypeOf(value)
    if (proto !== Object.prototype && proto !== null) return structuredClone(value)
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, copy(part)]))
  }

  const ipcRenderer = {
    invoke: async (channel: string, ...values: unknown[]) => {
      structuredClone(values) // as Electron does: what can't be cloned can't be sent
      const { answer, error } = JSON.parse(await invoke(channel, JSON.stringify(values)))
      if (error) throw new Error(`Error invoking remote method '${channel}': ${error}`)
      return answer
    },
    on(channel: string, listener: (event: unknown, ...values: unknown[]) => void) {
      const set = listeners.get(channel) ?? new Set()
      listeners.set(channel, set.add(listener))
      return ipcRenderer
    },
    removeListener(channel: string, listener: (event: unknown, ...values: unknown[]) => void) {
      listeners.get(channel)?.delete(listener)
      return ipcRenderer
    },
  }
  const contextBridge = {
    exposeInMainWorld: (name: string, api: unknown) =>
      Object.defineProperty(globalThis, name, { value: Object.freeze(copy(api)), enumerable: true }),
    executeInMainWorld: ({ func, args = [] }: { func: (...args: unknown[]) => unknown; args?: unknown[] }) =>
      copy(func(...args.map(copy))),
  }
  Object.defineProperty(globalThis, 'electronDoubleHear', {
    value: (channel: string, values: unknown[]) => {
      for (const listener of [...(listeners.get(channel) ?? [])]) listener({}, ...values)
    },
  })
  const module = { exports: {} }
  preload((name: string) => (name === 'electron' ? { contextBridge, ipcRenderer } : {}), module, module.exports)
}
