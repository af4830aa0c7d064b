import { createRequire } from 'node:module'
import type { PseudoTtyInfo } from '../transport/ssh2.ts'
import type { Terminal } from '../upstream/host.ts'

/** Types of terminals are names of terminfo's files; the host makes a path of them. */
const TYPE = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/
/** 32 modes of 5 bytes are defined up to now; so many that one could be there for each opcode. */
const MOST_MODES = 5 * 256

/** What a `pty-req` asks for (RFC 4254, section 6.2); undefined where no terminal of that kind is given. */
export function terminalOf(info: PseudoTtyInfo): Terminal | undefined {
  const { term, cols: columns, rows, width, height } = info
  const modes = (info as PseudoTtyInfo & { encoded?: Buffer }).encoded
  if (!modes || modes.length > MOST_MODES) return undefined
  if (term !== '' && !TYPE.test(term)) return undefined
  return { type: term, columns, rows, width, height, modes }
}

const CHANNEL_REQUEST = 98

type Handler = (protocol: Protocol, payload: Buffer) => void
interface Protocol {
  _handlers: {
    CHANNEL_REQUEST?: (protocol: Protocol, channel: number, type: string, wantReply: boolean, body: unknown) => void
  }
}

/**
 * ssh2 loses the terminal's modes: it reads them from their second byte on, so that the first value's zeros end them, and
 * breaks the connection off where it doesn't know one. The host is to get them as they are: they say, for one, whether
 * it echoes. https://github.com/mscdex/ssh2/blob/v1.17.0/lib/protocol/handlers.misc.js#L1092
 */
const handlers = createRequire(import.meta.url)('ssh2/lib/protocol/handlers.js') as Handler[]
const theirs = handlers[CHANNEL_REQUEST]!
handlers[CHANNEL_REQUEST] = (protocol, payload) => {
  const asked = ptyRequest(payload)
  if (!asked) return theirs(protocol, payload)
  protocol._handlers.CHANNEL_REQUEST?.(protocol, asked.channel, 'pty-req', asked.wantReply, asked.info)
}

/** Reads a `pty-req` packet; undefined where it is another request, or malformed. */
export function ptyRequest(payload: Buffer) {
  let at = 1
  const left = (bytes: number) => at + bytes <= payload.length
  const uint32 = () => {
    if (!left(4)) return undefined
    at += 4
    return payload.readUInt32BE(at - 4)
  }
  const string = () => {
    const length = uint32()
    if (length === undefined || !left(length)) return undefined
    at += length
    return payload.subarray(at - length, at)
  }
  const channel = uint32()
  if (channel === undefined || string()?.toString('latin1') !== 'pty-req' || !left(1)) return undefined
  const wantReply = payload[at++] !== 0
  const term = string()
  const [cols, rows, width, height] = [uint32(), uint32(), uint32(), uint32()]
  const modes = string()
  if (!term || height === undefined || !modes) return undefined
  const info = { term: term.toString(), cols: cols!, rows: rows!, width: width!, height, modes: {} }
  return { channel, wantReply, info: { ...info, encoded: Buffer.from(modes) } }
}
