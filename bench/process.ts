import { readFileSync, writeFileSync } from 'node:fs'
import type { Child } from '../demo/child.ts'

/** Resident memory of a process (Linux), bytes. */
export function rss(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') }
}

/** Has the kernel count the peak anew. proc(5), clear_refs. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** Seconds of processor time that a process has used. */
export function cpu(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** For `NODE_OPTIONS` of a process that is to be asked by `Inspected`. */
export const INSPECTABLE = '--inspect-port=127.0.0.1:0'

/** A Node process that is asked over its inspector, which is opened when it is first needed. */
export class Inspected {
  readonly #socket: WebSocket
  readonly #asked = new Map<number, (result: Record<string, unknown>) => void>()
  readonly #told = new Map<string, (parameters: Record<string, unknown>) => void>()
  #ids = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      const { id, result, method, params } = JSON.parse(String(data))
      if (method) this.#told.get(method)?.(params)
      else {
        this.#asked.get(id)?.(result)
        this.#asked.delete(id)
      }
    })
  }

  static async open(child: Child): Promise<Inspected> {
    const listening = child.errorLine(/Debugger listening on (ws:\S+)/)
    child.process.kill('SIGUSR1')
    const url = (await listening)[1]!
    const socket = new WebSocket(url)
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true })
      socket.addEventListener('error', reject, { once: true })
    })
    return new Inspected(socket)
  }

  ask(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = ++this.#ids
    this.#socket.send(JSON.stringify({ id, method, params }))
    return new Promise((resolve) => this.#asked.set(id, resolve))
  }

  on(method: string, told: (parameters: Record<string, unknown>) => void): void {
    this.#told.set(method, told)
  }

  /** process.memoryUsage() after a collection of garbage. */
  async memory(): Promise<NodeJS.MemoryUsage> {
    for (let n = 0; n < 3; n++) await this.ask('HeapProfiler.collectGarbage')
    const { result } = await this.ask('Runtime.evaluate', {
      expression: 'JSON.stringify(process.memoryUsage())',
    })
    return JSON.parse((result as { value: string }).value)
  }

  /** Share of the time in which the process did something, by what it did: the functions that took most of it. */
  async profile(what: () => Promise<unknown>): Promise<{ function: string; share: number }[]> {
    await this.ask('Profiler.enable')
    await this.ask('Profiler.start')
    await what()
    const { profile } = (await this.ask('Profiler.stop')) as unknown as { profile: Profile }
    const places = new Map<number, string>()
    for (const { id, callFrame } of profile.nodes) {
      const { functionName, url, lineNumber } = callFrame
      const place = url ? ` ${url.split('/').slice(-2).join('/')}:${lineNumber + 1}` : ''
      places.set(id, `${functionName || '(anonymous)'}${place}`)
    }
    const spent = new Map<string, number>()
    let all = 0
    profile.samples.forEach((id, at) => {
      const place = places.get(id)!
      if (place === '(idle)') return
      const took = profile.timeDeltas[at]!
      all += took
      spent.set(place, (spent.get(place) ?? 0) + took)
    })
    return [...spent]
      .sort((a, b) => b[1] - a[1])
      .slice(0, 15)
      .map(([name, took]) => ({ function: name, share: took / all }))
  }

  close(): void {
    this.#socket.close()
  }
}

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  samples: number[]
  timeDeltas: number[]
}
