import { ConnectionRecord, Freeze } from '@countersign/contract/access'
import type { Command } from 'commander'
import { addressIn, type Context, gatewayIn, runs } from '../context.ts'
import { misuse } from '../errors.ts'
import { segment } from '../gateway/gateway.ts'
import { table } from '../terminal/table.ts'
import { moment, shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'

/** connections: what agents reach, and freezing it. */
export function connectionCommands(program: Command): void {
  const connections = group(program, 'connections', 'what agents reach, and freezing one or everything')
  listOptions(connections.command('list', { isDefault: true }))
    .description('connections, by name')
    .action(runs(list))
  for (const verb of ['freeze', 'unfreeze'] as const)
    connections
      .command(verb)
      .argument('[connection]')
      .description(verb === 'freeze' ? 'end its sessions, and take none' : 'take sessions again')
      .option('--everything', 'instead of one connection')
      .requiredOption('--reason <text>', 'why')
      .action(runs((context, options: FreezeOptions, name: string | undefined) => freeze(context, verb, options, name)))
}

interface FreezeOptions {
  everything?: boolean
  reason: string
}

async function list(context: Context, options: ListOptions): Promise<undefined> {
  await listed(context, options, ConnectionRecord, '/v1/connections', {}, (found) => {
    context.kept.keepNames(
      addressIn(context).origin,
      found.map(({ name }) => name),
    )
    const rows = found.map(({ name, kind, access, mode, tags, openSessions, liveGrants, freeze }) => [
      name,
      kind,
      access,
      mode,
      String(openSessions),
      String(liveGrants),
      freeze ? `frozen by ${freeze.by.name}: ${freeze.reason}` : tags.join(', '),
    ])
    return table(['NAME', 'KIND', 'ACCESS', 'MODE', 'SESSIONS', 'GRANTS', 'TAGS'], rows)
  })
}

async function freeze(
  context: Context,
  verb: 'freeze' | 'unfreeze',
  { everything = false, reason }: FreezeOptions,
  name: string | undefined,
): Promise<undefined> {
  if (everything === (name !== undefined)) throw misuse(`${verb} takes the name of a connection, or --everything`)
  const path = name === undefined ? `/v1/${verb}` : `/v1/connections/${segment(name)}/${verb}`
  const done = await gatewayIn(context).post(Freeze, path, { reason })
  if (context.json) return void context.terminal.json(done)
  const what = done.connection === '*' ? 'everything' : shown(done.connection)
  const { ended } = done
  context.terminal.out(
    ended ? `${what} was unfrozen ${moment(ended.at)}` : `${what} is frozen: its sessions end, and none begins`,
  )
}
