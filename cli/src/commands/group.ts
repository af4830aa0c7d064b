import type { Command } from 'commander'

/** A command that only has others below it: alone, or with one that isn't there, it is used wrongly. */
export function group(parent: Command, name: string, description: string): Command {
  return withoutAction(parent.command(name).description(description))
}

export function withoutAction(command: Command): Command {
  return command.allowExcessArguments().action(() => {
    const [given] = command.args
    command.error(given === undefined ? 'a command is missing' : `there is no command ${JSON.stringify(given)}`)
  })
}
