import { Approval, type DecisionRequest } from '@countersign/contract/approval'
import type { Command } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { misuse } from '../errors.ts'
import { segment } from '../gateway/gateway.ts'
import { watch } from '../gateway/wait.ts'
import { approvalTable, beginning, showApproval } from '../show/approval.ts'
import { print } from '../show/print.ts'
import { shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'

/** approvals: held commands, and requests for access, which are decided the same way. */
export function approvalCommands(program: Command): void {
  const approvals = group(program, 'approvals', 'held commands and requests for access, and deciding them')
  listOptions(approvals.command('list', { isDefault: true }))
    .description('what is held, newest first')
    .option('--state <state>', 'pending, approved, used, denied, expired or cancelled')
    .action(runs(list))
  approvals.command('show').argument('<id>').description('one of them, whole').action(runs(show))
  approvals
    .command('approve')
    .argument('<id>')
    .description('approve it: what was shown is what runs')
    .option('--digest <digest>', 'the digest that was shown; without it, it is shown and asked here')
    .option('--reason <text>', 'why', '')
    .option('--window <window>', 'once, session, or a duration such as 30m', 'once')
    .option('--break-glass', 'alone, in an emergency: needs --reason, and is reviewed')
    .option('-y, --yes', 'without being asked; where nobody can be asked it needs --digest, too')
    .addHelpText('after', '\nexample: countersign approvals approve ap_01h… --reason "checked with Ben"')
    .action(runs(approve))
  approvals
    .command('deny')
    .argument('<id>')
    .description('deny it')
    .option('--reason <text>', 'why; the agent reads it', '')
    .action(runs(deny))
  approvals
    .command('watch')
    .description('what is held and decided, as it happens')
    .option('--after <seq>', 'from behind that message of the feed')
    .action(runs(watchApprovals))
}

interface DecisionOptions {
  digest?: string
  reason: string
  window: string
  breakGlass?: boolean
  yes?: boolean
}

const path = (id: string) => `/v1/approvals/${segment(id)}`

async function list(context: Context, options: ListOptions & { state?: string }): Promise<undefined> {
  await listed(context, options, Approval, '/v1/approvals', { state: options.state }, approvalTable)
}

async function show(context: Context, _options: object, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(Approval, path(id)), showApproval)
}

async function approve(context: Context, options: DecisionOptions, id: string): Promise<undefined | 1> {
  const { terminal } = context
  const { digest, reason, window, breakGlass = false, yes = false } = options
  if (breakGlass && reason.trim() === '') throw misuse('--break-glass needs --reason: it is read by who reviews it')
  if (!terminal.interactive && !yes)
    throw misuse('nobody is here to be asked: approve by --yes with the --digest that was shown')
  if (!terminal.interactive && digest === undefined)
    throw misuse('which command was shown? give its --digest, so that no other one is approved')
  if (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest))
    throw misuse('--digest takes sha256: and 64 hex digits, as approvals show prints it')
  const gateway = gatewayIn(context)
  const approval = await gateway.get(Approval, path(id))
  if (digest !== undefined && digest !== approval.command.digest)
    throw misuse(`that is another command than the one that was shown: look at countersign approvals show ${shown(id)}`)
  if (terminal.interactive) {
    for (const line of showApproval(approval, terminal)) process.stderr.write(`${line}\n`)
    const question = breakGlass
      ? 'Approve it alone, by break-glass?'
      : `Approve it${window === 'once' ? '' : ` (window ${shown(window)})`}?`
    if (!yes && !(await terminal.confirm(question))) {
      terminal.say('nothing was decided')
      return 1
    }
  }
  const decision: DecisionRequest = {
    verdict: 'approve',
    digest: approval.command.digest,
    reason,
    window,
    ...(breakGlass && { breakGlass }),
  }
  return decide(context, id, decision)
}

async function deny(context: Context, { reason }: { reason: string }, id: string): Promise<undefined> {
  const approval = await gatewayIn(context).get(Approval, path(id))
  return decide(context, id, { verdict: 'deny', digest: approval.command.digest, reason })
}

async function decide(context: Context, id: string, decision: DecisionRequest): Promise<undefined> {
  const { terminal } = context
  const after = await gatewayIn(context).post(Approval, `${path(id)}/decisions`, decision)
  if (context.json) terminal.json(after)
  const missing = after.requirements.filter(({ approvedBy, quorum }) => approvedBy.length < quorum)
  if (decision.verdict === 'deny') terminal.say(`denied: ${shown(id)}`)
  else if (after.state === 'pending')
    terminal.say(
      `your approval counts; it still needs ${missing.map(({ quorum, approvedBy, groups }) => `${quorum - approvedBy.length} of ${groups.map(shown).join(' or ')}`).join(' and ')}`,
    )
  else terminal.say(`approved: ${shown(id)} (${after.state})`)
}

async function watchApprovals(context: Context, { after }: { after?: string }): Promise<undefined> {
  const { terminal } = context
  await watch(
    gatewayIn(context),
    { after, concerns: ({ type }) => type.startsWith('approval.'), say: terminal.say },
    (message) => {
      if (context.json) return terminal.json(message)
      if (message.type === 'reset')
        return terminal.say('some of what happened is no longer kept: look at countersign approvals list')
      const { id, connection, identity, command } = message.data as Approval
      const words = [message.at, message.type, id, connection, identity.name, beginning(command.text)]
      terminal.out(words.map(shown).join('  '))
    },
  )
  return undefined
}
