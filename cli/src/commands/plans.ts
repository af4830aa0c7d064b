import { Plan, PlanRequest } from '@countersign/contract/access'
import type { Command } from 'commander'
import { type Context, gatewayIn, runs } from '../context.ts'
import { type Exit, exits, misuse } from '../errors.ts'
import { segment } from '../gateway/gateway.ts'
import { waitFor } from '../gateway/wait.ts'
import { planTable, showPlan } from '../show/grant.ts'
import { print } from '../show/print.ts'
import { fromFile } from '../subject/sources.ts'
import { shown } from '../terminal/text.ts'
import { group } from './group.ts'
import { type ListOptions, listed, listOptions } from './list.ts'
import { secondsIn } from './options.ts'

/** plans: what a planner wants its executors to do, each step with a grant of its own, decided as one. */
export function planCommands(program: Command): void {
  const plans = group(program, 'plans', 'several grants that are asked for and decided as one')
  listOptions(plans.command('list', { isDefault: true }))
    .description('plans, newest first')
    .action(runs(list))
  plans.command('show').argument('<id>').description('a plan and its grants').action(runs(show))
  plans
    .command('request')
    .argument(
      '<file>',
      'JSON {title, purpose, steps: [{title, connection, actions, duration, …}]}; - is standard input',
    )
    .description('ask for a plan; exits 0 active, 1 denied, 3 not decided yet')
    .option('--wait', 'until it is decided')
    .option('--timeout <duration>', 'wait no longer than that')
    .action(runs(request))
}

const path = (id: string) => `/v1/plans/${segment(id)}`

async function list(context: Context, options: ListOptions): Promise<undefined> {
  await listed(context, options, Plan, '/v1/plans', {}, planTable)
}

async function show(context: Context, _options: object, id: string): Promise<undefined> {
  print(context, await gatewayIn(context).get(Plan, path(id)), showPlan)
}

async function request(context: Context, options: { wait?: boolean; timeout?: string }, file: string): Promise<Exit> {
  const patience = secondsIn('--timeout', options.timeout)
  const gateway = gatewayIn(context)
  let plan = await gateway.post(Plan, '/v1/plans', planIn(file))
  if (options.wait && plan.state === 'requested') {
    context.terminal.say(
      `asked for as ${shown(plan.id)}${plan.approval ? `, held for approval ${shown(plan.approval)}` : ''}; waiting for people`,
    )
    const { id } = plan
    plan = await waitFor(gateway, {
      look: () => gateway.get(Plan, path(id)),
      isOver: ({ state }) => state !== 'requested',
      concerns: (message) => message.type.startsWith('grant.') && (message.data as { plan?: string }).plan === id,
      timeout: patience === undefined ? undefined : patience * 1000,
    })
  }
  print(context, plan, showPlan)
  if (plan.state === 'active') return exits.done
  context.terminal.say(
    plan.state === 'requested' ? `not decided yet: countersign plans show ${shown(plan.id)}` : plan.state,
  )
  return plan.state === 'requested' ? exits.pending : exits.refused
}

/** @throws CliError that says where the file is wrong */
function planIn(file: string): PlanRequest {
  let given: unknown
  try {
    given = JSON.parse(fromFile(file))
  } catch (error) {
    if (error instanceof SyntaxError) throw misuse(`${shown(file)} is no JSON: ${shown(error.message)}`)
    throw error
  }
  const parsed = PlanRequest.safeParse(given)
  if (parsed.success) return given as PlanRequest
  const wrong = parsed.error.issues.slice(0, 3).map(({ path: at, message }) => `${at.join('.') || 'it'}: ${message}`)
  throw misuse(`${shown(file)} is no plan: ${shown(wrong.join('; '))}`)
}
