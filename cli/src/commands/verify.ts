import type { Command } from 'commander'

/** verify: no gateway and no network is asked. */
export function verifyCommand(program: Command): void {
  program
    .command('verify')
    .argument('<file>', 'an evidence bundle')
    .description('check an evidence bundle: exits 0 whole, 1 broken or incomplete, 2 can’t tell')
    .option('--key <vkey>', 'the verifier key of the log, from elsewhere than the bundle: NAME+ID+BASE64')
    .addHelpText('after', '\nNo gateway and no network is asked. How to check one without this program: docs/verify.md')
    .action(verify)
}

async function verify(file: string, _options: object, command: Command): Promise<void> {
  const { processTerminal, verifyBundleFile } = await import('@countersign/contract/node/verify-file')
  const terminal = processTerminal('countersign')
  try {
    process.exitCode = await verifyBundleFile(file, command.optsWithGlobals(), terminal)
  } finally {
    terminal.close()
  }
}
