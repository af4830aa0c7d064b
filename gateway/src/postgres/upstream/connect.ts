import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls, type TLSSocket } from 'node:tls'
import type { PostgresTarget } from '../target.ts'
import { ProtocolViolation } from '../wire/framer.ts'
import { Cursor, cstring, int32, message, reportFields, T } from '../wire/messages.ts'
import { take, takeMessage } from '../wire/take.ts'
import { connectLending } from './lent.ts'
import { Scram } from './scram.ts'

/** A signed-in connection to the database, idle, from which nobody reads yet. */
export interface Upstream {
  socket: Socket | TLSSocket
  /** ParameterStatus and NoticeResponse messages of the start, in their order. */
  greeting: Buffer[]
  parameters: Map<string, string>
  /** What a CancelRequest has to show. */
  key: { pid: number; secret: Buffer } | undefined
}

export class UpstreamError extends Error {
  override name = 'UpstreamError'
  readonly code: 'unreachable' | 'tls' | 'sign-in' | 'refused' | 'protocol'
  /** The server's own ErrorResponse, where it concerns what the client asked for. */
  readonly report: Buffer | undefined
  constructor(code: UpstreamError['code'], message: string, report?: Buffer) {
    super(message)
    this.code = code
    this.report = report
  }
}

const PROTOCOL_3_0 = 196_608
const SSL_REQUEST = 80_877_103
/** Messages of the start are small; a server that says otherwise is none. */
const START_BOUND = 1 << 20

/**
 * Connects and signs in: trust, password, MD5, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS.
 * https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP
 * @param parameters run-time parameters of the startup message besides user and database
 * @throws UpstreamError
 */
export async function connectUpstream(
  target: PostgresTarget,
  parameters: Iterable<[string, string]>,
  signal: AbortSignal,
): Promise<Upstream> {
  const settings = [...parameters]
  // The server takes the last of several: a setting by such a name would lead to another database, or as someone else.
  const astray = settings.find(([name]) => /^(user|database|options|replication|_pq_\..*)$/i.test(name))
  if (astray) throw new UpstreamError('protocol', `${astray[0]} is no setting`)
  const socket = await dial(target, signal)
  const abort = () => socket.destroy(new UpstreamError('unreachable', 'it took too long to answer'))
  signal.addEventListener('abort', abort, { once: true })
  try {
    const pairs = [['user', target.user], ['database', target.database], ...settings]
    const body = pairs.flatMap(([name, value]) => [cstring(name!), cstring(value!)])
    socket.write(startupPacket(PROTOCOL_3_0, Buffer.concat([...body, Buffer.from([0])])))
    return await signIn(socket, target)
  } catch (error) {
    socket.destroy()
    if (signal.aborted) throw new UpstreamError('unreachable', 'it took too long to answer')
    if (error instanceof UpstreamError) throw error
    if (error instanceof ProtocolViolation || error instanceof RangeError) {
      throw new UpstreamError('protocol', 'it does not speak the PostgreSQL protocol')
    }
    throw new UpstreamError('sign-in', (error as Error).message)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** A TCP connection to the database, with TLS as the target asks. @throws UpstreamError */
export async function dial(target: PostgresTarget, signal: AbortSignal): Promise<Socket | TLSSocket> {
  const mode = target.tls?.mode ?? (loopback(target.host) ? 'disable' : 'verify-full')
  const address = { host: target.host, port: target.port, noDelay: true, keepAlive: true }
  const plain = mode === 'disable' ? connectLending(address) : connectTcp(address)
  plain.on('error', () => {}) // each wait below sees it; nobody else needs to
  try {
    await once(plain, 'connect', { signal })
    if (mode === 'disable') return plain
    plain.write(startupPacket(SSL_REQUEST))
    const answer = await take(plain, 1)
    if (answer?.[0] !== 0x53) throw new UpstreamError('tls', 'it does not offer TLS, which this connection asks for')
    if (plain.readableLength > 0) throw new UpstreamError('tls', 'it sent bytes ahead of the TLS handshake')
    const encrypted = connectTls({
      socket: plain,
      host: target.host,
      ...(isIP(target.host) ? {} : { servername: target.host }),
      ...(target.tls?.ca ? { ca: target.tls.ca } : {}),
      ALPNProtocols: ['postgresql'],
      rejectUnauthorized: mode !== 'require',
      checkServerIdentity: mode === 'verify-full' ? checkServerIdentity : () => undefined,
    })
    encrypted.on('error', () => {})
    await once(encrypted, 'secureConnect', { signal })
    return encrypted
  } catch (error) {
    plain.destroy()
    if (error instanceof UpstreamError) throw error
    if (signal.aborted) throw new UpstreamError('unreachable', 'it took too long to answer')
    const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    throw plain.connecting || !target.tls || /^(ECONN|EHOST|ENET|ENOTFOUND|EAI_|ETIMEDOUT)/.test(code)
      ? new UpstreamError('unreachable', `it can’t be reached (${code})`)
      : new UpstreamError('tls', `its TLS certificate or handshake was not accepted (${code})`)
  }
}

/** A packet of the start, which has no type byte: length, code, body. */
export function startupPacket(code: number, body: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([int32(body.length + 8), int32(code), body])
}

async function signIn(socket: Socket | TLSSocket, target: PostgresTarget): Promise<Upstream> {
  const greeting: Buffer[] = []
  const parameters = new Map<string, string>()
  let key: Upstream['key']
  let scram: Scram | undefined
  let authenticated = false
  let verified = true
  const password = () => {
    if (target.password === undefined)
      throw new UpstreamError('sign-in', 'it asks for a password and none is configured')
    return target.password
  }
  for (;;) {
    const frame = await takeMessage(socket, START_BOUND)
    if (!frame) throw new UpstreamError('unreachable', 'it closed the connection during the sign-in')
    switch (frame[0]) {
      case T.Authentication: {
        const cursor = new Cursor(frame)
        const method = cursor.int32()
        if (method === 0 && verified) authenticated = true
        else if (method === 3) socket.write(message(T.Password, cstring(password())))
        else if (method === 5) socket.write(message(T.Password, cstring(md5(target.user, password(), cursor.bytes(4)))))
        else if (method === 10) {
          const offered: string[] = []
          while (cursor.left > 1) offered.push(cursor.cstring())
          verified = false // until it has shown that it knows the password, an OK is worth nothing
          scram = new Scram(offered, password(), 'encrypted' in socket ? (socket as TLSSocket) : undefined)
          const first = Buffer.from(scram.first)
          socket.write(message(T.Password, cstring(scram.mechanism), int32(first.length), first))
        } else if (method === 11 && scram) {
          socket.write(message(T.Password, Buffer.from(await scram.answer(cursor.bytes(cursor.left).toString()))))
        } else if (method === 12 && scram) {
          scram.verify(cursor.bytes(cursor.left).toString())
          verified = true
        } else throw new UpstreamError('sign-in', `it asks for a sign-in that the gateway doesn’t know (${method})`)
        break
      }
      case T.ParameterStatus: {
        const cursor = new Cursor(frame)
        parameters.set(cursor.cstring(), cursor.cstring())
        greeting.push(frame)
        break
      }
      case T.NoticeResponse:
        greeting.push(frame)
        break
      case T.BackendKeyData: {
        const cursor = new Cursor(frame)
        key = { pid: cursor.int32() >>> 0, secret: cursor.bytes(cursor.left) }
        break
      }
      case T.ErrorResponse: {
        const { C: code = '', M: text = '' } = reportFields(frame)
        // Class 28 speaks of the gateway's own account, which is no business of the client's.
        if (code.startsWith('28')) throw new UpstreamError('sign-in', `it refused the gateway’s sign-in: ${text}`)
        throw new UpstreamError('refused', text, frame)
      }
      case T.ReadyForQuery:
        if (!authenticated) throw new ProtocolViolation('ready before the sign-in')
        return { socket, greeting, parameters, key }
      case T.NegotiateProtocolVersion:
        break
      default:
        throw new ProtocolViolation('a message that has no place in the start')
    }
  }
}

function md5(user: string, password: string, salt: Buffer): string {
  const inner = createHash('md5')
    .update(password + user)
    .digest('hex')
  return `md5${createHash('md5').update(inner).update(salt).digest('hex')}`
}

const loopback = (host: string) => host === 'localhost' || host === '::1' || /^127\./.test(host)
