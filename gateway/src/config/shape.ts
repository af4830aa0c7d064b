import { z } from 'zod'
import type { Path, YamlDocument } from './document.ts'
import { nearest, type Problem } from './problem.ts'
import { GatewayConfig } from './schema.ts'

/** Everything that the schema finds wrong, in words, at its line. */
export function shapeProblems(file: string, document: YamlDocument): Problem[] {
  const parsed = GatewayConfig.safeParse(document.content)
  if (parsed.success) return []
  return parsed.error.issues.flatMap((issue) => words(issue, document).map((problem) => ({ file, ...problem })))
}

type Issue = z.core.$ZodIssue
type Words = Omit<Problem, 'file'>

function words(issue: Issue, document: YamlDocument): Words[] {
  const { path } = issue
  const line = document.lineOf(path)
  const name = nameOf(path)
  const value = path.reduce<unknown>(
    (at, step) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? Reflect.get(at, step) : undefined,
    document.content,
  )
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const known = keysAt(document.content, path)
        const near = nearest(key, known)
        return {
          line: document.lineOf([...path, key]),
          message: `unknown key "${key}"${path.length > 0 ? ` in ${name}` : ''}`,
          mend: near ? `did you mean "${near}"?` : `known here: ${known.join(', ')}`,
        }
      })
    case 'invalid_key':
      return [{ line, message: `"${String(path.at(-1))}" is no name`, mend: issue.issues[0]?.message ?? '' }]
    case 'invalid_type':
      if (value === undefined)
        return [{ line, message: `${name} is missing`, mend: `add it${expected(issue.expected, issue.message)}` }]
      return [{ line, message: `${name} is ${kindOf(value)}`, mend: expectedWords(issue.expected, issue.message) }]
    case 'invalid_value':
      return [oneOf(line, name, value, issue.values.map(String))]
    case 'invalid_union':
      if ('options' in issue && Array.isArray(issue.options))
        return [oneOf(line, name, value, issue.options.map(String))]
      if (value === undefined) return [{ line, message: `${name} is missing`, mend: issue.message }]
      return [{ line, message: `${name} can't be read`, mend: issue.message }]
    case 'too_small':
    case 'too_big':
      if (issue.origin === 'string') return [{ line, message: `${name} is empty`, mend: 'fill it in or remove it' }]
      if (issue.origin === 'array')
        return [{ line, message: `${name} has ${(value as unknown[]).length} entries`, mend: bound(issue) }]
      return [{ line, message: `${name} is ${value}`, mend: bound(issue) }]
    case 'invalid_format':
      if (issue.format === 'url')
        return [{ line, message: `${name} is no URL`, mend: 'write it whole, for example https://gw.example.com' }]
      return [{ line, message: `${name} is ${shown(value)}`, mend: issue.message }]
    default:
      return [{ line, message: `${name} is ${shown(value)}`, mend: issue.message }]
  }
}

/** `identity.issuers[0].for`; the whole file where the path is empty. */
function nameOf(path: Path): string {
  let name = ''
  for (const step of path) name += typeof step === 'number' ? `[${step}]` : name ? `.${String(step)}` : String(step)
  return name || 'the file'
}

function oneOf(line: number, name: string, value: unknown, values: string[]): Words {
  const mend = values.length === 1 ? `must be ${values[0]}` : `must be one of ${values.join(', ')}`
  if (value === undefined) return { line, message: `${name} is missing`, mend }
  const near = typeof value === 'string' ? nearest(value, values) : undefined
  return { line, message: `${name} is ${shown(value)}`, mend: near ? `did you mean "${near}"? It ${mend}` : mend }
}

function bound(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}`
  if (issue.origin === 'array') return `needs at least ${issue.minimum}`
  return issue.inclusive ? `must be at least ${issue.minimum}` : `must be more than ${issue.minimum}`
}

const typeWords: Record<string, string> = {
  string: 'text (in quotes if it looks like a number)',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a block of keys',
  record: 'a block of keys',
  array: 'a list',
}

/** The schema's own words where it has some, else those for the type. */
function expectedWords(type: string, message: string): string {
  return message.startsWith('Invalid input') ? `must be ${typeWords[type] ?? type}` : message
}

function expected(type: string, message: string): string {
  return message.startsWith('Invalid input')
    ? type === 'string'
      ? ''
      : `: ${typeWords[type] ?? type}`
    : `: ${message}`
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a block of keys'
  return typeof value === 'string' ? 'text' : `a ${typeof value}`
}

/** Values that the schema checks by form are no secrets: those are references. */
function shown(value: unknown): string {
  return typeof value === 'string' && value.length <= 80 ? JSON.stringify(value) : kindOf(value)
}

/** The keys that the schema knows at `path` of this content. */
function keysAt(content: unknown, path: Path): string[] {
  let schema: z.core.$ZodType | undefined = GatewayConfig
  let at: unknown = content
  for (const step of path) {
    schema = unwrap(schema, at)
    at = typeof at === 'object' && at !== null ? Reflect.get(at, step) : undefined
    if (schema instanceof z.ZodObject) schema = schema.shape[String(step)] as z.core.$ZodType | undefined
    else if (schema instanceof z.ZodArray) schema = schema.element
    else if (schema instanceof z.ZodRecord) schema = schema.valueType
    else return []
  }
  const last = unwrap(schema, at)
  return last instanceof z.ZodObject ? Object.keys(last.shape) : []
}

function unwrap(schema: z.core.$ZodType | undefined, value: unknown): z.core.$ZodType | undefined {
  let inner = schema
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional)
    inner = inner.unwrap()
  if (inner instanceof z.ZodDiscriminatedUnion) {
    const { discriminator } = inner.def
    const kind = typeof value === 'object' && value !== null ? Reflect.get(value, discriminator) : undefined
    return inner.options.find(
      (option) => option instanceof z.ZodObject && option.shape[discriminator]?.safeParse(kind).success,
    )
  }
  return inner
}
