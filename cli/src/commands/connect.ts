import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Endpoints, Grant, type GrantRequest, type TokenAnswer } from '@countersign/contract/access'
import { type Command, Option } from 'commander'
import { endAs, runClient } from '../connect/client.ts'
import { postgresEnvironment } from '../connect/postgres.ts'
import { privateFolder } from '../connect/private-folder.ts'
import { sshSetting } from '../connect/ssh.ts'
import { type Context, gatewayIn, runs, senderIn } from '../context.ts'
import { CliError, exits, misuse, refused } from '../errors.ts'
import { getOpenly, segment } from '../gateway/gateway.ts'
import { giveBack } from '../subject/exchange.ts'
import { moment, shown } from '../terminal/text.ts'
import { askFor, decided } from './grants.ts'
import { durationOf, parts, secondsIn } from './options.ts'
import { gatewayToken, type TokenOptions, tokenOptions } from './token.ts'

const kinds = ['postgres', 'ssh'] as const
type Kind = (typeof kinds)[number]
const called: Record<Kind, string> = { postgres: 'PostgreSQL', ssh: 'SSH' }

/** connect: runs a client with everything set. */
export function connectCommand(program: Command): void {
  tokenOptions(
    program
      .command('connect')
      .argument('<connection>')
      .argument('<client...>', 'behind --: the client and what it is given'),
  )
    .description('run a client on a connection, with address, token and settings in place')
    .usage('[options] <connection> -- CLIENT [ARGUMENTS]')
    .addOption(
      new Option('--hold <what>', 'what a held command does: wait for people, or fail at once').choices([
        'wait',
        'fail',
      ]),
    )
    .addOption(new Option('--kind <kind>', 'what the connection speaks, where the client doesn’t tell').choices(kinds))
    .option(
      '--request <actions>',
      'ask for a grant first, for these actions, with commas; it is given back at the end',
      parts,
    )
    .option('--resources <resources>', 'with --request: of these resources only', parts)
    .option('--for <duration>', 'with --request: how long', '30m')
    .option('--wait', 'with --request: until people have decided; else it ends with 3')
    .option('--timeout <duration>', 'with --wait: no longer than that')
    .option('--keep', 'give back neither token nor grant at the end, for a client that goes on in the background')
    .option('--password-variable', 'the token as PGPASSWORD, for clients that read no PGPASSFILE')
    .addHelpText(
      'after',
      '\nexample: countersign connect orders --purpose "month end" --request sql:read --for 30m --wait -- psql -c "TABLE orders"',
    )
    .action(runs(connect))
}

interface ConnectOptions extends TokenOptions {
  hold?: 'wait' | 'fail'
  kind?: Kind
  request?: string[]
  resources?: string[]
  for: string
  wait?: boolean
  timeout?: string
  keep?: boolean
  passwordVariable?: boolean
}

async function connect(
  context: Context,
  options: ConnectOptions,
  connection: string,
  command: string[],
): Promise<number> {
  const { env } = context
  const kind = options.kind ?? kindOf(command[0]!)
  const sender = senderIn(context)
  const endpoints = await getOpenly(sender, Endpoints, '/.well-known/countersign')
  if (endpoints[kind] === undefined)
    throw new CliError(
      exits.notRun,
      `this gateway has no listener for ${called[kind]}: tell its operator (${kind}.listen)`,
    )
  const grant = await whatIsNeeded(context, options, connection)
  if (grant?.state === 'requested') return exits.pending
  let answer: TokenAnswer | undefined
  try {
    answer = await beforehand(() =>
      gatewayToken(context, { ...options, ...(grant && { grant: grant.id }) }, connection),
    )
    using folder = privateFolder(env)
    const { purpose, hold } = options
    const setting = {
      listener: endpoints[kind],
      tls: endpoints.tls,
      gateway: sender.base,
      ca: sender.ca,
      connection,
      token: answer.access_token,
      purpose,
      hold,
    }
    const { command: whole, changes } =
      kind === 'ssh'
        ? sshSetting(
            {
              ...setting,
              hostKey: endpoints.ssh_host_key,
              self: fileURLToPath(new URL('../../bin/countersign.js', import.meta.url)),
            },
            folder,
            command,
          )
        : {
            command,
            changes: postgresEnvironment({ ...setting, inEnvironment: options.passwordVariable ?? false }, folder, env),
          }
    const ended = await runClient(whole, changes, env)
    folder[Symbol.dispose]()
    await handBack(context, options, answer, grant)
    answer = undefined
    return endAs(ended)
  } finally {
    if (answer) await handBack(context, options, answer, grant)
  }
}

/** A grant where one is to be asked for: active, or still requested where nobody waits. @throws CliError 126 where it is refused */
async function whatIsNeeded(context: Context, options: ConnectOptions, connection: string): Promise<Grant | undefined> {
  const { request: actions, resources, purpose, timeout } = options
  if (!actions) {
    if (options.wait || resources || timeout)
      throw misuse('--wait, --timeout and --resources go with --request ACTIONS')
    return undefined
  }
  if (options.grant !== undefined) throw misuse('--grant names a grant, --request asks for one: give one of them')
  if (purpose === undefined) throw misuse('--request needs --purpose: people decide by it')
  const body: GrantRequest = {
    connection,
    actions,
    duration: durationOf('--for', options.for),
    purpose,
    ...(resources && { resources }),
  }
  const patience = secondsIn('--timeout', timeout)
  const gateway = gatewayIn({ ...context, options: { ...context.options, as: 'agent' } })
  const { terminal } = context
  return beforehand(async () => {
    const asked = await askFor(gateway, '/v1/grants', body)
    if (asked.state !== 'requested') return active(asked)
    const held = `asked for as ${shown(asked.id)}${asked.approval ? `, held for approval ${shown(asked.approval)}` : ''}`
    terminal.say(
      options.wait
        ? `${held}; waiting for people`
        : `${held}: once it is given, connect with --grant ${shown(asked.id)}`,
    )
    if (!options.wait) return asked
    const grant = await decided(gateway, asked, patience)
    if (grant.state !== 'requested') return active(grant)
    terminal.say(`not decided yet: once it is given, connect with --grant ${shown(grant.id)}`)
    return grant
  })

  function active(grant: Grant): Grant {
    if (grant.state !== 'active')
      throw refused(`access is ${grant.state}${grant.endedBecause ? `: ${shown(grant.endedBecause)}` : ''}`)
    if (grant.expiresAt !== undefined) terminal.say(`access as ${shown(grant.id)}, until ${moment(grant.expiresAt)}`)
    return grant
  }
}

/** What is refused before the client runs ends with 126, as a command that SSH refuses. */
async function beforehand<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof CliError && error.exit === exits.refused)
      throw new CliError(exits.notRun, error.message, { cause: error })
    throw error
  }
}

/** A task's access ends with the task. A courtesy: both end by themselves, too. */
async function handBack(
  context: Context,
  { keep = false }: ConnectOptions,
  answer: TokenAnswer,
  grant: Grant | undefined,
): Promise<void> {
  if (keep) return
  try {
    await giveBack(senderIn(context), answer.access_token)
    if (grant)
      await gatewayIn({ ...context, options: { ...context.options, as: 'agent' } }).post(
        Grant,
        `/v1/grants/${segment(grant.id)}/revoke`,
        {
          reason: 'the task has ended',
        },
      )
  } catch (error) {
    context.terminal.say(`access could not be given back, and ends by itself: ${(error as Error).message}`)
  }
}

/** What a client speaks, by its name. */
function kindOf(client: string): Kind {
  const name = basename(client).replace(/\.exe$/i, '')
  return ['ssh', 'scp', 'sftp', 'rsync', 'git', 'sshfs', 'ansible', 'ansible-playbook'].includes(name)
    ? 'ssh'
    : 'postgres'
}
