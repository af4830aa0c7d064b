import type { Route } from './route.ts'

/** What the keys do, for the footer and the overlay: the one place where they are written down for people. */
export interface KeyHint {
  readonly keys: readonly string[]
  readonly does: string
}

export const footerKeys: Record<Route['screen'], readonly KeyHint[]> = {
  queue: [
    { keys: ['J', 'K'], does: 'move' },
    { keys: ['R'], does: 'replay' },
    { keys: ['/'], does: 'filter' },
  ],
  sessions: [
    { keys: ['J', 'K'], does: 'move' },
    { keys: ['Enter'], does: 'replay' },
    { keys: ['C'], does: 'commands' },
    { keys: ['X'], does: 'end session' },
    { keys: ['/'], does: 'find' },
  ],
  replay: [
    { keys: ['Space'], does: 'play' },
    { keys: ['←', '→'], does: '5 s' },
    { keys: ['[', ']'], does: 'markers' },
    { keys: ['N'], does: 'annotate' },
    { keys: ['/'], does: 'find' },
    { keys: ['Esc'], does: 'back' },
  ],
  access: [
    { keys: ['J', 'K'], does: 'move' },
    { keys: ['N'], does: 'ask' },
    { keys: ['E'], does: 'extend' },
    { keys: ['X'], does: 'revoke' },
    { keys: ['/'], does: 'find' },
  ],
  agents: [
    { keys: ['J', 'K'], does: 'move' },
    { keys: ['1', '–', '4'], does: 'parts' },
    { keys: ['E'], does: 'edit' },
    { keys: ['X'], does: 'disable, freeze' },
    { keys: ['M'], does: 'matrix' },
    { keys: ['/'], does: 'find' },
  ],
  policy: [
    { keys: ['J', 'K'], does: 'move' },
    { keys: ['1', '–', '5'], does: 'parts' },
    { keys: ['N'], does: 'new draft' },
    { keys: ['B'], does: 'backtest' },
    { keys: ['/'], does: 'find' },
  ],
  reviews: [
    { keys: ['J', 'K'], does: 'move' },
    { keys: ['N'], does: 'next undecided' },
    { keys: ['X'], does: 'choose' },
    { keys: ['R'], does: 'replay' },
    { keys: ['M'], does: 'comment' },
    { keys: ['/'], does: 'find' },
  ],
  integrity: [
    { keys: ['J', 'K'], does: 'move' },
    { keys: ['O'], does: 'open a bundle' },
    { keys: ['V'], does: 'verify again' },
  ],
  settings: [{ keys: ['G', 'Q'], does: 'queue' }],
}

const everywhere: readonly KeyHint[] = [
  { keys: ['Ctrl/⌘ K'], does: 'Find anything, do anything' },
  { keys: ['G', 'Q'], does: 'Go to Queue' },
  { keys: ['G', 'S'], does: 'Go to Sessions' },
  { keys: ['G', 'R'], does: 'Go to Reviews' },
  { keys: ['G', 'A'], does: 'Go to Access' },
  { keys: ['G', 'G'], does: 'Go to Agents' },
  { keys: ['G', 'Y'], does: 'Go to Policy' },
  { keys: ['G', 'I'], does: 'Go to Integrity' },
  { keys: ['G', ','], does: 'Go to Settings' },
  { keys: ['?'], does: 'Show these keys' },
]

export const allKeys: Record<Route['screen'], readonly { title: string; hints: readonly KeyHint[] }[]> = {
  queue: [
    {
      title: 'Queue',
      hints: [
        { keys: ['J', 'K'], does: 'Next, previous' },
        { keys: ['Enter'], does: 'Into the card' },
        { keys: ['A', 'Enter'], does: 'Approve: A chooses, Enter sends' },
        { keys: ['D', 'Enter'], does: 'Deny: D chooses, Enter sends' },
        { keys: ['Esc'], does: 'Take the choice back' },
        { keys: ['W'], does: 'Next window: once, session, 30 min' },
        { keys: ['R'], does: 'Replay this session' },
        { keys: ['C'], does: 'Copy the command' },
        { keys: ['/'], does: 'Filter' },
      ],
    },
    { title: 'Everywhere', hints: everywhere },
  ],
  sessions: [
    {
      title: 'Sessions',
      hints: [
        { keys: ['J', 'K'], does: 'Next, previous' },
        { keys: ['Enter', 'R'], does: 'Replay' },
        { keys: ['X'], does: 'End an open session' },
        { keys: ['P'], does: 'Keep on this computer, or no longer' },
        { keys: ['E'], does: 'Export to a file' },
        { keys: ['C'], does: 'List commands, or sessions' },
        { keys: ['/'], does: 'Find by words in commands' },
      ],
    },
    { title: 'Everywhere', hints: everywhere },
  ],
  replay: [
    {
      title: 'Replay',
      hints: [
        { keys: ['Space'], does: 'Play, pause' },
        { keys: ['←', '→'], does: '5 seconds back, on' },
        { keys: ['Shift ←', 'Shift →'], does: 'A tenth back, on' },
        { keys: ['[', ']'], does: 'Previous, next marker or note' },
        { keys: [',', '.'], does: 'Previous, next command; in a terminal, line that was typed' },
        { keys: ['0', '–', '9'], does: 'To that tenth' },
        { keys: ['Home', 'End'], does: 'To the beginning, to the end' },
        { keys: ['<', '>'], does: 'Slower, faster' },
        { keys: ['I'], does: 'Skip idle time' },
        { keys: ['F'], does: 'The whole width, or the list beside it' },
        { keys: ['N'], does: 'Annotate this moment, or what is selected' },
        { keys: ['M', 'N'], does: 'M begins a range, N annotates it' },
        { keys: ['T'], does: 'Notes or steps beside it' },
        { keys: ['E', 'W'], does: 'Change, withdraw the chosen note' },
        { keys: ['/'], does: 'Find in this recording' },
        { keys: ['V'], does: 'Transcript, or the terminal' },
        { keys: ['C'], does: 'Copy this command; of a terminal what is selected, or its screen' },
        { keys: ['Y'], does: 'Copy the whole transcript' },
        { keys: ['P'], does: 'Keep on this computer, or no longer' },
        { keys: ['E'], does: 'Export to a file' },
        { keys: ['J', 'K'], does: 'Next, previous session' },
        { keys: ['Esc'], does: 'Back to the session' },
      ],
    },
    { title: 'Everywhere', hints: everywhere },
  ],
  access: [
    {
      title: 'Access',
      hints: [
        { keys: ['J', 'K'], does: 'Next, previous' },
        { keys: ['Enter'], does: 'Into the grant' },
        { keys: ['N'], does: 'Ask for access' },
        { keys: ['E'], does: 'Ask to extend it' },
        { keys: ['X'], does: 'Revoke it' },
        { keys: ['O'], does: 'The card it was decided on' },
        { keys: ['R'], does: 'Replay the newest session that used it' },
        { keys: ['S'], does: 'Sort by end, or by request' },
        { keys: ['←', '→'], does: 'In the picture: a moment before, after' },
        { keys: ['/'], does: 'Find' },
      ],
    },
    { title: 'Everywhere', hints: everywhere },
  ],
  agents: [
    {
      title: 'Agents',
      hints: [
        { keys: ['J', 'K'], does: 'Next, previous' },
        { keys: ['Enter'], does: 'Into the agent' },
        { keys: ['1', '2', '3', '4'], does: 'Agents, connections, break-glass, who could do what then' },
        { keys: ['E'], does: 'Edit who answers for it, and its purpose' },
        { keys: ['X'], does: 'Disable or enable the agent; freeze or unfreeze the connection' },
        { keys: ['N'], does: 'Declare an agent' },
        { keys: ['M'], does: 'Into the picture of what it may and did; arrows move there' },
        { keys: ['Y', 'W'], does: 'A use of break-glass: justified, not justified' },
        { keys: ['/'], does: 'Find' },
      ],
    },
    { title: 'Everywhere', hints: everywhere },
  ],
  policy: [
    {
      title: 'Policy',
      hints: [
        { keys: ['J', 'K'], does: 'Next, previous' },
        { keys: ['Enter'], does: 'Into what is chosen' },
        { keys: ['1', '–', '5'], does: 'In force, history, drafts, backtests, overlays' },
        { keys: ['N'], does: 'A new draft from what is in force' },
        { keys: ['E'], does: 'Into the editor of a draft; Esc leaves it' },
        { keys: ['Ctrl/⌘ S'], does: 'Save the draft: it is checked and its tests run' },
        { keys: ['B'], does: 'Backtest a draft over what was recorded' },
        { keys: ['C'], does: 'Compare with the version before, or the one in force; cancel a backtest' },
        { keys: ['A', 'D', 'U'], does: 'An overlay: apply, reject, roll back' },
        { keys: ['/'], does: 'Find' },
      ],
    },
    { title: 'Everywhere', hints: everywhere },
  ],
  reviews: [
    {
      title: 'Reviews',
      hints: [
        { keys: ['J', 'K'], does: 'Next, previous' },
        { keys: ['Enter'], does: 'Open the campaign; into the item' },
        { keys: ['N'], does: 'Next undecided one of yours' },
        { keys: ['C', 'Enter'], does: 'Certify: C chooses, Enter decides' },
        { keys: ['U'], does: 'Reduce: to what it uses' },
        { keys: ['V'], does: 'Revoke' },
        { keys: ['B'], does: 'Abstain' },
        { keys: ['M'], does: 'Comment' },
        { keys: ['E'], does: 'Reassign, or delegate' },
        { keys: ['R'], does: 'Replay the first command that is cited' },
        { keys: ['O'], does: 'The next part of the evidence' },
        { keys: ['X'], does: 'Choose for deciding together' },
        { keys: ['Shift A'], does: 'Choose all that are shown, but for privileged ones' },
        { keys: ['Shift X'], does: 'Decide what is chosen together' },
        { keys: ['A'], does: 'In the list of campaigns: make one' },
        { keys: ['/'], does: 'Find items' },
        { keys: ['Esc'], does: 'Take the choice back; to the campaign; to all of them' },
      ],
    },
    { title: 'Everywhere', hints: everywhere },
  ],
  integrity: [
    {
      title: 'Integrity',
      hints: [
        { keys: ['J', 'K'], does: 'Next, previous' },
        { keys: ['O'], does: 'Open a bundle and verify it' },
        { keys: ['V'], does: 'Look at the log again; verify this recording again' },
        { keys: ['E'], does: 'Export the proof of an alarm' },
        { keys: ['R'], does: 'Replay the session that a bundle is about' },
        { keys: ['Esc'], does: 'Back to the log' },
      ],
    },
    { title: 'Everywhere', hints: everywhere },
  ],
  settings: [{ title: 'Everywhere', hints: everywhere }],
}
