import type { Duplex } from 'node:stream'
import type { Client, ClientChannel } from '../transport/ssh2.ts'
import { type ChannelRequest, type HostChannel, HostError, type RemoteExit } from './host.ts'
import { askTerminal, askToRun, giveVariable, type Saying, tellSignal, tellSize, tellUnread } from './requests.ts'
import { publicWords } from './said.ts'

/** What is used of ssh2 beyond what it exports. */
interface Inside {
  _chanMgr: { _channels: Record<string, unknown> }
  _protocol: Saying & { subsystem(id: number, name: unknown, wantReply: boolean): void }
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
      askTerminal(protocol, id, terminal)
    }
    for (const [name, value] of Object.entries(environment)) giveVariable(protocol, id, name, value)
    askToRun(protocol, id, kind, text)
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

/**
 * A host may name any signal; what is no name (RFC 4251, section 6) is as if nothing was said. What else it says of it goes
 * no further: it is no output, so nothing of it would be recorded, or masked.
 */
function exitBy(named: string, coreDumped: boolean | undefined): RemoteExit {
  const signal = named.replace(/^SIG/, '')
  if (!/^[\x21-\x7e]{1,64}$/.test(signal)) return {}
  return { signal, coreDumped: coreDumped === true }
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
    channel.once('exit', (code: number | null, signal?: string, coreDumped?: boolean) => {
      exit = code === null ? exitBy(signal ?? '', coreDumped) : { code }
    })
    channel.once('close', done)
    channel.stderr.once('close', done)
  })
  return {
    stdio: channel as unknown as Duplex,
    stderr: channel.stderr,
    closed,
    resize(columns, rows, width, height) {
      if (goesOn()) tellSize(protocol, outgoing.id, columns, rows, width, height)
    },
    signal(name) {
      if (goesOn()) tellSignal(protocol, outgoing.id, name)
    },
    unread() {
      if (goesOn()) tellUnread(protocol, outgoing.id)
    },
    close: () => channel.close(),
  }
}
