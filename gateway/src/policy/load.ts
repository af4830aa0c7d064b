import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { blankComments, fromByteOffset, lineAt, splitPolicies, tooDeep } from './cedar-text.ts'
import { readStages, type Stage } from './escalation.ts'
import { OVERLAY_FILES, OVERLAY_POLICIES, overlayOf, overlayPolicy } from './overlay-text.ts'
import { schema } from './schema.ts'

/** Something wrong in a policy folder, for a person: `${file}:${line}: ${message}: ${mend}`. */
export interface PolicyProblem {
  file: string
  /** 1-based; 0 where it concerns the file or folder as a whole. */
  line: number
  message: string
  mend: string
}

export interface LoadedPolicy {
  id: string
  file: string
  line: number
  effect: 'permit' | 'forbid'
  /** The one agent that its scope names (`principal == Agent::"…"`); undefined where it may be about others. */
  agent: string | undefined
  /** As it stands in the file, without comments. */
  text: string
  reason: string | undefined
  hold: Hold | undefined
}

/** Who is asked where a policy holds. */
export interface Hold {
  groups: string[]
  quorum: number
  /** Who is asked, too, once nobody has answered for so long; absent where the policy doesn't say. */
  escalation?: Stage[]
  /** It may disturb people in quiet hours. */
  critical?: true
}

export interface PolicyFiles {
  policies: LoadedPolicy[]
  /** The files as read, for people to look at. */
  texts: { file: string; text: string }[]
  /** `sha256:HEX` over names and texts of all files. */
  version: string
  warnings: PolicyProblem[]
}

export type Read = { ok: true; files: PolicyFiles } | { ok: false; problems: PolicyProblem[] }

/**
 * Reads and checks all `*.cedar` files of a folder (contract.md section 4, Loading). Symbolic links are followed, subfolders aren't read.
 * @param overlays files that are in no folder (overlay-text.ts), and come behind it
 */
export async function readPolicies(
  folder: string,
  overlays: readonly { file: string; text: string }[] = [],
): Promise<Read> {
  const problems: PolicyProblem[] = []
  const warnings: PolicyProblem[] = []
  const texts = await readTexts(folder, problems, warnings)
  const all = [...texts, ...overlays.map(({ file, text }) => ({ file, text }))]
  return checked(folder, all, { problems, warnings, strict: true })
}

/**
 * As readPolicies, of texts that were read before.
 * @param options strict: of a set that is to come in force. Else what the validator only warns of is a warning: that of a
 * set that was in force refuses nothing any more
 */
export function readPolicyTexts(texts: { file: string; text: string }[], { strict = false } = {}): Read {
  return checked('', texts, { problems: [], warnings: [], strict })
}

interface Findings {
  problems: PolicyProblem[]
  warnings: PolicyProblem[]
  /** Whatever the validator says is a problem (contract.md section 4, Loading): a forbid that can't apply protects nothing. */
  strict: boolean
}

function checked(folder: string, texts: { file: string; text: string }[], findings: Findings): Read {
  const { problems, warnings } = findings
  const policies: LoadedPolicy[] = []
  const fresh: LoadedPolicy[] = []
  for (const { file, text } of texts) {
    const before = checkedOverlays.get(file, text)
    if (before) warnings.push(...before.warnings)
    const read = before?.policies ?? readFilePolicies(file, text, problems, warnings)
    if (!before) fresh.push(...read)
    policies.push(...read)
  }
  refuseDuplicates(policies, problems)
  // Against the schema only what is otherwise whole: a policy that is wrong twice is still one thing to mend at a time.
  if (problems.length === 0) validate(fresh, findings)
  if (problems.length > 0) return { ok: false, problems }
  if (policies.length === 0)
    warnings.push({
      file: folder,
      line: 0,
      message: 'there is no policy, so everything is denied',
      mend: 'write a permit into a file that ends in .cedar',
    })
  for (const { file, text } of texts) checkedOverlays.keep(file, text, policies, warnings)
  return { ok: true, files: { policies, texts, version: versionOf(texts), warnings } }
}

/**
 * Overlays that were read and found whole, by name and text. Reviews leave hundreds, of which a change is about one: it would
 * read and validate (some 10 ms each) all the others anew.
 */
const checkedOverlays = {
  known: new Map<string, { policies: LoadedPolicy[]; warnings: PolicyProblem[]; characters: number }>(),
  characters: 0,
  most: 16 * 1024 * 1024,
  get(file: string, text: string) {
    return overlayOf(file) === undefined ? undefined : this.known.get(JSON.stringify([file, text]))
  },
  keep(file: string, text: string, policies: readonly LoadedPolicy[], warnings: readonly PolicyProblem[]) {
    if (overlayOf(file) === undefined) return
    const key = JSON.stringify([file, text])
    const before = this.known.get(key)
    // The one used last is forgotten last.
    this.known.delete(key)
    const own = <T extends { file: string }>(all: readonly T[]) => all.filter((one) => one.file === file)
    const kept = before ?? { policies: own(policies), warnings: own(warnings), characters: 2 * key.length }
    this.known.set(key, kept)
    if (!before) this.characters += kept.characters
    for (const [oldest, { characters }] of this.known) {
      if (this.characters <= this.most) break
      this.known.delete(oldest)
      this.characters -= characters
    }
  },
}

/** `sha256:HEX` over names and texts of the files of a set, in their order. */
export function versionOf(texts: readonly { file: string; text: string }[]): string {
  const hash = createHash('sha256')
  for (const { file, text } of texts) hash.update(JSON.stringify([file, text]))
  return `sha256:${hash.digest('hex')}`
}

async function readTexts(folder: string, problems: PolicyProblem[], warnings: PolicyProblem[]) {
  const texts: { file: string; text: string }[] = []
  let names: string[]
  try {
    names = (await readdir(folder)).filter((name) => !name.startsWith('.')).sort()
  } catch (error) {
    const message = `the policy folder can't be read (${(error as Error).message})`
    problems.push({ file: folder, line: 0, message, mend: 'make it, or mend `policy:` in the configuration' })
    return texts
  }
  for (const name of names) {
    const path = join(folder, name)
    try {
      if (name.startsWith(OVERLAY_FILES)) {
        const message = `files that begin with ${OVERLAY_FILES} are those of reviews, which are in no folder`
        problems.push({ file: name, line: 0, message, mend: 'give it another name' })
      } else if ((await stat(path)).isDirectory()) {
        const message = 'a folder inside the policy folder is not read'
        warnings.push({ file: name, line: 0, message, mend: 'move its files into the policy folder itself' })
      } else if (name.endsWith('.cedar')) {
        texts.push({ file: name, text: new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)) })
      }
    } catch (error) {
      const message = `can't be read as UTF-8 text (${(error as Error).message})`
      problems.push({ file: name, line: 0, message, mend: 'mend the file or its permissions' })
    }
  }
  return texts
}

function readFilePolicies(file: string, source: string, problems: PolicyProblem[], warnings: PolicyProblem[]) {
  const blanked = blankComments(source)
  const deep = tooDeep(blanked)
  if (deep !== undefined) {
    const mend = 'write fewer brackets, or several policies'
    problems.push({ file, line: lineAt(blanked, deep), message: 'this is nested too deep, or too long a chain', mend })
    return []
  }
  const whole = cedar.policySetTextToParts(blanked)
  if (whole.type === 'failure') {
    for (const error of whole.errors) problems.push(cedarProblem(file, blanked, 0, error))
    return []
  }
  if (whole.policy_templates.length > 0) {
    const at = Math.max(0, blanked.search(/\?(principal|resource)/))
    const message = 'a template (?principal or ?resource) can’t be linked here'
    problems.push({ file, line: lineAt(blanked, at), message, mend: 'write the principal or resource out' })
    return []
  }
  const parts = splitPolicies(blanked)
  if (parts.length !== whole.policies.length) {
    const message = `${whole.policies.length} policies were parsed, but ${parts.length} found`
    problems.push({ file, line: 0, message, mend: 'report this file as a fault of Countersign' })
    return []
  }
  const loaded: LoadedPolicy[] = []
  for (const [index, part] of parts.entries()) {
    const line = lineAt(blanked, part.start)
    const parsed = cedar.policyToJson(part.text)
    if (parsed.type === 'failure') {
      for (const error of parsed.errors) problems.push(cedarProblem(file, blanked, part.start, error))
      continue
    }
    loaded.push(readPolicy(file, line, index + 1, part.text, parsed.json, problems, warnings))
  }
  return loaded
}

const known = ['id', 'hold', 'quorum', 'escalate', 'critical', 'reason']

function readPolicy(
  file: string,
  line: number,
  number: number,
  text: string,
  json: cedar.PolicyJson,
  problems: PolicyProblem[],
  warnings: PolicyProblem[],
): LoadedPolicy {
  // A Map: an annotation may be called __proto__ or constructor.
  const annotations = new Map(Object.entries(json.annotations ?? {}))
  const problem = (message: string, mend: string) => problems.push({ file, line, message, mend })
  const warning = (message: string, mend: string) => warnings.push({ file, line, message, mend })

  const overlay = overlayOf(file)
  const id =
    overlay !== undefined
      ? overlayPolicy(overlay, number)
      : annotations.has('id')
        ? String(annotations.get('id') ?? '')
        : `${file}#${number}`
  if (overlay !== undefined && (json.effect !== 'forbid' || annotations.has('hold')))
    problem('an overlay only forbids, and nobody is asked about it', 'run verify: it was changed where it is kept')
  if (overlay === undefined && id.startsWith(OVERLAY_POLICIES))
    problem(`ids that begin with ${OVERLAY_POLICIES} are those of reviews’ overlays`, 'give it another @id')
  if (!/^[^\p{C}]{1,200}$/u.test(id) || id.trim() !== id || id === '')
    problem(
      '@id is empty, too long or has characters that can’t be shown',
      'name the policy, for example @id("no-ddl")',
    )
  for (const name of annotations.keys())
    if (!known.includes(name))
      warning(`@${name} means nothing here`, `known are ${known.map((k) => `@${k}`).join(', ')}`)

  const asks = mentionsApproval(json.conditions)
  let hold: LoadedPolicy['hold']
  if (annotations.has('hold')) {
    const groups = [...new Set(String(annotations.get('hold') ?? '').split(','))].map((group) => group.trim())
    if (groups.some((group) => group === ''))
      problem('@hold names no group, or an empty one', 'name who may approve, for example @hold("oncall-dba, sre")')
    if (json.effect === 'permit')
      problem('@hold on a permit holds nothing', 'write forbid (…) unless { context has approval };')
    else if (!asks)
      problem(
        '@hold on a policy without an approval clause: no approval could ever release it',
        'add unless { context has approval }',
      )
    hold = { groups: [...new Set(groups)], quorum: 1 }
  } else if (asks) {
    warning(
      'context.approval is only there once another policy with @hold was approved',
      'add @hold("GROUP") to say who may approve',
    )
  }
  if (annotations.has('quorum')) {
    const quorum = String(annotations.get('quorum') ?? '')
    if (!/^[1-9]\d?$/.test(quorum))
      problem(`@quorum("${quorum}") is no number of people`, 'write how many must approve, for example @quorum("2")')
    else if (hold) hold.quorum = Number(quorum)
    if (!hold) warning('@quorum without @hold means nothing', 'add @hold("GROUP"), or leave it out')
  }
  if (annotations.has('escalate')) {
    const read = readStages(String(annotations.get('escalate') ?? ''))
    if (!read.ok) problem(read.message, read.mend)
    else if (!hold) problem('@escalate without @hold escalates nothing', 'add @hold("GROUP"), or leave it out')
    else {
      hold.escalation = read.stages
      for (const group of read.stages.flatMap((stage) => stage.groups))
        if (hold.groups.includes(group))
          warning(`@escalate asks ${group}, whom @hold asks from the start`, 'leave it out of one of the two')
    }
  }
  if (annotations.has('critical')) {
    const value = annotations.get('critical')
    if (value !== null && value !== '' && value !== 'true')
      problem(`@critical("${value}") is neither there nor not`, 'write @critical, or leave it out')
    else if (!hold) warning('@critical without @hold means nothing', 'add @hold("GROUP"), or leave it out')
    else hold.critical = true
  }
  const reason = annotations.get('reason')
  return {
    ...{ id, file, line, effect: json.effect, agent: agentOf(json.principal), text, hold },
    reason: reason === '' ? undefined : (reason ?? undefined),
  }
}

function agentOf(scope: cedar.PrincipalConstraint): string | undefined {
  if (scope.op !== '==' || !('entity' in scope)) return undefined
  const { type, id } = '__entity' in scope.entity ? scope.entity.__entity : scope.entity
  return type === 'Agent' ? id : undefined
}

/** Whether `context has approval` or `context.approval` is anywhere in an expression (Cedar's JSON policy format). */
function mentionsApproval(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return false
  const { has, '.': get } = node as { has?: Access; '.'?: Access }
  for (const access of [has, get]) {
    const attr = Array.isArray(access?.attr) ? access.attr[0] : access?.attr
    if (attr === 'approval' && access?.left?.Var === 'context') return true
  }
  return Object.values(node).some(mentionsApproval)
}
type Access = { left?: { Var?: string }; attr?: string | string[] }

function refuseDuplicates(policies: LoadedPolicy[], problems: PolicyProblem[]): void {
  const first = new Map<string, LoadedPolicy>()
  for (const policy of policies) {
    const before = first.get(policy.id)
    if (!before) {
      first.set(policy.id, policy)
      continue
    }
    const message = `@id("${policy.id}") is already that of the policy at ${before.file}:${before.line}`
    problems.push({ file: policy.file, line: policy.line, message, mend: 'give each policy an @id of its own' })
  }
}

/** Policies as Cedar gets them. The keys are ours: an @id could be `__proto__`. */
function policySet(policies: LoadedPolicy[]): cedar.PolicySet {
  return { staticPolicies: Object.fromEntries(policies.map((policy, index) => [`p${index}`, policy.text])) }
}

function validate(policies: LoadedPolicy[], { problems, warnings, strict }: Findings): void {
  if (policies.length === 0) return
  const answer = cedar.validate({ schema, policies: policySet(policies), validationSettings: { mode: 'strict' } })
  if (answer.type === 'failure') {
    for (const error of answer.errors)
      problems.push({
        file: 'policy.cedarschema',
        line: 0,
        message: error.message,
        mend: error.help ?? 'mend the policy',
      })
    return
  }
  const located = ({ policyId, error }: cedar.ValidationError): PolicyProblem => {
    const policy = policies[Number(policyId.slice(1))]!
    const found = cedarProblem(policy.file, policy.text, 0, error)
    return {
      ...found,
      line: policy.line + Math.max(found.line, 1) - 1,
      message: `${policy.id}: ${found.message.replace(/^for policy `p\d+`, /, '')}`,
    }
  }
  problems.push(...answer.validationErrors.map(located))
  for (const warned of answer.validationWarnings) {
    const found = { ...located(warned), mend: warned.error.help ?? 'mend it, or leave it out' }
    // Overlays were looked at when they were proposed, and nobody could mend one in the store.
    if (strict && overlayOf(found.file) === undefined) problems.push(found)
    else warnings.push(found)
  }
}

function cedarProblem(file: string, source: string, base: number, error: cedar.DetailedError): PolicyProblem {
  const at = error.sourceLocations?.[0]
  const offset = base + (at ? fromByteOffset(source.slice(base), at.start) : 0)
  return {
    file,
    line: lineAt(source, offset),
    message: error.message,
    mend: error.help ?? at?.label ?? 'see the schema, policy.cedarschema',
  }
}
