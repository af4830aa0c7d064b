import { isUtf8 } from 'node:buffer'
import type { Parameter } from '@countersign/contract/approval'

/** So many bytes stand in one event: a reader's page holds several. */
export const LONGEST_PIECE = 128 * 1024

/**
 * Bytes as events of a recording hold them: text where they are UTF-8 without NUL, else `{base64}`. A character that a
 * packet's border cut stands alone, its beginning behind the text and its end before the next, so that text stays text.
 * @returns at least one for at least one byte; joined they are the bytes
 */
export function dataOf(bytes: Buffer): Parameter[] {
  if (bytes.length <= LONGEST_PIECE) return piece(bytes)
  const all: Parameter[] = []
  for (let at = 0; at < bytes.length; at += LONGEST_PIECE) all.push(...piece(bytes.subarray(at, at + LONGEST_PIECE)))
  return all
}

function piece(bytes: Buffer): Parameter[] {
  // NUL is UTF-8, but six bytes of JSON, and no text.
  if (bytes.includes(0)) return [{ base64: bytes.toString('base64') }]
  if (isUtf8(bytes)) return [bytes.toString('utf8')]
  const from = continued(bytes)
  const to = bytes.length - begun(bytes)
  const text = bytes.subarray(from, to)
  if (text.length === 0 || text.length === bytes.length || !isUtf8(text)) return [{ base64: bytes.toString('base64') }]
  const all: Parameter[] = []
  if (from > 0) all.push({ base64: bytes.toString('base64', 0, from) })
  all.push(text.toString('utf8'))
  if (to < bytes.length) all.push({ base64: bytes.toString('base64', to) })
  return all
}

/** How many bytes at the beginning belong to a character that began before. */
function continued(bytes: Buffer): number {
  let at = 0
  while (at < 3 && at < bytes.length && (bytes[at]! & 0xc0) === 0x80) at++
  return at
}

/** How many bytes at the end belong to a character that isn't whole. */
function begun(bytes: Buffer): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!
    if ((byte & 0xc0) === 0x80) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? back : 0
  }
  return 0
}
