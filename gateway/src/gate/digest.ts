import { hash } from 'node:crypto'
import { canonical } from '@countersign/contract/canonical'
import type { Command } from './command.ts'

/**
 * What an approval binds to: `sha256:HEX` over the canonical JSON (RFC 8785) of
 * `["countersign-command/1", {identity, connection, protocol, text, parameters, kind, effects, meaning}]`.
 * identity: issuer, subject, groups (sorted, since their order says nothing), owner, onBehalfOf, and chain where actors
 * came before it. connection: name, kind.
 * effects: in their order, each with action, resource, the context's `command` and the object's id. The session isn't in
 * it: the same command in another session of the same agent is the same command.
 * What a command is made of must not be changed once it was given here: it is compared by identity with the one before.
 * @throws TypeError for what JSON has no one form of (undefined, NaN, a cycle, a lone surrogate): refuse the command
 */
export function digestOf(command: Command): string {
  const { before, after } = frameOf(command)
  const whole = `${before}${canonical(command.parameters)}${after}${canonical(command.text)}}]`
  return `sha256:${hash('sha256', whole, 'hex')}`
}

/** Everything of the canonical form but the parameters and the text, which is the last, by what it was made of. */
interface Frame extends Pick<Command, 'agent' | 'connection' | 'protocol' | 'kind' | 'effects'> {
  /** The members before and after `parameters`, which by the order of keys is between `meaning` and `protocol`. */
  before: string
  after: string
}

/** A statement runs often with other parameters or constants: what its commands share is put into canonical form once. */
const frames = new WeakMap<Command['meaning'], Frame>()

function frameOf(command: Command): Frame {
  const known = frames.get(command.meaning)
  if (
    known &&
    known.effects === command.effects &&
    known.agent === command.agent &&
    known.connection === command.connection &&
    known.protocol === command.protocol &&
    known.kind === command.kind
  )
    return known
  const { agent, connection, protocol, kind, effects, meaning } = command
  const before = canonical({
    identity: {
      id: agent.id,
      issuer: agent.issuer,
      subject: agent.subject,
      groups: [...new Set(agent.groups)].sort(),
      owner: agent.owner ?? null,
      onBehalfOf: agent.onBehalfOf ?? null,
      ...(agent.chain === undefined ? {} : { chain: agent.chain }),
    },
    connection: { name: connection.name, kind: connection.kind },
    kind,
    effects: effects.map((effect) => ({
      action: effect.action,
      resource: { type: effect.resource.type, id: effect.resource.id, attrs: effect.resource.attrs ?? {} },
      command: effect.command,
      object: effect.object ?? null,
    })),
    meaning,
  })
  const frame: Frame = {
    agent,
    connection,
    protocol,
    kind,
    effects,
    before: `["countersign-command/1",${before.slice(0, -1)},"parameters":`,
    after: `,"protocol":${canonical(protocol)},"text":`,
  }
  frames.set(meaning, frame)
  return frame
}
