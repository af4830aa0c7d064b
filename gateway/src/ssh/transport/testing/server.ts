import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as ssh2 from 'ssh2'
import { type Way, wayOf } from '../../testing/clients.ts'
import type { Connection as Inner, Protocol } from '../inner.ts'
import * as patched from '../ssh2.ts'

const asItIs = createRequire(import.meta.url)('ssh2') as typeof ssh2

/** `SSH2_AS_IT_IS=1 vitest run …` has the same tests show what fails without the patches. */
const tried = process.env.SSH2_AS_IT_IS ? (asItIs as unknown as typeof patched) : patched
export const { Client, Server } = tried
/** Without patches, for peers that do what ours wouldn't. */
export const Unpatched = asItIs.Client

const { private: hostKey } = patched.utils.generateKeyPairSync('ed25519')

export interface TriedServer extends AsyncDisposable {
  port: number
  /** For OpenSSH's programs. */
  way: Way
  /** Of each connection, in their order. */
  readonly connections: patched.Connection[]
  readonly errors: string[]
}

/** A server that lets everybody in and hands each command to `run`. */
export async function startServer(
  run: (channel: patched.ServerChannel, command: string, session: patched.Session) => void,
  options: { limits?: Partial<patched.Limits>; onSession?: (session: patched.Session) => void; lines?: string[] } = {},
): Promise<TriedServer> {
  const connections: patched.Connection[] = []
  const errors: string[] = []
  const server = new Server(
    { hostKeys: [hostKey], ...(options.limits && { limits: options.limits }) },
    (connection) => {
      connections.push(connection)
      connection.on('error', (error: Error) => errors.push(error.message))
      connection.on('authentication', (context) => context.accept())
      connection.on('session', (accept) => {
        const session = accept()
        options.onSession?.(session)
        session.on('exec', (accept, _, { command }) => run(accept(), command, session))
      })
    },
  )
  const sockets = new Set<Socket>()
  const listener = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    server.injectSocket(socket)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const folder = mkdtempSync(join(tmpdir(), 'transport-'))
  return {
    port,
    way: wayOf({ folder, port, user: 'anybody', lines: options.lines ?? [] }),
    connections,
    errors,
    async [Symbol.asyncDispose]() {
      listener.close()
      for (const socket of sockets) socket.destroy()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A signed-in client of ssh2 as it is, with its inside. */
export async function unpatchedClient(
  port: number,
): Promise<ssh2.Client & { _protocol: Protocol } & Pick<Inner, '_sock' | '_chanMgr'>> {
  const client = new Unpatched()
  client.on('error', () => {})
  client.connect({ host: '127.0.0.1', port, username: 'anybody' })
  await once(client, 'ready')
  return client as never
}

/** Sends a message whose fields are bytes (number), 32 bits (bigint) or strings (RFC 4251, section 5). */
export function send(protocol: Protocol, type: number, ...fields: (number | bigint | string | Buffer)[]): void {
  const payload = Buffer.concat([
    Buffer.from([type]),
    ...fields.map((field) => {
      if (typeof field === 'number') return Buffer.from([field])
      const content = typeof field === 'bigint' ? Buffer.alloc(0) : Buffer.from(field)
      const head = Buffer.alloc(4)
      head.writeUInt32BE(typeof field === 'bigint' ? Number(field) : content.length)
      return Buffer.concat([head, content])
    }),
  ])
  const { write } = protocol._packetRW
  const packet = write.alloc(payload.length)
  packet.set(payload, write.allocStart)
  protocol._cipher.encrypt(write.finalize(packet))
}

/** Resolves with the session channel that a client opened for a command. */
export const exec = (client: ssh2.Client, command: string): Promise<ssh2.ClientChannel> =>
  new Promise((resolve, reject) => client.exec(command, (error, channel) => (error ? reject(error) : resolve(channel))))

/** Resolves once it has closed, with an error or without. */
export const closed = (of: ssh2.Client | ssh2.Connection): Promise<void> =>
  new Promise((resolve) => of.once('close', () => resolve()))
