/**
 * How a terminal must be made to show a recording: the same for the one that makes keyframes (headless, in the core) and
 * for the one that a person looks at, or a screen restored in one would go on differently than in the other.
 */
export const terminalOptions = {
  /** What has scrolled out of sight is not kept: a screen is what one saw at that moment. */
  scrollback: 0,
  /** Which characters are wide: by the addon unicode11, which both load. */
  unicode: '11',
  /** Where no terminal was asked for, a line feed begins a line. */
  withoutTerminal: { convertEol: true, columns: 80, rows: 24 },
} as const
