import type { TerminalFrame } from '../../../../terminal-api.ts'

/** A piece of what a command said: by whom, and what of it is masked. */
export interface Piece {
  readonly key: string
  readonly by: 'stdout' | 'stderr' | 'gateway'
  readonly text: string
  /** Data classes. */
  readonly masked: readonly string[]
}

/** `clipped`: something follows that isn't shown. */
export interface ClippedPiece extends Piece {
  readonly clipped?: boolean
}

type Output = Extract<TerminalFrame, { type: 'output' }>

/** A piece is no longer than this where it can be helped. Characters. */
const longest = 32_768

/** Frames as pieces, in their order: what follows one another from the same stream is one. */
export function piecesOf(frames: Iterable<TerminalFrame | Omit<Output, 't'>>): Piece[] {
  const pieces: Piece[] = []
  for (const frame of frames) {
    if (frame.type !== 'output') continue
    const by = frame.notice ? 'gateway' : frame.stream
    const { text, masked = [] } = frame
    const last = pieces.at(-1)
    if (last?.by === by && last.text.length < longest)
      pieces[pieces.length - 1] = {
        ...last,
        text: last.text + text,
        masked: [...new Set([...last.masked, ...masked])],
      }
    else pieces.push({ key: String(frame.seq), by, text, masked })
  }
  return pieces
}

/** The first `most` lines of pieces. */
export function clippedTo(most: number, pieces: readonly Piece[]): ClippedPiece[] {
  const kept: ClippedPiece[] = []
  let left = most
  for (const piece of pieces) {
    const end = left > 0 ? endOfLines(piece.text, left) : 0
    if (end > 0)
      kept.push(end < piece.text.length ? { ...piece, text: piece.text.slice(0, end), clipped: true } : piece)
    else if (kept.length > 0) kept[kept.length - 1] = { ...kept.at(-1)!, clipped: true }
    if (end < piece.text.length) break
    left -= piece.text.split('\n').length - (piece.text.endsWith('\n') ? 1 : 0)
  }
  return kept
}

/** Where the first `lines` lines of `text` end. */
function endOfLines(text: string, lines: number): number {
  let end = 0
  for (let line = 0; line < lines; line++) {
    const next = text.indexOf('\n', end)
    if (next < 0) return text.length
    end = next + 1
  }
  return end
}
