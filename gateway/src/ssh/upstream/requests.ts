import type { Terminal } from './host.ts'

/** What is used of ssh2's protocol to say what it doesn't know, or not as it came. */
export interface Saying {
  _packetRW: { write: { allocStart: number; alloc(size: number): Buffer; finalize(packet: Buffer): Buffer } }
  _kexinit: Buffer | undefined
  _queue: Buffer[] | undefined
  _cipher: { encrypt(packet: Buffer): void }
}

const CHANNEL_REQUEST = 98

/**
 * A request in a channel (RFC 4254, section 5.4), sent as ssh2 sends its own. ssh2 1.17 makes `vt100` of a terminal
 * without a type, and knows neither signals by names of somebody's own nor OpenSSH's `eow@openssh.com`.
 */
function request(protocol: Saying, id: number, type: string, wantReply: boolean, ...fields: Buffer[]): void {
  const payload = Buffer.concat([
    ...[Buffer.from([CHANNEL_REQUEST]), number(id), string(type), Buffer.from([wantReply ? 1 : 0])],
    ...fields,
  ])
  const { write } = protocol._packetRW
  const packet = write.alloc(payload.length)
  payload.copy(packet, write.allocStart)
  const whole = write.finalize(packet)
  // While keys are changed everything waits.
  if (protocol._kexinit === undefined) protocol._cipher.encrypt(whole)
  else {
    protocol._queue ??= []
    protocol._queue.push(whole)
  }
}

/** RFC 4254, section 6.2. */
export function askTerminal(protocol: Saying, id: number, terminal: Terminal): void {
  const { type, columns, rows, width, height, modes } = terminal
  const sizes = [columns, rows, width, height].map(number)
  // No modes at all are told by the one that ends them (section 8).
  request(protocol, id, 'pty-req', true, string(type), ...sizes, string(modes.length > 0 ? modes : Buffer.from([0])))
}

/** Section 6.4. */
export const giveVariable = (protocol: Saying, id: number, name: string, value: string): void =>
  request(protocol, id, 'env', false, string(name), string(value))

/** Section 6.5. */
export const askToRun = (protocol: Saying, id: number, kind: 'exec' | 'shell' | 'subsystem', text: string): void =>
  request(protocol, id, kind, true, ...(kind === 'shell' ? [] : [string(text)]))

/** Section 6.7. */
export const tellSize = (protocol: Saying, id: number, ...sizes: [number, number, number, number]): void =>
  request(protocol, id, 'window-change', false, ...sizes.map(number))

/** Section 6.9. */
export const tellSignal = (protocol: Saying, id: number, name: string): void =>
  request(protocol, id, 'signal', false, string(name))

/** Nobody reads what comes any more: OpenSSH PROTOCOL, 2.1. */
export const tellUnread = (protocol: Saying, id: number): void => request(protocol, id, 'eow@openssh.com', false)

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

function string(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([number(bytes.length), bytes])
}
