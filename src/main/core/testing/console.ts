import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConsoleEvent, Link } from '../../../console-api.ts'
import type { Clock } from '../ports/clock.ts'
import type { Downloads } from '../ports/downloads.ts'
import type { Notice, Notifier } from '../ports/notifier.ts'
import type { SecureStorage } from '../ports/secure-storage.ts'

type Subscribes = { on(listener: (event: ConsoleEvent) => void): () => void }
type OfType<T extends ConsoleEvent['type']> = Extract<ConsoleEvent, { type: T }>

/** Collects what a console tells, and waits for what it will. */
export function listenTo(console: Subscribes) {
  const events: ConsoleEvent[] = []
  const waiting = new Set<() => void>()
  console.on((event) => {
    events.push(event)
    for (const look of [...waiting]) look()
  })
  return {
    events,
    /** The first event, of those told since `from`, that is of this type and fits. */
    until<T extends ConsoleEvent['type']>(type: T, fits: (event: OfType<T>) => boolean = () => true, from = 0) {
      return new Promise<OfType<T>>((resolve) => {
        const look = () => {
          const found = events.slice(from).find((event) => event.type === type && fits(event as OfType<T>))
          if (!found) return
          waiting.delete(look)
          resolve(found as OfType<T>)
        }
        waiting.add(look)
        look()
      })
    },
    link(state: Link['state'], from = 0) {
      return this.until('link', ({ link }) => link.state === state, from)
    },
  }
}

/** A clock that stands until it is moved. */
export function standingClock(start = Date.parse('2026-11-21T12:00:00Z')): Clock & { move(ms: number): void } {
  let now = start
  const due = new Set<{ at: number; then: () => void }>()
  return {
    now: () => now,
    after(ms, then) {
      const entry = { at: now + ms, then }
      due.add(entry)
      return () => due.delete(entry)
    },
    move(ms) {
      const end = now + ms
      for (;;) {
        const next = [...due].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (!next) break
        due.delete(next)
        now = Math.max(now, next.at)
        next.then()
      }
      now = end
    },
  }
}

/** A notifier that keeps what is on the screen. */
export function seenNotices(): Notifier & { shown: Map<string, Notice>; history: Notice[] } {
  const shown = new Map<string, Notice>()
  const history: Notice[] = []
  return {
    shown,
    history,
    show(notice) {
      shown.set(notice.tag, notice)
      history.push(notice)
    },
    withdraw: (tag) => void shown.delete(tag),
  }
}

/** Secrets that outlive a core, as a keychain's do. */
export function testKeychain(): SecureStorage & { values: Map<string, string> } {
  const values = new Map<string, string>()
  return {
    persistent: true,
    values,
    get: async (name) => values.get(name),
    set: async (name, value) => void values.set(name, value),
    delete: async (name) => void values.delete(name),
  }
}

/** A shell whose person takes every file; what was written is by its name. */
export function takenFiles(): Downloads & { files: Map<string, Buffer>; gaveUp: string[] } {
  const files = new Map<string, Buffer>()
  const gaveUp: string[] = []
  return {
    files,
    gaveUp,
    async save({ name }) {
      const pieces: Uint8Array[] = []
      return {
        write: async (bytes) => void pieces.push(bytes),
        async close() {
          files.set(name, Buffer.concat(pieces))
          return name
        },
        abort: async () => void gaveUp.push(name),
      }
    },
  }
}

export function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'countersign-console-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
