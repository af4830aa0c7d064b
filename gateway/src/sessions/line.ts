import type { NewRecordingEvent } from '@countersign/contract/recording'

type Command = Extract<NewRecordingEvent, { type: 'command' }>
type Rows = Extract<NewRecordingEvent, { type: 'rows' }>
type Result = Extract<NewRecordingEvent, { type: 'result' }>
type Output = Extract<NewRecordingEvent, { type: 'output' }>
type Input = Extract<NewRecordingEvent, { type: 'input' }>

/**
 * An event as a line of NDJSON, `seq` first. The events of every command are put together by hand, with what their
 * commands share written once: JSON.stringify takes three times as long, which is felt, since it is done before anything
 * is forwarded. (The test holds this against JSON.stringify and the schema's keys.)
 * @param micros microseconds since the recording began
 */
export function lineOf(event: NewRecordingEvent, seq: number, micros: number): string {
  const head = `{"seq":${seq},"t":${millis(micros)},"type":"${event.type}",`
  switch (event.type) {
    case 'command':
      return `${head}${commandMembers(event)}}\n`
    case 'rows':
      return `${head}${rowsMembers(event)}}\n`
    case 'result':
      return `${head}${resultMembers(event)}}\n`
    case 'output':
      return `${head}${outputMembers(event)}}\n`
    case 'input':
      return `${head}${inputMembers(event)}}\n`
    default: {
      const { type: _, ...members } = event
      return `${head}${JSON.stringify(members).slice(1)}\n`
    }
  }
}

function commandMembers({ command, text, parameters, kind, effects, digest, classes, verdict }: Command): string {
  const { outcome, policies, reason, observed } = verdict
  let decided = `{"outcome":"${outcome}","policies":${shared(policies)}`
  if (reason !== undefined) decided += `,"reason":${quoted(reason)}`
  if (observed !== undefined) decided += `,"observed":${observed}`
  const touched = classes === undefined ? '' : `,"classes":${shared(classes)}`
  return `"command":${quoted(command)},"text":${quoted(text)},"parameters":${values(parameters)},"kind":${quoted(kind)},"effects":${shared(effects)},"digest":${quoted(digest)}${touched},"verdict":${decided}}`
}

function rowsMembers({ command, columns, rows, truncated }: Rows): string {
  let all = '['
  for (let at = 0; at < rows.length; at++) all += at === 0 ? values(rows[at]!) : `,${values(rows[at]!)}`
  const more = truncated === undefined ? '' : `,"truncated":${truncated}`
  // Marks are of this result alone.
  const described = columns.some(({ masked }) => masked !== undefined) ? JSON.stringify(columns) : shared(columns)
  return `"command":${quoted(command)},"columns":${described},"rows":${all}]${more}`
}

function resultMembers({ command, status, tag, rows, sqlstate, message, transferred, ms }: Result): string {
  let members = `"command":${quoted(command)},"status":"${status}"`
  if (tag !== undefined) members += `,"tag":${quoted(tag)}`
  if (rows !== undefined) members += `,"rows":${rows}`
  if (sqlstate !== undefined) members += `,"sqlstate":${quoted(sqlstate)}`
  if (message !== undefined) members += `,"message":${quoted(message)}`
  if (transferred !== undefined) members += `,"transferred":${JSON.stringify(transferred)}`
  return `${members},"ms":${millis(Math.round(ms * 1000))}`
}

function outputMembers({ channel, stream, data, notice, masked }: Output): string {
  let members = `"channel":${quoted(channel)},"stream":"${stream}","data":${value(data)}`
  if (notice !== undefined) members += `,"notice":${notice}`
  if (masked !== undefined) members += `,"masked":${JSON.stringify(masked)}`
  return members
}

function inputMembers({ channel, data, hidden }: Input): string {
  let members = `"channel":${quoted(channel)}`
  if (data !== undefined) members += `,"data":${value(data)}`
  if (hidden !== undefined) members += `,"hidden":${hidden}`
  return members
}

function values(row: Command['parameters']): string {
  let all = '['
  for (let at = 0; at < row.length; at++) {
    if (at > 0) all += ','
    all += value(row[at]!)
  }
  return `${all}]`
}

function value(given: Command['parameters'][number]): string {
  if (typeof given === 'string') return quoted(given)
  // Base64 has nothing to escape; to look at all of it would be felt where files pass.
  return given === null ? 'null' : `{"base64":"${given.base64}"}`
}

/** What JSON must escape, and what UTF-8 has no form of. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const special = /[\0-\x1f"\\\ud800-\udfff]/

function quoted(text: string): string {
  return special.test(text) ? JSON.stringify(text) : `"${text}"`
}

const known = new WeakMap<object, string>()

/** JSON of what many events hold alike, and nobody changes. */
function shared(value: readonly unknown[]): string {
  let json = known.get(value)
  if (json === undefined) {
    json = JSON.stringify(value)
    known.set(value, json)
  }
  return json
}

/** Milliseconds out of microseconds, by whole numbers: a fraction's shortest form is slow to find. */
function millis(micros: number): string {
  const whole = Math.floor(micros / 1000)
  const rest = micros - whole * 1000
  if (rest === 0) return String(whole)
  return `${whole}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`
}
