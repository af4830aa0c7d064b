import type { HoldNotice, Verdict } from '../gate/command.ts'
import type { Report } from './wire/messages.ts'

/**
 * Everything this gateway says to a PostgreSQL client in its own words: contract.md section 5. SQLSTATEs are the
 * server's own (https://www.postgresql.org/docs/18/errcodes-appendix.html) but for ZA001, held.
 */
export type Words = Omit<Report, 'severity'>

export const tlsRequired: Words = {
  code: '28000',
  message: 'this gateway takes TLS connections only',
  hint: 'Connect with sslmode=require, or better sslmode=verify-full.',
}

export const badToken: Words = {
  code: '28P01',
  message: 'the token was refused',
  detail: 'It is wrong or expired, or it is not an agent’s. The gateway’s log says which.',
  hint: 'Give a fresh token of the agent as the password.',
}

/** One text for every cause, so that nobody learns which connections there are. */
export const noConnection: Words = {
  code: '42501',
  message: 'there is no such connection, or this agent may not open it',
  hint: 'Give the connection’s name as dbname. Ask an administrator if this agent should be allowed.',
}

export const upstreamDown = (why: string): Words => ({
  code: '08006',
  message: `the database behind this connection can’t be used: ${why}`,
  hint: 'The gateway’s log says more; tell whoever runs the gateway.',
})

export const replicationRefused: Words = {
  code: '0A000',
  message: 'replication connections do not pass this gateway',
  hint: 'Connect without the replication parameter.',
}

export const encodingRefused: Words = {
  code: '22023',
  message: 'client_encoding must be UTF8 here',
  hint: 'Set PGCLIENTENCODING=UTF8.',
}

export const stringsRefused: Words = {
  code: '22023',
  message: 'standard_conforming_strings must stay on here',
  hint: 'Leave the setting alone, and write E’…’ for strings with escapes.',
}

export const optionRefused = (what: string, hint: string): Words => ({
  code: '22023',
  message: `the connection option ${what} is not taken here`,
  hint,
})

export const functionCallRefused: Words = {
  code: '0A000',
  message: 'the FunctionCall message does not pass this gateway',
  hint: 'Call the function with SELECT.',
}

export const notUtf8: Words = {
  code: '22021',
  message: 'the statement is not valid UTF-8',
  hint: 'Set PGCLIENTENCODING=UTF8 and send UTF-8.',
}

export const tooLong = (bytes: number): Words => ({
  code: '54000',
  message: `the statement is longer than ${bytes} bytes`,
  hint: 'Split it, use COPY for data, or have limits.max_statement raised.',
})

export const violation = (what: string): Words => ({
  code: '08P01',
  message: what,
  hint: 'The connection was closed because client and gateway no longer agree on what is being said.',
})

export const unrecordable: Words = {
  code: '58030',
  message: 'the command was not run because it could not be recorded',
  hint: 'The gateway can’t write its recordings, perhaps because a disk is full; tell whoever runs it.',
}

/** The ledger can't be written now; the session may go on, and try again. */
export const unlogged = (why: string): Words => ({
  code: '58030',
  message: 'nothing was run, because it could not be written into the ledger',
  detail: why,
  hint: 'It goes on by itself once the ledger can be written: try again then, or tell whoever runs the gateway.',
})

export const internal: Words = {
  code: 'XX000',
  message: 'the gateway failed and ended this session; nothing more was run',
  hint: 'The gateway’s log says why; tell whoever runs it.',
}

export const aborted: Words = {
  code: '25P02',
  message: 'current transaction is aborted, commands ignored until end of transaction block',
}

export const ended = (message: string): Words => ({ code: '57P01', message })
export const draining = ended('terminating connection because the gateway is stopping')
export const RECONFIGURED = 'its connection was changed in the configuration'
export const reconfigured = (connection: string): Words => ({
  ...ended(`terminating connection because ${JSON.stringify(connection)} was changed in the gateway’s configuration`),
  hint: 'Connect again: what is configured now holds from then on.',
})
export const shuttingDown: Words = { code: '57P03', message: 'the gateway is stopping' }
export const tooMany = (message: string): Words => ({ code: '53300', message })

export const changedWhileHeld: Words = {
  code: '42501',
  message: 'what the command means has changed since it was held',
  detail: 'A table, the search_path or a statement that it names is another now than the one that people approved.',
  hint: 'Send it again: it will be decided afresh.',
}

/** The notice that goes out the moment a command is held. */
export const heldNotice = (notice: HoldNotice): Report => ({
  severity: 'NOTICE',
  code: '00000',
  message: `held for approval ${notice.approval} (${notice.groups.join(', ')}, expires ${time(notice.expiresAt)})`,
})

/** Why an approval was cancelled, where a CancelRequest did it. */
export const cancelledByClient = 'the client cancelled it'

/** The error for a verdict that is not an allow. */
export function refusal(verdict: Exclude<Verdict, { outcome: 'allow' }>, detail?: string): Words {
  switch (verdict.outcome) {
    case 'denied':
      if (verdict.limit !== undefined) return full(verdict.reason, verdict.limit)
      if (verdict.uncovered) return uncovered(verdict.reason, detail)
      return denied(verdict.policies, verdict.reason, detail)
    case 'denied-by-person':
      return {
        code: '42501',
        message: `denied by ${verdict.person}: ${verdict.reason || 'no reason given'}`,
        hint: `Approval ${verdict.approval} is closed. Sending the same command again asks anew.`,
      }
    case 'expired':
      return {
        code: '57014',
        message: `approval ${verdict.approval} expired before anybody decided`,
        hint: 'Send the command again to ask anew.',
      }
    case 'cancelled':
      return {
        code: '57014',
        message:
          verdict.reason === cancelledByClient
            ? 'canceling statement due to user request'
            : `canceling statement: ${verdict.reason}`,
      }
    case 'held':
      return {
        code: 'ZA001',
        message: `held for approval ${verdict.approval} (${verdict.groups.join(', ')}, expires ${time(verdict.expiresAt)})`,
        hint: `Approval ${verdict.approval} is pending. Send the same command again once it is approved; it then runs once.`,
      }
  }
}

/** What policy would hold, where no more can be. */
const full = (reason: string, limit: string): Words => ({
  code: '53400',
  message: `not run: ${reason}`,
  hint: `Wait until people have decided some of them, cancel some, or have ${limit} raised.`,
})

/** What no live grant covers, on a connection that takes one. */
const uncovered = (reason: string, detail?: string): Words => ({
  code: '42501',
  message: reason,
  ...(detail === undefined ? {} : { detail }),
  hint: 'Ask for access to it (POST /v1/grants), and send it again once that is given.',
})

export function denied(policies: string[], reason: string, detail?: string): Words {
  const parts = [reason, detail].filter((part) => part)
  return {
    code: '42501',
    message: policies.length > 0 ? `denied by policy ${policies.join(', ')}` : 'denied by policy: none permits this',
    detail: parts.length > 0 ? parts.join('\n') : 'No policy permits this command.',
    hint: 'This agent may not run it as it is. Ask for access, or do it in another way.',
  }
}

const time = (at: Date) => at.toISOString().replace(/\.\d+Z$/, 'Z')

/** Settings and messages that contract.md section 4 refuses whatever policy says. */
export const refusedForEveryone = (refused: { sqlstate: string; message: string; hint?: string }): Words => ({
  code: refused.sqlstate,
  message: refused.message,
  ...(refused.hint === undefined ? {} : { hint: refused.hint }),
})

/** @param what `prepared statements` or `portals` */
export const noRoom = (what: string, names: number): Words => ({
  code: '54000',
  message: `this session keeps as many ${what} as the gateway lets one keep`,
  detail: `At most ${names}, and 64 MiB of text and parameters.`,
  hint: 'Close or DEALLOCATE some, or use unnamed ones.',
})

/** What would carry classified data past its masks: masking says why. */
export const launders = (why: string): Words => ({
  code: '42501',
  message: 'refused: classified data could leave its masks by this statement',
  detail: why,
  hint: 'Policy permits it where it permits data:reveal of the classes.',
})

export const uncopied: Words = {
  code: '0A000',
  message: 'COPY with these options can’t be masked',
  detail: 'It copies classified data, and where one of its values ends can’t be told for certain.',
  hint: 'Leave out ENCODING and NULL, use a delimiter of one ASCII character, or select the rows.',
}
