import { waitOf } from '../policy/escalation.ts'
import { isLoopback } from './address.ts'
import type { Path } from './document.ts'
import type { Findings, Parts } from './sense.ts'

/** Escalation, break-glass and webhooks: what has the right shape and still can't be right, or is likely not meant. */
export function checkApprovals({ whole }: Parts, { problem, warning }: Findings): void {
  if (!whole) return
  const { escalate, expires, break_glass, webhooks } = whole.approvals
  const approvers = new Set(whole.identity.roles.approver)
  const noApprovers = (path: Path, groups: readonly string[]) => {
    for (const group of groups)
      if (!approvers.has(group))
        warning(path, `the group ${JSON.stringify(group)} has no role approver`, 'add it to identity.roles.approver')
  }
  for (const [index, { after, groups }] of escalate.entries()) {
    const path = ['approvals', 'escalate', index]
    const before = escalate[index - 1]
    if (before && waitOf({ after }) <= waitOf(before))
      problem(
        [...path, 'after'],
        `${after} is not after ${before.after}`,
        'write the groups in the order in which they are asked',
      )
    if (waitOf({ after }) >= expires)
      warning([...path, 'after'], `by ${after} what is held has expired`, 'escalate earlier, or let it wait longer')
    noApprovers([...path, 'groups'], groups)
  }
  if (break_glass) noApprovers(['approvals', 'break_glass', 'groups'], break_glass.groups)
  const seen = new Set<string>()
  for (const [index, text] of webhooks.entries()) {
    const path = ['approvals', 'webhooks', index]
    const url = new URL(text)
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      problem(path, `a webhook can't be ${url.protocol}`, 'write https://')
    else if (url.protocol === 'http:' && !isLoopback(url.hostname))
      problem(path, 'what webhooks are told could be read by anybody on the way', 'write https://')
    if (url.username || url.password) problem(path, 'a webhook’s URL holds no password', 'remove it: calls are signed')
    if (url.hash) problem(path, 'a webhook’s URL has no fragment', 'remove what follows #')
    if (seen.has(url.href)) problem(path, 'the same webhook is given twice', 'keep one of the two')
    seen.add(url.href)
  }
}
