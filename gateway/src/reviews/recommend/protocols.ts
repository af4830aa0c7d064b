/** What a generated policy has to know of a protocol. */
export interface Protocol {
  /** The group of its actions in the schema. */
  group: string
  /** Always let pass, since no client works without: opening, the catalogs that hold no data, discovery. */
  needs: readonly string[]
  /** What of the context the verb of an effect is; absent: nothing, the action is verb enough. */
  verb?: (action: string) => string | undefined
}

/** By a connection's kind. */
const protocols: Record<string, Protocol> = {
  postgres: { group: 'sql', needs: ['sql:connect'], verb: () => 'context.command.kind' },
  ssh: {
    group: 'ssh',
    needs: ['ssh:connect'],
    verb: (action) => (action === 'ssh:exec' ? 'context.command.program' : undefined),
  },
  kubernetes: { group: 'k8s', needs: ['k8s:connect'] },
  http: { group: 'http', needs: [], verb: () => 'context.command.method' },
  mcp: { group: 'mcp', needs: ['mcp:connect', 'mcp:list'] },
}

/** @throws Error of a kind of connection that is not known: nothing may be generated for it */
export function protocolOf(kind: string): Protocol {
  const protocol = protocols[kind]
  if (!protocol) throw new Error(`connections of kind ${kind} can’t be reduced`)
  return protocol
}
