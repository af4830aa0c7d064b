import { Argument, type Command } from 'commander'
import { shellScripts, type Word } from '../show/completion.ts'
import { processTerminal } from '../terminal/terminal.ts'

/** completion: a script that the shell reads. */
export function completionCommand(program: Command): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>').choices(Object.keys(shellScripts)))
    .description('a script that completes commands, options and names of connections in a shell')
    .addHelpText('after', '\nexample: source <(countersign completion bash)')
    .action((shell: keyof typeof shellScripts) => {
      processTerminal().out(shellScripts[shell](wordsOf(program)).trimEnd())
    })
}

/** Every command that people type, by its words, with what may follow. */
function wordsOf(program: Command, path: string[] = []): Word[] {
  const help = program.createHelp()
  const below = help.visibleCommands(program).filter((command) => command.name() !== 'help')
  const options = [...help.visibleOptions(program), ...(path.length > 0 ? help.visibleGlobalOptions(program) : [])]
  const own = {
    path,
    commands: below.map((command) => ({ name: command.name(), about: command.description() })),
    options: options.map(({ long, short, description, argChoices, required, optional }) => ({
      flags: [long, short].filter((flag) => flag !== undefined && flag !== null),
      about: description,
      takes: argChoices ?? (required || optional ? [] : undefined),
      connection: long === '--connection',
    })),
    choices: program.registeredArguments[0]?.argChoices ?? [],
    connection: program.registeredArguments[0]?.name() === 'connection',
    client: program.registeredArguments.some((argument) => argument.name() === 'client'),
  }
  return [own, ...below.flatMap((command) => wordsOf(command, [...path, command.name()]))]
}
