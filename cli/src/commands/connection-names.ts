import { setTimeout as pause } from 'node:timers/promises'
import { ConnectionRecord } from '@countersign/contract/access'
import type { Command } from 'commander'
import { addressIn, type Context, gatewayIn, runs } from '../context.ts'

/** Names are asked for again once they are older than that (ms). */
const fresh = 60_000
/** Nobody waits longer for a completion (ms). */
const patience = 1_500

/** connection-names: for completion in a shell. It is quick and silent: without an answer it gives what it knew, or nothing. */
export function connectionNamesCommand(program: Command): void {
  program.command('connection-names', { hidden: true }).action(runs(connectionNames))
}

async function connectionNames(context: Context): Promise<undefined> {
  const { kept, terminal } = context
  try {
    const { origin } = addressIn(context)
    const known =
      kept.names(origin, fresh) ?? (await asked(context, origin)) ?? kept.names(origin, Number.POSITIVE_INFINITY)
    for (const name of known ?? []) if (/^[a-z0-9][a-z0-9-]*$/.test(name)) terminal.out(name)
  } catch {
    // Somebody is typing: whatever is wrong they hear when they have finished.
  }
  return undefined
}

async function asked(context: Context, origin: string): Promise<string[] | undefined> {
  const limit = pause(patience, undefined, { ref: false })
  const answer = gatewayIn(context)
    .list(ConnectionRecord, '/v1/connections', { limit: 1000 })
    .then(({ items }) => items.map(({ name }) => name))
    .catch(() => undefined)
  const names = await Promise.race([answer, limit])
  if (names) context.kept.keepNames(origin, names)
  return names
}
