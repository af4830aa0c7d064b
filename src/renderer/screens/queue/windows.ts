import type { Approval } from '@countersign/contract/approval'
import { secondsOf, span } from '../../../span.ts'

/** What an approval may cover: for a command how often, for access how long. */
export interface Window {
  readonly value: string
  readonly label: string
  /** What it means, as a sentence. */
  readonly says: string
  /** After “Enter”. */
  readonly approves: string
}

const ofCommands: readonly Window[] = [
  { value: 'once', label: 'Once', says: 'Approve lets this run once.', approves: 'approves this command once' },
  {
    value: 'session',
    label: 'Session',
    says: 'Approve also lets exactly this command run again in this session.',
    approves: 'approves this command for this session',
  },
  {
    value: '30m',
    label: '30 min',
    says: 'Approve also lets exactly this command run again for 30 minutes.',
    approves: 'approves this command for 30 minutes',
  },
]

const SHORTER = ['5m', '15m', '30m', '1h', '2h', '4h', '8h', '1d']

/** The choices for an approval: of access as asked, or shorter. */
export function windowsOf({ access, command }: Approval): readonly Window[] {
  // What may be sent to it nobody has seen: the gateway takes no wider window for it.
  if (!access) return command.input === 'not-shown' ? ofCommands.slice(0, 1) : ofCommands
  const each = access.grants.length > 1 ? 'each step ' : ''
  const asked = span(access.seconds)
  const shorter = SHORTER.filter((one) => secondsOf(one)! < access.seconds).slice(-2)
  return [
    {
      value: 'once',
      label: 'As asked',
      says: `Approve gives it for as long as was asked for: ${each ? 'each step its own time' : asked}.`,
      approves: each ? 'gives access to every step as asked' : `gives access for ${asked}`,
    },
    ...shorter.map((value) => ({
      value,
      label: span(secondsOf(value)!),
      says: `Approve gives ${each}${span(secondsOf(value)!)} at most; ${asked} ${each ? 'is the longest that was asked for' : 'were asked for'}.`,
      approves: `gives ${each}${span(secondsOf(value)!)} of access at most`,
    })),
  ]
}
