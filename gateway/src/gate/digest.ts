import { createHash } from 'node:crypto'
import type { Command } from './command.ts'

/**
 * What an approval binds to: `sha256:HEX` over the canonical JSON (RFC 8785) of
 * `["countersign-command/1", {identity, connection, protocol, text, parameters, kind, effects, meaning}]`.
 * identity: issuer, subject, groups (sorted, since their order says nothing), owner, onBehalfOf. connection: name, kind.
 * effects: in their order, each with action, resource, the context's `command` and the object's id. The session isn't in
 * it: the same command in another session of the same agent is the same command.
 * @throws TypeError for what JSON has no one form of (undefined, NaN, a cycle, a lone surrogate): refuse the command
 */
export function digestOf(command: Command): string {
  const { agent, connection, protocol, text, parameters, kind, effects, meaning } = command
  const encoded = canonical([
    'countersign-command/1',
    {
      identity: {
        id: agent.id,
        issuer: agent.issuer,
        subject: agent.subject,
        groups: [...new Set(agent.groups)].sort(),
        owner: agent.owner ?? null,
        onBehalfOf: agent.onBehalfOf ?? null,
      },
      connection: { name: connection.name, kind: connection.kind },
      protocol,
      text,
      parameters,
      kind,
      effects: effects.map((effect) => ({
        action: effect.action,
        resource: { type: effect.resource.type, id: effect.resource.id, attrs: effect.resource.attrs ?? {} },
        command: effect.command,
        object: effect.object ?? null,
      })),
      meaning,
    },
  ])
  return `sha256:${createHash('sha256').update(encoded, 'utf8').digest('hex')}`
}

/** RFC 8785: keys sorted by UTF-16 code units, ECMAScript's own forms of numbers and strings, no white space. */
export function canonical(value: unknown): string {
  switch (typeof value) {
    case 'string':
      // UTF-8 turns every lone surrogate into the same character: two texts would have one digest.
      if (!value.isWellFormed()) throw new TypeError('a text with a lone surrogate has no canonical form')
      return JSON.stringify(value)
    case 'boolean':
      return String(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`)
      return JSON.stringify(value)
    case 'object': {
      if (value === null) return 'null'
      if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
      const prototype = Object.getPrototypeOf(value)
      // A Map or Date would be `{}`, whatever is in it.
      if (prototype !== Object.prototype && prototype !== null)
        throw new TypeError('only plain objects, arrays and simple values have a canonical form')
      const members = Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, member]) => `${canonical(key)}:${canonical(member)}`)
      return `{${members.join(',')}}`
    }
    default:
      throw new TypeError(`a ${typeof value} has no canonical form`)
  }
}
