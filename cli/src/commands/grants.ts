import { Grant, type GrantRequest } from '@countersign/contract/access'
import type { Command } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { type Exit, exits } from '../errors.ts'
import { type Gateway, Refusal, segment } from '../gateway/gateway.ts'
import { waitFor, watch } from '../gateway/wait.ts'
import { beginning } from '../show/approval.ts'
import { grantTable, showGrant } from '../show/grant.ts'
import { print } from '../show/print.ts'
import { shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'
import { durationOf, parts, secondsIn } from './options.ts'

/** grants: access just in time, asked for, seen, prolonged and given back. */
export function grantCommands(program: Command): void {
  const grants = group(program, 'grants', 'access just in time: asked for, seen, extended, revoked')
  listOptions(grants.command('list', { isDefault: true }))
    .description('grants, newest first')
    .option('--state <state>', 'requested, active, expired, revoked or denied')
    .option('--agent <id>', 'of this agent')
    .option('--connection <connection>', 'for this connection')
    .option('--plan <id>', 'of this plan')
    .option('--text <words>', 'with these words in purpose or names')
    .action(runs(list))
  grants.command('show').argument('<id>').description('a grant').action(runs(show))
  grants
    .command('request')
    .argument('<connection>')
    .description('ask for access; exits 0 active, 1 denied, 3 not decided yet')
    .requiredOption('--actions <actions>', 'with commas: sql:read,sql:write, or a group such as sql', parts)
    .option(
      '--resources <resources>',
      'with commas: orders/public.customers, orders/public.*; all where nothing is said',
      parts,
    )
    .option('--for <duration>', 'how long', '30m')
    .requiredOption('--purpose <text>', 'what it is for')
    .option('--agent <id>', 'for this agent: people say for which')
    .option('--on-behalf-of <subject>', 'whom that agent acts for then')
    .option('--wait', 'until it is decided')
    .option('--timeout <duration>', 'wait no longer than that')
    .addHelpText(
      'after',
      '\nexample: countersign grants request orders --actions sql:read --for 30m --purpose "month end" --wait',
    )
    .action(runs(request))
  grants
    .command('extend')
    .argument('<id>')
    .description('ask for more time: a decision of its own; what is there goes on meanwhile')
    .option('--for <duration>', 'how long', '30m')
    .requiredOption('--purpose <text>', 'what it is still for')
    .option('--wait', 'until it is decided')
    .option('--timeout <duration>', 'wait no longer than that')
    .action(runs(extend))
  grants
    .command('revoke')
    .argument('<id>')
    .description('end it, and the sessions it carries, at once')
    .option('--reason <text>', 'why', '')
    .action(runs(revoke))
  grants
    .command('watch')
    .description('what becomes of grants, as it happens')
    .option('--after <seq>', 'from behind that message of the feed')
    .action(runs(watchGrants))
}

interface Wait {
  wait?: boolean
  timeout?: string
}

const path = (id: string) => `/v1/grants/${segment(id)}`

async function list(context: Context, options: ListOptions & Record<string, string | undefined>): Promise<undefined> {
  const { state, agent, connection, plan, text } = options
  await listed(context, options, Grant, '/v1/grants', { state, agent, connection, plan, text }, grantTable)
}

async function show(context: Context, _options: object, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(Grant, path(id)), showGrant)
}

interface RequestOptions extends Wait {
  actions: string[]
  resources?: string[]
  for: string
  purpose: string
  agent?: string
  onBehalfOf?: string
}

async function request(context: Context, options: RequestOptions, connection: string): Promise<Exit> {
  const { actions, resources, purpose, agent, onBehalfOf } = options
  const body: GrantRequest = {
    connection,
    actions,
    duration: durationOf('--for', options.for),
    purpose,
    ...(resources && { resources }),
    ...(agent !== undefined && { agent }),
    ...(onBehalfOf !== undefined && { onBehalfOf }),
  }
  return asked(context, options, '/v1/grants', body)
}

async function extend(context: Context, options: Wait & { for: string; purpose: string }, id: string): Promise<Exit> {
  const { purpose } = options
  return asked(context, options, `${path(id)}/extend`, { duration: durationOf('--for', options.for), purpose })
}

/** Asks, waits where that is wanted, prints what became of it, and answers the exit status. */
async function asked(context: Context, { wait = false, timeout }: Wait, where: string, body: unknown): Promise<Exit> {
  const patience = secondsIn('--timeout', timeout)
  const gateway = gatewayIn(context)
  let grant: Grant
  try {
    grant = await askFor(gateway, where, body)
  } catch (error) {
    // The grant of a refusal is worth showing: it says which policy it was.
    const denied = error instanceof Refusal ? Grant.safeParse(error.problem.grant) : undefined
    if (denied?.success)
      print(context, error instanceof Refusal ? (error.problem.grant as Grant) : denied.data, showGrant)
    throw error
  }
  if (wait && grant.state === 'requested') {
    context.terminal.say(
      `asked for as ${shown(grant.id)}${grant.approval ? `, held for approval ${shown(grant.approval)}` : ''}; waiting for people`,
    )
    grant = await decided(gateway, grant, patience)
  }
  print(context, grant, showGrant)
  return exitOf(context, grant)
}

export function askFor(gateway: Gateway, where: string, body: unknown): Promise<Grant> {
  return gateway.post(Grant, where, body)
}

/** A grant once it is requested no longer, or when the patience (seconds) is over. */
export function decided(gateway: Gateway, { id }: Grant, patience?: number): Promise<Grant> {
  return waitFor(gateway, {
    look: () => gateway.get(Grant, path(id)),
    isOver: ({ state }) => state !== 'requested',
    concerns: (message) => message.type.startsWith('grant.') && (message.data as Grant).id === id,
    timeout: patience === undefined ? undefined : patience * 1000,
  })
}

function exitOf({ terminal }: Context, { id, state, endedBecause }: Grant): Exit {
  const why = endedBecause ? `: ${shown(endedBecause)}` : ''
  switch (state) {
    case 'active':
      return exits.done
    case 'requested':
      terminal.say(`not decided yet: countersign grants show ${shown(id)}`)
      return exits.pending
    case 'denied':
    case 'expired':
    case 'revoked':
      terminal.say(`${state}${why}`)
      return exits.refused
  }
}

async function revoke(context: Context, { reason }: { reason: string }, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).post(Grant, `${path(id)}/revoke`, { reason }), showGrant)
}

async function watchGrants(context: Context, { after }: { after?: string }): Promise<undefined> {
  const { terminal } = context
  await watch(
    gatewayIn(context),
    { after, concerns: ({ type }) => type.startsWith('grant.'), say: terminal.say },
    (message) => {
      if (context.json) return terminal.json(message)
      if (message.type === 'reset')
        return terminal.say('some of what happened is no longer kept: look at countersign grants list')
      const { id, connection, identity, actions, purpose } = message.data as Grant
      const words = [message.at, message.type, id, connection, identity.name, actions.join(','), beginning(purpose)]
      terminal.out(words.map(shown).join('  '))
    },
  )
  return undefined
}
