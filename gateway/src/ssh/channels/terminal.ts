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
  if ((term !== '' && !TYPE.test(term)) || !isSize(columns, rows)) return undefined
  return { type: term, columns, rows, width, height, modes }
}

/** Whether there are terminals of so many characters: hosts keep 16 bits of each, and players make room for all. */
export const isSize = (columns: number, rows: number): boolean => columns < 65_536 && rows < 65_536
