import { AccessAnswer } from '@countersign/contract/access'
import type { Command } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { table } from '../terminal/table.ts'
import { moment, shown } from '../terminal/text.ts'
import { timeIn } from './options.ts'

/** access: who could do what at a time. */
export function accessCommand(program: Command): void {
  program
    .command('access')
    .description('who could do what at a time')
    .option('--at <time>', 'that time, or how long ago; now where nothing is said')
    .option('--agent <id>', 'this agent')
    .option('--connection <connection>', 'on this connection')
    .option('--action <action>', 'this action, for example sql:write')
    .option('--limit <n>', 'at most so many lines')
    .option('--after <next>', 'the page behind another one: its next')
    .addHelpText('after', '\nexample: countersign access --at 2026-11-17T14:00 --connection orders')
    .action(runs(access))
}

async function access(context: Context, options: Record<string, string | undefined>): Promise<undefined> {
  const { agent, connection, action, limit, after } = options
  const at = timeIn('--at', options.at ?? '1s', 'ago')
  const answer = await gatewayIn(context).get(AccessAnswer, '/v1/access', {
    at,
    agent,
    connection,
    action,
    limit,
    after,
  })
  const { terminal } = context
  if (context.json) return void terminal.json(answer)
  terminal.out(`at ${moment(answer.at)}, policy ${shown(answer.policy)}`)
  const rows = answer.items.map(({ agent: id, connection: on, action: what, resource, verdict, through }) => [
    id,
    on,
    what,
    resource,
    verdict,
    through.kind === 'grant'
      ? `grant ${through.grant}${through.approvedBy.length > 0 ? ` by ${through.approvedBy.join(', ')}` : ''}`
      : through.policies.join(', '),
  ])
  for (const line of rows.length === 0
    ? ['nobody could do anything']
    : table(['AGENT', 'CONNECTION', 'ACTION', 'RESOURCE', 'VERDICT', 'THROUGH'], rows))
    terminal.out(line)
  if (answer.next !== null) terminal.say(`there is more: --after ${shown(answer.next)}`)
}
