import type { Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { ProtocolViolation } from './wire/framer.ts'
import { Cursor, int32, message, T } from './wire/messages.ts'
import { take, takeMessage } from './wire/take.ts'

/** How a connection begins. https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP */
export type Opening =
  | { is: 'session'; socket: Socket; encrypted: boolean; parameters: Map<string, string> }
  | { is: 'cancel'; key: Buffer }
  /** Gone, or not worth an answer: `why` is for the log. */
  | { is: 'nothing'; why: string }

const SSL_REQUEST = 80_877_103
const GSS_REQUEST = 80_877_104
const CANCEL_REQUEST = 80_877_102
/** MAX_STARTUP_PACKET_LENGTH of the server. */
const STARTUP_BOUND = 10_000
/** Tokens as passwords are longer than passwords. */
const PASSWORD_BOUND = 64 << 10
const TLS_HANDSHAKE = 0x16

/**
 * Reads a connection's beginning: encryption requests, at most one of each, then a startup packet or a cancel. Answers
 * NegotiateProtocolVersion where more than protocol 3.0 is asked for.
 * @param tls the certificate of this moment
 * @throws ProtocolViolation
 */
export async function readOpening(plain: Socket, tls: () => { cert: string; key: string }): Promise<Opening> {
  let socket = plain
  let encrypted = false
  let gssAsked = false
  for (;;) {
    const first = await take(socket, 1)
    if (!first) return { is: 'nothing', why: 'closed before a word' }
    if (first[0] === TLS_HANDSHAKE && !encrypted && !gssAsked) {
      socket.unshift(first)
      const secure = await handshake(socket, tls)
      // Direct TLS has to say what it is for, lest another protocol's client be led here (ALPACA).
      if (secure?.alpnProtocol !== 'postgresql') {
        plain.destroy()
        return { is: 'nothing', why: 'direct TLS without ALPN postgresql' }
      }
      socket = secure
      encrypted = true
      continue
    }
    const rest = await take(socket, 7)
    if (!rest) return { is: 'nothing', why: 'closed within its first packet' }
    const head = Buffer.concat([first, rest])
    const length = head.readUInt32BE(0)
    const code = head.readUInt32BE(4)
    if (length < 8 || length > STARTUP_BOUND) throw new ProtocolViolation('the first packet is no startup packet')
    if (code === SSL_REQUEST && length === 8) {
      if (encrypted) throw new ProtocolViolation('TLS was asked for twice')
      // Whatever came along in plaintext was put there by somebody in between (CVE-2021-23214).
      if (socket.readableLength > 0) return { is: 'nothing', why: 'bytes behind an SSLRequest in plaintext' }
      socket.write('S')
      const secure = await handshake(socket, tls)
      if (!secure) return { is: 'nothing', why: 'the TLS handshake failed' }
      socket = secure
      encrypted = true
      continue
    }
    if (code === GSS_REQUEST && length === 8) {
      if (gssAsked || encrypted) throw new ProtocolViolation('GSS encryption was asked for twice, or within TLS')
      gssAsked = true
      socket.write('N')
      continue
    }
    const body = await take(socket, length - 8)
    if (!body) return { is: 'nothing', why: 'closed within its first packet' }
    if (code === CANCEL_REQUEST) return { is: 'cancel', key: body }
    if (code >>> 16 !== 3)
      throw new ProtocolViolation(`protocol ${code >>> 16}.${code & 0xffff} is not spoken here: use 3.0`)
    const parameters = parametersOf(body)
    const unknown = [...parameters.keys()].filter((name) => name.startsWith('_pq_.'))
    if ((code & 0xffff) > 0 || unknown.length > 0) {
      const names = unknown.map((name) => Buffer.from(`${name}\0`))
      socket.write(message(T.NegotiateProtocolVersion, int32(3 << 16), int32(names.length), ...names))
      for (const name of unknown) parameters.delete(name)
    }
    return { is: 'session', socket, encrypted, parameters }
  }
}

/** Asks for a password in clear text (within TLS), as RFC 6750 tokens have to be. undefined where the client goes. */
export async function askToken(socket: Socket): Promise<string | undefined> {
  socket.write(message(T.Authentication, int32(3)))
  const frame = await takeMessage(socket, PASSWORD_BOUND)
  if (!frame) return undefined
  if (frame[0] !== T.Password || frame.at(-1) !== 0) throw new ProtocolViolation('a password was expected')
  return frame.subarray(5, -1).toString()
}

function handshake(socket: Socket, tls: () => { cert: string; key: string }): Promise<TLSSocket | undefined> {
  const secure = new TLSSocket(socket, {
    isServer: true,
    secureContext: contextOf(tls()),
    ALPNProtocols: ['postgresql'],
  })
  return new Promise((resolve) => {
    secure.once('secure', () => resolve(secure))
    secure.once('close', () => resolve(undefined))
    secure.on('error', () => resolve(undefined))
    socket.once('close', () => resolve(undefined))
  })
}

let shared: { cert: string; key: string; context: SecureContext } | undefined

/** One for all connections by the same certificate: one for each would be the largest part of what a session holds. */
function contextOf({ cert, key }: { cert: string; key: string }): SecureContext {
  if (shared?.cert !== cert || shared.key !== key) {
    shared = { cert, key, context: createSecureContext({ cert, key, minVersion: 'TLSv1.2' }) }
  }
  return shared.context
}

function parametersOf(body: Buffer): Map<string, string> {
  const parameters = new Map<string, string>()
  const cursor = new Cursor(body, 0)
  try {
    for (;;) {
      const name = cursor.cstring()
      if (name === '') break
      parameters.set(name, cursor.cstring())
    }
  } catch {
    throw new ProtocolViolation('the startup packet is malformed')
  }
  if (cursor.left > 0) throw new ProtocolViolation('the startup packet is malformed')
  return parameters
}
