import type { Duplex } from 'node:stream'
import type { Client, ClientChannel } from '../transport/ssh2.ts'
import { type ChannelRequest, type HostChannel, HostError, type RemoteExit } from './host.ts'
import { publicWords } from './said.ts'

/** What is used of ssh2 beyond what it exports. */
interface Inside {
  _chanMgr: { _channels: Record<string, unknown> }
  _protocol: {
    pty(id: number, rows: number, cols: number, height: number, width: number, term: string, modes: Buffer): void
    env(id: number, name: string, value: string, wantReply: boolean): void
    exec(id: number, command: string, wantReply: boolean): void
    shell(id: number, wantReply: boolean): void
    subsystem(id: number, name: unknown, wantReply: boolean): void
    signal(id: number, name: string): void
    _packetRW: {
      write: { allocStart: number; alloc(size: number): Buffer; finalize(packet: Buffer): Buffer }
    }
    _kexinit: Buffer | undefined
    _queue: Buffer[] | undefined
    _cipher: { encrypt(packet: Buffer): void }
    windowChange(id: number, rows: number, cols: number, height: number, width: number): void
  }
}
type InsideChannel = ClientChannel & {
  outgoing: { id: number; state: 'open' | 'eof' | 'closing' | 'closed' }
  /** Of the requests that wait for an answer, in their order. */
  _callbacks: ((failed: boolean | Error) => void)[]
}

/** Stands in the place of a subsystem's name, so that ssh2 opens the channel and all else is asked for here. */
class Asking {
  readonly request: ChannelRequest
  channel: InsideChannel | undefined
  withoutTerminal = false

  constructor(request: ChannelRequest) {
    this.request = request
  }

  /**
   * All requests at once and in OpenSSH's order, where ssh2 would wait for an answer to each, gives no environment to a
   * subsystem, and leaves a channel open whose command was refused.
   */
  ask(inside: Inside, id: number): void {
    const { kind, text, terminal, environment } = this.request
    const { _protocol: protocol } = inside
    const channel = Object.values(inside._chanMgr._channels).find(
      (each) => typeof each === 'object' && (each as InsideChannel).outgoing?.id === id,
    ) as InsideChannel
    this.channel = channel
    if (terminal) {
      channel._callbacks.unshift((failed) => {
        if (!failed) return
        this.withoutTerminal = true
        channel.close()
      })
      const { rows, columns, height, width, type, modes } = terminal
      protocol.pty(id, rows, columns, height, width, type, modes)
    }
    for (const [name, value] of Object.entries(environment)) protocol.env(id, name, value, false)
    if (kind === 'exec') protocol.exec(id, text, true)
    else if (kind === 'shell') protocol.shell(id, true)
    else protocol.subsystem(id, text, true)
  }
}

const prepared = new WeakSet<Client>()

function prepare(client: Client): Inside {
  const inside = client as unknown as Inside
  if (prepared.has(client)) return inside
  prepared.add(client)
  const { _protocol: protocol } = inside
  const plain = protocol.subsystem
  protocol.subsystem = (id, name, wantReply) =>
    name instanceof Asking ? name.ask(inside, id) : plain.call(protocol, id, name, wantReply)
  return inside
}

/**
 * Opens a session channel (RFC 4254, section 6) and asks for what is to run in it.
 * @param patience milliseconds until the host must have answered
 * @throws HostError
 */
export function openChannel(
  client: Client,
  request: ChannelRequest,
  signal: AbortSignal,
  patience: number,
): Promise<HostChannel> {
  return new Promise((resolve, reject) => {
    const asking = new Asking(request)
    let over = false
    const settle = (answer: () => void) => {
      if (over) return
      over = true
      clearTimeout(timer)
      signal.removeEventListener('abort', given)
      answer()
    }
    const failed = (message: string) =>
      settle(() => {
        asking.channel?.close()
        reject(new HostError(message))
      })
    const given = () => failed('the attempt was given up')
    const timer = setTimeout(() => failed('it took too long to open a channel'), patience)
    const opened = (error: Error | undefined, channel: ClientChannel) => {
      // Whoever asked has gone: what came of it is not left behind.
      if (over) channel?.close()
      else if (error) failed(refusalOf(asking, error))
      else settle(() => resolve(hostChannel(client, channel as InsideChannel)))
    }
    if (signal.aborted) return given()
    signal.addEventListener('abort', given, { once: true })
    try {
      prepare(client)
      client.subsys(asking as never, opened)
    } catch (error) {
      failed(`the connection to it has ended (${publicWords((error as Error).message)})`)
    }
  })
}

function refusalOf({ request, channel, withoutTerminal }: Asking, error: Error & { reason?: unknown }): string {
  if (/No response/.test(error.message)) return 'the connection to it has ended'
  if (!channel) return `it opens no more channels (${publicWords(error.message)})`
  if (withoutTerminal) return 'it gives no terminal'
  return `it doesn’t ${{ exec: 'run commands', shell: 'give a shell', subsystem: 'start this subsystem' }[request.kind]}`
}

function hostChannel(client: Client, channel: InsideChannel): HostChannel {
  const { _protocol: protocol } = prepare(client)
  const { outgoing } = channel
  // ssh2 itself sends neither signals nor sizes once stdin has ended, as it has at once where there is no input.
  const goesOn = () => outgoing.state === 'open' || outgoing.state === 'eof'
  const closed = new Promise<RemoteExit>((resolve) => {
    let exit: RemoteExit = {}
    let left = 2
    const done = () => {
      if (--left === 0) resolve(exit)
    }
    channel.once('exit', (code: number | null, signal?: string, coreDumped?: boolean, message?: string) => {
      exit =
        code === null
          ? { signal: (signal ?? '').replace(/^SIG/, ''), coreDumped: coreDumped === true, ...(message && { message }) }
          : { code }
    })
    channel.once('close', done)
    channel.stderr.once('close', done)
  })
  return {
    stdio: channel as unknown as Duplex,
    stderr: channel.stderr,
    closed,
    resize(columns, rows, width, height) {
      if (goesOn()) protocol.windowChange(outgoing.id, rows, columns, height, width)
    },
    signal(name) {
      if (!goesOn()) return
      try {
        protocol.signal(outgoing.id, name)
      } catch {
        // A name of somebody's own (RFC 4254, section 6.10): ssh2 doesn't send it, and sshd wouldn't know it.
      }
    },
    unread() {
      if (goesOn()) sendEow(protocol, outgoing.id)
    },
    close: () => channel.close(),
  }
}

const CHANNEL_REQUEST = 98
const EOW = 'eow@openssh.com'

/** `eow@openssh.com` (OpenSSH PROTOCOL, 2.1), which ssh2 doesn't know: written as ssh2 writes its other requests. */
function sendEow(protocol: Inside['_protocol'], id: number): void {
  const { write } = protocol._packetRW
  const start = write.allocStart
  const packet = write.alloc(1 + 4 + 4 + EOW.length + 1)
  packet[start] = CHANNEL_REQUEST
  packet.writeUInt32BE(id, start + 1)
  packet.writeUInt32BE(EOW.length, start + 5)
  packet.write(EOW, start + 9, 'latin1')
  packet[start + 9 + EOW.length] = 0
  const whole = write.finalize(packet)
  // While keys are changed everything waits.
  if (protocol._kexinit === undefined) protocol._cipher.encrypt(whole)
  else {
    protocol._queue ??= []
    protocol._queue.push(whole)
  }
}
