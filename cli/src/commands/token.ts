import type { TokenAnswer } from '@countersign/contract/access'
import type { Command } from 'commander'
import { type Context, runs, senderIn } from '../context.ts'
import { misuse } from '../errors.ts'
import { exchange } from '../subject/exchange.ts'
import { actorToken, subjectToken } from '../subject/sources.ts'
import { secondsIn } from './options.ts'

export interface TokenOptions {
  purpose?: string
  lifetime?: string
  grant?: string
  resource?: string
  actorTokenFile?: string
}

/** The options of whatever gets a token of the gateway's. */
export function tokenOptions(command: Command): Command {
  return command
    .option('--purpose <text>', 'why, as people read it')
    .option('--lifetime <duration>', 'how long the token is to hold, within what the gateway allows')
    .option('--grant <id>', 'good for this grant alone')
    .option('--actor-token-file <file>', 'token of the agent that acts for the subject (RFC 8693)')
}

/** token: prints a gateway token for an agent's own. */
export function tokenCommand(program: Command): void {
  tokenOptions(program.command('token').argument('[connection]', 'the connection that it is for'))
    .description("exchange the agent's own token for one of the gateway's, bound to a connection")
    .option('--resource <url>', 'the connection by its URL, instead of its name')
    .addHelpText(
      'after',
      '\nexample: PGPASSWORD="$(countersign token orders)" psql "host=gw.example.com dbname=orders user=any"',
    )
    .action(runs(token))
}

async function token(context: Context, options: TokenOptions, connection: string | undefined): Promise<undefined> {
  if (connection === undefined && options.resource === undefined)
    throw misuse('which connection? name it, or give --resource URL')
  const answer = await gatewayToken(context, options, connection)
  if (context.json) context.terminal.json(answer)
  else context.terminal.out(answer.access_token)
}

/** A token of the gateway's for this agent. @throws CliError */
export async function gatewayToken(
  context: Context,
  options: TokenOptions,
  connection: string | undefined,
): Promise<TokenAnswer> {
  const { env } = context
  const lifetime = secondsIn('--lifetime', options.lifetime)
  const sender = senderIn(context)
  const { purpose, grant, resource } = options
  const subject = await subjectToken(context.options, env)
  const actor = actorToken(options.actorTokenFile, env)
  return exchange(sender, { subject, actor, connection, resource, purpose, lifetime, grant })
}
