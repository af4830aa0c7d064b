import { Session } from '@countersign/contract/session'
import { type Command, Option } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { misuse } from '../errors.ts'
import { download } from '../gateway/download.ts'
import { segment } from '../gateway/gateway.ts'
import { agentText, connectionText } from '../show/approval.ts'
import { print } from '../show/print.ts'
import { facts, table } from '../terminal/table.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { block, moment, shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'
import { timeIn } from './options.ts'

/** sessions: who is and was connected, and what was recorded of it. */
export function sessionCommands(program: Command): void {
  const sessions = group(program, 'sessions', 'who is and was connected, and ending it')
  listOptions(sessions.command('list', { isDefault: true }))
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
  sessions
    .command('export')
    .argument('<id>')
    .argument('<file>')
    .description('its recording, a channel of it that asciinema plays, or an evidence bundle')
    .addOption(new Option('--as-form <form>', 'what').choices(Object.keys(forms)).default('recording'))
    .option('--channel <channel>', 'of a cast: which channel; without it the first with a command or a shell')
    .action(runs(exportTo))
}

/** What there is of a session as a file. */
const forms = {
  recording: '/recording',
  cast: '/recording?format=asciicast',
  'cast-v2': '/recording?format=asciicast&version=2',
  bundle: '/bundle',
} as const

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

async function exportTo(
  context: Context,
  { asForm, channel }: { asForm: keyof typeof forms; channel?: string },
  id: string,
  file: string,
): Promise<undefined> {
  if (channel !== undefined && !asForm.startsWith('cast')) throw misuse('only a cast is of one channel: --as-form cast')
  const one = channel === undefined ? '' : `&channel=${segment(channel)}`
  const bytes = await download(gatewayIn(context), `/v1/sessions/${segment(id)}${forms[asForm]}${one}`, file)
  if (context.json) context.terminal.json({ file, bytes })
  const what = {
    recording: '',
    cast: ': asciinema plays it',
    'cast-v2': ': asciinema plays it',
    bundle: ': countersign verify checks it',
  }[asForm]
  context.terminal.say(`${bytes} bytes written to ${shown(file)}${what}`)
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
