const BOUND = 200

/**
 * What a host, or a library about it, has said, fit to be told in our words: on one line, of printable characters, and
 * short. A host's own words could otherwise redraw a terminal or forge a line of the gateway's.
 */
export function publicWords(text: string): string {
  const plain = text
    .slice(0, 4 * BOUND)
    .replace(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
  return plain.length > BOUND ? `${plain.slice(0, BOUND)}…` : plain || 'it doesn’t say why'
}
