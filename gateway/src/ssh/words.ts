import type { HoldNotice, Verdict } from '../gate/command.ts'

/** What the gateway says to an SSH client in its own words: on stderr, each line behind `countersign: `. */
export interface Words {
  message: string
  hint?: string
}

/** A refused command ends with it (contract.md section 5): what sh says of a command that can't be run. */
export const REFUSED = 126

/** One text for every cause, so that nobody learns which connections there are. */
export const noConnection: Words = {
  message: 'there is no such connection, or this agent may not open it',
  hint: 'Give the connection’s name as the user (CONNECTION@GATEWAY). Ask an administrator if this agent should be allowed.',
}

export const unrecordable: Words = {
  message: 'the command was not run because it could not be recorded',
  hint: 'The gateway can’t write its recordings, perhaps because a disk is full; tell whoever runs it.',
}

export const unlogged = (why: string): Words => ({ message: `the command was not run: ${why}` })

export const upstreamDown = (why: string): Words => ({
  message: `the host behind this connection can’t be used: ${why}`,
  hint: 'The gateway’s log says more; tell whoever runs the gateway.',
})

/**
 * As it stands on stderr: lines that end with CR LF where a terminal in raw mode reads them. People's and policies' reasons
 * are in it: what a terminal would obey is none of their words, and a line of theirs is told as one of the gateway's.
 */
export function onStderr({ message, hint }: Words, terminal = false): string {
  const end = terminal ? '\r\n' : '\n'
  return [message, ...(hint === undefined ? [] : [hint])]
    .flatMap((text) => text.split(/\r?\n/))
    .map((line) => `countersign: ${line.replaceAll('\t', ' ').replace(/\p{C}/gu, '\ufffd')}${end}`)
    .join('')
}

export const heldNotice = ({ approval, groups, expiresAt }: HoldNotice): Words => ({
  message: `held for approval ${approval} (${groups.join(', ')}, expires ${time(expiresAt)})`,
})

/** Why a command doesn't run, for its client. */
export function refusal(verdict: Exclude<Verdict, { outcome: 'allow' }>): Words {
  switch (verdict.outcome) {
    case 'denied':
      if (verdict.limit !== undefined)
        return {
          message: `not run: ${verdict.reason}`,
          hint: `Wait until people have decided some of them, cancel some, or have ${verdict.limit} raised.`,
        }
      if (verdict.uncovered)
        return {
          message: verdict.reason,
          hint: 'Ask for access to it (countersign grants request), and run it again once that is given.',
        }
      return {
        message:
          verdict.policies.length > 0
            ? `denied by policy ${verdict.policies.join(', ')}`
            : `denied by policy: ${verdict.reason}`,
        hint:
          verdict.policies.length > 0
            ? verdict.reason
            : 'This agent may not do it as it is. Ask for access, or do it in another way.',
      }
    case 'denied-by-person':
      return { message: `denied by ${verdict.person}: ${verdict.reason}` }
    case 'expired':
      return {
        message: `approval ${verdict.approval} expired before anybody decided`,
        hint: 'Run it again to ask anew.',
      }
    case 'cancelled':
      return { message: `not run: ${verdict.reason}` }
    case 'held':
      return {
        message: `held for approval ${verdict.approval} (${verdict.groups.join(', ')}, expires ${time(verdict.expiresAt)})`,
        hint: `Run the same command again once it is approved; it then runs once.`,
      }
  }
}

const time = (at: Date) => at.toISOString().replace(/\.\d+Z$/, 'Z')
