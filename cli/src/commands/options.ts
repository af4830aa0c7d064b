import { misuse } from '../errors.ts'
import { secondsOf, timeOf } from '../terminal/text.ts'

/** A duration such as 30m as it is sent. @throws CliError */
export function durationOf(option: string, given: string): string {
  if (secondsOf(given) === undefined) throw misuse(`${option} takes a duration such as 30m, 8h or 2d`)
  return given
}

/** A duration in seconds. @throws CliError */
export function secondsIn(option: string, given: string | undefined): number | undefined {
  return given === undefined ? undefined : secondsOf(durationOf(option, given))
}

/** A time in UTC. @throws CliError */
export function timeIn(option: string, given: string, direction: 'ahead' | 'ago'): string {
  const time = timeOf(given, direction)
  if (time === undefined)
    throw misuse(`${option} takes a time such as 2026-12-01T09:00 (local, or with an offset), or a duration such as 2d`)
  return time
}

/** Parts of a list that was given with commas, or as several options. */
export function parts(given: string, before: string[] = []): string[] {
  return [
    ...before,
    ...given
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  ]
}
