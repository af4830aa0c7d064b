import type { Command } from 'commander'

/** A command that only has others below it. Alone it is its default (`list`); with one that isn't there, used wrongly. */
export function group(parent: Command, name: string, description: string): Command {
  const command = parent.command(name).description(description)
  command.hook('preSubcommand', (_, chosen) => {
    const [given] = command.args
    if (given !== undefined && !given.startsWith('-') && given !== chosen.name()) missing(command, given)
  })
  return withoutAction(command)
}

export function withoutAction(command: Command): Command {
  return command.allowExcessArguments().action(() => {
    const [given] = command.args
    if (given === undefined) command.error('a command is missing')
    missing(command, given)
  })
}

function missing(command: Command, given: string): never {
  command.error(`there is no command ${JSON.stringify(given)}`)
}
