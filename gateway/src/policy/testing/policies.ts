import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionRef, Effect } from '../../gate/command.ts'
import type { AgentPrincipal } from '../../identity/principal.ts'
import { type LoadResult, loadPolicies, type Policies } from '../policy.ts'

/** Loads policies from a folder made of these files; the folder is gone afterwards. */
export async function load(files: Record<string, string | Uint8Array>): Promise<LoadResult> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-policy-'))
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    return await loadPolicies(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

export async function policiesOf(text: string): Promise<Policies> {
  const loaded = await load({ 'base.cedar': text })
  if (!loaded.ok) throw new Error(loaded.problems.map((p) => `${p.file}:${p.line}: ${p.message}`).join('\n'))
  return loaded.policies
}

export const orders: ConnectionRef = { name: 'orders', kind: 'postgres', tags: ['production'], mode: 'enforce' }

export const bot: AgentPrincipal = {
  kind: 'agent',
  id: 'https://idp.example.com#bot',
  issuer: 'https://idp.example.com',
  subject: 'bot',
  name: 'Deploy bot',
  groups: ['ci-agents'],
  expiresAt: new Date('2030-01-01T00:00:00Z'),
}

/** An effect on a table of `orders`. */
export function onTable(action: string, table: string, command: Effect['command'] = {}): Effect {
  return {
    action,
    resource: { type: 'Table', id: `orders/public.${table}`, attrs: { schema: 'public', name: table } },
    command: { kind: action.split(':')[1]!, bounded: true, functions: [], ...command },
    object: '16384',
  }
}

/** The policies of contract.md section 4, verbatim. */
export const CONTRACT_EXAMPLE = `
permit (principal in Group::"ci-agents", action in [Action::"sql:connect", Action::"sql:read", Action::"sql:write"],
        resource in Connection::"orders");

@id("unbounded-delete") @hold("oncall-dba") @quorum("2") @reason("Deletes every row")
forbid (principal, action == Action::"sql:write", resource in Connection::"orders")
when   { context.command.kind == "delete" && !context.command.bounded }
unless { context has approval };

permit (principal in Group::"support-agents", action == Action::"data:reveal", resource == DataClass::"email");
`
