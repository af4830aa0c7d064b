/**
 * Whatever a terminal would obey or not show: controls, formats (bidirectional marks, zero-width characters, tags), lone
 * surrogates, separators, and letters that are blank.
 */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\u115f\u1160\u3164\uffa0]|\u034f|\u17b4|\u17b5/gu

/** Text from outside on one line, with nothing in it that acts or hides: ␛ is `\u{1b}`. */
export function shown(text: string): string {
  return text.replace(unseen, (one) => `\\u{${one.codePointAt(0)!.toString(16)}}`)
}

/**
 * Text from outside on lines of its own, none of it cut. Each line begins with `gutter`, so that no text can pass for
 * what we say ourselves. Tabs are kept.
 */
export function block(text: string, gutter = '    | '): string[] {
  return text.split(/\r\n|\n/).map((line) => gutter + line.split('\t').map(shown).join('\t'))
}

/** JSON on one line, in which what a terminal would obey is escaped. It parses to the same value. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(unseen, (one) =>
    Array.from({ length: one.length }, (_, at) => `\\u${one.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  )
}

const units = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** Seconds of a duration such as 30m; undefined where it is none. */
export function secondsOf(duration: string): number | undefined {
  const parts = /^([1-9]\d{0,6})(s|m|h|d)$/.exec(duration)
  return parts ? Number(parts[1]) * units[parts[2] as keyof typeof units] : undefined
}

/** A moment as people of this place read it, and how far it is. */
export function moment(iso: string, now = Date.now()): string {
  const at = new Date(iso)
  const seconds = Math.round((at.getTime() - now) / 1000)
  const far = distance(Math.abs(seconds))
  const local = at.toLocaleString('sv-SE', { timeZoneName: 'short' })
  return `${local} (${seconds >= 0 ? `in ${far}` : `${far} ago`})`
}

/** How long that is, in one or two units. */
export function distance(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`
}

/**
 * A time as people give it: ISO 8601 with or without an offset (then it is local), or a duration from `now`, into the
 * direction given. Answers ISO 8601 in UTC, or undefined where it is no time.
 */
export function timeOf(given: string, direction: 'ahead' | 'ago', now = Date.now()): string | undefined {
  const seconds = secondsOf(given.replace(/ ago$/, ''))
  if (seconds !== undefined) return new Date(now + (direction === 'ahead' ? seconds : -seconds) * 1000).toISOString()
  if (!/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(given)) return undefined
  // A date alone would be read as UTC, a date with a time as local: people mean local by both.
  const at = new Date(given.length === 10 ? `${given}T00:00` : given.replace(' ', 'T'))
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString()
}
