import { Session } from '@countersign/contract/session'
import type { Command } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { segment } from '../gateway/gateway.ts'
import { agentText, connectionText } from '../show/approval.ts'
import { print } from '../show/print.ts'
import { facts, table } from '../terminal/table.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { block, moment, shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'
import { timeIn } from './options.ts'

/** sessions: who is and was connected. */
export function sessionCommands(program: Command): void {
  const sessions = group(program, 'sessions', 'who is and was connected, and ending it')
  listOptions(sessions.command('list'))
    .description('sessions, newest first')
    .option('--state <state>', 'open, closed, terminated or interrupted')
    .option('--agent <id>', 'of this agent')
    .option('--connection <connection>', 'on this connection')
    .option('--from <time>', 'open at or after it: a time, or how long ago')
    .option('--to <time>', 'open at or before it')
    .option('--text <words>', 'with these words in one of its commands')
    .action(runs(list))
  sessions.command('show').argument('<id>').description('a session').action(runs(show))
  sessions
    .command('terminate')
    .argument('<id>')
    .description('end a live session')
    .option('--reason <text>', 'why; its client reads it', '')
    .action(runs(terminate))
}

async function list(context: Context, options: ListOptions & Record<string, string | undefined>): Promise<undefined> {
  const { state, agent, connection, text } = options
  const from = options.from && timeIn('--from', options.from, 'ago')
  const to = options.to && timeIn('--to', options.to, 'ago')
  await listed(context, options, Session, '/v1/sessions', { state, agent, connection, text, from, to }, (found) =>
    found.length === 0
      ? ['no sessions']
      : table(
          ['ID', 'STATE', 'CONNECTION', 'AGENT', 'OPENED', 'COMMANDS', 'HELD', 'DENIED'],
          found.map(({ id, state, connection, identity, openedAt, counts }) => [
            id,
            state,
            connection,
            identity.name,
            moment(openedAt),
            ...[counts.commands, counts.held, counts.denied].map(String),
          ]),
        ),
  )
}

async function show(context: Context, _options: object, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(Session, `/v1/sessions/${segment(id)}`), sessionLines)
}

async function terminate(context: Context, { reason }: { reason: string }, id: string): Promise<undefined> {
  print(
    context,
    await gatewayIn(context).post(Session, `/v1/sessions/${segment(id)}/terminate`, { reason }),
    sessionLines,
  )
  context.terminal.say(`told to end: ${shown(id)}`)
}

function sessionLines(session: Session, { bold }: Pick<Terminal, 'bold'>): string[] {
  const { client, counts, closedAt, closedBecause, purpose } = session
  return [
    `${bold(shown(session.id))}  ${session.state}`,
    ...facts([
      ['agent', agentText(session.identity)],
      ['connection', connectionText(session)],
      ['client', `${shown(client.address)}${client.application ? `, ${shown(client.application)}` : ''}`],
      ['opened', moment(session.openedAt)],
      ['closed', closedAt && `${moment(closedAt)}${closedBecause ? `: ${shown(closedBecause)}` : ''}`],
      ['commands', `${counts.commands}, held ${counts.held}, denied ${counts.denied}, failed ${counts.errors}`],
    ]),
    ...(purpose === undefined ? [] : ['  purpose', ...block(purpose)]),
  ]
}
