import type { TerminalMarker } from '../../../../terminal-api.ts'

/** Shapes of a terminal's marks: told apart without colours, too. */
export const MARK_LOOKS: Record<TerminalMarker['kind'], string> = {
  line: 'rounded-[1px] border-l-2 border-accent',
  resize: 'rounded-[1px] border border-line-strong',
  signal: 'rotate-45 rounded-[1px] border-2 border-warn bg-panel',
  mask: 'rounded-[1px] border-2 border-dim bg-panel',
  hidden: 'rounded-full border-2 border-dim bg-panel',
  notice: 'rounded-full border-2 border-warn bg-panel',
  error: 'rounded-[1px] bg-warn',
  exit: 'rounded-[1px] border-2 border-line-strong bg-panel',
}
