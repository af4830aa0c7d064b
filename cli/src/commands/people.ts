import { PersonRecord } from '@countersign/contract/access'
import type { Command } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { segment } from '../gateway/gateway.ts'
import { personOf } from '../show/person.ts'
import { print } from '../show/print.ts'
import { facts, table } from '../terminal/table.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { moment, shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'

/** people: who has signed in, and saying that somebody has left. */
export function peopleCommands(program: Command): void {
  const people = group(program, 'people', 'everybody who has signed in, and saying that somebody has left')
  listOptions(people.command('list', { isDefault: true }))
    .description('people, by name')
    .option('--text <words>', 'with these words in names, addresses or groups')
    .action(runs(list))
  for (const verb of ['left', 'returned'] as const)
    people
      .command(verb)
      .argument('<person>', 'ISSUER#SUBJECT, e-mail address or name')
      .description(
        verb === 'left'
          ? 'their tokens are worth nothing here, delegations end, nobody answers for their agents'
          : 'they are here again: take the mark away',
      )
      .requiredOption('--reason <text>', 'why')
      .action(
        runs((context, options: { reason: string }, who: string) =>
          mark(context, verb === 'left', options.reason, who),
        ),
      )
}

async function list(context: Context, options: ListOptions & { text?: string }): Promise<undefined> {
  await listed(context, options, PersonRecord, '/v1/people', { text: options.text }, (found) =>
    found.length === 0
      ? ['nobody']
      : table(
          ['ID', 'NAME', 'E-MAIL', 'ROLES', 'LAST SEEN', 'LEFT'],
          found.map(({ id, name, email = '', roles, lastSeenAt, left }) => [
            id,
            name,
            email,
            roles.join(', '),
            moment(lastSeenAt),
            left ? `says ${left.by}: ${left.reason}` : '',
          ]),
        ),
  )
}

async function mark(context: Context, left: boolean, reason: string, who: string): Promise<undefined> {
  const gateway = gatewayIn(context)
  const path = `/v1/people/${segment(await personOf(gateway, who))}/left`
  print(context, await gateway.post(PersonRecord, path, { left, reason }), personLines)
}

function personLines(person: PersonRecord, { bold }: Pick<Terminal, 'bold'>): string[] {
  const { id, name, email, groups, roles, lastSeenAt, left } = person
  return [
    `${bold(shown(name))}  ${shown(id)}`,
    ...facts([
      ['left', left && `${moment(left.at)}, says ${shown(left.by)}: ${shown(left.reason)}`],
      ['e-mail', email && shown(email)],
      ['groups', groups.map(shown).join(', ')],
      ['roles', roles.join(', ')],
      ['last seen', moment(lastSeenAt)],
    ]),
  ]
}
