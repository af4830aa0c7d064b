import { EventEmitter } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { can, happened } from './control.ts'

export class Cancellable {
  defaultPrevented = false
  preventDefault = () => {
    this.defaultPrevented = true
  }
}

/** What quitting has to close first; each may refuse. */
export const closeFirst: (() => Promise<boolean>)[] = []

class App extends EventEmitter {
  readonly isPackaged = false
  ready = false
  readonly #paths = new Map<string, string>()
  readonly #readiness: Promise<void>
  #lock: string | undefined

  constructor() {
    super()
    this.#readiness = new Promise((resolve) => {
      setImmediate(() => {
        this.ready = true
        this.emit('ready')
        resolve()
      })
    })
  }
  whenReady(): Promise<void> {
    return this.#readiness
  }
  isReady(): boolean {
    return this.ready
  }
  setPath(name: string, path: string): void {
    mkdirSync(path, { recursive: true })
    this.#paths.set(name, path)
  }
  getPath(name: string): string {
    const path = this.#paths.get(name) ?? join(tmpdir(), `electron-double-${process.pid}`, name)
    mkdirSync(path, { recursive: true })
    return path
  }
  enableSandbox(): void {
    if (this.ready) throw new Error('app.enableSandbox() can only be called before app is ready')
  }
  requestSingleInstanceLock(): boolean {
    const lock = join(this.getPath('userData'), 'SingletonLock')
    if (existsSync(lock) && isRunning(Number(readFileSync(lock, 'utf8')))) return false
    writeFileSync(lock, String(process.pid))
    this.#lock = lock
    return true
  }
  setAppUserModelId(): void {}
  setAsDefaultProtocolClient(): boolean {
    return true
  }
  setBadgeCount(count: number): boolean {
    happened({ what: 'badge', count })
    return true
  }
  quit(): void {
    void this.#quit()
  }
  exit(code = 0): void {
    if (this.#lock) rmSync(this.#lock, { force: true })
    process.exit(code)
  }
  async #quit(): Promise<void> {
    await this.#readiness
    const before = new Cancellable()
    this.emit('before-quit', before)
    if (before.defaultPrevented) return
    for (const close of closeFirst) if (!(await close())) return
    const will = new Cancellable()
    this.emit('will-quit', will)
    if (will.defaultPrevented) return
    this.emit('quit', {}, 0)
    this.exit(0)
  }
}

export const app = new App()

can('second-instance', (argv: string[]) => app.emit('second-instance', {}, argv, '/'))
can('open-url', (url: string) => app.emit('open-url', new Cancellable(), url))
can('quit', () => app.quit())

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
