/** A message of PostgreSQL's protocol: type byte, length, body (a string of bytes, or bytes). */
export function message(type: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body as string, 'latin1')
  return Buffer.concat([Buffer.from(type), int32(bytes.length + 4), bytes])
}

export function int32(value: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}
