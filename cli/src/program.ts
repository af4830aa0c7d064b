import { Command, Option } from 'commander'
import metadata from '../package.json' with { type: 'json' }
import { accessCommand } from './commands/access.ts'
import { agentCommands } from './commands/agents.ts'
import { approvalCommands } from './commands/approvals.ts'
import { awayCommands } from './commands/away.ts'
import { completionCommand } from './commands/completion.ts'
import { connectCommand } from './commands/connect.ts'
import { connectionNamesCommand } from './commands/connection-names.ts'
import { connectionCommands } from './commands/connections.ts'
import { grantCommands } from './commands/grants.ts'
import { withoutAction } from './commands/group.ts'
import { kubeCredentialCommand } from './commands/kube-credential.ts'
import { loginCommands } from './commands/login.ts'
import { planCommands } from './commands/plans.ts'
import { sessionCommands } from './commands/sessions.ts'
import { sshAskpassCommand } from './commands/ssh-askpass.ts'
import { tokenCommand } from './commands/token.ts'
import { verifyCommand } from './commands/verify.ts'
import { tokenTypes } from './subject/sources.ts'

const epilogue = `
The gateway is --gateway, COUNTERSIGN_GATEWAY, or the one that was signed in to last. Calls are made as the agent whose
token is here (--subject-token-file, COUNTERSIGN_SUBJECT_TOKEN_FILE, client credentials, GitHub Actions, Kubernetes), else
as the person who is signed in; --as says which where both are.

exit status: 0 done, 1 refused or failed, 2 used wrongly or can't tell, 3 held, 4 not signed in; connect: its client's,
126 refused before it ran, 127 no such client. More: docs/cli.md`

/** All commands. */
export function createProgram(): Command {
  const program = new Command('countersign')
    .description('evidence, access and approvals from a terminal')
    .usage('COMMAND [OPTIONS]')
    .version(metadata.version, '-v, --version', 'the version')
    .helpOption('-h, --help', 'this text')
    .option('--gateway <url>', 'the gateway')
    .option('--ca <file>', "PEM of the gateway's certificate, or of its authority")
    .option('--json', "results as JSON, in the API's own shapes")
    .addOption(new Option('--as <who>', 'who calls').choices(['person', 'agent']))
    .option('--subject-token-file <file>', "the agent's own token; - is standard input")
    .addOption(new Option('--subject-token-type <type>', 'what it is, where it can’t be seen').choices(tokenTypes))
    .addHelpText('after', epilogue)
  loginCommands(program)
  connectCommand(program)
  tokenCommand(program)
  grantCommands(program)
  planCommands(program)
  approvalCommands(program)
  sessionCommands(program)
  agentCommands(program)
  connectionCommands(program)
  accessCommand(program)
  awayCommands(program)
  kubeCredentialCommand(program)
  sshAskpassCommand(program)
  verifyCommand(program)
  completionCommand(program)
  connectionNamesCommand(program)
  withoutAction(program)
  for (const command of everyCommand(program)) settle(command)
  return program
}

/** A command and all below it. */
export function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

/** What every command does alike: it throws instead of ending the process, and says what is wrong in one line. */
function settle(command: Command): void {
  command
    .exitOverride()
    .showHelpAfterError(false)
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: command.parent !== null, styleTitle: (title) => title.toLowerCase() })
    .configureOutput({
      outputError: (text, write) =>
        write(
          `countersign: ${text
            .replace(/^error: /, '')
            .trim()
            .replaceAll('\n', ' ')}; see countersign --help\n`,
        ),
    })
}
