import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { SshTarget } from '../target.ts'
import { type Connection, Server, type ServerConfig, utils } from '../transport/ssh2.ts'

/** A host that does as a test wants, for what no real one would. */
export interface MadeUpHost extends AsyncDisposable {
  readonly port: number
  /** A target that leads to it, by password. */
  readonly target: SshTarget
}

const { private: hostKey } = utils.generateKeyPairSync('ed25519')
const parsed = utils.parseKey(hostKey)
if (parsed instanceof Error) throw parsed
const fingerprint = `SHA256:${createHash('sha256').update(parsed.getPublicSSH()).digest('base64').replace(/=+$/, '')}`

/** What answers a TCP connection, byte by byte. */
export async function startRawHost(serve: (socket: Socket) => void): Promise<MadeUpHost> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    serve(socket)
  })
  return standing(server, sockets)
}

/** What speaks SSH, and shows a pinned key. @param serve is told of each connection; nobody is let in by itself */
export async function startMadeUpHost(
  serve: (client: Connection) => void,
  config: Partial<ServerConfig> = {},
): Promise<MadeUpHost> {
  const ssh = new Server({ hostKeys: [hostKey], ...config }, (client) => {
    client.on('error', () => {})
    serve(client)
  })
  return startRawHost((socket) => ssh.injectSocket(socket))
}

/** Lets everybody in. */
export const letIn = (client: Connection) => client.on('authentication', (attempt) => attempt.accept())

async function standing(server: ReturnType<typeof createServer>, sockets: Set<Socket>): Promise<MadeUpHost> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    target: {
      ref: { name: 'web-1', kind: 'ssh', tags: [], mode: 'enforce', access: 'standing' },
      ...{ host: '127.0.0.1', port, user: 'deploy', password: 'secret', hostKeys: [fingerprint], env: [], detect: [] },
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
