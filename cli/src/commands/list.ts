import { type Command, Option } from 'commander'
import type { z } from 'zod'
import { type Context, gatewayIn } from '../context.ts'
import { misuse } from '../errors.ts'
import type { Query } from '../gateway/gateway.ts'
import { shown } from '../terminal/text.ts'

export interface ListOptions {
  limit?: string
  after?: string
  all?: boolean
}

/** The options of every list. */
export function listOptions(command: Command): Command {
  return command
    .option('--limit <n>', 'at most so many, up to 10,000 (100 where nothing is said)')
    .option('--after <next>', 'the page behind another one: its next')
    .addOption(new Option('--all', 'every page').conflicts(['limit', 'after']))
}

/** Prints a list of the API: its page as JSON, or lines, and how to get what is behind it. */
export async function listed<S extends z.ZodType>(
  context: Context,
  { limit, after, all = false }: ListOptions,
  item: S,
  path: string,
  query: Query,
  lines: (items: z.output<S>[]) => string[],
): Promise<void> {
  if (limit !== undefined && !/^[1-9]\d{0,4}$/.test(limit)) throw misuse('--limit takes a number up to 10,000')
  const page = await gatewayIn(context).list(
    item,
    path,
    { ...query, limit: limit === undefined ? undefined : Number(limit), after },
    all,
  )
  if (context.json) return context.terminal.json(page)
  for (const line of lines(page.items)) context.terminal.out(line)
  if (page.next !== null) context.terminal.say(`there are more: --after ${shown(page.next)}, or --all`)
}
