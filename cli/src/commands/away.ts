import { Delegation, type DelegationRequest } from '@countersign/contract/access'
import type { Command } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { misuse } from '../errors.ts'
import { segment } from '../gateway/gateway.ts'
import { personOf } from '../show/person.ts'
import { print } from '../show/print.ts'
import { table } from '../terminal/table.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { moment, shown } from '../terminal/text.ts'
import { type ListOptions, listed, listOptions } from './list.ts'
import { parts, timeIn } from './options.ts'

/** away: who decides in one's place meanwhile. */
export function awayCommands(program: Command): void {
  const away = program
    .command('away')
    .description('hand the duty to decide over to somebody while you are away')
    .option('--until <time>', 'when you are back: a time, or a duration such as 2d')
    .option('--to <person>', 'who decides meanwhile: id, e-mail, subject or name')
    .option('--since <time>', 'from then on; from now on where nothing is said')
    .option('--groups <groups>', 'the duty of these groups; all of yours where nothing is said', parts)
    .option('--reason <text>', 'why', 'away')
    .addHelpText('after', '\nexample: countersign away --until 2026-12-01T09:00 --to ben@example.com')
    .action(runs(begin))
  listOptions(away.command('list')).description('who decides in whose place').action(runs(list))
  away
    .command('end')
    .argument('<id>')
    .description('you are back')
    .option('--reason <text>', 'why', '')
    .action(runs(end))
}

interface AwayOptions {
  until?: string
  to?: string
  since?: string
  groups?: string[]
  reason: string
}

async function begin(context: Context, { until, to, since, groups, reason }: AwayOptions): Promise<undefined> {
  if (until === undefined || to === undefined)
    throw misuse('until when, and who decides meanwhile? give --until TIME and --to PERSON')
  const gateway = gatewayIn(context)
  const body: DelegationRequest = {
    to: await personOf(gateway, to),
    until: timeIn('--until', until, 'ahead'),
    reason,
    ...(since !== undefined && { since: timeIn('--since', since, 'ahead') }),
    ...(groups && { groups }),
  }
  print(context, await gateway.post(Delegation, '/v1/delegations', body), delegationLines)
}

async function list(context: Context, options: ListOptions): Promise<undefined> {
  await listed(context, options, Delegation, '/v1/delegations', {}, (found) =>
    found.length === 0
      ? ['nobody decides in another’s place']
      : table(
          ['ID', 'STATE', 'FROM', 'TO', 'SINCE', 'UNTIL', 'GROUPS'],
          found.map((one) => [
            one.id,
            one.state,
            one.from.name,
            one.to.name,
            moment(one.since),
            moment(one.until),
            one.groups.join(', '),
          ]),
        ),
  )
}

async function end(context: Context, { reason }: { reason: string }, id: string): Promise<undefined> {
  print(
    context,
    await gatewayIn(context).post(Delegation, `/v1/delegations/${segment(id)}/end`, { reason }),
    delegationLines,
  )
}

function delegationLines(
  { id, state, from, to, groups, since, until }: Delegation,
  { bold }: Pick<Terminal, 'bold'>,
): string[] {
  const duty = groups.map(shown).join(', ')
  return [
    `${bold(shown(id))}  ${state}: ${shown(to.name)} decides in place of ${shown(from.name)} for ${duty}`,
    `  from ${moment(since)} until ${moment(until)}`,
  ]
}
