import type { Socket } from 'node:net'
import { neighbourhood } from '../config/address.ts'

/** Connections that haven't signed in yet: of all addresses, and of one. More are closed at once. */
export const MOST_OPENINGS = { all: 1000, address: 250 } as const

/**
 * The connections that haven't signed in. One address doesn't keep out the others: not loopback either, where a proxy may
 * stand for many. Whoever has many addresses can.
 */
export class Openings {
  readonly #sockets = new Map<Socket, string>()
  readonly #perAddress = new Map<string, number>()

  get size(): number {
    return this.#sockets.size
  }

  /** Whose connections there are, in how many places. */
  get addresses(): number {
    return this.#perAddress.size
  }

  /** Takes a connection in. @returns why not, for the log; undefined where it was taken in */
  add(socket: Socket): string | undefined {
    const from = neighbourhood(socket.remoteAddress ?? '')
    const known = this.#perAddress.get(from) ?? 0
    if (this.#sockets.size >= MOST_OPENINGS.all) return 'too many connections have not signed in'
    if (known >= MOST_OPENINGS.address) return 'too many connections of its address have not signed in'
    this.#sockets.set(socket, from)
    this.#perAddress.set(from, known + 1)
    return undefined
  }

  /** It has signed in, or has gone. May be called again. */
  delete(socket: Socket): void {
    const from = this.#sockets.get(socket)
    if (from === undefined) return
    this.#sockets.delete(socket)
    const left = this.#perAddress.get(from)! - 1
    if (left > 0) this.#perAddress.set(from, left)
    else this.#perAddress.delete(from)
  }

  /** Closes them all. */
  destroy(): void {
    for (const socket of this.#sockets.keys()) socket.destroy()
  }
}
