import type { Command } from 'commander'
import { type Context, runs } from '../context.ts'
import { gatewayToken, type TokenOptions, tokenOptions } from './token.ts'

/** kube-credential: what kubectl's exec plugin runs. */
export function kubeCredentialCommand(program: Command): void {
  tokenOptions(program.command('kube-credential').argument('<connection>'))
    .description("a token in the form that kubectl's exec plugin takes (ExecCredential v1)")
    .action(runs(kubeCredential))
}

async function kubeCredential(context: Context, options: TokenOptions, connection: string): Promise<undefined> {
  const since = Date.now()
  const { access_token: token, expires_in: seconds } = await gatewayToken(context, options, connection)
  context.terminal.json({
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token, expirationTimestamp: `${new Date(since + seconds * 1000).toISOString().slice(0, 19)}Z` },
  })
}
