import type { GrantRequest } from '@countersign/contract/access'
import type { z } from 'zod'
import { milliseconds } from '../approvals/quorum.ts'
import { ConnectionName, DataClassName } from '../config/schema.ts'
import { isAction, isActionOf, protocolsOf } from './actions.ts'
import { GrantRefused } from './refused.ts'

/** What is asked for, in one form: actions and resources in order, each once; a purpose on one line. */
export interface Asked {
  connection: string
  actions: string[]
  resources?: string[]
  duration: string
  seconds: number
  purpose: string
}

/** Their resource is the connection: a grant of them on what is within it would cover nothing. */
const onTheWhole = ['ssh:exec', 'ssh:shell', 'ssh:forward']

/** UTF-8 bytes of all resources: they are in every message about the grant. */
const MOST_RESOURCES = 16_384

/**
 * Checks what can be checked without knowing the connection.
 * @param longest milliseconds
 * @throws GrantRefused `invalid`
 */
export function askedOf(request: Omit<z.output<typeof GrantRequest>, 'agent' | 'onBehalfOf'>, longest: number): Asked {
  const { connection, duration } = request
  checkTexts([request.purpose, ...request.actions, ...(request.resources ?? [])])
  if (!ConnectionName.safeParse(connection).success) throw invalid(`${quoted(connection)} is no name of a connection`)
  const actions = [...new Set(request.actions)].sort()
  for (const action of actions)
    if (!isAction(action))
      throw invalid(
        `There is no action ${quoted(action)} to ask for: name those of the policy schema (sql:read, k8s:get …) or a group of them (sql)`,
      )
  if (protocolsOf(actions).length > 1)
    throw invalid(`The actions are of several protocols (${protocolsOf(actions).join(', ')}): a connection has one`)
  const ms = milliseconds(duration)
  if (ms > longest)
    throw invalid(`A grant lasts ${words(longest)} at most here (grants.max_duration): ask for a shorter one`)
  const resources = request.resources && [...new Set(request.resources)].sort()
  for (const resource of resources ?? []) checkResource(resource, connection, actions)
  const whole = actions.find((action) => onTheWhole.includes(action))
  if (resources && whole && !resources.includes(connection))
    throw invalid(
      `${whole} is done on ${connection} itself: name ${connection}, or leave the resources out. Which commands it may run is for policy to say (context.command)`,
    )
  if (resources && Buffer.byteLength(resources.join('')) > MOST_RESOURCES)
    throw invalid(`The resources are ${MOST_RESOURCES} bytes at most together: name what they have in common, with a *`)
  return {
    connection,
    actions,
    ...(resources ? { resources } : {}),
    duration,
    seconds: ms / 1000,
    purpose: onOneLine(request.purpose),
  }
}

/**
 * Checks texts before anything is written down of them: what has no one form would be one thing in the store and another
 * in the ledger.
 * @throws GrantRefused `invalid`
 */
export function checkTexts(texts: readonly string[]): void {
  for (const text of texts)
    if (!text.isWellFormed() || text.includes('\0')) throw invalid('There are characters in it that no text has')
}

/** @throws GrantRefused `invalid` */
export function checkKind({ actions, connection }: Pick<Asked, 'actions' | 'connection'>, kind: string): void {
  for (const action of actions)
    if (!isActionOf(kind, action))
      throw invalid(`${action} is nothing that can be done on ${connection}: it is ${kind}`)
}

function checkResource(resource: string, connection: string, actions: readonly string[]): void {
  const star = resource.indexOf('*')
  if (star >= 0 && star < resource.length - 1)
    throw invalid(`${quoted(resource)}: a * stands for the rest, so it is the last character`)
  if (resource === connection || (resource.startsWith(`${connection}/`) && resource.length > connection.length + 1))
    return
  if (resource.includes('/')) throw invalid(`${quoted(resource)} is not within ${connection}`)
  if (!DataClassName.safeParse(resource).success)
    throw invalid(`${quoted(resource)} is neither within ${connection} (${connection}/…) nor the name of a data class`)
  if (!actions.includes('data:reveal'))
    throw invalid(`${quoted(resource)} would be a data class: those are asked for with the action data:reveal`)
}

/** Text of others on one line, in its own order, so that it can't look like more lines of ours, nor turn ours around. */
export function onOneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\s\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/gu, ' ').trim()
}

/** 5400000 as `90m`. */
export function words(ms: number): string {
  for (const [unit, length] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
  ] as const)
    if (ms >= length && ms % length === 0) return `${ms / length}${unit}`
  return `${Math.floor(ms / 1000)}s`
}

function quoted(text: string): string {
  return `“${onOneLine(text).slice(0, 200)}”`
}

function invalid(message: string): GrantRefused {
  return new GrantRefused('invalid', message)
}
