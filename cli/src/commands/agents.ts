import { AgentAccess, type AgentPatch, AgentRecord } from '@countersign/contract/access'
import type { Command } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { segment } from '../gateway/gateway.ts'
import { print } from '../show/print.ts'
import { facts, table } from '../terminal/table.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { moment, shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'

/** agents: the registry. */
export function agentCommands(program: Command): void {
  const agents = group(program, 'agents', 'every agent that was seen or declared, and disabling it')
  listOptions(agents.command('list', { isDefault: true }))
    .description('agents')
    .option('--text <words>', 'with these words in names, owners or purpose')
    .option('--state <state>', 'active or disabled')
    .option('--connection <connection>', 'that had a session on it')
    .option('--orphans', 'for whom nobody answers')
    .action(runs(list))
  agents.command('show').argument('<id>', 'ISSUER#SUBJECT').description('an agent').action(runs(show))
  agents
    .command('access')
    .argument('<id>', 'ISSUER#SUBJECT')
    .description('what it may do, beside what it did')
    .action(runs(access))
  for (const verb of ['disable', 'enable'] as const)
    agents
      .command(verb)
      .argument('<id>', 'ISSUER#SUBJECT')
      .description(
        verb === 'disable'
          ? 'end its sessions, grants and tokens, and take it no more'
          : 'take it again; it asks for access anew',
      )
      .option('--reason <text>', 'why')
      .action(
        runs((context, { reason }: { reason?: string }, id: string) => change(context, id, verb === 'disable', reason)),
      )
}

interface AgentFilter extends ListOptions {
  text?: string
  state?: string
  connection?: string
  orphans?: boolean
}

async function list(context: Context, options: AgentFilter): Promise<undefined> {
  const { text, state, connection } = options
  const query = { text, state, connection, orphans: options.orphans ? 'true' : undefined }
  await listed(context, options, AgentRecord, '/v1/agents', query, (found) =>
    found.length === 0
      ? ['no agents']
      : table(
          ['ID', 'STATE', 'NAME', 'SPONSOR', 'SESSIONS', 'GRANTS', 'LAST SEEN'],
          found.map((one) => [
            one.id,
            one.orphan === undefined ? one.state : `${one.state}, ${one.orphan}`,
            one.name,
            one.sponsorName ?? one.sponsor ?? '',
            String(one.openSessions),
            String(one.liveGrants),
            one.lastSeenAt === undefined ? 'never' : moment(one.lastSeenAt),
          ]),
        ),
  )
}

const path = (id: string) => `/v1/agents/${segment(id)}`

async function show(context: Context, _options: object, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(AgentRecord, path(id)), agentLines)
}

async function access(context: Context, _options: object, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(AgentAccess, `${path(id)}/access`), accessLines)
}

function accessLines({ permitted, used, since }: AgentAccess): string[] {
  const may = permitted.map((one) => [
    one.connection,
    one.action,
    one.resource,
    one.verdict,
    one.grant ?? one.policies.join(', '),
  ])
  const did = used.map((one) => [
    one.connection,
    one.action,
    one.resource,
    ...[one.allowed, one.held, one.denied].map(String),
    moment(one.lastAt),
  ])
  return [
    ...table(['CONNECTION', 'ACTION', 'RESOURCE', 'MAY', 'BY'], may),
    '',
    `used since ${since.slice(0, 10)}`,
    ...table(['CONNECTION', 'ACTION', 'RESOURCE', 'ALLOWED', 'HELD', 'DENIED', 'LAST'], did),
  ]
}

async function change(context: Context, id: string, disabled: boolean, reason: string | undefined): Promise<undefined> {
  const patch: AgentPatch = { disabled, ...(reason !== undefined && { reason }) }
  print(context, await gatewayIn(context).post(AgentRecord, path(id), patch, 'PATCH'), agentLines)
}

function agentLines(agent: AgentRecord, { bold }: Pick<Terminal, 'bold'>): string[] {
  const { disabled, orphan, sponsor, sponsorName } = agent
  return [
    `${bold(shown(agent.id))}  ${agent.state}${orphan ? `, nobody answers for it: ${orphan}` : ''}`,
    ...facts([
      ['name', shown(agent.name)],
      ['disabled', disabled && `${moment(disabled.at)} by ${shown(disabled.by)}: ${shown(disabled.reason)}`],
      ['groups', agent.groups.map(shown).join(', ')],
      ['owner', agent.owner && shown(agent.owner)],
      ['sponsor', sponsor && `${sponsorName ? `${shown(sponsorName)} ` : ''}${shown(sponsor)}`],
      ['purpose', agent.purpose && shown(agent.purpose)],
      ['environment', agent.environment && shown(agent.environment)],
      ['acts for', agent.actsFor.map(shown).join(', ')],
      ['keys', agent.keys.map(({ fingerprint }) => shown(fingerprint)).join(', ')],
      ['first seen', agent.firstSeenAt && moment(agent.firstSeenAt)],
      ['last seen', agent.lastSeenAt && moment(agent.lastSeenAt)],
      ['now', `${agent.openSessions} sessions, ${agent.liveGrants} grants`],
    ]),
    ...agent.connections.map(
      ({ connection, lastUsedAt, sessions }) =>
        `    ${shown(connection)}: ${sessions} sessions, last ${moment(lastUsedAt)}`,
    ),
  ]
}
