import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Server, type ServerChannel, type Session, utils } from '../../gateway/src/ssh/transport/ssh2.ts'
import { serveFiles } from './files.ts'
import { createMachine, HOME, type Machine, USER } from './machine.ts'
import { atTerminal } from './terminal.ts'

export interface RunningHost extends AsyncDisposable {
  host: string
  port: number
  user: string
  /** What the gateway signs in with: OpenSSH's form of a private key. */
  privateKey: string
  /** `SHA256:…`, as the gateway pins it. */
  hostKey: string
}

const MOST_INPUT = 8 << 20

/**
 * The sample world's SSH host, on loopback: real SSH with a shell, commands and sftp, on a machine that is made up
 * (machine.ts), so that whoever finds the port can do no harm. Only the gateway's key signs in.
 */
export async function startHost(port = 0): Promise<RunningHost> {
  const own = utils.generateKeyPairSync('ed25519')
  const key = utils.generateKeyPairSync('ed25519', { comment: 'the gateway of the sample world' })
  const allowed = utils.parseKey(key.public)
  const pinned = utils.parseKey(own.public)
  if (allowed instanceof Error || pinned instanceof Error) throw new Error('keys that were just made can’t be read')
  const machine = createMachine()
  const connections = new Set<{ end(): unknown }>()

  const server = new Server({ hostKeys: [own.private], ident: 'sample-host' }, (client) => {
    connections.add(client)
    client.on('error', () => {}) // it is gone, which `close` says
    client.on('close', () => connections.delete(client))
    client.on('authentication', (asked) => {
      if (asked.method !== 'publickey' || asked.username !== USER) return asked.reject(['publickey'])
      if (!asked.key.data.equals(allowed.getPublicSSH())) return asked.reject(['publickey'])
      if (asked.signature && asked.blob && allowed.verify(asked.blob, asked.signature, asked.hashAlgo) !== true)
        return asked.reject(['publickey'])
      asked.accept()
    })
    client.on('session', (accept) => serve(accept(), machine))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    user: USER,
    privateKey: key.private,
    hostKey: `SHA256:${createHash('sha256').update(pinned.getPublicSSH()).digest('base64').replace(/=+$/, '')}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const client of connections) client.end()
      await closed
    },
  }
}

/** A session channel: what it runs is asked for once (RFC 4254, section 6.5). */
function serve(session: Session, machine: Machine): void {
  const env: Record<string, string> = {}
  let terminal = false
  session.on('env', (accept, _reject, { key, val }) => {
    if (/^(?:LANG|LC_\w+)$/.test(key)) env[key] = val
    accept?.()
  })
  session.on('pty', (accept) => {
    terminal = true
    accept?.()
  })
  session.on('window-change', (accept) => accept?.())
  session.on('shell', (accept) => {
    const stream = accept()
    const halt = haltWith(session, stream)
    if (terminal)
      void atTerminal(machine, stream, halt).then(
        (code) => leave(stream, code),
        () => leave(stream, 1),
      )
    else
      void whole(stream).then(
        (input) => ran(machine, input.toString(), env, Buffer.alloc(0), stream, halt),
        () => leave(stream, 1),
      )
  })
  session.on('exec', (accept, _reject, { command }) => {
    const stream = accept()
    const halt = haltWith(session, stream)
    void (async () => {
      // Commands that read nothing don't wait for their input to end.
      const input = readsInput(command) ? await whole(stream) : Buffer.alloc(0)
      if (!readsInput(command)) stream.resume()
      await ran(machine, command, env, input, stream, halt)
    })().catch(() => leave(stream, 1))
  })
  session.on('sftp', (accept) => serveFiles(accept(), machine))
}

function haltWith(session: Session, stream: ServerChannel): AbortSignal {
  const halt = new AbortController()
  stream.on('error', () => {}) // it is closed, which is what follows
  stream.on('close', () => halt.abort())
  session.on('signal', (accept, _reject, { name }) => {
    accept?.()
    if (['INT', 'TERM', 'KILL', 'HUP'].includes(name)) halt.abort()
  })
  return halt.signal
}

async function ran(
  machine: Machine,
  line: string,
  env: Record<string, string>,
  stdin: Buffer,
  stream: ServerChannel,
  signal: AbortSignal,
): Promise<void> {
  const { stdout, stderr, code } = await machine.run(line, { cwd: HOME, env, stdin, signal })
  if (stderr.length > 0) stream.stderr.write(stderr)
  if (stdout.length > 0) stream.write(stdout)
  leave(stream, code)
}

function leave(stream: ServerChannel, code: number): void {
  stream.exit(code)
  // As sshd does it: who still sends input isn’t waited for.
  stream.end(() => stream.close())
}

const readers =
  /^\s*(?:cat|tee|sh|bash|wc|grep|sort|uniq|head|tail|awk|sed|tr|cut|jq|sha256sum|md5sum|xargs|base64|gzip|gunzip|tar)\b/

/** Whether a command line may look at its input: the made-up shell takes it whole, before it begins. */
const readsInput = (line: string) => readers.test(line) || /\||\bread\b/.test(line)

async function whole(stream: ServerChannel): Promise<Buffer> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of stream as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MOST_INPUT) throw new Error('more input than this host takes')
    parts.push(part)
  }
  return Buffer.concat(parts)
}
