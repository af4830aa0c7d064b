/** The bytes of a wire parameter that is no text. */
export function bytesOf({ base64 }: { readonly base64: string }): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

/**
 * Bytes as people read them: sixteen a line, their place before, and what of them is ASCII behind. One byte that is no text
 * must not hide a script from whoever decides on it.
 */
export function hexOf(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const some = Array.from(bytes.subarray(at, at + 16))
    const hex = some.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = some.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${text}`)
  }
  return lines.join('\n')
}
